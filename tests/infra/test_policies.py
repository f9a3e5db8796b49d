"""The policies of tf/policies pass on the real plans, and each of their rules refuses a plan that breaks it."""
from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from workspace import ENVIRONMENTS, TOP

PYTHON = TOP / "build" / "tools" / "infra" / "bin" / "python"
RULES = sorted(set(re.findall(r'sprintf\("\[([a-z-]+)\]', (TOP / "tf" / "policies" / "payflow.rego").read_text())))

SQL = "google_sql_database_instance settings.0."
RUN = "google_cloud_run_v2_service template.0."

# Rule, then what breaks it: TYPE PATH and the new value, in production's plan.
BROKEN: list[tuple[str, str, object]] = [
    ("auth", RUN + "containers.0.env.PAYFLOW_AUTH", "off"),
    ("auth", RUN + "containers.0.env.DB_SSLMODE", "require"),
    ("basic-roles", "google_cloud_run_v2_job_iam_member role", "roles/editor"),
    ("cache-replica", "google_memorystore_instance replica_count", 0),
    ("cache-tls", "google_memorystore_instance transit_encryption_mode", "TRANSIT_ENCRYPTION_DISABLED"),
    ("cache-tls", "google_memorystore_instance authorization_mode", "AUTH_DISABLED"),
    ("connections", RUN + "scaling.0.max_instance_count", 14),
    ("connections", RUN + "containers.0.env.DB_READERS", "8"),
    ("cpu-always", RUN + "containers.0.resources.0.cpu_idle", True),
    ("database-backups", SQL + "backup_configuration.0.enabled", False),
    ("database-backups", SQL + "backup_configuration.0.point_in_time_recovery_enabled", False),
    ("database-backups", SQL + "backup_configuration.0.backup_retention_settings.0.retained_backups", 7),
    ("database-ha", SQL + "availability_type", "ZONAL"),
    ("database-iam", SQL + "database_flags.cloudsql.iam_authentication", "off"),
    ("database-iam", "google_sql_user type", "BUILT_IN"),
    ("database-private", SQL + "ip_configuration.0.ipv4_enabled", True),
    ("database-private", SQL + "ip_configuration.0.authorized_networks", [{"value": "0.0.0.0/0"}]),
    ("database-tls", SQL + "ip_configuration.0.ssl_mode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED"),
    ("database-tls", SQL + "ip_configuration.0.server_ca_mode", "GOOGLE_MANAGED_INTERNAL_CA"),
    ("deletion-protection", "google_sql_database_instance deletion_protection", False),
    ("deletion-protection", "google_memorystore_instance deletion_protection_enabled", False),
    ("edge-redirect", "google_compute_url_map default_url_redirect", [{"https_redirect": False}]),
    ("edge-tls", "google_compute_ssl_policy min_tls_version", "TLS_1_0"),
    ("egress", RUN + "vpc_access.0.egress", "PRIVATE_RANGES_ONLY"),
    ("flow-logs", "google_compute_subnetwork log_config", []),
    ("flow-logs", "google_compute_subnetwork private_ip_google_access", False),
    ("ingress", "google_cloud_run_v2_service ingress", "INGRESS_TRAFFIC_ALL"),
    ("instances", RUN + "scaling.0.min_instance_count", 1),
    ("instances", RUN + "scaling.0.max_instance_count", 2),
    ("labels", "google_memorystore_instance labels.cost-center", ""),
    ("labels", SQL + "user_labels.environment", None),
    ("limits", RUN + "containers.0.resources.0.limits.cpu", "8"),
    ("no-latest", RUN + "containers.0.image", "europe-west1-docker.pkg.dev/p/payflow/payflow:latest"),
    ("no-latest", RUN + "containers.1.image", "us-docker.pkg.dev/cloud-ops-agents-artifacts/sidecar"),
    ("no-secret-in-state", "google_secret_manager_secret_version secret_data", "x"),
    ("own-account", RUN + "service_account", None),
    ("own-account", "google_cloud_run_v2_job template.0.template.0.service_account", "123-compute@developer.gserviceaccount.com"),
    ("probes", RUN + "containers.0.liveness_probe.0.http_get.0.path", "/ready"),
    ("public-access", "google_secret_manager_secret_iam_member member", "allUsers"),
]


def at(items: object, key: str) -> object:
    """One step of a path: a field, a place, or an entry by its name."""
    if isinstance(items, list):
        return items[int(key)] if key.isdigit() else next(item for item in items if item["name"] == key)
    return items[key]  # type: ignore[index]


def break_it(plan: dict, target: str, value: object) -> None:
    type_, path = target.split(" ")
    change = next(change for change in plan["resource_changes"] if change["type"] == type_ and (
        type_ != "google_compute_url_map" or change["change"]["after"]["name"].endswith("-http")))
    place, keys = change["change"]["after"], path.replace("cloudsql.iam", "cloudsql_iam").split(".")
    for key in keys[:-1]:
        place = at(place, key)
    last = keys[-1].replace("cloudsql_iam", "cloudsql.iam")
    if isinstance(place, list):
        at(place, last)["value"] = value  # type: ignore[index]
    else:
        place[last] = value  # type: ignore[index]


