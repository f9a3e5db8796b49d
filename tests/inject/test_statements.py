"""Every statement that PayFlow sends, refused at each step, with SQLSTATEs of every kind that means something to it."""
from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from operations import OPERATIONS, Operation, Outcome, attempt, check
from proxy import Proxy
from shop import EXHAUSTIVE, Results, Shop, in_parallel

# Another try may find it better: the request waits for that, and succeeds.
PASSING = {"40001": "serialization failure", "40P01": "deadlock", "55P03": "lock not available", "57014": "time-out",
           "53100": "disk full", "57P01": "shut down", "25006": "read-only after a fail-over", "XX000": "internal error"}
# The row's own fault: a write of it is refused; a read is tried again.
DATA = {"23505": "a duplicate", "23514": "a check", "22003": "out of range"}
# No try will find it better.
PERMANENT = {"42P01": "no such table", "42703": "no such column", "42501": "not allowed", "42601": "syntax"}
STATES = {**PASSING, **DATA, **PERMANENT}
CI_STATES = ["40001", "42P01", "23514", "53100", "40P01", "25006", "23505", "57P01", "42501", "XX000"]
AT_ONCE_S = 2.5  # an answer that did not wait for the deadline of 5 s, on a machine with much else to do


def named(sent: str) -> str:
    """Which of its two ways to create a payment a batch takes depends on what came before."""
    return sent.replace("create_careful", "create")


def statements_of(operation: Operation, server: Shop, proxy: Proxy) -> list[str]:
    """What it sends on connections that have prepared nothing yet, in order."""
    seen: list[str] = []
    with server.client() as client:
        made = operation.prepare(server, client)
        proxy.cut()
        time.sleep(0.1)

        def note(sent: str) -> str:
            statement = named(sent)
            if statement not in seen and statement != "SELECT" or operation.name == "capture a second time":
                seen.append(statement)  # the look at the database's state is no part of it
            return ""

        proxy.refuse = note
        assert attempt(made, client).status == operation.status
        proxy.refuse = None
    return list(dict.fromkeys(seen))


def chosen(number: int, preparing: bool) -> list[str]:
    """What the statement of that number is refused with: all in turn, where there isn't the time for all of all."""
    if EXHAUSTIVE:
        return list(STATES)
    return ["42P01", "40001"][number % 2:][:1] if preparing else CI_STATES[number % 3::3]


def refuse_once(statement: str, sqlstate: str) -> tuple[Callable[[str], str], list[str]]:
    done: list[str] = []

    def rule(sent: str) -> str:
        if named(sent) != statement or done:
            return ""
        done.append(sent)
        return sqlstate

    return rule, done


def expected(operation: Operation, statement: str, sqlstate: str) -> set[str]:
    normal = str(operation.status) if operation.status < 300 else "illegal-state"
    name = statement.removeprefix("prepare ")
    if sqlstate in PERMANENT:
        return {"internal"}
    if sqlstate in DATA:
        step = operation.name.startswith(("capture", "refund")) and name not in ("key", "get", "refunds")
        if step and sqlstate == "23505":
            return {normal}  # somebody else wrote the same key in between: the second look finds it
        if name == "create" and sqlstate == "23505":
            return {normal, "internal"}  # the careful way looks at what is there; refused itself, it gives up
        return {"internal"} if step or name == "create" else {normal}
    return {normal}


def refuse_each(server: Shop, operation: Operation) -> str:
    proxy = server.proxy
    statements = statements_of(operation, server, proxy)
    assert len(statements) >= 3, statements
    cases = 0
    for number, statement in enumerate(statements):
        if statement.endswith("key") and operation.name != "get":
            continue  # the same for all
        preparing = statement.startswith("prepare ")
        for sqlstate in chosen(number, preparing):
            with server.client() as client:
                made = operation.prepare(server, client)
                before = made.made(server)
                if preparing:
                    proxy.cut()
                    time.sleep(0.1)
                proxy.refuse, done = refuse_once(statement, sqlstate)
                begun = time.monotonic()
                outcome = attempt(made, client)
                took_s = time.monotonic() - begun
                proxy.refuse = None
            where = f"{operation}, {statement} refused with {sqlstate}: {outcome.reply}"
            assert done, where
            assert outcome.kind in expected(operation, statement, sqlstate), where
            check(server, operation, made, before, outcome)
            if sqlstate in PERMANENT:
                assert took_s < AT_ONCE_S, f"{where} after {took_s:.1f} s"
            cases += 1
    return f"{len(statements)} statements, {cases} cases"


@pytest.fixture(scope="module")
def results(patient: list[Shop]) -> Results:
    return in_parallel(patient, {"once": refuse_each}, [("once", each) for each in OPERATIONS])


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_each_statement_refused_once(results: Results, operation: Operation) -> None:
    print(f"refused once, {operation}: {results.get('once', operation)}")


LASTING = [("create", "create with key"), ("created_before", "create again"), ("step_lock", "capture"), ("step_apply", "refund"),
           ("COMMIT", "capture"), ("ROLLBACK", "capture"), ("get", "get"), ("list", "list"), ("key", "get"), ("feed", "feed")]


@pytest.mark.parametrize(("statement", "name"), LASTING if EXHAUSTIVE else LASTING[0:5:2] + LASTING[6:7])
def test_each_statement_refused_for_as_long_as_it_is_tried(impatient: list[Shop],
                                                           statement: str, name: str) -> None:
    """The deadline is met, nothing is acknowledged, nothing is done; afterwards the same request succeeds."""
    server, proxy = impatient[0], impatient[0].proxy
    operation = next(each for each in OPERATIONS if each.name == name)
    for sqlstate in [*PASSING, "23505"] if EXHAUSTIVE else ("40001", "53100"):
        also = "step_apply" if statement == "ROLLBACK" else statement
        with server.client() as client:
            made = operation.prepare(server, client)
            before = made.made(server)
            proxy.refuse = lambda sent, s=sqlstate, also=also: s if named(sent) in (statement, also) else ""
            outcome: Outcome = attempt(made, client)
            proxy.refuse = None
        where = f"{operation}, {statement} refused with {sqlstate} all the time: {outcome.reply}"
        wanted = {"unavailable", "in-flight", "overloaded"} | ({"internal"} if sqlstate == "23505" else set())
        if sqlstate == "57P01":
            wanted.add("outcome-unknown")
        assert outcome.kind in wanted, where
        check(server, operation, made, before, outcome)


def test_what_is_refused_for_good_says_what_to_do(results: Results) -> None:
    server, proxy = results.shops[0], results.shops[0].proxy
    advice = {"42P01": "payflow migrate", "42501": "payflow_app", "42601": "roll back"}
    for sqlstate, words in advice.items():
        proxy.refuse = lambda sent, s=sqlstate: s if named(sent) == "create" else ""
        reply = server.call("POST", "/api/v1/payments", {"amount": 1})
        proxy.refuse = None
        assert (reply.status, reply.json()["type"]) == (500, "urn:payflow:problem:internal"), reply
        time.sleep(0.3)
        lines = [line for line in server.log_lines() if line.get("event") == "statement_refused"]
        assert words in lines[-1]["message"] and sqlstate in lines[-1]["message"], lines[-1]
        assert sqlstate not in reply.body.decode()
