"""checkov and tflint on the sources. A rule is off only where a reason stands beside it."""
from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from workspace import ENVIRONMENTS, TOP, Terraform, note

CHECKOV = TOP / "build" / "tools" / "infra" / "bin" / "checkov"
LEAST_CHECKS = 75


@pytest.fixture(scope="session")
def checkov(tmp_path_factory: pytest.TempPathFactory) -> dict:
    if not CHECKOV.is_file():
        pytest.skip("checkov is not there: make infra installs it")
    # It does not follow links, which the environments' files are.
    copied = tmp_path_factory.mktemp("checkov") / "tf"
    shutil.copytree(TOP / "tf", copied, ignore=shutil.ignore_patterns(".terraform", "tests"))
    command = [CHECKOV, "--directory", copied, "--framework", "terraform", "--skip-download", "--output", "json", "--quiet",
               "--external-modules-download-path", tmp_path_factory.mktemp("modules")]
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout) | {"full": done.stderr}


def test_checkov_finds_nothing(checkov: dict) -> None:
    failed = [f"{check['check_id']} {check['file_path']} {check['resource']}: {check['check_name']}"
              for check in checkov["results"]["failed_checks"]]
    assert failed == []
    assert checkov["summary"]["parsing_errors"] == 0


def test_checkov_looked_at_something(checkov: dict) -> None:
    note(f"checkov: {checkov['summary']['passed']} checks passed, {checkov['summary']['skipped']} skipped with a reason")
    assert checkov["summary"]["passed"] >= LEAST_CHECKS


def test_no_rule_is_off_without_a_reason() -> None:
    for path in (TOP / "tf").rglob("*.tf"):
        for line in path.read_text().splitlines():
            if "checkov:skip" in line or "tflint-ignore" in line:
                reason = line.split(":", 3)[-1] if "checkov" in line else line.partition("#")[2].partition("#")[2]
                assert len(reason.split()) >= 4, f"{path}: {line.strip()}"


@pytest.mark.parametrize("folder", [*sorted(str(path.parent.relative_to(TOP)) for path in (TOP / "tf").glob("modules/*/main.tf")),
                                    "tf/bootstrap", *(f"tf/environments/{name}" for name in ENVIRONMENTS)])
def test_tflint(terraform: Terraform, folder: str) -> None:
    program = shutil.which("tflint") or shutil.which(str(TOP / "build" / "tools" / "bin" / "tflint"))
    if program is None:
        pytest.skip("tflint is not there: make security-tools builds it")
    done = subprocess.run([program, f"--chdir={terraform.top / folder}", f"--config={TOP / 'tf' / '.tflint.hcl'}", "--format=compact"],
                          check=False, capture_output=True, text=True, env=terraform.environment)
    assert done.returncode == 0, done.stdout + done.stderr
