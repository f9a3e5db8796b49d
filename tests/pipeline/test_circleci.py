"""The pipeline's own file is right, and each fault planted into it is found."""
from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "scripts"))
import check_circleci  # noqa: E402

TEXT = (TOP / ".circleci" / "config.yml").read_text()
Config = dict[str, Any]
Fault = Callable[[Config], object]


def job(config: Config, name: str, workflow: str = "deliver") -> Config:
    for entry in config["workflows"][workflow]["jobs"]:
        key, options = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
        if options.get("name", key) == name:
            return options
    raise KeyError(name)


def problems_with(fault: Fault) -> str:
    config = copy.deepcopy(yaml.safe_load(TEXT))
    fault(config)
    return "\n".join(check_circleci.check_text(yaml.safe_dump(config, sort_keys=False)))


def test_the_file_is_right() -> None:
    assert check_circleci.check_text(TEXT) == []


def first_run(config: Config, name: str) -> Config:
    steps = config["jobs"][name]["steps"]
    return next(step for step in steps if isinstance(step, dict) and "run" in step)


FAULTS: dict[str, tuple[Fault, str]] = {
    # names that lead nowhere
    "requires an unknown job": (lambda c: job(c, "build").update(requires=["securty"]), "requires securty"),
    "an unknown job": (lambda c: c["workflows"]["branch"]["jobs"].append("lnit"), "no job is named lnit"),
    "an unknown command": (lambda c: c["jobs"]["lint"]["steps"].append("tel"), "no command is named tel"),
    "an unknown command, in a condition": (
        lambda c: c["jobs"]["lint"]["steps"].append({"when": {"condition": True, "steps": ["tel"]}}), "no command is named tel"),
    "an unknown executor": (lambda c: c["jobs"]["lint"].update(executor="linus"), "no executor is named linus"),
    "no executor": (lambda c: c["jobs"]["lint"].pop("executor"), "says not where it runs"),
    "jobs that wait for each other": (lambda c: job(c, "lint").update(requires=["build"]), "waits for itself"),
    "two jobs of one name": (lambda c: job(c, "plan-staging").update(name="plan-development"), "two jobs have this name"),
    # parameters
    "an unknown << parameter >>": (
        lambda c: c["jobs"]["plan"]["steps"].append({"run": "scripts/ci/terraform.sh plan << parameters.enviroment >>"}),
        "no parameter is named enviroment"),
    "an unknown << pipeline parameter >>": (
        lambda c: c["workflows"]["watch"].update(when={"equal": ["watch", "<< pipeline.parameters.tsk >>"]}), "no such parameter"),
    "a << thing >> that is nothing": (
        lambda c: c["jobs"]["lint"].update(environment={"A": "<< paramters.x >>"}), "nothing that CircleCI fills in"),
    "a wrong command parameter": (lambda c: c["jobs"]["lint"]["steps"].append({"tell": {"enviroment": "x"}}), "no parameter enviroment"),
    "a wrong job parameter": (lambda c: job(c, "plan-staging").update(colour="red"), "no parameter colour"),
    "a missing job parameter": (lambda c: job(c, "plan-staging").pop("environment"), "needs the parameter environment"),
    "a value outside the enum": (lambda c: job(c, "plan-staging").update(environment="stagin"), "must be one of"),
    "a number for a string": (lambda c: c["jobs"]["lint"]["steps"].append({"tell": {"environment": 7}}), "must be string"),
    "a misspelt approval": (lambda c: job(c, "hold").update(type="aproval"), "type aproval"),
    # order and rights
    "a deploy that does not wait for security": (
        lambda c: job(c, "build").update(requires=["test"]), "deploy-staging: rolls out without waiting for make security"),
    "security that may fail": (
        lambda c: job(c, "build").update(requires=[{"security": ["success", "failed"]}]), "without waiting for make security"),
    "security that scans nothing": (
        lambda c: first_run(c, "security").update(run="make security-tools"), "without waiting for make security"),
    "production without the hold": (
        lambda c: job(c, "deploy-production").update(requires=["plan-production"]), "without waiting for an approval"),
    "a hold that nobody waits for": (
        lambda c: job(c, "deploy-production").update(requires=["deploy-staging"]), "without waiting for an approval"),
    "production under another job's name": (
        lambda c: c["workflows"]["deliver"]["jobs"].append({"deploy": {
            "name": "check", "environment": "production", "requires": ["build"], "context": ["payflow-production"]}}),
        "check: rolls out to production without waiting for an approval"),
    "production's rights without the hold": (
        lambda c: job(c, "lint").update(context=["payflow-production"]), "has the context payflow-production without an approval"),
    "production without a queue": (lambda c: job(c, "deploy-production").pop("serial-group"), "without a serial-group"),
    "production with staging's rights too": (
        lambda c: job(c, "deploy-production")["context"].append("payflow-staging"), "and no other environment's"),
    "a rollout without its context": (lambda c: job(c, "deploy-staging").update(context=[]), "must have the context payflow-staging"),
    "a rollout that tells nobody": (lambda c: c["jobs"]["deploy"]["steps"].pop(), "tells nobody"),
    "a rollout from any branch": (
        lambda c: c["workflows"]["deliver"].update(when=c["workflows"]["deliver"]["when"]["and"][0]), "other branches than main"),
    "a rollout from main or anywhere": (
        lambda c: c["workflows"]["deliver"].update(when={"or": c["workflows"]["deliver"]["when"]["and"]}), "other branches than main"),
    # images, secrets, long steps
    "an image without a tag": (
        lambda c: c["jobs"]["lint"].update(executor=None, docker=[{"image": "google/cloud-sdk"}]), "google/cloud-sdk has no exact tag"),
    "latest": (lambda c: c["jobs"]["lint"].update(docker=[{"image": "debian:latest"}]), "debian:latest has no exact tag"),
    "a moving tag": (lambda c: c["jobs"]["lint"].update(docker=[{"image": "debian:13-slim"}]), "debian:13-slim has no exact tag"),
    "a machine that moves": (
        lambda c: c["executors"]["linux"].update(machine={"image": "ubuntu-2404:current"}), "ubuntu-2404:current has no exact tag"),
    "the default machine": (lambda c: c["executors"]["linux"].update(machine=True), "True has no exact tag"),
    "a password in the environment": (
        lambda c: c["jobs"]["lint"].update(environment={"DB_PASSWORD": "tr0ub4dor"}), "DB_PASSWORD has its value in plain text"),
    "a webhook": (
        lambda c: c["jobs"]["lint"].update(environment={"URL": "https://hooks.slack.com/" + "services/T0/B0/x"}), "looks like a secret"),
    "a token in a command": (
        lambda c: c["jobs"]["lint"]["steps"].append({"run": "make lint TOKEN=" + "a1b2c3d4e5f6"}), "looks like a secret"),
    "a password in an address": (
        lambda c: c["jobs"]["lint"].update(environment={"URL": "postgres://me:" + "hunter22@db/x"}), "looks like a secret"),
    "a private key": (
        lambda c: c["jobs"]["lint"].update(environment={"A": "-----BEGIN " + "PRIVATE KEY-----"}), "looks like a secret"),
    "a long step": (lambda c: c["jobs"]["lint"]["steps"].append({"run": "make lint\nmake test"}), "more than one line"),
    "a step of its own making": (lambda c: c["jobs"]["lint"]["steps"].append({"run": "curl -s example.com"}), "neither make nor a script"),
    "a make target that is not there": (lambda c: c["jobs"]["lint"]["steps"].append({"run": "make lnit"}), "no target lnit"),
    "a script that is not there": (lambda c: c["jobs"]["lint"]["steps"].append({"run": "scripts/ci/nothing.sh"}), "not in the repository"),
}

