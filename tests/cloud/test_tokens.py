"""Log-in by token while payments flow: tokens that end, a metadata server that is gone, one that is broken.

Tokens live seconds here instead of an hour, and log-ins are renewed every second or so instead of every half hour, so that
an hour's events fit into a test. The metadata server and the LDAP server behind PostgreSQL are mocks (identity.py).
"""
from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from identity import TOKEN_PREFIX, Authority, Ldap, Metadata, TlsPostgres, TlsRedis, Tokens
from servers import Folder, Server, Workers, wait_until

USER = "payflow_iam"
PAYMENT = {"amount": 10.5, "currency": "EUR"}


class Cloud:
    """One PostgreSQL and one Redis that want tokens, who checks them, and who gives them."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        identity = self.authority.issue("DNS:localhost", "IP:127.0.0.1")
        self.tokens = Tokens(60)
        self.metadata = Metadata(self.tokens).start()
        self.ldap = Ldap(self.tokens)
        self.redis = TlsRedis(folder, identity).start()
        self.tokens.redis = self.redis
        self.postgres = TlsPostgres(folder, identity).start()
        self.postgres.check_with(self.ldap.port, USER)

    def stop(self) -> None:
        self.metadata.stop()
        self.ldap.stop()
        self.redis.stop()
        self.postgres.stop()

    def server(self, **settings: str) -> Server:
        """A server that has no password at all."""
        database = self.postgres.database(owner=USER)
        made = Server(self.folder, database, None, **({
            "DB_IAM": "on", "DB_HOST": "localhost", "DB_PASSWORD": "", "DB_SSLMODE": "verify-full",
            "DB_SSLROOTCERT": str(self.authority.certificate),
            "REDIS_IAM": "on", "REDIS_URL": self.redis.tls_url(password=False), "REDIS_TIMEOUT_MS": "1000",
            "REDIS_CA": str(self.authority.certificate), "RATE_LIMIT": "100000000",
            "METADATA_HOST": self.metadata.host, "CONNECTION_LIFETIME_S": "1"} | settings))
        return made


@pytest.fixture(scope="module")
def cloud_servers(folder: Folder) -> Iterator[Cloud]:
    made = Cloud(folder)
    yield made
    made.stop()


@pytest.fixture
def cloud(cloud_servers: Cloud) -> Iterator[Cloud]:
    """As at first, and without a token that an earlier test got."""
    yield cloud_servers
    cloud_servers.metadata.stop()
    cloud_servers.metadata.mode = "ok"
    cloud_servers.metadata.start()
    cloud_servers.tokens.accepted.clear()
    cloud_servers.tokens.refused = 0


@pytest.fixture
def serve(cloud: Cloud) -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(lifetime_s: float, ready: bool = True, **settings: str) -> Server:
        cloud.tokens.lifetime_s = 60
        server = cloud.server(**settings)
        made.append(server)
        server.migrate()
        cloud.tokens.lifetime_s = lifetime_s
        cloud.tokens.accepted.clear()
        server.start(ready=ready)
        if ready:
            wait_until("Redis is up", lambda: server.metrics()["payflow_redis_up"] == 1)
        return server

    yield start
    for server in made:
        assert server.stop() == 0
        assert TOKEN_PREFIX not in server.log.read_text(), "a token was logged"


class Payments(Workers):
    """Clients that pay until stopped, each payment with a key of its own."""

    def __init__(self, server: Server, clients: int = 6) -> None:
        super().__init__(clients)
        self.server = server
        self.statuses: Counter[int] = Counter()

    def work(self, number: int) -> None:
        with self.server.client() as client:
            for count in itertools.count(1):
                if self.stopping.wait(0.005):
                    return
                status = client.call("POST", "/api/v1/payments", PAYMENT, key=f"{number}-{count}").status
                with self.lock:
                    self.statuses[status] += 1

    def go_on(self, payments: int = 20) -> None:
        want = self.statuses[201] + payments
        wait_until("payments are taken", lambda: self.statuses[201] >= want)


def events(server: Server, *names: str) -> list[str]:
    return [line["event"] for line in server.log_lines() if line.get("event") in names]


def test_tokens_end_under_load(cloud: Cloud, serve: Callable[..., Server]) -> None:
    server = serve(lifetime_s=6)
    with Payments(server) as payments:
        wait_until("three tokens were used", lambda: len(set(cloud.tokens.accepted)) >= 3, 60)
        payments.go_on()
    assert set(payments.statuses) == {201}
    assert cloud.tokens.refused == 0, "none was used after its end"
    assert server.sql("SELECT count(*) FROM payments")[0][0] == payments.statuses[201]
    figures = server.metrics()
    assert figures["payflow_token_errors_total"] == 0
    assert figures["payflow_redis_up"] == 1
    assert events(server, "database_unreachable", "database_lost", "redis_lost", "token_unavailable") == []
    log_ins, in_vain = cloud.redis.log_ins()
    assert log_ins >= 3, "Redis is logged in to again too"
    assert in_vain == 0


@pytest.mark.parametrize("how", ["gone", "error", "nonsense", "hang"])
def test_a_metadata_server_that_fails_for_less_than_a_token_lives(cloud: Cloud, serve: Callable[..., Server],
                                                                  how: str) -> None:
    """An hour's token is renewed four minutes before its end, so the server may be gone for a minute; here 16 s and 8 s."""
    server = serve(lifetime_s=16)
    if how == "gone":
        cloud.metadata.stop()
    cloud.metadata.mode = "ok" if how == "gone" else how
    with Payments(server) as payments:
        wait_until("it is missed", lambda: server.metrics()["payflow_token_errors_total"] >= 1, 60)
        cloud.tokens.accepted.clear()
        wait_until("log-ins go on with the last token", lambda: len(cloud.tokens.accepted) >= 3)
        cloud.metadata.mode = "ok"
        if how == "gone":
            cloud.metadata.start()
        wait_until("a new token is used", lambda: len(set(cloud.tokens.accepted)) >= 2, 60)
        payments.go_on()
    assert set(payments.statuses) == {201}
    assert cloud.tokens.refused == 0
    told = [line["event"] for line in server.log_lines()
            if line.get("event", "").startswith("token_") and "PostgreSQL" in line["message"]]
    assert told == ["token_unavailable", "token_fetched"], "a change is told once"
    assert events(server, "database_unreachable", "database_lost", "redis_lost") == []


