"""Every command block of every page is run by a test, or says why not; see tests/blocks.py. Those marked `run` are run here,
against a server, in the page's order; what the others name (targets, files, commands, options) must exist."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import Block, blocks, matches, trouble
from named import helped, unknown_names
from servers import BINARY, TOP, Folder, Postgres, Redis, Server
from test_pages import PAGES

EVERY = [block for page in PAGES for block in blocks(page)]
HERE = [block for block in EVERY if block.is_run and block.page.parent.name != "runbooks"]  # those are tests/ops'


def test_every_block_is_marked(tmp_path: Path) -> None:
    assert [trouble(block) for block in EVERY if trouble(block)] == []
    page = tmp_path / "page.md"
    for mark in ("", "Text.", "<!-- not run: -->", "<!-- run by: tests/docs/test_nothing.py -->", "<!-- runs -->"):
        page.write_text(f"{mark}\n```sh\nmake run\n```\n")
        assert [trouble(block) for block in blocks(page)] != [None], mark
    page.write_text("Text: <!-- no mark --> ```sh is named within a line\n")
    assert list(blocks(page)) == []
    assert len(EVERY) > 90 and len(HERE) >= 4


def test_who_is_named_to_run_a_block_is_run_itself() -> None:
    """A test that no suite runs, or that CI does not call, would prove nothing."""
    suites = subprocess.run([TOP / "tests" / "run.py", "--list"], check=True, capture_output=True, text=True).stdout.split()
    source = (TOP / "tests" / "run.py").read_text()
    folders = set(re.findall(r'pytest\("[\w-]+", "(tests/\w+)"', source))
    named = {name for block in EVERY for name in block.run_by} - {".ci/run"}
    for name in named:
        if name.startswith("tests/") and Path(name).name.startswith("test_"):
            assert str(Path(name).parent) in folders, name
        else:
            assert Path(name).stem in suites, name


@pytest.mark.parametrize("block", EVERY, ids=str)
def test_what_a_block_names_exists(block: Block) -> None:
    if block.language != "sql":
        assert unknown_names(block.text) == []


@pytest.mark.parametrize("planted", [
    "make no-such-target", "scripts/no_such.sh staging", "deploy/rollback --enviroment production", "payflow pruen",
    "payflow keys create --acount shop", "kubectl get pods", "FOO=1 payflow keys create --hsah x", 'x=$(payflow pruen)',
    "gcloud run services update-trafic payflow", "gcloud run jobs execute x --args=keys --no-such-flag",
    "terraform -chdir=tf/no-such apply", "terraform aply", "docker compose upp", "make run # and\nmake no-such-target"])
def test_a_wrong_name_is_found(planted: str) -> None:
    if planted.startswith("gcloud") and shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    if planted.startswith("terraform") and shutil.which("terraform") is None:
        pytest.skip("terraform is not installed")
    if planted.startswith("docker") and "docker compose" not in helped("docker", "compose"):
        pytest.skip("docker's compose is not installed")
    assert unknown_names(planted) != []


class World:
    """A server with payflow in PATH; what a page says of localhost:3000 is this server."""

    def __init__(self, folder: Folder, postgres: Postgres, redis: Redis) -> None:
        self.server = Server(folder, postgres.database(), redis).migrate().start()
        self.postgres = postgres
        programs = folder.make("programs")
        (programs / "payflow").symlink_to(BINARY.resolve())
        assert self.server.database is not None
        database = self.server.database
        self.environment = self.server.environment | {
            "PATH": f"{programs}:{postgres.bin}:{os.environ['PATH']}", "PGHOST": database.host, "PGPORT": str(database.port),
            "PGDATABASE": database.name, "PGUSER": database.user, "PGPASSWORD": database.password or ""}

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        text = block.text.replace("localhost:3000", f"localhost:{self.server.port}")
        command = ["bash", "-euo", "pipefail"] if block.language != "sql" else ["psql", "-X", "-v", "ON_ERROR_STOP=1"]
        return subprocess.run(command, input=text, env=self.environment, cwd=TOP, check=False, capture_output=True, text=True,
                              timeout=60)


@pytest.fixture(scope="module")
def world(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[World]:
    made = World(folder, postgres, redis)
    yield made
    made.server.stop()


@pytest.mark.parametrize("block", HERE, ids=str)
def test_a_block_does_what_the_page_says(world: World, block: Block) -> None:
    done = world.run(block)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    if block.output is not None:
        got = done.stdout.replace("\r", "").strip()
        assert matches(block.output, got), f"{block.text}\nsaid\n{got}\nand the page says\n{block.output}"