def add(plan: dict, type_: str, **after: object) -> None:
    plan["resource_changes"].append({"address": f"{type_}.added", "mode": "managed", "type": type_,
                                     "change": {"actions": ["create"], "after": after, "after_unknown": {}}})


def without(plan: dict, type_: str, **fields: object) -> None:
    plan["resource_changes"] = [change for change in plan["resource_changes"] if change["type"] != type_ or any(
        change["change"]["after"].get(key) != value for key, value in fields.items())]


def forget(plan: dict, type_: str, field: str) -> None:
    for change in plan["resource_changes"]:
        if change["type"] == type_:
            change["change"]["after"].pop(field, None)
            change["change"]["after_unknown"].pop(field, None)


# What takes more than one value.
REBUILT: list[tuple[str, str, Callable[[dict], None]]] = [
    ("complete", "no database", lambda p: without(p, "google_sql_database_instance")),
    ("no-keys", "a key", lambda p: add(p, "google_service_account_key", service_account_id="x")),
    ("public-access", "a public bucket", lambda p: add(p, "google_storage_bucket_iam_binding", members=["allAuthenticatedUsers"])),
    ("public-access", "a public invoker", lambda p: add(p, "google_cloud_run_v2_service_iam_member", member="allUsers")),
    ("firewall", "an open door", lambda p: add(p, "google_compute_firewall", direction="INGRESS", source_ranges=["0.0.0.0/0"],
                                               allow=[{"protocol": "tcp"}])),
    ("firewall", "nothing denied", lambda p: without(p, "google_compute_firewall", direction="EGRESS", priority=65534)),
    ("edge-armor", "no filter", lambda p: forget(p, "google_compute_backend_service", "security_policy")),
    ("edge-tls", "no TLS policy", lambda p: forget(p, "google_compute_target_https_proxy", "ssl_policy")),
    ("bucket", "no versions", lambda p: add(p, "google_storage_bucket", public_access_prevention="enforced", versioning=[],
                                            uniform_bucket_level_access=True, labels={"app": "a", "environment": "e", "cost-center": "c"})),
    ("immutable-tags", "moving tags", lambda p: add(p, "google_artifact_registry_repository", docker_config=[{"immutable_tags": False}],
                                                    labels={"app": "a", "environment": "e", "cost-center": "c"})),
]
CASES = [(rule, f"{target} = {value!r}") for rule, target, value in BROKEN] + [(rule, what) for rule, what, _ in REBUILT]


def run_judge(files: list[Path]) -> dict[str, list[str]]:
    """By opa where it is installed, as in the pipeline; else by regopy."""
    if shutil.which("opa"):
        answers = {}
        for file in files:
            done = subprocess.run(["opa", "eval", "--data", TOP / "tf" / "policies", "--input", file, "--format", "raw", "data.main.deny"],
                                  check=True, capture_output=True, text=True)
            answers[str(file)] = json.loads(done.stdout)
        return answers
    if not PYTHON.is_file():
        pytest.skip("neither opa nor regopy is there: make infra installs the latter")
    done = subprocess.run([PYTHON, TOP / "scripts" / "tf_policy.py", "--json", *files], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def refusals(plan: Callable[[str], dict], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is refused of each broken plan, and of each real one."""
    folder = tmp_path_factory.mktemp("plans")
    plans = {name: plan(name) for name in [*ENVIRONMENTS, "bootstrap"]}
    # Nothing is broken in what watches, and it is most of a plan.
    whole = {"variables": plan("production")["variables"], "resource_changes": [
        change for change in plan("production")["resource_changes"] if not change["address"].startswith("module.observability.")]}
    for rule, target, value in BROKEN:
        plans[f"{rule}: {target} = {value!r}"] = copy.deepcopy(whole)
        break_it(plans[f"{rule}: {target} = {value!r}"], target, value)
    for rule, what, rebuild in REBUILT:
        plans[f"{rule}: {what}"] = copy.deepcopy(whole)
        rebuild(plans[f"{rule}: {what}"])
    files = {name: folder / f"{number}.json" for number, name in enumerate(plans)}
    for name, file in files.items():
        file.write_text(json.dumps(plans[name]))
    answers = run_judge(list(files.values()))
    return {name: answers[str(file)] for name, file in files.items()}


@pytest.mark.parametrize("name", [*ENVIRONMENTS, "bootstrap"])
def test_a_real_plan_passes(refusals: dict[str, list[str]], name: str) -> None:
    assert refusals[name] == []


@pytest.mark.parametrize(("rule", "what"), CASES)
def test_a_broken_plan_is_refused(refusals: dict[str, list[str]], rule: str, what: str) -> None:
    said = refusals[f"{rule}: {what}"]
    assert any(message.startswith(f"[{rule}] ") for message in said), f"refused for: {said}"
    assert all(message.startswith(f"[{rule}] ") for message in said), f"other rules spoke too: {said}"


def test_every_rule_has_a_plan_that_it_refuses() -> None:
    assert sorted({rule for rule, _ in CASES}) == RULES