def test_without_a_token_connections_that_stand_are_kept(cloud: Cloud, serve: Callable[..., Server]) -> None:
    server = serve(lifetime_s=4)
    cloud.metadata.stop()
    with Payments(server) as payments:
        time.sleep(4)  # the last token is over, whatever the load
        payments.go_on(50)
        assert set(payments.statuses) == {201}, "every payment that could be served was"
        cloud.postgres.stop()  # now nobody gets in again without a token
        wait_until("payments fail", lambda: payments.statuses[503] > 0)
        cloud.postgres.start()
        time.sleep(1)
        assert server.call("GET", "/ready").status == 503
        assert server.call("GET", "/health").status == 200
        cloud.metadata.start()
        payments.go_on()
    assert set(payments.statuses) == {201, 503}
    assert cloud.tokens.refused == 0, "a token that is over is not even tried"


def test_a_start_without_the_metadata_server(cloud: Cloud, serve: Callable[..., Server]) -> None:
    cloud.server().migrate()
    server = cloud.server()
    server.migrate()
    cloud.metadata.stop()
    server.start(ready=False)
    try:
        wait_until("it is missed", lambda: events(server, "token_unavailable"))
        assert server.call("GET", "/health").status == 200
        assert server.call("GET", "/ready").status == 503
        cloud.metadata.start()
        wait_until("it is ready", lambda: server.call("GET", "/ready").status == 200)
        wait_until("Redis is up", lambda: server.metrics()["payflow_redis_up"] == 1)
        assert server.call("POST", "/api/v1/payments", PAYMENT, key="one").status == 201
    finally:
        assert server.stop() == 0


def test_commands_log_in_by_token_and_fail_plainly_without(cloud: Cloud) -> None:
    server = cloud.server().migrate()
    assert server.command("verify").returncode == 0
    assert server.new_key("shop").startswith("pfk_live_")
    cloud.metadata.stop()
    done = server.command("verify")
    assert done.returncode != 0
    assert "token" in done.stdout + done.stderr
