"""/health and /ready, and every answer of the brief's app to the requests that the brief shows."""
from __future__ import annotations

import json
import re
import time

import pytest
from servers import Reply, Server, wait_until

PAYMENTS = "/api/v1/payments"


def ready(server) -> Reply:
    return server.call("GET", "/ready")


def reason(server) -> str:
    reply = ready(server)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) >= 1
    body = reply.json()
    assert list(body) == ["status", "reason"] and body["status"] == "not ready"
    return body["reason"]


def test_health_says_its_version_and_the_time(fresh_server):
    server = fresh_server(APP_VERSION="7.8.9")
    reply = server.call("GET", "/health")
    assert reply.status == 200
    body = reply.json()
    assert list(body) == ["status", "timestamp", "version"]
    assert (body["status"], body["version"]) == ("healthy", "7.8.9")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])


def test_ready_says_so(server):
    reply = ready(server)
    assert (reply.status, reply.json()) == (200, {"status": "ready"})


def test_without_a_database_it_lives_and_is_not_ready(fresh_server):
    server = fresh_server(start=False, DB_HOST="").start(ready=False)
    assert server.call("GET", "/health").status == 200
    assert reason(server) == "database not configured"
    reply = server.call("POST", PAYMENTS, {"amount": 1})
    assert (reply.status, reply.json()["type"]) == (503, "urn:payflow:problem:unavailable")
    assert int(reply.headers["retry-after"]) >= 1


def test_with_a_database_that_is_not_there_it_lives_and_is_not_ready(fresh_server, folder):
    server = fresh_server(start=False, DB_PORT="1", REQUEST_TIMEOUT_MS="1000").start(ready=False)
    begun = time.monotonic()
    assert server.call("GET", "/health").status == 200
    assert reason(server) == "database unreachable"
    assert time.monotonic() - begun < 2, "neither waits for the database"
    wait_until("callers are answered at once", lambda: server.call("GET", PAYMENTS).status == 503)


def test_with_migrations_pending_it_is_not_ready_until_they_are_applied(fresh_server):
    server = fresh_server(start=False).start(ready=False)
    wait_until("it says what is missing", lambda: reason(server) == "migrations pending")
    server.migrate()
    wait_until("it sees that they are applied, by itself", lambda: ready(server).status == 200)
    server.sql("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    wait_until("it sees that one is missing", lambda: ready(server).status == 503 and reason(server) == "migrations pending")


def test_a_newer_schema_is_fine_unless_it_says_that_it_breaks_this_binary(fresh_server):
    server = fresh_server()
    server.sql("INSERT INTO schema_migrations (version, name) VALUES (9000, 'from_the_future')")
    time.sleep(1.1)
    assert ready(server).status == 200
    server.sql("UPDATE schema_migrations SET breaks_before = 9000 WHERE version = 9000")
    wait_until("it says so", lambda: ready(server).status == 503 and reason(server) == "database schema too new")


def test_without_redis_it_is_ready_and_says_what_is_degraded(fresh_server):
    server = fresh_server(REDIS_URL="redis://127.0.0.1:1/0")
    wait_until("it says so", lambda: ready(server).json() == {"status": "ready", "degraded": ["redis"]})
    assert server.call("POST", PAYMENTS, {"amount": 1}).status == 201
    alone = fresh_server(REDIS_URL="")
    assert ready(alone).json() == {"status": "ready"}


# --- the brief's app ----------------------------------------------------------------------------------------------------


def briefs_app(method: str, path: str, body: object, environment: dict[str, str]) -> tuple[int, object]:
    """What app.js of the brief answers, line by line."""
    version = environment.get("APP_VERSION") or "1.0.0"
    if (method, path) == ("GET", "/health"):
        return 200, {"status": "healthy", "timestamp": ..., "version": version}
    if (method, path) == ("GET", "/ready"):
        return (200, {"status": "ready"}) if environment.get("DB_HOST") else (
            503, {"status": "not ready", "reason": "database not configured"})
    if (method, path) == ("POST", PAYMENTS):
        amount, currency = body.get("amount"), body.get("currency")
        if not amount or amount <= 0:
            return 400, {"error": "Invalid amount"}
        return 201, {"id": ..., "amount": amount, "currency": currency or "EUR", "status": "pending", "created_at": ...}
    return 404, ...


REQUESTS = [
    ("GET", "/health", None),
    ("GET", "/ready", None),
    ("POST", PAYMENTS, {"amount": 49.99, "currency": "EUR"}),
    ("POST", PAYMENTS, {"amount": 100, "currency": "USD"}),
    ("POST", PAYMENTS, {"amount": 0.5}),
    ("POST", PAYMENTS, {"amount": 0, "currency": "EUR"}),
    ("POST", PAYMENTS, {"amount": -5, "currency": "EUR"}),
    ("POST", PAYMENTS, {"amount": None}),
    ("POST", PAYMENTS, {"currency": "EUR"}),
    ("POST", PAYMENTS, {}),
    ("GET", "/nothing", None),
]


@pytest.mark.parametrize("database", [True, False])
@pytest.mark.parametrize("method,path,body", REQUESTS, ids=[f"{m} {p} {json.dumps(b)}" for m, p, b in REQUESTS])
def test_what_the_briefs_app_answers_we_answer(both, database, method, path, body):
    server = both[database]
    status, expected = briefs_app(method, path, body, server.environment)
    if not database and status == 201:
        return  # the brief's app records nothing, so it needs no database: docs/api.md says why ours does
    reply = server.call(method, path, body)
    assert reply.status == status
    if expected is ...:
        return
    got = reply.json()
    for name, value in expected.items():
        if value is ...:
            assert isinstance(got[name], str) and got[name]
        else:
            assert got[name] == value and type(got[name]) is type(value)
    assert list(got)[:len(expected)] == list(expected) or status == 400


@pytest.fixture(scope="module")
def both(folder, postgres, redis):
    """With a database and without, as the brief's app is asked."""
    made = {True: Server(folder, postgres.database(), redis, APP_VERSION="1.0.0").migrate().start(),
            False: Server(folder, None, None, APP_VERSION="1.0.0").start(ready=False)}
    yield made
    assert [server.stop() for server in made.values()] == [0, 0]


def test_the_briefs_metrics_have_the_same_names_and_labels(both):
    found = both[True].metrics()
    assert found['app_info{version="1.0.0"}'] == 1
    both[True].call("GET", "/health")
    names = [name for name in both[True].metrics() if name.startswith('http_requests_total{method="GET",path="/health"')]
    assert 'http_requests_total{method="GET",path="/health",status="200"}' in names  # and, from the start, the failures as 0


@pytest.mark.parametrize("body,type_,status", [
    (b'{"amount": "49.99"}', "application/json", 400), (b'{"amount": 1.999}', "application/json", 400),
    (b'{"amount": 1, "note": "x"}', "application/json", 400), (b'{"amount": 1, "currency": "XYZ"}', "application/json", 400),
    (b'{"amount": 1}', "text/plain", 415), (b"{", "application/json", 400),
])
def test_where_we_differ_we_differ_as_the_docs_say(server, body, type_, status):
    """The table "Where we differ from the app of the brief" in docs/api.md."""
    reply = server.call("POST", PAYMENTS, body, headers={"Content-Type": type_})
    assert reply.status == status
    assert reply.json()["error"] == ("Invalid amount" if b"1.999" in body or b'"49' in body else reply.json()["title"])
