"""The image that ships: what is in it, who it runs as, and that the list of what is inside is true."""
from __future__ import annotations

import hashlib
import json
import re
import signal
import ssl
from collections.abc import Iterator

import pytest
from engine import Engine, send
from images import EPOCH, PAYFLOW, Images
from servers import TOP, wait_until
from stack import report

BYTES_MAX = 10_000_000
INSIDE = {"LICENSE", "NOTICE", "etc", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/ca-certificates.crt", "payflow", "sbom.cdx.json"}
LABELS = ("title", "description", "version", "revision", "created", "authors", "licenses", "source")


def test_its_size(images: Images) -> None:
    size = images.inspect()["Size"]
    report("image", f"{size} bytes unpacked")
    assert size < BYTES_MAX


def test_nothing_else_is_in_it(images: Images) -> None:
    files = images.files(PAYFLOW)
    assert set(files) == INSIDE
    for name, (mode, owner, group, time, _) in files.items():
        assert mode & 0o7022 == 0, f"{name} is setuid, sticky or writable by others: {mode:o}"
        assert (owner, group, time) == (0, 0, int(EPOCH)), name


def test_how_it_starts_and_stops(images: Images) -> None:
    config = images.inspect()["Config"]
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["/payflow"], ["serve"])
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "/payflow", "healthcheck"]
    assert list(config["ExposedPorts"]) == ["3000/tcp"]
    assert not config.get("Volumes")
    assert not [e for e in config["Env"] if re.search("PASSWORD|SECRET|KEY|TOKEN", e)]


def test_its_labels(images: Images) -> None:
    labels = images.inspect()["Config"]["Labels"]
    found = {name: labels.get(f"org.opencontainers.image.{name}", "") for name in LABELS}
    assert all(found.values()), found
    assert labels["maintainer"]
    assert found["version"] == (TOP / "VERSION").read_text().strip()
    assert found["revision"] in said_versions(images)["payflow"]
    assert found["created"] == "2023-11-14T22:13:20Z"


def test_there_is_no_shell(engine: Engine, images: Images) -> None:
    for program in ("sh", "/bin/sh", "/bin/bash", "/busybox/sh", "ls"):
        done = engine.run("run", "--rm", "--network", "none", "--entrypoint", program, PAYFLOW, "-c", "true", check=False)
        assert done.returncode == 127, program


def test_two_builds_have_the_same_bytes(images: Images) -> None:
    """The second one from nothing, and by the classic builder where the engine has it."""
    assert images.files(images.again()) == images.files(PAYFLOW)


# --- alive ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def container(engine: Engine, images: Images) -> Iterator[str]:
    """Nothing but itself: no network, no writable root, no capability."""
    made = engine.tell("run", "--detach", "--read-only", "--network", "none", "--cap-drop", "ALL",
                       "--security-opt", "no-new-privileges", "--health-interval", "1s", "--health-timeout", "1s",
                       "--health-retries", "2", "--health-start-period", "0s", PAYFLOW)
    yield made
    engine.run("rm", "--force", made)


def state(engine: Engine, container: str) -> dict:
    return dict(json.loads(engine.tell("inspect", container))[0]["State"])


def test_it_runs_read_only_without_rights_and_its_health_is_told(engine: Engine, container: str) -> None:
    wait_until("healthy", lambda: state(engine, container)["Health"]["Status"] == "healthy", 30, 0.2)
    pid = state(engine, container)["Pid"]
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
    assert status["Uid"].split() == ["65532"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    send(pid, signal.SIGSTOP)
    wait_until("unhealthy", lambda: state(engine, container)["Health"]["Status"] == "unhealthy", 30, 0.2)
    send(pid, signal.SIGCONT)
    wait_until("healthy again", lambda: state(engine, container)["Health"]["Status"] == "healthy", 30, 0.2)


def test_it_stops_by_itself_when_asked(engine: Engine, container: str) -> None:
    wait_until("healthy", lambda: state(engine, container)["Health"]["Status"] == "healthy", 30, 0.2)
    engine.run("stop", "--time", "20", container)
    assert (state(engine, container)["ExitCode"], state(engine, container)["OOMKilled"]) == (0, False)


# --- the list of what is inside ---------------------------------------------------------------------------------------


def said_versions(images: Images) -> dict[str, str]:
    lines = images.engine.tell("run", "--rm", "--network", "none", PAYFLOW, "version").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def bill(images: Images) -> dict:
    return dict(json.loads(images.read(PAYFLOW, "/sbom.cdx.json")))


def test_the_bill_of_materials_says_what_the_binary_says(images: Images) -> None:
    content = bill(images)
    said = said_versions(images)
    listed = {component["name"]: component["version"] for component in content["components"]}
    revision = content["metadata"]["component"]["properties"][0]["value"]
    assert said.pop("payflow") == f"{content['metadata']['component']['version']} ({revision})"
    for name, version in said.items():
        # The library knows its own version, the package adds the distribution's: 3.5.1, 3.5.1-1+deb13u1.
        assert listed[name] == version or re.match(rf"{re.escape(version)}[-+~]", listed[name]), (name, version, listed[name])
    assert {"swagger-ui-dist", "ca-certificates", "gcc"} <= set(listed)


def test_every_part_has_a_version_a_purl_a_licence_and_a_hash(images: Images) -> None:
    content = bill(images)
    assert (content["bomFormat"], content["specVersion"]) == ("CycloneDX", "1.5")
    references = {component["bom-ref"] for component in content["components"]}
    assert set(content["dependencies"][0]["dependsOn"]) == references
    for component in content["components"]:
        assert component["version"] and component["licenses"] and component["hashes"], component["name"]
        assert re.fullmatch(r"pkg:(deb/debian|npm)/[a-z0-9.+-]+@[^?@]+(\?.+)?", component["purl"]), component["purl"]
        assert all(re.fullmatch("[0-9a-f]{64}", each["content"]) for each in component["hashes"])


def test_its_hashes_are_those_of_the_files(images: Images) -> None:
    content = bill(images)
    files = images.files(PAYFLOW)
    assert content["metadata"]["component"]["hashes"][0]["content"] == files["payflow"][4]
    certificates = next(c for c in content["components"] if c["name"] == "ca-certificates")
    assert certificates["hashes"][0]["content"] == files["etc/ssl/certs/ca-certificates.crt"][4]
    pins = dict(reversed(line.split()) for line in (TOP / "versions.lock").read_text().splitlines() if line[:1] not in ("#", ""))
    named = {p["name"].removeprefix("payflow:sha256:"): p["value"] for c in content["components"] for p in c["properties"]}
    assert not {name for name in pins if named.get(name, pins[name]) != pins[name]}, "another content under a locked name"


def test_the_authorities_are_whole(images: Images) -> None:
    bundle = images.read(PAYFLOW, "/etc/ssl/certs/ca-certificates.crt")
    authorities = ssl.create_default_context(cadata=bundle.decode()).cert_store_stats()["x509_ca"]
    assert authorities > 100
    assert hashlib.sha256(bundle).hexdigest() == images.files(PAYFLOW)["etc/ssl/certs/ca-certificates.crt"][4]
