"""Signing, attesting and verifying with the real cosign and a key of this test, on a real registry of this machine."""
from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import TOP, House

TOOLS = TOP / "build" / "tools" / "go"
COSIGN = shutil.which("cosign") or (str(TOOLS / "cosign") if (TOOLS / "cosign").is_file() else None)
pytestmark = [
    pytest.mark.skipif(COSIGN is None, reason="cosign is not installed (make security-tools)"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
    pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed"),
]
SBOM = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [{"type": "library", "name": "zlib", "version": "1.3"}]}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(json.dumps({"version": "0.1", "log": {"level": "error"}, "http": {"addr": host},
                                  "storage": {"filesystem": {"rootdirectory": f"{folder}/data"}}}))
    process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.1)
        yield host
    finally:
        process.terminate()
        process.wait(10)


def push(host: str, folder: Path, content: str) -> str:
    """Pushes an image of one file; returns its name by digest."""
    layout = folder / f"image-{content}"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    subprocess.run(["tar", "-cf", "layer.tar", "-C", str(folder / "home"), "."], cwd=layout, check=True)

    def blob(data: bytes, media: str) -> dict[str, object]:
        path = layout / "blob"
        path.write_bytes(data)
        digest = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]
        path.rename(layout / "blobs" / "sha256" / digest)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    layer = blob((layout / "layer.tar").read_bytes(), "application/vnd.oci.image.layer.v1.tar")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Labels": {"content": content}},
                              "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(),
                  "application/vnd.oci.image.config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                                "layers": [layer]}).encode(), "application/vnd.oci.image.manifest.v1+json")
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"oci:{layout}",
                    f"docker://{host}/payflow:{content}"], check=True, timeout=60)
    return f"{host}/payflow@{manifest['digest']}"


class Signer:
    """A key pair, and the scripts that use it."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        folder = house.folder / name
        folder.mkdir()
        subprocess.run([str(COSIGN), "generate-key-pair"], cwd=folder, check=True, env=house.environment | {"COSIGN_PASSWORD": ""},
                       capture_output=True, timeout=60)
        self.settings = {"COSIGN_PASSWORD": "", "COSIGN_KEY": f"{folder}/cosign.key", "COSIGN_VERIFY_KEY": f"{folder}/cosign.pub",
                         "PATH": f"{Path(str(COSIGN)).parent}:{house.environment['PATH']}"}

    def __call__(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.house.run(f"scripts/ci/{script}.sh", *arguments, **self.settings)


@pytest.fixture
def ours(house: House) -> Signer:
    house.write("build/image/sbom.cdx.json", json.dumps(SBOM))
    return Signer(house, "ours")


def test_what_was_signed_is_verified(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "good")
    ours.house.write("build/image/name", f"{image}\n")
    assert ours("sign").returncode == 0
    verified = ours("verify")
    assert verified.returncode == 0
    assert "an SBOM of 1 components" in verified.stdout
    assert json.loads((ours.house.folder / "build/image/attested.cdx.json").read_text())["components"] == SBOM["components"]


def test_signing_again_moves_no_tag(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "again")

    def tags() -> dict[str, str]:
        name = f"docker://{image.replace('@sha256:', ':sha256-')}"
        return {kind: subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--raw", f"{name}.{kind}"], check=True,
                                     capture_output=True, text=True, timeout=60).stdout for kind in ("sig", "att")}

    assert ours("sign", image).returncode == 0
    before = tags()
    assert ours("sign", image).returncode == 0
    assert tags() == before
    assert ours("verify", image).returncode == 0


def test_the_public_key_may_be_a_setting(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "setting")
    assert ours("sign", image).returncode == 0
    ours.settings["COSIGN_PUBLIC_KEY"] = Path(ours.settings["COSIGN_VERIFY_KEY"]).read_text()
    ours.settings["COSIGN_VERIFY_KEY"] = "env://COSIGN_PUBLIC_KEY"
    assert ours("verify", image).returncode == 0


def test_an_unsigned_image_is_refused(ours: Signer, registry: str) -> None:
    done = ours("verify", push(registry, ours.house.folder, "unsigned"))
    assert done.returncode == 1
    assert "no signature of our key; do not deploy it" in done.stderr


def test_another_key_is_refused(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "theirs")
    assert Signer(ours.house, "theirs")("sign", image).returncode == 0
    assert ours("verify", image).returncode == 1


def test_a_signature_without_an_sbom_is_refused(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "bare")
    ours.house.run(str(COSIGN), "sign", "--yes", "--key", ours.settings["COSIGN_KEY"], "--tlog-upload=false", image, **ours.settings)
    done = ours("verify", image)
    assert done.returncode == 1
    assert "no SBOM of our key" in done.stderr


def test_a_tag_is_no_name_to_deploy_by(ours: Signer, registry: str) -> None:
    push(registry, ours.house.folder, "tag")
    for script in ("sign", "verify"):
        done = ours(script, f"{registry}/payflow:tag")
        assert done.returncode == 64
        assert "is not named by its digest" in done.stderr


def test_no_sbom_no_signature(ours: Signer, registry: str) -> None:
    image = push(registry, ours.house.folder, "nosbom")
    (ours.house.folder / "build/image/sbom.cdx.json").unlink()
    assert ours("sign", image).returncode == 66
    assert ours("verify", image).returncode == 1
