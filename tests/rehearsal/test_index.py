"""An index that is made beside traffic: a try that was cut short leaves an invalid one, and the next try mends that."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from servers import BINARY, TOP, Database, Postgres, wait_until

RELEASE = TOP / "build" / "rehearsal" / "index" / "payflow"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('payments_newest')"


def migrate(database: Database, binary: object = RELEASE) -> str:
    done = subprocess.run([str(binary), "migrate"], env=database.environment(), check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    made = postgres.database()
    migrate(made, BINARY)
    yield made
    made.empty()


def test_an_invalid_index_is_dropped_and_made_anew(database: Database) -> None:
    database.sql("CREATE INDEX payments_newest ON payments (created_at)")
    database.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'payments_newest'::regclass")
    assert "dropping the invalid index payments_newest" in migrate(database)
    assert database.sql(VALID) == [(True,)]
    assert migrate(database).startswith("0 applied"), "it is recorded"


def test_one_that_was_made_but_not_recorded_is_only_recorded(database: Database) -> None:
    database.sql("CREATE INDEX payments_newest ON payments (created_at)")
    said = migrate(database)
    assert "applied 0004_index" in said and "dropping" not in said


def test_a_writer_that_takes_longer_than_its_lock_time_out_is_waited_for(database: Database) -> None:
    """The try that gives up leaves an invalid index, which the next one drops."""
    with database.connect() as writer, writer.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute("LOCK TABLE payments IN ROW EXCLUSIVE MODE")
        migrating = pool.submit(migrate, database)
        wait_until("a try gave up, and the next one is at work", lambda: database.sql(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY payments_newest%%'"))
        assert database.sql(VALID) == [(False,)]
        writer.commit()
        assert "dropping the invalid index" in migrating.result(120)
    assert database.sql(VALID) == [(True,)]
