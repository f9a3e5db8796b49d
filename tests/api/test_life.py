"""From start to stop: a server under load that is asked to end answers everybody; hundreds of connections are all served."""
from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter

import pytest
from servers import BUILD, Client, Server, scaled, wait_until

PAYMENTS = "/api/v1/payments"


class Caller(threading.Thread):
    """Sends payments one after another until the server is gone. What it saw of each is kept."""

    def __init__(self, server: Server, number: int, keep: bool) -> None:
        super().__init__()
        self.server, self.number, self.keep = server, number, keep
        self.acknowledged: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.unanswered: list[str] = []
        self.refused = False  # nobody listens any more: nothing was taken that could be lost

    def run(self) -> None:
        client = Client(self.server.port)
        for turn in range(100000):
            key = f"life-{self.number}-{turn}"
            try:
                client.connection.connect() if client.connection.sock is None else None
            except ConnectionRefusedError:
                self.refused = True
                return
            try:
                reply = client.call("POST", PAYMENTS, {"amount": 1}, key=key)
            except (ConnectionError, http.client.HTTPException, TimeoutError) as fault:
                self.unanswered.append(f"{key}: {fault!r}")
                return
            self.statuses[reply.status] += 1
            if reply.status == 201:
                self.acknowledged.append(reply.json()["id"])
            if not self.keep or reply.headers.get("connection") == "close":
                client.close()


@pytest.mark.parametrize("keep", [True, False], ids=["keep-alive", "a connection each"])
def test_asked_to_stop_under_load_it_answers_everybody_and_is_gone_within_ten_seconds(fresh_server, keep):
    server = fresh_server(DRAIN_MS="1000")
    callers = [Caller(server, number, keep) for number in range(24)]
    for caller in callers:
        caller.start()
    wait_until("all are at it", lambda: all(caller.acknowledged for caller in callers))
    begun = time.monotonic()
    server.signal(15)
    wait_until("/ready says that it is draining", lambda: _ready(server) == (503, "draining"), 5)
    status = server.wait(20)
    took = time.monotonic() - begun
    for caller in callers:
        caller.join()
    assert status == 0
    assert took < 10, f"it took {took:.1f} s"
    assert took > 1, "it went on taking requests for a second"
    assert [each for caller in callers for each in caller.unanswered] == []
    assert all(caller.refused for caller in callers)
    assert set(sum((caller.statuses for caller in callers), Counter())) == {201}
    acknowledged = {each for caller in callers for each in caller.acknowledged}
    stored = {identifier for (identifier,) in server.sql("SELECT id FROM payments")}
    assert acknowledged == stored


def _ready(server: Server) -> tuple[int, str] | None:
    try:
        reply = server.call("GET", "/ready")
    except OSError:
        return None
    return reply.status, reply.json().get("reason", "")


def test_while_it_drains_every_answer_says_that_the_connection_closes(fresh_server):
    server = fresh_server(DRAIN_MS="1500")
    with server.client() as idle, server.client() as other:
        assert "connection" not in idle.call("GET", "/health").headers
        other.call("GET", "/health")
        server.signal(15)
        time.sleep(0.3)
        assert idle.call("POST", PAYMENTS, {"amount": 1}).headers["connection"] == "close"
        assert server.call("GET", "/health").status == 200
        assert other.call("GET", "/health").headers["connection"] == "close"
    assert server.wait(15) == 0


def test_a_request_that_waits_for_a_lock_when_the_server_is_asked_to_stop_is_answered(fresh_server):
    server = fresh_server(DRAIN_MS="0", REQUEST_TIMEOUT_MS="30000")
    blocker = server.database.connect()
    blocker.cursor().execute("LOCK TABLE payments IN SHARE MODE")
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(server.call("POST", PAYMENTS, {"amount": 1}).status))
    waiting.start()
    time.sleep(0.3)
    server.signal(15)
    time.sleep(0.5)
    assert server.is_running()
    blocker.rollback()
    blocker.close()
    waiting.join()
    assert answers == [201]
    assert server.wait(10) == 0


