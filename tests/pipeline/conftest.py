"""A copy of the repository's scripts to run in, and a server that writes down what it is told."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from listener import Handler, Listener

TOP = Path(__file__).resolve().parent.parent.parent
# Nothing of the machine's own CI or cloud gets into a test.
FOREIGN = ("CIRCLE", "GCP_", "GOOGLE_", "CLOUDSDK_", "COSIGN", "SMTP_", "MAIL_", "SLACK", "IMAGE", "TF_", "BASH_ENV", "SECURITY_")


class House:
    """The scripts in a Git repository of their own, since they write below build/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(TOP / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(TOP / "VERSION", folder)
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)} | {
            "HOME": str(folder / "home"), "PATH": f"{self.programs}:{os.environ['PATH']}", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null"}
        (folder / "home").mkdir()
        for arguments in (["init", "-q", "-b", "main"], ["add", "VERSION"],
                          ["-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "-m", "A <subject> & more"]):
            subprocess.run(["git", *arguments], cwd=folder, check=True, env=self.environment)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.folder, env=self.environment | environment, capture_output=True, text=True,
                              check=False, timeout=240, stdin=subprocess.DEVNULL)
        print(f"$ {' '.join(command)}\n{done.stdout}{done.stderr}exit {done.returncode}")
        return done

    def program(self, name: str, script: str) -> None:
        """A program of this name that stands before the real one."""
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


class Receiver:
    """Answers every POST with what `answers` says for its path, and keeps what came in."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], str]] = []
        self.answers: dict[str, tuple[int, object]] = {}
        receiver = self

        class Answers(Handler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                receiver.requests.append((self.path, dict(self.headers), body))
                status, answer = receiver.answers.get(self.path.partition("?")[0], (200, {}))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

        self.listener = Listener(Answers)
        self.url = f"http://127.0.0.1:{self.listener.port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.listener.stop()
