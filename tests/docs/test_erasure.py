"""docs/upgrading.md's SQL for erasing personal data, as it stands there: the texts are gone, the books are not."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from blocks import blocks
from servers import TOP, Database, Server

HERE = "tests/docs/test_erasure.py"
ERASE, FIND = (block.text for block in blocks(TOP / "docs" / "upgrading.md") if HERE in block.run_by)
ID = "pay_01m88s1rdzzjmxgtd5y055707e"
PAYMENT = {"amount": 20, "description": "For Erika Mustermann", "reference": "customer-4711", "metadata": {"customer": "4711"}}


@pytest.fixture
def server(fresh_server: Callable[..., Server]) -> Server:
    return fresh_server()


def run(database: Database, text: str) -> list[tuple]:
    """Statement by statement, as a person's client sends them: VACUUM takes no part in a transaction."""
    rows: list[tuple] = []
    for statement in filter(str.strip, "\n".join(line.partition("--")[0] for line in text.splitlines()).split(";")):
        rows = database.sql(statement)
    return rows


def test_a_payment_is_found_and_erased_and_the_books_stay(server: Server) -> None:
    made = server.call("POST", "/api/v1/payments", PAYMENT, key="first").json()
    other = server.call("POST", "/api/v1/payments", PAYMENT | {"reference": "customer-4712", "metadata": {"customer": "4712"}}).json()
    path = f"/api/v1/payments/{made['id']}"
    assert server.call("POST", f"{path}/capture", {"amount": 20}).status == 200
    assert server.call("POST", f"{path}/refunds", {"amount": 5, "reason": "Erika did not like it"}).status == 201
    assert server.database is not None
    assert [row[0] for row in run(server.database, FIND)] == [made["id"]]

    before = server.call("GET", path).json()
    run(server.database, ERASE.replace(ID, made["id"]))

    after = server.call("GET", path).json()
    gone = {"description", "reference", "metadata"}
    assert {name: value for name, value in after.items() if name not in gone} == \
        {name: value for name, value in before.items() if name not in gone}
    assert not any(after.get(name) for name in gone)
    texts = str(server.sql("SELECT * FROM payments WHERE id = %s", made["id"])) + str(server.sql("SELECT * FROM refunds")) \
        + str(server.sql("SELECT * FROM events")) + server.call("GET", f"{path}/events").body.decode()
    assert "Erika" not in texts and "4711" not in texts
    assert server.call("GET", f"/api/v1/payments/{other['id']}").json() == other
    verified = server.command("verify")
    assert verified.returncode == 0, verified.stdout


def test_the_first_request_is_still_known_and_tells_nothing(server: Server) -> None:
    made = server.call("POST", "/api/v1/payments", PAYMENT, key="first").json()
    assert server.database is not None
    run(server.database, ERASE.replace(ID, made["id"]))
    again = server.call("POST", "/api/v1/payments", PAYMENT, key="first")
    assert again.status == 201 and again.replayed and again.json()["id"] == made["id"]
    assert "Erika" not in again.body.decode() and "4711" not in again.body.decode()
    assert server.sql("SELECT count(*) FROM payments") == [(1,)]


def test_pruning_ends_the_key_and_nothing_else(server: Server) -> None:
    server.call("POST", "/api/v1/payments", PAYMENT, key="first")
    server.sql("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert "deleted 1 idempotency keys" in server.command("prune").stdout
    assert server.sql("SELECT (SELECT count(*) FROM idempotency_keys), (SELECT count(*) FROM payments), (SELECT count(*) FROM events)") \
        == [(0, 1, 1)]
