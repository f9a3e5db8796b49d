"""What is scanned: what was just built, before it is signed; and what is served, long after."""
from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest
from conftest import TOP, House

IMAGE = "europe-west1-docker.pkg.dev/acme/payflow/payflow@sha256:" + "ab" * 32
OLD = IMAGE.replace("ab" * 32, "cd" * 32)
COLLECTOR = "us-docker.pkg.dev/cloud-ops-agents-artifacts/cloud-run-gmp-sidecar/cloud-run-gmp-sidecar:1.2.0"
SBOM = {"bomFormat": "CycloneDX", "components": [{"name": "openssl"}]}
GRYPE = """
case "$1" in
    db) exit 0 ;;
    sbom:*) cp "${1#sbom:}" scanned; echo '{"matches": []}' ;;
esac
"""


def service(*traffic: dict[str, object]) -> str:
    return json.dumps({"metadata": {"name": "payflow"}, "status": {"url": "https://x", "traffic": traffic},
                       "spec": {"traffic": [], "template": {"spec": {"containers": [{"image": IMAGE}]}}}})


def revision(name: str, *images: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"image": image} for image in images]}}


@pytest.fixture
def served(house: House) -> House:
    """An environment as gcloud would describe it: a canary has 5 %, its predecessor the rest."""
    shutil.copytree(TOP / "deploy", house.folder / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    house.write("service.json", service({"revisionName": "payflow-2", "percent": 5}, {"revisionName": "payflow-1", "percent": 95}))
    house.write("revisions.json", json.dumps([revision("payflow-2", IMAGE), revision("payflow-1", COLLECTOR, OLD)]))
    house.program("gcloud", 'case "$*" in "run services describe "*) cat service.json;; "run revisions list "*) cat revisions.json;; esac')
    attestation = json.dumps({"payload": base64.b64encode(json.dumps({"predicate": SBOM}).encode()).decode()})
    house.write("attestation.json", attestation)
    house.program("cosign", 'echo "$*" >>cosign.calls; case "$1" in verify-attestation) cat attestation.json;; esac')
    house.program("grype", GRYPE)
    return house


def scan_released(house: House) -> subprocess.CompletedProcess[str]:
    return house.run("scripts/ci/scan.sh", "--released", "production", CLOUDSDK_CORE_PROJECT="acme", COSIGN_VERIFY_KEY="key.pub")


def test_what_has_most_traffic_is_scanned_by_its_attested_sbom(served: House) -> None:
    assert scan_released(served).returncode == 0
    assert json.loads((served.folder / "scanned").read_text()) == SBOM
    assert all(OLD in call for call in (served.folder / "cosign.calls").read_text().splitlines())


def test_an_image_that_is_not_ours_is_no_clean_scan(served: House) -> None:
    served.program("cosign", "exit 1")
    done = scan_released(served)
    assert done.returncode == 1
    assert "no signature of our key" in done.stderr
    assert not (served.folder / "scanned").exists()


def test_an_environment_that_serves_nothing_is_no_clean_scan(served: House) -> None:
    served.write("service.json", service())
    done = scan_released(served)
    assert done.returncode == 1
    assert "production serves nothing" in done.stderr


def test_a_release_is_scanned_before_it_is_signed(house: House) -> None:
    house.program("grype", GRYPE)
    house.write("build/image/sbom.cdx.json", json.dumps(SBOM))
    assert house.run("scripts/ci/scan.sh").returncode == 0
    assert json.loads((house.folder / "scanned").read_text()) == SBOM


def test_without_a_database_there_is_no_release(house: House) -> None:
    house.program("grype", "exit 1")
    house.write("build/image/sbom.cdx.json", json.dumps(SBOM))
    assert house.run("scripts/ci/scan.sh").returncode == 1


def test_the_order_in_the_pipeline() -> None:
    text = (TOP / ".circleci" / "config.yml").read_text()
    build = text[text.index("\n  build:\n"):text.index("\n  plan:\n")]
    steps = [build.index(f"scripts/ci/{script}.sh") for script in ("build", "scan", "sign")]
    assert steps == sorted(steps)
    deploy = text[text.index("\n  deploy:\n"):text.index("\n  ask:")]
    steps = [deploy.index(command) for command in ("- cloud", "verify.sh", "terraform.sh apply", "deploy.sh")]
    assert steps == sorted(steps)
