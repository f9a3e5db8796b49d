"""Logs: one JSON object a line in Cloud Logging's fields, nothing personal, nothing secret, nothing that a caller can forge."""
from __future__ import annotations

import json
import os
import pty
import re
import subprocess

import pytest
from servers import SLOW, Server, together, wait_until

PAYMENTS = "/api/v1/payments"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def logging(folder, postgres, redis):
    server = Server(folder, postgres.database(), redis, GOOGLE_CLOUD_PROJECT="shop-1", PAYFLOW_AUTH="on", APP_VERSION="7.0.1").migrate()
    server.token = server.new_key("logs")
    server.start()
    yield server
    assert server.stop() == 0


def line_of(server: Server, request_id: str) -> dict:
    """The line of the request, which is written a moment after its answer."""
    def found() -> list[dict]:
        return [line for line in server.log_lines() if line.get("request_id") == request_id]
    wait_until("the line is written", found)
    (line,) = found()
    return line


def call(server: Server, method: str, path: str, body: object = None, **headers: str) -> str:
    return server.call(method, path, body, token=server.token, headers=headers).headers["x-request-id"]


def test_a_request_is_one_line_in_cloud_loggings_fields(logging):
    line = line_of(logging, call(logging, "POST", PAYMENTS, {"amount": 5}, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01"))
    assert list(line) == ["severity", "time", "message", "httpRequest", "request_id", "logging.googleapis.com/trace",
                          "logging.googleapis.com/spanId", "logging.googleapis.com/trace_sampled", "object_id", "version"]
    assert (line["severity"], line["message"], line["version"]) == ("INFO", f"POST {PAYMENTS} 201", "7.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["logging.googleapis.com/trace"] == f"projects/shop-1/traces/{TRACE}"
    assert (line["logging.googleapis.com/spanId"], line["logging.googleapis.com/trace_sampled"]) == ("00f067aa0ba902b7", True)
    assert line["object_id"].startswith("pay_")
    request = line["httpRequest"]
    assert list(request) == ["requestMethod", "requestUrl", "status", "requestSize", "responseSize", "latency", "protocol"]
    assert (request["requestMethod"], request["requestUrl"], request["status"]) == ("POST", PAYMENTS, 201)
    assert re.fullmatch(r"\d+\.\d{6}s", request["latency"])
    assert int(request["requestSize"]) > 0 and int(request["responseSize"]) > 0


def test_a_refused_request_says_which_problem_it_was(logging):
    line = line_of(logging, call(logging, "POST", PAYMENTS, {"amount": -1}))
    assert (line["severity"], line["problem"], line["httpRequest"]["status"]) == ("INFO", "invalid-amount", 400)
    assert line_of(logging, call(logging, "GET", "/nope"))["httpRequest"]["requestUrl"] == "other"


def test_every_request_has_its_line_and_each_line_is_one_object(fresh_server):
    server = fresh_server(PAYFLOW_AUTH="off")
    replies = together(10, lambda n: [server.call("POST", PAYMENTS, {"amount": 1}, headers={"X-Request-Id": f"r-{n}-{i}"}).status
                                      for i in range(20)])
    assert {status for each in replies for status in each} == {201}
    assert server.stop() == 0
    lines = list(server.log_lines())
    assert {line["request_id"] for line in lines if line.get("request_id", "").startswith("r-")} == {
        f"r-{n}-{i}" for n in range(10) for i in range(20)}
    assert [line["event"] for line in lines if "event" in line][-2:] == ["draining", "stopped"]
    assert all({"severity", "time", "message"} <= set(line) for line in lines)


PERSONAL = {"amount": 7318.46, "currency": "EUR", "description": "Jane Roe, Elm Street 5", "reference": "jane.roe@example.com",
            "metadata": {"card": "4242424242424242", "phone": "+44 20 7946 0000"}}


def test_nothing_personal_and_no_secret_is_ever_logged(fresh_server, redis):
    server = fresh_server(PAYFLOW_AUTH="on", LOG_LEVEL="debug")
    token = server.new_key("jane-roes-shop")
    made = server.call("POST", PAYMENTS, PERSONAL, token=token, key="idem-jane-1", headers={
        "X-Forwarded-For": "203.0.113.77", "User-Agent": "jane-browser", "Cookie": "session=jane", "Referer": "http://jane.example"})
    payment = made.headers["location"]
    server.call("POST", f"{payment}/capture", {}, token=token)
    server.call("POST", f"{payment}/refunds", {"reason": "jane was unhappy"}, token=token)
    server.call("POST", PAYMENTS, PERSONAL | {"jane": 1}, token=token)
    server.call("POST", PAYMENTS, PERSONAL | {"currency": "JANE"}, token=token)
    server.call("GET", f"{PAYMENTS}?created_from=jane&x=jane", token=token)
    server.call("GET", "/jane", token=token)
    server.call("GET", PAYMENTS, token="pfk_live_" + "ab" * 32)
    server.call("GET", PAYMENTS, headers={"Authorization": "Basic amFuZTpqYW5l"})
    server.sql("ALTER TABLE payments ADD CONSTRAINT no_jane CHECK (description NOT LIKE 'Jane%') NOT VALID")
    assert server.call("POST", PAYMENTS, PERSONAL, token=token).status == 500  # PostgreSQL's own words name the row
    server.stop()
    logged = server.log.read_text()
    assert len(logged.splitlines()) > 10
    for word in ("jane", "Jane", "Elm", "4242", "7318", "731846", "7946", "203.0.113.77", "amFuZTpqYW5l", token, token[9:], "ab" * 32,
                 server.database.password, redis.password):
        assert word not in logged, f"{word} is in the log"


@pytest.mark.parametrize("header", ["X-Request-Id", "traceparent", "X-Cloud-Trace-Context", "User-Agent", "Authorization",
                                    "Idempotency-Key"])
def test_no_header_can_forge_a_line(logging, header):
    before = len(list(logging.log_lines()))
    evil = '"},"severity":"CRITICAL","message":"forged'
    request_id = logging.call("GET", PAYMENTS, headers={header: evil}).headers["x-request-id"]
    line_of(logging, request_id)
    assert len(list(logging.log_lines())) == before + 1
    assert "forged" not in logging.log.read_text()


def test_no_path_query_or_method_can_forge_a_line(logging):
    for target in ("/%0a%7b%22severity%22:%22CRITICAL%22%7d", '/"},{"forged":"', "/?forged=%22%7D%0A", "/\x1b[31mforged"):
        logging.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    logging.raw(b"FORGED /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    call(logging, "GET", "/health")
    text = logging.log.read_text()
    assert "forged" not in text.lower() and "\x1b" not in text
    assert all(isinstance(line, dict) for line in logging.log_lines())


def test_a_level_leaves_out_what_is_below_it(fresh_server):
    quiet = fresh_server(LOG_LEVEL="error")
    quiet.call("POST", PAYMENTS, {"amount": 1})
    quiet.sql("ALTER TABLE payments ADD CONSTRAINT never CHECK (amount_minor <> 700)")
    assert quiet.call("POST", PAYMENTS, {"amount": 7}).status == 500
    quiet.stop()
    lines = list(quiet.log_lines())
    assert lines and {line["severity"] for line in lines} == {"ERROR"}
    assert any("httpRequest" in line and line["httpRequest"]["status"] == 500 for line in lines)


def test_a_terminal_gets_lines_for_people(fresh_server):
    server = fresh_server(start=False)
    controller, terminal = pty.openpty()
    process = subprocess.Popen([server.binary, "serve"], env=server.environment | {"DB_HOST": ""}, stderr=terminal,
                               stdin=subprocess.DEVNULL)
    os.close(terminal)
    try:
        wait_until("it answers", server.is_up, 10 * SLOW)
        server.call("GET", "/nope")
    finally:
        process.terminate()
        assert process.wait(30) == 0
    text = b""
    try:
        while piece := os.read(controller, 65536):
            text += piece
    except OSError:  # the terminal's other end is closed
        pass
    os.close(controller)
    assert re.search(rb"INFO +PayFlow API \S+ running on port \d+", text)
    assert re.search(rb"INFO +GET other 404 \d+\.\d{3} ms", text)
    assert b'"severity"' not in text


def test_a_log_that_nobody_reads_stops_no_payment(fresh_server):
    """A full pipe: lines are dropped and counted; requests go on."""
    server = fresh_server(start=False)
    server.migrate()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([server.binary, "serve"], env=server.environment, stderr=writer, stdin=subprocess.DEVNULL)
    os.close(writer)
    try:
        wait_until("it is ready", lambda: server.is_up() and server.call("GET", "/ready").status == 200, 10 * SLOW)
        with server.client() as client:
            for _ in range(400):
                assert client.call("POST", PAYMENTS, {"amount": 1}, headers={"X-Request-Id": "x" * 100}).status == 201
        wait_until("what was lost is counted", lambda: server.metrics()["payflow_log_dropped_total"] > 0)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        os.close(reader)


def test_database_trouble_is_logged_once_and_not_for_each_request(fresh_server):
    server = fresh_server(start=False, DB_PORT="1", REQUEST_TIMEOUT_MS="200").start(ready=False)
    wait_until("it says so", lambda: any(line.get("event") == "database_unreachable" for line in server.log_lines()))
    for _ in range(20):
        server.call("GET", PAYMENTS)
    server.stop()
    events = [line for line in server.log_lines() if line.get("event") == "database_unreachable"]
    assert 1 <= len(events) <= 7  # once a connection
    assert json.dumps(events).count("password") == 0