def test_idle_and_half_sent_connections_do_not_hold_up_the_end(fresh_server):
    server = fresh_server(DRAIN_MS="0", BODY_TIMEOUT_MS="1000")
    idle = [socket.create_connection((server.host, server.port)) for _ in range(20)]
    idle[0].sendall(b"GET /hea")
    idle[1].sendall(b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{")
    time.sleep(0.2)
    begun = time.monotonic()
    assert server.stop(limit_s=20) == 0
    assert time.monotonic() - begun < 10
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("number", [2, 15])
def test_ctrl_c_and_sigterm_end_it_alike(fresh_server, number):
    server = fresh_server()
    assert server.stop(number) == 0
    assert [line["event"] for line in server.log_lines() if "event" in line][-2:] == ["draining", "stopped"]


def test_it_starts_again_at_once_on_the_same_port_and_has_everything(fresh_server):
    server = fresh_server()
    payment = server.call("POST", PAYMENTS, {"amount": 1}, key="k").headers["location"]
    for end in (server.stop, server.kill):
        end()
        server.start()
        assert server.call("GET", payment).status == 200
        assert server.call("POST", PAYMENTS, {"amount": 1}, key="k").replayed


def test_five_hundred_keep_alive_connections_are_all_served(fresh_server):
    server = fresh_server()
    connections = scaled(500, 500 if BUILD == "cov" else 200)
    clients = [server.client() for _ in range(connections)]
    for round_ in range(3):
        for number, client in enumerate(clients):
            path = ("/health", PAYMENTS + "?limit=1")[(number + round_) % 2]
            reply = client.call("GET", path)
            assert reply.status == 200 and "connection" not in reply.headers
    sockets = {client.connection.sock for client in clients}
    assert len(sockets) == connections and None not in sockets, "each kept its connection"
    assert server.metrics()["http_connections"] >= connections

    def work(share: list[Client]) -> None:
        for client in share:
            assert client.call("POST", PAYMENTS, {"amount": 1}).status == 201

    threads = [threading.Thread(target=work, args=(clients[start::50],)) for start in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.sql("SELECT count(*) FROM payments") == [(connections,)]
    for client in clients:
        client.close()
    wait_until("the server has noticed", lambda: server.metrics()["http_connections"] < 10)


def test_silent_and_half_sent_connections_are_cleared_within_the_time_outs_and_all_is_as_before(fresh_server):
    server = fresh_server(HEAD_TIMEOUT_MS="1000", BODY_TIMEOUT_MS="1000", MAX_CONNECTIONS="400")
    server.call("GET", "/health")
    before = server.metrics()
    silent = [socket.create_connection((server.host, server.port)) for _ in range(100)]
    half = [socket.create_connection((server.host, server.port)) for _ in range(100)]
    for number, connection in enumerate(half):
        connection.sendall((b"GET /health HTTP/1.1\r\nHos", b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
                            b"\r\nContent-Length: 100\r\n\r\n{\"amount\":")[number % 2])
    assert server.call("POST", PAYMENTS, {"amount": 1}).status == 201, "others are served meanwhile"
    wait_until("all are cleared", lambda: server.metrics()["http_connections"] <= before["http_connections"] + 1, 20)
    for connection in silent + half:
        connection.close()
    after = server.metrics()
    assert after["process_open_fds"] <= before["process_open_fds"] + 5
    assert after["process_threads"] <= before["process_threads"]
    assert server.call("POST", PAYMENTS, {"amount": 1}).status == 201


def test_beyond_the_cap_connections_are_refused_and_those_that_are_there_stay(fresh_server):
    server = fresh_server(MAX_CONNECTIONS="50")
    clients = [server.client() for _ in range(48)]
    for client in clients:
        assert client.call("GET", "/health").status == 200
    more = [socket.create_connection((server.host, server.port), timeout=5) for _ in range(20)]

    def refused() -> bool:
        return b"\nhttp_connections_refused_total 18\n" in clients[0].call("GET", "/metrics").body
    wait_until("all but two are refused", refused)
    for client in clients:
        assert client.call("GET", "/health").status == 200
    for client in clients:
        client.close()
    for connection in more:
        connection.close()
    wait_until("there is room again", lambda: _ready(server) == (200, ""))
