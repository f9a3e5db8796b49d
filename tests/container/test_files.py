"""What the container files promise, read from the files: this needs no engine."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from servers import BINARY, TOP

sys.path.insert(0, str(TOP / "scripts"))
import sbom

COMPOSE = yaml.safe_load((TOP / "docker-compose.yml").read_text())
SERVICES: dict[str, dict] = COMPOSE["services"]
ONE_SHOT = ("secrets", "migrate")
LONG = [name for name in SERVICES if name not in ONE_SHOT]
NGINX = (TOP / "deploy/local/nginx.conf").read_text()
EXAMPLE = (TOP / ".env.example").read_text()
SECONDS = {"s": 1, "m": 60, "ms": 0.001}


def setting(name: str) -> str:
    return re.search(rf"^\s*{name} ([^;]+);", NGINX, re.MULTILINE)[1]  # type: ignore[index]


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * SECONDS[unit]


def settings_of_payflow() -> dict[str, str]:
    lines = subprocess.run([BINARY, "config"], check=True, capture_output=True, text=True, env={}).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines) | SERVICES["payflow"]["environment"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert service["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert re.search(r"^\$\{IMAGE:-payflow:local\}$|:v?\d+\.\d+\.?\d*(-\w+)?(@sha256:[0-9a-f]{64})?$", service["image"])
    assert not any(":/var/run/docker.sock" in str(volume) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", LONG)
def test_every_lasting_service_tells_its_health_and_waits_for_what_it_needs(name: str) -> None:
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(SERVICES[name]["healthcheck"])
    assert isinstance(SERVICES[name].get("depends_on", {}), dict), "without a condition nothing is waited for"
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] in ("service_healthy", "service_completed_successfully", "service_started")
        assert how["condition"] == "service_completed_successfully" or needed not in ONE_SHOT


def test_only_the_proxy_is_published_and_only_to_this_machine() -> None:
    for name, service in SERVICES.items():
        assert name == "proxy" or "observability" in service.get("profiles", []) or "ports" not in service
        for port in service.get("ports", []):
            assert port.startswith(("127.0.0.1:", "${BIND:-127.0.0.1}:")), port
    for name in ("front", "data", "watch"):
        assert COMPOSE["networks"][name]["internal"] is True
    for name in ("postgres", "redis", "payflow", "migrate"):
        assert all(COMPOSE["networks"][network] for network in SERVICES[name]["networks"]), name


def test_a_lasting_volume_holds_what_must_last() -> None:
    for name, path in (("postgres", "/var/lib/postgresql/data"), ("redis", "/data"), ("prometheus", "/prometheus")):
        assert any(volume.split(":")[0] in COMPOSE["volumes"] and volume.split(":")[1] == path for volume in SERVICES[name]["volumes"])


def test_the_example_names_exactly_what_compose_reads_each_with_a_comment() -> None:
    read = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (TOP / "docker-compose.yml").read_text()))
    given = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert given == read, "the example's values are the defaults"
    assert all(given[name] == "" for name in given if "PASSWORD" in name)
    assert EXAMPLE.count("\n# ") >= len(given) / 2


def test_the_proxys_times_fit_payflows() -> None:
    payflow = settings_of_payflow()
    kept = re.search(r"upstream payflow \{.*?keepalive_timeout (\w+);", NGINX, re.DOTALL)
    assert kept is not None
    assert seconds(kept[1]) < int(payflow["KEEP_ALIVE_MS"]) / 1000, "PayFlow would close first: a POST could meet the close"
    assert seconds(setting("proxy_read_timeout")) > int(payflow["REQUEST_TIMEOUT_MS"]) / 1000
    assert seconds(setting("proxy_send_timeout")) <= int(payflow["BODY_TIMEOUT_MS"]) / 1000
    assert (setting("proxy_request_buffering"), setting("proxy_buffering")) == ("on", "on")
    assert "non_idempotent" not in NGINX
    assert setting("client_max_body_size") == "64k"


def test_the_dockerfile_ends_in_scratch_and_names_exact_versions() -> None:
    text = (TOP / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert stages[-1] == "scratch" and len(stages) == 2
    assert re.fullmatch(r"debian:trixie-\d{8}-slim(@sha256:[0-9a-f]{64})?", stages[0])
    assert re.search(r"^ARG VERSION=(.+)$", text, re.MULTILINE)[1] == (TOP / "VERSION").read_text().strip()  # type: ignore[index]
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert ":latest" not in text + (TOP / "docker-compose.yml").read_text()


def test_nothing_but_sources_goes_into_the_build() -> None:
    lines = [line for line in (TOP / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*" and all(line.startswith("!") for line in lines[1:])
    assert not {"!.git", "!.env", "!build", "!."} & set(lines)
    assert {".env", "docker-compose.override.yml"} <= set((TOP / ".gitignore").read_text().splitlines())


def test_a_library_without_a_known_licence_stops_the_bill_of_materials() -> None:
    with pytest.raises(SystemExit, match="left-pad is linked in"):
        sbom.licence("left-pad")
    assert sbom.licence("postgresql-17") == [{"license": {"id": "PostgreSQL"}}]
    assert sbom.licence("gcc-14") == [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}]


DIGEST = "sha256:" + "0123456789abcdef" * 4


def copy_of_checkout(folder: Path, docker: str) -> Path:
    """The files that are pinned, with a `docker` that says what the test wants."""
    for name in ("scripts/pin_images.py", "Dockerfile", "docker-compose.yml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(TOP / name, folder / name)
    (folder / "docker").write_text(f"#!/bin/sh\n{docker}\n")
    (folder / "docker").chmod(0o755)
    return folder


def pin(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([folder / "scripts" / "pin_images.py"], check=False, capture_output=True, text=True,
                          env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"})


def test_pinning_adds_the_registrys_digest_and_twice_is_once(tmp_path: Path) -> None:
    folder = copy_of_checkout(tmp_path, f"echo {DIGEST}")
    assert pin(folder).returncode == 0
    once = (folder / "docker-compose.yml").read_text()
    assert (folder / "Dockerfile").read_text().count(f"-slim@{DIGEST} AS build") == 1
    images = [service["image"] for service in yaml.safe_load(once)["services"].values()]
    assert all(image.endswith(f"@{DIGEST}") or image == "${IMAGE:-payflow:local}" for image in images), images
    assert "FROM scratch\n" in (folder / "Dockerfile").read_text()
    assert pin(folder).returncode == 0
    assert (folder / "docker-compose.yml").read_text() == once


@pytest.mark.parametrize("docker", ["echo 'no such host' >&2; exit 1", "echo sha256:short", "true"])
def test_without_an_answer_nothing_is_pinned(tmp_path: Path, docker: str) -> None:
    folder = copy_of_checkout(tmp_path, docker)
    done = pin(folder)
    assert done.returncode == 1 and "no digest" in done.stderr
    for name in ("Dockerfile", "docker-compose.yml"):
        assert (folder / name).read_text() == (TOP / name).read_text()
