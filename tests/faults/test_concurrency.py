"""Callers that race for the same keys, in one process and in several (decisions 2 and 3)."""
from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from servers import Client, Database, Reply, Server

PATH = "/api/v1/payments"
Fresh = Callable[..., Server]


def together(count: int, work: Callable[[int], object]) -> list:
    """Runs work(0) to work(count - 1) at once; their results."""
    start = threading.Barrier(count)

    def begin(number: int) -> object:
        start.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def deadlocks(database: Database) -> int:
    time.sleep(1.2)  # sessions report what they counted once a second
    return database.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]


def test_fifty_with_one_key_get_one_payment(fresh_server: Fresh) -> None:
    first = fresh_server()
    second = fresh_server(database=first.database)
    for number in range(10):
        servers = [first] if number % 2 else [first, second]

        def ask(caller: int, servers: list[Server] = servers, number: int = number) -> Reply:
            return servers[caller % len(servers)].call("POST", PATH, {"amount": 7}, key=f"one-{number}")

        replies = together(50, ask)
        assert {reply.status for reply in replies} == {201}, replies
        assert len({reply.body for reply in replies}) == 1
        assert sum(not reply.replayed for reply in replies) == 1
    assert first.sql("SELECT count(*) FROM payments") == [(10,)]


def test_six_servers_with_shuffled_keys_never_deadlock(fresh_server: Fresh) -> None:
    first = fresh_server(DB_WRITERS="1", DB_READERS="1")
    servers = [first] + [fresh_server(database=first.database, DB_WRITERS="1", DB_READERS="1") for _ in range(5)]
    before = deadlocks(first.database)
    rng = random.Random(1)
    keys = [f"shuffled-{number}" for number in range(200)]
    orders = [rng.sample(keys, len(keys)) for _ in range(48)]

    def ask(caller: int) -> dict[str, str]:
        with Client(servers[caller % 6].port) as client:
            told = {}
            for key in orders[caller]:
                reply = client.call("POST", PATH, {"amount": 3}, key=key)
                assert reply.status == 201, reply
                told[key] = reply.json()["id"]
            return told

    told = together(48, ask)
    assert all(each == told[0] for each in told)
    assert first.sql("SELECT count(*), count(DISTINCT id) FROM payments") == [(200, 200)]
    assert deadlocks(first.database) == before


def hold(database: Database, keys: list[str]) -> object:
    """A transaction that has the keys and does not end."""
    connection = database.connect()
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute("INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, object_id,"
                           " fingerprint) VALUES (1, false, 1, '', %s, 'pay_00000000000000000000000000', '')", (key,))
    return connection


def test_a_stuck_key_delays_its_own_callers_only(fresh_server: Fresh) -> None:
    server = fresh_server(REQUEST_TIMEOUT_MS="4000")
    stuck = hold(server.database, ["stuck"])
    try:
        ends = time.monotonic() + 5
        slowest = []

        def ask(caller: int) -> tuple[int, list[int]]:
            if caller < 8:
                reply = server.call("POST", PATH, {"amount": 1}, key="stuck")
                assert reply.headers.get("retry-after", "").isdigit()
                return 0, [reply.status]
            statuses, longest, number = [], 0.0, 0
            with server.client() as client:
                while time.monotonic() < ends:
                    begun = time.monotonic()
                    statuses.append(client.call("POST", PATH, {"amount": 1}, key=f"free-{caller}-{number}").status)
                    longest = max(longest, time.monotonic() - begun)
                    number += 1
            slowest.append(longest)
            return caller, statuses

        answers = together(40, ask)
        assert {status for caller, statuses in answers if caller == 0 for status in statuses} == {409}
        assert {status for caller, statuses in answers if caller > 0 for status in statuses} == {201}
        assert max(slowest) < 3, "whoever has another key waits for quarantine's turn at most"
    finally:
        stuck.rollback()  # type: ignore[attr-defined]
        stuck.close()  # type: ignore[attr-defined]
    reply = server.call("POST", PATH, {"amount": 1}, key="stuck")
    assert (reply.status, reply.replayed) == (201, False)


def test_deadlines_meet_operations_on_their_way_between_lanes(fresh_server: Fresh) -> None:
    """Half the keys are held: their operations go from lane to lane while their callers take them back."""
    server = fresh_server(REQUEST_TIMEOUT_MS="300", DB_WRITERS="4")
    held = [f"held-{number}" for number in range(64)]
    stuck = hold(server.database, held)
    try:
        def ask(caller: int) -> set[int]:
            statuses = set()
            with server.client() as client:
                for turn in range(12):
                    key = held[caller] if caller % 2 else f"free-{caller}-{turn}"
                    statuses.add(client.call("POST", PATH, {"amount": 1}, key=key).status)
            return statuses

        statuses = set().union(*together(64, ask))
        assert statuses <= {201, 409, 503}, statuses
    finally:
        stuck.rollback()  # type: ignore[attr-defined]
        stuck.close()  # type: ignore[attr-defined]
    assert server.call("POST", PATH, {"amount": 1}, key=held[1]).status == 201
