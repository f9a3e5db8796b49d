"""Socket calls fail or do less than they were asked for, each call of a request in turn: to the client and PostgreSQL.

Redis is not among them: most requests ask it nothing, and what it grants is asked for by a thread of its own."""
from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from control import ACCEPT, CLIENT, DATABASE, POLL, RECEIVE, SEND
from operations import OPERATIONS, OTHERS, Operation, attempt, check
from shop import EXHAUSTIVE, Results, Shop, in_parallel, on_demand_only

NEVER = 2**32 - 1
SIDES = {"client": CLIENT, "database": DATABASE}
EVERY = [*OPERATIONS, *OTHERS]
FEW = [each for each in EVERY if each.name in ("create with key", "get", "capture", "refund")]
# Nobody must notice these: they happen on every healthy machine.
HARMLESS = {"EINTR": (errno.EINTR, RECEIVE | SEND | POLL), "EAGAIN": (errno.EAGAIN, RECEIVE | SEND)}
# A connection is lost; what was under way on it has any defined end.
BREAKING = {"ECONNRESET": (errno.ECONNRESET, RECEIVE), "ETIMEDOUT": (errno.ETIMEDOUT, RECEIVE),
            "EPIPE": (errno.EPIPE, SEND), "ENOBUFS": (errno.ENOBUFS, SEND)}


def fail(server: Shop, operation: Operation, side: str, kinds: int, error: int, first: int, last: int) -> tuple[str, int]:
    with server.client() as client:
        made = operation.prepare(server, client)
        before = made.made(server)
        with server.control.calls(SIDES[side], kinds, error, first, last) as armed:
            outcome = attempt(made, client)
        check(server, operation, made, before, outcome)
        if error in (0, errno.EINTR, errno.EAGAIN):
            assert outcome.status == operation.status, f"{operation}, {side}, call {first}: {outcome.reply}"
        return outcome.kind, armed.failed


def byte_by_byte(side: str) -> Callable[[Shop, Operation], str]:
    def way(server: Shop, operation: Operation) -> str:
        kind, failed = fail(server, operation, side, SEND if side == "client" else SEND | RECEIVE, 0, 1, NEVER)
        assert failed > 50
        return f"{failed} calls moved one byte: {kind}"
    return way


def each_call(side: str, error: int, kinds: int) -> Callable[[Shop, Operation], str]:
    def way(server: Shop, operation: Operation) -> str:
        told: dict[str, int] = {}
        missed = 0
        # After a send that failed libpq waits for what the server may have said before: three seconds each.
        slow = side == "database" and error in (errno.EPIPE, errno.ENOBUFS) and not EXHAUSTIVE
        for number in range(1, 200, 4 if slow else 1):
            kind, failed = fail(server, operation, side, kinds, error, number, number)
            missed = 0 if failed else missed + 1
            if missed == 2:
                break
            if failed:
                told[kind] = told.get(kind, 0) + 1
        assert told, "no call failed"
        return f"{sum(told.values())} requests: {told}"
    return way


WAYS = {f"{side}, byte by byte": byte_by_byte(side) for side in SIDES}
WAYS |= {f"{side}, {name}": each_call(side, *what) for side in SIDES for name, what in HARMLESS.items()}
WAYS["client, EAGAIN"] = each_call("client", errno.EAGAIN, SEND)  # what was looked at is there when it is taken
COSTLY = {f"{side}, {name}": each_call(side, *what) for side in SIDES for name, what in BREAKING.items()}
CASES = [(how, operation) for how in WAYS for operation in (EVERY if how.startswith("client") else OPERATIONS)]
CASES += [(how, operation) for number, how in enumerate(COSTLY)
          for operation in (OPERATIONS if EXHAUSTIVE else FEW[number % 2::2])]


@pytest.fixture(scope="module")
def results(patient: list[Shop]) -> Results:
    on_demand_only()
    return in_parallel(patient, WAYS | COSTLY, reversed(CASES))


@pytest.mark.parametrize(("how", "operation"), CASES, ids=str)
def test_each_call_of_a_request_fails(results: Results, how: str, operation: Operation) -> None:
    print(f"{how}, {operation}: {results.get(how, operation)}")


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ECONNABORTED, errno.EINTR])
def test_a_connection_that_cannot_be_accepted_yet_is_accepted_later(results: Results, error: int) -> None:
    server = results.shops[0]
    with server.control.calls(CLIENT, ACCEPT, error, 1, 3) as armed:
        assert server.call("GET", "/health").status == 200
    assert armed.failed == 3
