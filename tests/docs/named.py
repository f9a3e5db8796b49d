"""What a block of shell commands names: make's targets, files of the repository, subcommands and options. Each is looked up
where it is defined: the Makefile, the tree, `--help`, gcloud's own table of its commands."""
from __future__ import annotations

import functools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from servers import BINARY, TOP

# Programs that a page may call and that are not ours; what they are given is not checked.
OTHERS = frozenset("[ . cat cd cosign cp curl date dig { } do done echo export for gh git head jq openssl pg_dump printf psql rm "
                   "sleep sops source sudo unset while xargs promql logs grep tail".split())
ASSIGNMENT = re.compile(r"\w+=.*")
OPTION = re.compile(r"--[a-z][\w-]*")


def unknown_names(text: str) -> list[str]:
    """What does not exist, in words; empty if all does."""
    return [problem for words in commands(text) for problem in judge(words)]


def commands(text: str) -> Iterator[list[str]]:
    """Each simple command's words, those within $(…) too. Enough of the shell's grammar for what pages show."""
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"(?m)(^|[ \t])#.*$", "", text)
    text = re.sub(r"(?m)^\$ ", "", text)  # a console's prompt
    while inner := re.search(r"\$\(([^()]*)\)", text):
        yield from commands(inner[1])
        text = text[:inner.start()] + "VALUE" + text[inner.end():]
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&()\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set(";|&()\n"):
            words.append(word)
        elif words:
            yield words
            words = []


def judge(words: list[str]) -> list[str]:
    while words and (ASSIGNMENT.fullmatch(words[0]) or words[0] in ("sudo", "do", "exec", "then", "time")):
        words = words[1:]
    if not words:
        return []
    program, arguments = words[0], words[1:]
    problems = missing_files(words)
    if program == "make":
        return problems + [f"make {goal}" for goal in arguments if "=" not in goal and goal not in targets()]
    if program == "payflow":
        return problems + of_payflow(arguments)
    if program == "gcloud":
        return problems + of_gcloud(arguments)
    if program == "terraform":
        return problems + of_terraform([word for word in arguments if not word.startswith("-chdir")])
    if program == "docker":
        return problems + of_docker(arguments)
    if (TOP / program).is_file() and "/" in program:
        return problems + missing_options(helped(str(TOP / program)), program, arguments)
    return problems if program in OTHERS or "/" in program else [*problems, f"the program {program}"]


def missing_files(words: list[str]) -> list[str]:
    """Files that Git would know; ENV and $env stand for an environment. What a command makes is in build/."""
    found = []
    for word in words:
        for name in re.findall(r"(?<![\w/.$-])((?:scripts|deploy|tf|runbooks|tests|bench|alerts|docs|dashboards|src)/[\w./$-]*)", word):
            path = re.sub(r"ENV\b|\$env\b|\$e\b", "staging", name).rstrip("/")
            if not (TOP / path).exists() and path != "tf/bootstrap/backend.tf":  # that one the page itself makes
                found.append(f"the file {path}")
    return found


def missing_options(text: str, program: str, arguments: list[str]) -> list[str]:
    """Options must stand in the program's help."""
    used = [match[0] for word in arguments if (match := OPTION.match(word))]
    return [f"{program} {option}" for option in used if option not in OPTION.findall(text)]


@functools.cache
def helped(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run([*command, "--help"], cwd=TOP, check=False, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr if done.returncode == 0 else ""


@functools.cache
def targets() -> frozenset[str]:
    return frozenset(name for line in re.findall(r"^([a-z][\w /-]*):(?!=)", (TOP / "Makefile").read_text(), re.MULTILINE)
                     for name in line.split())


def of_payflow(arguments: list[str]) -> list[str]:
    command = arguments[0] if arguments else "serve"
    text = helped(str(BINARY), command) if not command.startswith("-") else helped(str(BINARY))
    if not text:
        return [f"payflow {command}"]
    problems = missing_options(text, f"payflow {command}", arguments[1:])
    if command == "keys" and f"keys {arguments[1]}" not in text:
        problems.append(f"payflow keys {arguments[1]}")
    return problems


@functools.cache
def gcloud_table() -> dict | None:
    """gcloud's own: commands, and for each its options. None where gcloud is not installed."""
    program = shutil.which("gcloud")
    table = Path(program).resolve().parents[1] / "data" / "cli" / "gcloud_completions.py" if program else None
    if table is None or not table.is_file():
        return None
    names: dict = {}
    exec(compile(table.read_text(), str(table), "exec"), names)
    return names["STATIC_COMPLETION_CLI_TREE"]


def of_gcloud(arguments: list[str]) -> list[str]:
    node = gcloud_table()
    if node is None:
        return []
    options = set(node["flags"])
    for number, word in enumerate(arguments):
        if not node["commands"]:
            break
        if word not in node["commands"]:
            return [f"gcloud {' '.join(arguments[:number + 1])}"]
        node = node["commands"][word]
        options |= set(node["flags"])
    used = [match[0] for word in arguments if (match := OPTION.match(word))]
    return [f"gcloud {option}" for option in used if option not in options and option.replace("--no-", "--", 1) not in options]


def of_terraform(arguments: list[str]) -> list[str]:
    if shutil.which("terraform") is None:
        return []
    known = re.findall(r"^  (\w[\w-]*)  ", helped("terraform"), re.MULTILINE)
    if arguments[0] not in known:
        return [f"terraform {arguments[0]}"]
    text = subprocess.run(["terraform", arguments[0], "-help"], check=False, capture_output=True, text=True).stdout
    used = [match[0] for word in arguments[1:] if (match := re.match(r"-[a-z][\w-]*", word))]
    # Each of "-var 'foo=bar'", "-backend-config=path", "-raw", …
    return [f"terraform {arguments[0]} {option}" for option in used if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)]


def of_docker(arguments: list[str]) -> list[str]:
    """Only that the subcommand is there, where docker and compose are; its options are docker's."""
    where = [word for word in arguments[:2 if arguments[0] == "compose" else 1] if not word.startswith("-")]
    known = helped("docker", *where[:-1])
    if not known or (len(where) > 1 and "docker compose" not in known) or re.search(rf"^  {where[-1]}\*? ", known, re.MULTILINE):
        return []
    return [f"docker {' '.join(where)}"]
