"""Terraform is run on a copy of tf/, so that nothing is left in the checkout: no plugins, no lock file made from a
provider that is not the registry's, no state."""
from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
ENVIRONMENTS = ["development", "staging", "production"]
PROJECT = "payflow-example"
TOKEN = "marked-token-4711"
COPIED = ["tf", "alerts", "runbooks", "dashboards"]


NOTES = TOP / "build" / "reports" / "infra.txt"


def note(line: str) -> None:
    """A figure that `make infra` prints in the end."""
    with NOTES.open("a") as out:
        out.write(line + "\n")


class Terraform:
    """A copy of the infrastructure's sources, and terraform to run in its folders."""

    def __init__(self, top: Path, program: str) -> None:
        self.top = top
        self.program = program
        self.ready: dict[str, str] = {}
        self.no_provider = ""
        plugins = TOP / "build" / "terraform-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        # No credentials but a token that is none; no proxy of the API answers it either.
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith(("GOOGLE_", "TF_VAR_"))} | {
            "GOOGLE_OAUTH_ACCESS_TOKEN": TOKEN,
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            "CHECKPOINT_DISABLE": "1",
            "TF_PLUGIN_CACHE_DIR": str(plugins),
            "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1",
        }
        # A file of settings that is named but not there would only add a warning to every output.
        if not Path(self.environment.get("TF_CLI_CONFIG_FILE", "/")).is_file():
            self.environment.pop("TF_CLI_CONFIG_FILE", None)

    def run(self, folder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.program, f"-chdir={self.top / folder}", *arguments], env=self.environment, check=False,
                              capture_output=True, text=True, timeout=600)

    def init(self, folder: str) -> None:
        """Once a folder. A root that keeps its state in a bucket is made to keep it in a file."""
        if folder not in self.ready and not self.no_provider:
            if (self.top / folder / "backend.tf").is_file():
                (self.top / folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
            done = self.run(folder, "init", "-no-color")
            self.ready[folder] = "" if done.returncode == 0 else done.stderr
        problem = self.ready.get(folder, "")
        if re.search("Failed to (query|install)|could not connect", problem):
            self.no_provider = "the google provider can't be had: no registry, and none is installed"
        if self.no_provider:
            pytest.skip(self.no_provider)
        assert not problem, problem

    def plan(self, folder: str, *arguments: str) -> dict[str, object]:
        """The folder's plan from nothing, as JSON; PLAN and PLAN.json stay there."""
        self.init(folder)
        done = self.run(folder, "plan", "-no-color", "-out=PLAN", *arguments)
        assert done.returncode == 0, done.stderr
        shown = self.run(folder, "show", "-json", "PLAN")
        assert shown.returncode == 0, shown.stderr
        (self.top / folder / "PLAN.json").write_text(shown.stdout)
        return json.loads(shown.stdout)
