"""Every command block of the runbooks is run: against the real binary, PostgreSQL, Redis and Prometheus, and by the real
gcloud against a stand-in (google.py). A block that is not run says why."""
from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blocks import Block, blocks, trouble
from google import PROJECT, REGION, SERVICE, Google
from rules import TOP
from servers import Folder, Postgres, Redis, Server, wait_until
from watchers import Prometheus

HERE = "tests/ops/test_runbooks.py"
PAGES = [*sorted((TOP / "runbooks").glob("*.md")), TOP / "docs" / "observability.md"]
EVERY = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in EVERY if (block.is_run and block.page.parent.name == "runbooks") or HERE in block.run_by]


def test_every_block_is_marked(tmp_path: Path) -> None:
    assert [trouble(block) for block in EVERY if trouble(block)] == []
    page = tmp_path / "Page.md"
    page.write_text("Text:\n\n```sh\nrm -rf /\n```\n")
    assert [trouble(block) for block in blocks(page)] != []
    assert len(RUN) > 40


class World:
    def __init__(self, folder: Folder) -> None:
        self.postgres = Postgres(folder, fsync="off").start()
        self.redis = Redis(folder).start()
        self.server = Server(folder, self.postgres.database(), self.redis).migrate().start()
        self.prometheus = Prometheus(folder, self.server.port, namespace=SERVICE,
                                     prefix=f"/v1/projects/{PROJECT}/location/global/prometheus").start()
        self.google = Google(f"http://127.0.0.1:{self.server.port}")
        self.programs = folder.make("programs")
        (self.programs / "payflow").symlink_to(self.server.binary.resolve())
        self.config = folder.make("gcloud")
        for _ in range(5):
            assert self.server.call("POST", "/api/v1/payments", {"amount": 1, "currency": "EUR"}).status == 201
        wait_until("Prometheus has seen the payments", lambda: self.prometheus.query("payflow_payments_total"), 30, every_s=0.2)
        time.sleep(1.5)  # and looked twice

    def stop(self) -> None:
        self.google.stop()
        for each in (self.prometheus, self.server, self.redis, self.postgres):
            each.stop()

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        assert self.server.database is not None
        database = self.server.database
        environment = self.server.environment | self.google.environment() | {
            "PATH": f"{self.programs}:{os.environ['PATH']}", "CLOUDSDK_CONFIG": str(self.config), "PROJECT": PROJECT, "REGION": REGION,
            "SERVICE": SERVICE, "URL": f"http://127.0.0.1:{self.server.port}", "MONITORING": f"http://127.0.0.1:{self.prometheus.port}",
            "TEST_KEY": "none", "PGHOST": database.host, "PGPORT": str(database.port), "PGDATABASE": database.name,
            "PGUSER": database.user, "PGPASSWORD": database.password}
        command = ["bash", "-euo", "pipefail"] if block.language == "sh" else \
            [str(self.postgres.bin / "psql"), "-X", "-v", "ON_ERROR_STOP=1"]
        return subprocess.run(command, input=block.text, env=environment, cwd=TOP, check=False, capture_output=True, text=True,
                              timeout=120)


@pytest.fixture(scope="module")
def world(folder: Folder) -> Iterator[World]:
    made = World(folder)
    yield made
    made.stop()


@pytest.mark.parametrize("block", RUN, ids=str)
def test_block_works(world: World, block: Block) -> None:
    if block.language == "sh" and shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    if block.page.stem == "key-leak":
        world.server.new_key("leaky")
    done = world.run(block)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    assert world.google.refused == [], f"{block.text}\nasked for what the stand-in does not have: {world.google.refused}"
    assert "ERROR" not in done.stderr, done.stderr


def test_a_wrong_command_is_found(world: World) -> None:
    """The blocks can fail: a metric's selector that is no PromQL, a flag that gcloud does not have, a column that is gone."""
    start = ". runbooks/env.sh production\n"
    for language, text in (("sh", start + "promql 'sum(('"), ("sh", "gcloud sql instances failover x --no-such-flag"),
                           ("sql", "SELECT no_such_column FROM payments;")):
        if "gcloud" in text and shutil.which("gcloud") is None:
            continue
        assert world.run(Block(TOP / "planted", 1, "", language, text, None)).returncode != 0, text


def test_what_the_procedures_did(world: World) -> None:
    """They ran as a person would have run them, and the stand-in knows of it."""
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    kinds = {operation["operationType"] for operation in world.google.operations}
    assert {"FAILOVER", "CLONE", "RESTORE_VOLUME", "BACKUP_VOLUME", "EXPORT"} <= kinds
    assert f"{SERVICE}-restored" in world.google.databases
    assert [t["revisionName"] for t in world.google.service["status"]["traffic"] if t.get("percent")] == [f"{SERVICE}-1"]
    assert "revoked" in world.server.command("keys", "list").stdout
