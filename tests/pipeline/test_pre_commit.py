"""scripts/pre_commit.py in a repository of its own: it sees what is wrong with what a commit would change, and only with that."""
from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit, and this one's tools."""
    if not (TOP / "build" / "tools" / "bin" / "ruff").exists():
        pytest.skip("the pinned tools are not there: make tools")
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/pre_commit.py", "scripts/secrets.sh", "ruff.toml"):
        shutil.copy(TOP / name, tmp_path / name)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "tools").symlink_to(TOP / "build" / "tools")
    (tmp_path / ".gitignore").write_text("/build\n")
    (tmp_path / "old.py").write_text("import os\n")  # wrong, and nobody changes it
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([clone / "scripts" / "pre_commit.py", *arguments], cwd=clone, check=False, capture_output=True, text=True)


def test_what_did_not_change_is_not_looked_at(clone: Path) -> None:
    assert run(clone).returncode == 0
    (clone / "new.py").write_text("x = 1\n")
    assert run(clone).returncode == 0


@pytest.mark.parametrize(("name", "text", "says"), [
    ("new.py", "import os\n", "F401"), ("new.sh", "#!/bin/bash\nrm $1\n", "SC2086"), ("both.txt", "<<<<<<< ours\n", "marks of a conflict"),
    ("key.txt", "key: AKIA" + "IOSFODNN7EXAMPL1\n", "AWS Access Key"), ("a.yml", "a:   1\n", "too many spaces")])
def test_a_fault_in_a_new_file_is_found(clone: Path, name: str, text: str, says: str) -> None:
    program = {"new.sh": "shellcheck", "a.yml": "yamllint"}.get(name)
    if program is not None and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    (clone / name).write_text(text)
    done = run(clone)
    assert done.returncode == 1 and says in done.stdout + done.stderr


def test_as_a_hook_it_stops_the_commit(clone: Path) -> None:
    assert run(clone, "--install").returncode == 0
    (clone / "new.py").write_text("import os\n")
    subprocess.run(["git", "add", "new.py"], cwd=clone, check=True)
    commit = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "y"]
    assert subprocess.run(commit, cwd=clone, check=False, capture_output=True).returncode != 0
    (clone / "new.py").write_text("x = 1\n")
    subprocess.run(["git", "add", "new.py"], cwd=clone, check=True)
    assert subprocess.run(commit, cwd=clone, check=False, capture_output=True).returncode == 0
