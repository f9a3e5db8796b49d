"""The binary that ships: static, position-independent, stripped, small, and alive where there is nothing else."""
from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARY = Path(os.environ["PAYFLOW_BINARY"])
BYTES_MAX = 10_000_000

pytestmark = pytest.mark.skipif(os.environ.get("PAYFLOW_BUILD") != "static", reason="only the static build is looked at")


def tell(*command: str | Path) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_file_calls_it_static_pie_and_stripped() -> None:
    said = tell("file", "-b", BINARY)
    assert "static-pie linked" in said
    assert "stripped" in said.replace("not stripped", "")


def test_it_is_small() -> None:
    size = BINARY.stat().st_size
    print(f"{size} bytes")
    assert size <= BYTES_MAX


def test_it_needs_no_library_and_no_loader() -> None:
    headers = tell("readelf", "-W", "-l", "-d", BINARY)
    assert "INTERP" not in headers
    assert "(NEEDED)" not in headers


def test_it_is_hardened() -> None:
    headers = tell("readelf", "-W", "-l", "-d", BINARY)
    assert re.search(r"FLAGS_1.*NOW.*PIE", headers)
    assert "GNU_RELRO" in headers
    assert re.search(r"GNU_STACK.* RW ", headers), "the stack must not be executable"
    assert not re.search(r"LOAD.* RWE ", headers), "nothing may be both writable and executable"


def test_it_carries_no_path_of_the_machine_that_built_it() -> None:
    top = str(Path(__file__).resolve().parents[2]).encode()
    assert top not in BINARY.read_bytes()


# --- in an empty root -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    shutil.copy(BINARY, root / "payflow")
    return root


def inside(root: Path, *arguments: str) -> list[str]:
    command = ["/usr/sbin/chroot", str(root), "/payflow", *arguments]  # of coreutils, and not in every PATH
    if os.geteuid() != 0:
        command = ["unshare", "--map-root-user", *command]
        if subprocess.run(["unshare", "--map-root-user", "true"], check=False, capture_output=True).returncode != 0:
            pytest.skip("neither root nor user namespaces: an empty root can't be entered")
    return command


def test_it_tells_its_versions(empty_root: Path) -> None:
    said = subprocess.run(inside(empty_root, "version"), check=True, capture_output=True, text=True, env={}).stdout
    lines = dict(line.split(" ", 1) for line in said.splitlines())
    assert list(lines) == ["payflow", "civetweb", "cjson", "hiredis", "libpq", "openssl", "glibc"]
    assert all(lines.values())
    assert lines["civetweb"].startswith("1.16")


@pytest.fixture
def serving(empty_root: Path) -> Iterator[int]:
    port = free_port()
    server = subprocess.Popen(inside(empty_root, "serve"), env={"PORT": str(port)}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, "it does not listen"
                time.sleep(0.02)
        yield port
        server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0
    finally:
        server.kill()
        server.wait()


def test_it_serves_and_finds_itself_healthy(empty_root: Path, serving: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{serving}/health", timeout=5) as answer:
        assert answer.status == 200
    healthy = subprocess.run(inside(empty_root, "healthcheck"), check=False, env={"PORT": str(serving)})
    assert healthy.returncode == 0


def test_healthcheck_fails_where_nothing_listens(empty_root: Path) -> None:
    healthy = subprocess.run(inside(empty_root, "healthcheck"), check=False, capture_output=True,
                             env={"PORT": str(free_port())})
    assert healthy.returncode == 1
