"""Whatever a person may type answers --help with what it does, on standard output, exit code 0, at once and without colours."""
from __future__ import annotations

import os
import re
import subprocess

import pytest
from servers import BINARY, TOP

FOLDERS = ("scripts", "deploy", "bench", ".ci")
ALSO = ("tests/run.py", "tests/faults/chaos.py", "tests/faults/proof.py", "tests/fuzz/run.py", "tests/rehearsal/faulty.py",
        "tests/container/slow_clients.py")


def programs() -> list[str]:
    """Every executable file of the folders that people call."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *FOLDERS], cwd=TOP, check=True, capture_output=True,
                            text=True).stdout.splitlines()
    return [name for name in listed if (TOP / name).is_file() and os.access(TOP / name, os.X_OK)] + list(ALSO)


def commands() -> list[list[str]]:
    listed = subprocess.run([BINARY, "--help"], check=True, capture_output=True, text=True).stdout
    return [[str(BINARY)], *([str(BINARY), name] for name in re.findall(r"^  (\w+)  ", listed, re.MULTILINE))]


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    # Neither settings nor tools: whoever asks for help may have none yet.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent"}
    return subprocess.run([*command, "--help"], cwd="/", env=environment, stdin=subprocess.DEVNULL, check=False,
                          capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("name", programs())
def test_a_script_says_what_it_is_for(name: str) -> None:
    done = ask(str(TOP / name))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 8 and done.stderr == ""
    assert "\033" not in done.stdout


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[-1])
def test_a_command_says_what_it_does(command: list[str]) -> None:
    done = ask(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: payflow") and len(done.stdout.split()) >= 8 and done.stderr == ""


def test_there_are_some() -> None:
    assert len(programs()) > 35 and len(commands()) == 10


@pytest.mark.parametrize("arguments", [["pruen"], ["serve", "now"], ["keys"], ["keys", "create", "--acount", "shop"], ["config", "--json"]])
def test_what_is_wrong_is_said_with_what_is_right(arguments: list[str]) -> None:
    environment = {"DB_HOST": "127.0.0.1", "DB_PORT": "1"}
    done = subprocess.run([BINARY, *arguments], env=environment, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and "Usage: payflow" in done.stderr and done.stdout == ""


def test_make_help_lists_what_people_type() -> None:
    listed = subprocess.run(["make", "help"], cwd=TOP, check=True, capture_output=True, text=True).stdout
    assert {"run", "build", "test", "test-all", "lint", "image", "up", "down", "docs"} <= {line.split()[0] for line in listed.splitlines()}