@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name: str) -> None:
    fault, expected = FAULTS[name]
    assert expected in problems_with(fault)


def test_a_key_twice() -> None:
    assert "the key jobs is there twice" in "\n".join(check_circleci.check_text(TEXT + "\njobs: {}\n"))


def test_a_placeholder_for_a_secret_is_none() -> None:
    assert problems_with(lambda c: c["jobs"]["lint"].update(environment={"API_TOKEN": "<< pipeline.id >>"})) == ""


# What the schema and the parser are there for: each finds what the other does not.
OTHERS: dict[str, Fault] = {
    "a job key that is none (schema)": lambda c: c["jobs"]["lint"].update(stepps=[]),
    "a bad filter (schema)": lambda c: job(c, "lint").update(filters={"branches": {"onlyy": "main"}}),
    "a misspelt executor key (both)": lambda c: c["executors"]["linux"].update(machin=c["executors"]["linux"].pop("machine")),
}


def whole_check(folder: Path, config: Config) -> subprocess.CompletedProcess[str]:
    path = folder / "config.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return subprocess.run([TOP / "scripts" / "circleci.sh", path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", OTHERS)
def test_schema_and_parser_find_theirs(name: str, tmp_path: Path) -> None:
    config = yaml.safe_load(TEXT)
    OTHERS[name](config)
    done = whole_check(tmp_path, config)
    assert done.returncode == 1, done.stdout + done.stderr


def test_all_three_pass_the_file(tmp_path: Path) -> None:
    done = whole_check(tmp_path, yaml.safe_load(TEXT))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validation done" in done.stdout
    if "npm is not there" in done.stdout:
        pytest.skip("npm is not there: CircleCI's parser was not asked")
    assert "the parser found" in done.stdout
