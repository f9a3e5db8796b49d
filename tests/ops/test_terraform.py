"""The alert policies that Terraform plans are the rules of alerts/, each with its own expression, time and severity."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rules import TOP, Rule, rules, seconds

PROJECT, SERVICE, HOST = "acme-project", "payflow-staging", "api.staging.example.com"
ROOT = f"""
module "observability" {{
  source              = "./tf/modules/observability"
  project_id          = "{PROJECT}"
  region              = "europe-west1"
  environment         = "staging"
  service_name        = "{SERVICE}"
  notification_emails = ["oncall@example.com"]
  uptime_host         = "{HOST}"
  alerts_dir          = "${{path.root}}/alerts"
  log_retention_days  = 30
  labels              = {{}}
}}
"""


def filled_in(expr: str) -> str:
    for old, new in (('"payflow-', f'"{SERVICE}-'), ('"payflow"', f'"{SERVICE}"'), ('"project:payflow"', f'"{PROJECT}:{SERVICE}"'),
                     ('"payflow.example"', f'"{HOST}"'), ("user_payflow_", f"user_{SERVICE.replace('-', '_')}_")):
        expr = expr.replace(old, new)
    return " ".join(expr.split())


def expected(rule: Rule) -> tuple[str, float, str]:
    return filled_in(rule.body["expr"]), seconds(rule.body.get("for", "0s")), rule.body["labels"]["severity"].upper()


def planned(change: Any) -> tuple[str, float, str]:
    condition = change["conditions"][0]["condition_prometheus_query_language"][0]
    return " ".join(condition["query"].split()), seconds(condition["duration"]), change["severity"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    made = tmp_path_factory.mktemp("terraform")
    for name in ("alerts", "runbooks", "dashboards", "tf/modules/observability"):
        shutil.copytree(TOP / name, made / name, ignore=shutil.ignore_patterns(".terraform*"))
    (made / "main.tf").write_text(ROOT)
    done = subprocess.run(["terraform", "init", "-input=false", "-no-color"], cwd=made, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("the google provider is not to be had here")
    return made


def plan(root: Path) -> dict[str, Any]:
    """What the plan makes of each policy."""
    environment = os.environ | {"GOOGLE_OAUTH_ACCESS_TOKEN": "fake"}
    for command in (["plan", "-input=false", "-refresh=false", "-out=plan"], ["show", "-json", "plan"]):
        done = subprocess.run(["terraform", *command], cwd=root, env=environment, check=False, capture_output=True, text=True)
        if done.returncode != 0 and "google_project" in done.stderr:
            pytest.skip("the plan asks Google, which is not to be had here")
        assert done.returncode == 0, done.stderr
    return {change["index"]: change["change"]["after"] for change in json.loads(done.stdout)["resource_changes"]
            if change["type"] == "google_monitoring_alert_policy"}


def test_policies_are_the_rules(root: Path) -> None:
    assert {key: planned(policy) for key, policy in plan(root).items()} == {rule.key: expected(rule) for rule in rules()}


def test_a_module_that_changes_a_rule_is_found(root: Path) -> None:
    module = root / "tf/modules/observability/main.tf"
    text = module.read_text()
    module.write_text(text.replace("trimspace(rule.expr)", 'replace(trimspace(rule.expr), "0.05", "0.5")'))
    assert module.read_text() != text
    try:
        assert planned(plan(root)["HighErrorRate"]) != expected(next(rule for rule in rules() if rule.key == "HighErrorRate"))
    finally:
        module.write_text(text)
