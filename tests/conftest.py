"""What every suite's tests share: one PostgreSQL and one Redis a run, and PayFlow servers on them."""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from servers import Database, Folder, Postgres, Redis, Server


@pytest.fixture(scope="session")
def folder() -> Iterator[Folder]:
    with Folder() as made:
        yield made


@pytest.fixture(scope="session")
def postgres(folder: Folder) -> Iterator[Postgres]:
    # Nobody pulls this machine's plug, so that the disk's cache may keep what was committed.
    made = Postgres(folder, fsync="off", max_connections="300")
    try:
        yield made.start()
    finally:
        made.stop(signal.SIGQUIT)  # without a checkpoint: nobody starts it again


@pytest.fixture(scope="session")
def redis(folder: Folder) -> Iterator[Redis]:
    made = Redis(folder)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="session")
def server(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[Server]:
    """One server for all tests that neither need settings of their own nor count what is there. No keys needed."""
    made = Server(folder, postgres.database(), redis).migrate()
    try:
        yield made.start()
    finally:
        status = made.stop()
    assert status == 0, f"the server ended with {status}: {made.log.read_text(errors='replace')[-2000:]}"


@pytest.fixture(scope="session")
def spare_databases() -> list[Database]:
    """Empty ones that a test is done with: a new one would be 8 MB to write each time."""
    return []


@pytest.fixture
def fresh_server(folder: Folder, postgres: Postgres, redis: Redis, spare_databases: list[Database]) -> Iterator[Callable[..., Server]]:
    """Makes servers that this test alone uses: fresh_server(SETTING="value"). Each has an empty database of its own, or the
    one that is given as `database`, which must be migrated; `start=False` leaves starting (and migrating) to the test."""
    made: list[Server] = []
    own: list[Database] = []

    def make(database: Database | None = None, start: bool = True, **settings: str) -> Server:
        if database is None:
            own.append(spare_databases.pop() if spare_databases else postgres.database())
        new = Server(folder, database or own[-1], redis, **settings)
        made.append(new)
        if start and database is None:
            new.migrate()
        return new.start() if start else new

    yield make
    running = [each for each in made if each.is_running()]
    ended = [(each.stop(), each.log) for each in running]
    for database in own:
        database.empty()
    spare_databases.extend(own)
    assert all(status == 0 for status, _ in ended), [(s, log.read_text(errors="replace")[-2000:]) for s, log in ended if s]
