"""Keys and secrets for the cloud, with a gcloud and a sops that only write down what they are asked."""
from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from workspace import TOP

GCLOUD = r"""#!/bin/sh
printf '%s\n' "$*" >>"$CALLS"
case "$*" in
    *'versions add'*) cat >"$STORED" ;;
    *'versions list'*) echo 3 ;;
esac
"""
SOPS = "#!/bin/sh\n[ -z \"$SOPS_FAILS\" ] || exit 1\necho marked-webhook\n"


class Cloud:
    def __init__(self, folder: Path) -> None:
        self.calls, self.stored = folder / "calls", folder / "stored"
        self.environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(self.calls), "STORED": str(self.stored),
                                         "GCP_PROJECT": "payflow-example"}
        for name, text in (("gcloud", GCLOUD), ("sops", SOPS)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def run(self, *command: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(TOP / "scripts" / command[0]), *command[1:]], env=self.environment | environment, input=given,
                              check=False, capture_output=True, text=True)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def test_a_key_travels_as_its_hash(cloud: Cloud) -> None:
    done = cloud.run("cloud_key.sh", "staging", "shop", "--live")
    assert re.fullmatch(r"pfk_live_[0-9a-f]{64}\n", done.stdout), done.stderr
    key = done.stdout.strip()
    calls = cloud.calls.read_text()
    assert key not in calls + done.stderr
    arguments = re.search(r"--args=\^;\^(\S+)", calls)
    assert arguments and arguments[1].split(";") == ["keys", "create", "--account", "shop", "--scope", "payments:read,payments:write",
                                                     "--hash", hashlib.sha256(key.encode()).hexdigest()]


def test_the_smoke_jobs_key_goes_straight_to_its_secret(cloud: Cloud) -> None:
    done = cloud.run("cloud_key.sh", "staging", "smoke", "--secret", "smoke-key")
    assert done.returncode == 0 and done.stdout == ""
    key = cloud.stored.read_text()
    assert re.fullmatch(r"pfk_test_[0-9a-f]{64}", key)
    assert key not in cloud.calls.read_text() + done.stderr
    assert "secrets versions add payflow-staging-smoke-key" in cloud.calls.read_text()


def test_a_value_from_sops_goes_to_its_secret_and_the_one_before_is_disabled(cloud: Cloud) -> None:
    done = cloud.run("cloud_secret.sh", "production", "slack-webhook")
    assert done.returncode == 0, done.stderr
    assert cloud.stored.read_text() == "marked-webhook"
    calls = cloud.calls.read_text()
    assert "marked-webhook" not in calls + done.stderr + done.stdout
    assert calls.index("versions add") < calls.index("versions disable 3")


@pytest.mark.parametrize(("arguments", "environment"), [(["slack-webhook"], {"SOPS_FAILS": "1"}), (["slack-webhook", "-"], {})])
def test_no_value_is_no_new_version(cloud: Cloud, arguments: list[str], environment: dict[str, str]) -> None:
    assert cloud.run("cloud_secret.sh", "production", *arguments, **environment).returncode != 0
    assert not cloud.stored.exists()


@pytest.mark.parametrize("command", [["cloud_key.sh"], ["cloud_key.sh", "staging", "shop", "--what"], ["cloud_secret.sh", "staging"]])
def test_wrong_arguments_are_explained(cloud: Cloud, command: list[str]) -> None:
    done = cloud.run(*command)
    assert done.returncode == 64 and "GCP_PROJECT=" in done.stderr
