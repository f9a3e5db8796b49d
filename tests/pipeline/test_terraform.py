"""Plan, apply and drift with the real terraform, on an environment that has nothing in the cloud and its state in a file."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from conftest import House

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
SETTINGS = {"GCP_PROJECT": "acme-staging", "TF_BACKEND_CONFIG": "path=staging.tfstate"}
MAIN = """
terraform {
  backend "local" {}
}
variable "project_id" { type = string }
resource "terraform_data" "one" { input = "${var.project_id} %s" }
"""


@pytest.fixture
def environment(house: House) -> House:
    house.write("tf/environments/staging/main.tf", MAIN % "small")
    house.program("opa", "echo '[]'")  # the policies themselves are the business of tests/infra
    return house


def test_what_was_planned_is_applied(environment: House) -> None:
    plan = environment.run("scripts/ci/terraform.sh", "plan", "staging", **SETTINGS)
    assert plan.returncode == 0
    assert "Plan: 1 to add" in plan.stdout
    assert "acme-staging small" in (environment.folder / "build/tf/text/staging.txt").read_text()
    environment.write("tf/environments/staging/main.tf", MAIN % "changed after the plan")
    apply = environment.run("scripts/ci/terraform.sh", "apply", "staging", **SETTINGS)
    assert apply.returncode == 0
    assert '"acme-staging small"' in (environment.folder / "tf/environments/staging/staging.tfstate").read_text()


def test_a_plan_that_was_overtaken_is_refused(environment: House) -> None:
    environment.run("scripts/ci/terraform.sh", "plan", "staging", **SETTINGS)
    saved = environment.folder / "build/tf/staging.tfplan"
    saved.rename(saved.with_suffix(".first"))
    environment.run("scripts/ci/terraform.sh", "plan", "staging", **SETTINGS)
    environment.run("scripts/ci/terraform.sh", "apply", "staging", **SETTINGS)
    saved.with_suffix(".first").rename(saved)
    again = environment.run("scripts/ci/terraform.sh", "apply", "staging", **SETTINGS)
    assert again.returncode != 0
    assert "Saved plan is stale" in again.stderr


def test_a_plan_that_the_policies_refuse_cannot_be_applied(environment: House) -> None:
    environment.program("opa", """[ -s build/tf/staging.json ] && echo '["database: a public address"]'""")
    plan = environment.run("scripts/ci/terraform.sh", "plan", "staging", **SETTINGS)
    assert plan.returncode == 1
    assert "terraform: refused: database: a public address" in plan.stderr
    assert environment.run("scripts/ci/terraform.sh", "apply", "staging", **SETTINGS).returncode != 0
    environment.program("opa", "echo '[]'")
    assert environment.run("scripts/ci/terraform.sh", "plan", "staging", **SETTINGS).returncode == 0


def test_the_pipeline_insists_on_the_policies(environment: House) -> None:
    (environment.programs / "opa").unlink()
    settings = SETTINGS | {"PATH": ":".join(folder for folder in os.environ["PATH"].split(":") if not Path(folder, "opa").exists())}
    done = environment.run("scripts/ci/terraform.sh", "plan", "staging", **settings)
    assert done.returncode == 0
    assert "the policies were not asked about staging" in done.stderr
    done = environment.run("scripts/ci/terraform.sh", "plan", "staging", CIRCLECI="true", **settings)
    assert done.returncode == 69
    assert not (environment.folder / "build/tf/staging.tfplan").exists()


def test_no_plan_no_apply(environment: House) -> None:
    assert environment.run("scripts/ci/terraform.sh", "apply", "staging", **SETTINGS).returncode != 0


def test_drift_is_found(environment: House) -> None:
    for verb in ("plan", "apply"):
        environment.run("scripts/ci/terraform.sh", verb, "staging", **SETTINGS)
    same = environment.run("scripts/ci/terraform.sh", "drift", "staging", **SETTINGS)
    assert same.returncode == 0
    assert "No changes" in same.stdout
    environment.write("tf/environments/staging/main.tf", MAIN % "large")
    drift = environment.run("scripts/ci/terraform.sh", "drift", "staging", **SETTINGS)
    assert drift.returncode == 2
    assert "staging has drifted" in drift.stderr


def test_a_broken_environment_is_no_drift(environment: House) -> None:
    environment.write("tf/environments/staging/main.tf", "resource {}")
    assert environment.run("scripts/ci/terraform.sh", "drift", "staging", **SETTINGS).returncode == 1


def test_preview_needs_neither_cloud_nor_state(environment: House) -> None:
    done = environment.run("scripts/ci/terraform.sh", "preview")
    assert done.returncode == 0
    assert "terraform: staging: Plan: 1 to add" in done.stdout
    assert not (environment.folder / "tf/environments/staging/.terraform").exists()


@pytest.mark.parametrize("arguments", [["plan", "moon"], ["destroy", "staging"], []])
def test_what_it_does_not_know_it_refuses(environment: House, arguments: list[str]) -> None:
    assert environment.run("scripts/ci/terraform.sh", *arguments, **SETTINGS).returncode != 0
