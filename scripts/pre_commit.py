#!/usr/bin/python3
"""`make pre-commit`: the linters' opinion of the files that a commit would change, in seconds. `make lint` looks at everything.

  scripts/pre_commit.py              staged files; where nothing is staged, whatever differs from HEAD, new files too
  scripts/pre_commit.py FILE...      these
  scripts/pre_commit.py --install    as Git's pre-commit hook of this clone

Every tool is the pinned one of `make tools`, or a package of `make lint`; one that is not there is named and skipped.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TOOLS = TOP / "build" / "tools" / "bin"
HOOK = "#!/bin/sh\nexec scripts/pre_commit.py\n"


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=TOP, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def changed() -> list[str]:
    kept = "--diff-filter=ACMR"
    return git("diff", "--cached", "--name-only", kept) or \
        git("diff", "HEAD", "--name-only", kept) + git("ls-files", "--others", "--exclude-standard")


def is_shell(name: str) -> bool:
    with (TOP / name).open("rb") as file:
        return re.match(rb"#!.*\b(ba)?sh\b", file.readline()) is not None


def ends(*suffixes: str) -> Callable[[str], bool]:
    return lambda name: name.endswith(suffixes)


# What a linter is called with before the files, and which files it looks at.
CHECKS: list[tuple[list[str], Callable[[str], bool]]] = [
    (["clang-format", "--dry-run", "-Werror"], ends(".c", ".h")),
    (["ruff", "check", "--no-cache", "--quiet"], ends(".py")),
    (["shellcheck"], is_shell),
    (["yamllint", "--strict"], ends(".yml", ".yaml")),
    (["hadolint"], ends("Dockerfile")),
    (["openapi-spec-validator"], lambda name: name == "openapi.yaml"),
    (["terraform", "fmt", "-check", "-diff"], ends(".tf", ".tfvars", ".tftest.hcl")),
    ([str(TOP / "scripts" / "check_circleci.py")], lambda name: name == ".circleci/config.yml"),
]


def without_conflicts(names: list[str]) -> bool:
    found = [name for name in names if re.search(rb"^(<<<<<<< |>>>>>>> )", (TOP / name).read_bytes(), re.MULTILINE)]
    for name in found:
        print(f"pre-commit: {name} has the marks of a conflict")
    return not found


def look(command: list[str], names: list[str]) -> bool:
    program = shutil.which(command[0], path=f"{TOOLS}:{os.environ['PATH']}:{TOP}")
    if program is None:
        print(f"pre-commit: {command[0]} is not there, {len(names)} files were not looked at; `make tools` or `make lint` gets it")
        return True
    return subprocess.run([program, *command[1:], *names], cwd=TOP, check=False).returncode == 0


def install() -> int:
    hook = Path(git("rev-parse", "--git-path", "hooks/pre-commit")[0])
    hook = hook if hook.is_absolute() else TOP / hook
    if hook.exists() and hook.read_text() != HOOK:
        print(f"pre-commit: {hook} is there already; add `scripts/pre_commit.py` to it yourself")
        return 1
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    return 0


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    if sys.argv[1:] == ["--install"]:
        return install()
    begun = time.monotonic()
    names = [name for name in sys.argv[1:] or changed() if (TOP / name).is_file()]
    good = without_conflicts(names)
    for command, concerns in CHECKS:
        files = [name for name in names if concerns(name)]
        if files and not look(command, files):
            print(f"pre-commit: {command[0]} found something")
            good = False
    if names and not look([str(TOP / "scripts" / "secrets.sh")], names):
        good = False
    print(f"pre-commit: {len(names)} files in {time.monotonic() - begun:.1f} s: {'good' if good else 'not good'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
