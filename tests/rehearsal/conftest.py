from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Folder, Postgres
from world import World

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "deploy"))  # for payflow_deploy



@pytest.fixture
def empty(folder: Folder, postgres: Postgres) -> Iterator[World]:
    """The stand-in, the jobs and the database, but no service yet."""
    for program in ("gcloud", "prometheus"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    made = World(folder, postgres.database())
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def world(empty: World) -> World:
    """And a service whose one revision has all traffic."""
    empty.stable = empty.service(empty.good)
    return empty
