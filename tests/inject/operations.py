"""The requests that are made to fail, and what must be true of each whatever failed inside."""
from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException

from servers import Client, Reply, Server

PAYMENTS = "/api/v1/payments"
_numbers = itertools.count(1)


@dataclass
class Try:
    """One request, prepared: it may be sent again, and `count` says how often the database has it."""

    send: Callable[[Client], Reply]
    count: str = ""                # SQL; empty: the request changes nothing
    values: tuple = ()
    tell: Callable[[dict], object] = field(default=lambda body: None)  # what an answer must always say again

    def made(self, server: Server) -> int:
        return server.sql(self.count, *self.values)[0][0] if self.count else 0


@dataclass(frozen=True)
class Operation:
    name: str
    status: int                    # when nothing fails
    prepare: Callable[[Server, Client], Try]
    keyed: bool = True             # it may be sent again without doing it twice

    def __str__(self) -> str:
        return self.name


def _id(body: dict) -> object:
    return body["id"]


def _create(with_key: bool, sent_before: bool = False) -> Callable[[Server, Client], Try]:
    def prepare(server: Server, client: Client) -> Try:
        name = f"created-{next(_numbers)}"
        body = {"amount": 12.5, "currency": "EUR", "description": "a book", "reference": name, "metadata": {"shelf": "7"}}
        key = f"key-{name}" if with_key else None
        made = Try(lambda c: c.call("POST", PAYMENTS, body, key=key),
                   "SELECT count(*) FROM payments WHERE reference = %s", (name,), _id)
        if sent_before:
            assert until_answered(made, client).status == 201
        return made
    return prepare


def _payment(client: Client, captured: bool = False) -> str:
    reply = until_answered(Try(lambda c: c.call("POST", PAYMENTS, {"amount": 30, "description": "for a step"})), client)
    assert reply.status == 201, reply
    path = f"{PAYMENTS}/{reply.json()['id']}"
    if captured:
        assert until_answered(Try(lambda c: c.call("POST", f"{path}/capture", key="first")), client).status == 200
    return path


def _capture(server: Server, client: Client) -> Try:
    path = _payment(client)
    return Try(lambda c: c.call("POST", f"{path}/capture", {"amount": 20}, key="capture"),
               "SELECT count(*) FROM events WHERE payment_id = %s AND step = 2 AND captured_minor = 2000",
               (path.rsplit("/", 1)[1],), lambda body: (body["id"], body["amount_captured"]))


def _capture_twice(server: Server, client: Client) -> Try:
    path = _payment(client, captured=True)
    return Try(lambda c: c.call("POST", f"{path}/capture", {"amount": 20}))


def _refund(server: Server, client: Client) -> Try:
    path = _payment(client, captured=True)
    return Try(lambda c: c.call("POST", f"{path}/refunds", {"amount": 10, "reason": "came back"}, key="refund"),
               "SELECT count(*) FROM refunds WHERE payment_id = %s AND amount_minor = 1000", (path.rsplit("/", 1)[1],), _id)


def _read(suffix: str, captured: bool = False) -> Callable[[Server, Client], Try]:
    def prepare(server: Server, client: Client) -> Try:
        path = _payment(client, captured)
        if captured:
            refund = Try(lambda c: c.call("POST", f"{path}/refunds", {"amount": 1, "reason": "came back"}, key="first"))
            assert until_answered(refund, client).status == 201
        return Try(lambda c: c.call("GET", path + suffix), tell=lambda body: body)
    return prepare


def _plain(path: str, tell: Callable[[dict], object] = lambda body: None) -> Callable[[Server, Client], Try]:
    return lambda server, client: Try(lambda c: c.call("GET", path), tell=tell)


OPERATIONS = [
    Operation("create with key", 201, _create(True)),
    Operation("create without key", 201, _create(False), keyed=False),
    Operation("create again", 201, _create(True, sent_before=True)),
    Operation("get", 200, _read("")),
    Operation("list", 200, _plain(f"{PAYMENTS}?limit=2")),
    Operation("capture", 200, _capture),
    Operation("capture a second time", 409, _capture_twice),
    Operation("refund", 201, _refund),
    Operation("refunds", 200, _read("/refunds", captured=True)),
    Operation("events", 200, _read("/events", captured=True)),
    Operation("feed", 200, _plain("/api/v1/events?limit=2")),
]
OTHERS = [
    Operation("metrics", 200, _plain("/metrics")),
    Operation("openapi", 200, _plain("/openapi.json")),
]


def _create_anew(server: Server, client: Client) -> Try:
    made = _create(True)(server, client)
    server.proxy.cut()  # type: ignore[attr-defined]
    time.sleep(0.02)
    return made


NEW_CONNECTIONS = Operation("create on new connections", 201, _create_anew)


@dataclass
class Outcome:
    """What came back: an answer, or a connection that ended."""

    reply: Reply | None

    @property
    def status(self) -> int:
        return self.reply.status if self.reply else 0

    @property
    def kind(self) -> str:
        """The last word of the problem's type, the status of any other answer, or "closed"."""
        if self.reply is None:
            return "closed"
        if self.reply.headers.get("content-type", "").startswith("application/problem+json"):
            return self.reply.json()["type"].rsplit(":", 1)[1]
        return str(self.reply.status)


def attempt(made: Try, client: Client) -> Outcome:
    try:
        return Outcome(made.send(client))
    except (HTTPException, ConnectionError):
        return Outcome(None)


def until_answered(made: Try, client: Client) -> Reply:
    """Sends it until it is no 503: connections that were broken again and again are made anew after a second or so."""
    deadline = time.monotonic() + 10
    while (reply := made.send(client)).status == 503 and time.monotonic() < deadline:
        time.sleep(0.02)
    return reply


def check(server: Server, operation: Operation, made: Try, before: int, outcome: Outcome) -> None:
    """The answer is a defined one, and the database agrees with it; sent again, it is done once and says the same."""
    after = made.made(server)
    wanted = max(before, 1) if made.count else 0
    kind = outcome.kind
    where = f"{operation}: {kind}, in the database {before} times before and {after} times after"
    assert server.is_running(), f"{where}: {server.log.read_text(errors='replace')[-3000:]}"
    if outcome.status == operation.status:
        assert after == wanted, where
    elif kind in ("unavailable", "overloaded", "internal", "in-flight", "malformed-request"):
        assert after == before, where
    else:
        assert kind in ("outcome-unknown", "closed"), f"{where}: {outcome.reply}"
        assert after in (before, wanted), where
    if not operation.keyed and after != before:
        return
    with server.client() as client:
        again = until_answered(made, client)
    assert again.status == operation.status, f"{where}, and then {again}"
    assert made.made(server) == wanted, f"{where}, and then done twice"
    if outcome.status == operation.status < 300 and outcome.reply and again.headers["content-type"] == "application/json":
        assert made.tell(outcome.reply.json()) == made.tell(again.json()), where


