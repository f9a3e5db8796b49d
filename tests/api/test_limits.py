"""Rate limits: what a caller sees, and that they hold across servers and whatever Redis does."""
from __future__ import annotations

import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from servers import SLOW, Folder, Postgres, Redis, Server, Workers, scaled, wait_until

LIST = "/api/v1/payments?limit=1"
# A loaded machine must not make Redis look slow, where slowness is not what is tested.
PATIENT = {"REDIS_TIMEOUT_MS": "1000"}


@pytest.fixture
def own_redis(folder: Folder) -> Iterator[Redis]:
    """One that a test may kill, freeze and fill."""
    made = Redis(folder)
    yield made.start()
    if made.is_running():
        made.signal(signal.SIGCONT)
    made.stop()


@pytest.fixture
def servers_on(folder: Folder, postgres: Postgres) -> Iterator[Callable[..., list[Server]]]:
    """Servers on one database and one Redis, ready and with Redis up."""
    made: list[Server] = []

    def make(redis: Redis, count: int = 1, up: bool = True, **settings: str) -> list[Server]:
        database = postgres.database()
        new = [Server(folder, database, redis, **settings) for _ in range(count)]
        made.extend(new)
        new[0].migrate()
        for each in new:
            each.start()
            if up:
                wait_until("Redis is up", lambda each=each: redis_up(each))
        return new

    yield make
    assert all(each.stop() == 0 for each in made)


def redis_up(server: Server) -> bool:
    return server.metrics()["payflow_redis_up"] == 1


def ready(server: Server) -> dict:
    answer = server.call("GET", "/ready")
    assert answer.status == 200, "without Redis a server is degraded, not unready"
    return answer.json()


def changes(server: Server) -> list[str]:
    """What it logged about Redis."""
    return [line["event"] for line in server.log_lines() if line.get("event", "").startswith("redis_")]


class Load(Workers):
    """Clients that ask as fast as they can until stopped; counts the statuses."""

    def __init__(self, servers: list[Server], clients: int = 8) -> None:
        super().__init__(clients)
        self.servers = servers
        self.statuses: Counter[int] = Counter()
        self.slowest_s = 0.0

    def work(self, number: int) -> None:
        with self.servers[number % len(self.servers)].client() as client:
            while not self.stopping.is_set():
                begun = time.monotonic()
                status = client.call("GET", LIST).status
                took = time.monotonic() - begun
                with self.lock:
                    self.statuses[status] += 1
                    self.slowest_s = max(self.slowest_s, took)

    def total(self) -> int:
        with self.lock:
            return sum(self.statuses.values())

    def goes_on(self, requests: int = 50) -> None:
        """So many more are answered."""
        want = self.total() + requests
        wait_until("requests are answered", lambda: self.total() >= want)


# --- what a caller sees ---


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "process"])
def test_a_refused_request_says_when_to_come_back(redis: Redis, folder: Folder, postgres: Postgres,
                                                 with_redis: bool) -> None:
    server = Server(folder, postgres.database(), redis if with_redis else None,
                    RATE_LIMIT="30", RATE_BURST="3", **PATIENT).migrate().start()
    try:
        if with_redis:
            wait_until("Redis is up", lambda: redis_up(server))
        with server.client() as client:
            replies = [client.call("GET", LIST) for _ in range(4)]
            assert [each.status for each in replies] == [200, 200, 200, 429]
            assert [each.headers["ratelimit"].split(";")[1] for each in replies] == ["r=2", "r=1", "r=0", "r=0"]
            assert {each.headers["ratelimit-policy"] for each in replies} == {'"default";q=30;w=60'}
            refused = replies[-1]
            assert refused.headers["content-type"].startswith("application/problem+json")
            assert refused.json()["status"] == 429
            wait_s = int(refused.headers["retry-after"])
            assert 1 <= wait_s <= 2
            time.sleep(wait_s)
            assert client.call("GET", LIST).status == 200, "who waits as long as told is served"
            assert client.call("GET", "/health").status == 200, "probes are not limited"
    finally:
        assert server.stop() == 0


def test_accounts_and_modes_have_limits_of_their_own(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server(PAYFLOW_AUTH="on", RATE_LIMIT="1", RATE_BURST="1", **PATIENT)
    keys = [server.new_key("a"), server.new_key("a", "--test"), server.new_key("b")]
    wait_until("Redis is up", lambda: redis_up(server))
    for key in keys:
        assert server.call("GET", LIST, token=key).status == 200
    for key in [*keys, server.new_key("a")]:
        assert server.call("GET", LIST, token=key).status == 429, "another key of the account shares its limit"


def test_without_a_key_the_address_counts(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server(PAYFLOW_AUTH="on", RATE_LIMIT_ADDRESS="2", RATE_BURST="2", TRUSTED_HOPS="1", **PATIENT)
    key = server.new_key("a")
    wait_until("Redis is up", lambda: redis_up(server))

    def ask(address: str, token: str | None = None) -> int:
        return server.call("GET", LIST, token=token, headers={"X-Forwarded-For": f"10.9.9.9, {address}"}).status

    assert server.call("GET", LIST, token=key).status == 200  # the key is known from here on
    assert [ask("192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert ask("192.0.2.2") == 401, "another address has its own limit"
    assert ask("192.0.2.1", key) == 200, "a known key is not held back by its address"


# --- across servers ---


def test_a_limit_holds_across_two_servers(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    limit = scaled(6000, 600)
    servers = servers_on(own_redis, 2, RATE_LIMIT=str(limit), RATE_BURST="50", **PATIENT)
    begun = time.monotonic()
    with Load(servers) as load:
        load.goes_on(60)
        time.sleep(8)
    passed_s = time.monotonic() - begun
    allowed, expected = load.statuses[200], 50 + limit / 60 * passed_s
    assert set(load.statuses) == {200, 429}, "the load must press against the limit"
    assert all(each.metrics()["payflow_redis_errors_total"] == 0 for each in servers)
    assert expected * 0.98 - 1 <= allowed <= expected * 1.02 + 1, load.statuses


def test_a_large_burst_holds_across_two_servers(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    """Each takes requests ahead from it, and neither more than there are nor so many that the other misses them."""
    limit = scaled(3000, 600)
    servers = servers_on(own_redis, 2, RATE_LIMIT=str(limit), RATE_BURST=str(limit), **PATIENT)
    begun = time.monotonic()
    with Load(servers) as load:
        wait_until("the burst is used up", lambda: load.statuses[429] > 50)
    allowed, expected = load.statuses[200], limit + limit / 60 * (time.monotonic() - begun)
    assert set(load.statuses) == {200, 429}
    assert expected * 0.98 - 1 <= allowed <= expected + 1, load.statuses


def test_a_busy_account_seldom_asks_redis(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    [server] = servers_on(own_redis, RATE_LIMIT="100000000", RATE_BURST="100000", **PATIENT)
    before = script_calls(own_redis)
    with Load([server]) as load:
        wait_until("many are answered without it", lambda: load.total() > script_calls(own_redis) - before + 200)
    assert set(load.statuses) == {200}


@pytest.mark.parametrize("burst,asked", [(600, 200), (60, 20)])
def test_a_lease_that_is_not_used_is_hardly_missed(own_redis: Redis, servers_on: Callable[..., list[Server]], burst: int,
                                                   asked: int) -> None:
    """What one server has taken ahead when its load ends: 1/64 of the burst at most, so nothing of a small one."""
    first, second = servers_on(own_redis, 2, RATE_LIMIT=str(burst), RATE_BURST=str(burst), **PATIENT)
    begun = time.monotonic()
    with Load([first], clients=4) as load:
        load.goes_on(asked)
    answer = second.call("GET", LIST)
    left = int(answer.headers["ratelimit"].split(";")[1].removeprefix("r="))
    paid_off = burst / 60 * (time.monotonic() - begun) + 1
    expected = burst - load.statuses[200] - 1
    assert expected - burst // 64 <= left <= max(expected, 0) + paid_off


# --- whatever Redis does ---


def test_redis_killed_and_brought_back_under_load(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    [server] = servers_on(own_redis, RATE_LIMIT="100000000", RATE_BURST="100000")
    with Load([server]) as load:
        load.goes_on()
        own_redis.kill()
        wait_until("it is seen", lambda: not redis_up(server))
        assert ready(server) == {"status": "ready", "degraded": ["redis"]}
        load.goes_on()
        own_redis.start()
        wait_until("Redis is used again", lambda: redis_up(server))
        load.goes_on()
        assert ready(server) == {"status": "ready"}
    assert set(load.statuses) == {200}
    assert changes(server)[:3] == ["redis_connected", "redis_lost", "redis_connected"]


def test_redis_frozen_under_load(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    """No time is asserted, but that frozen Redis does not hold every request for as long as a check may take."""
    [server] = servers_on(own_redis, RATE_LIMIT="100000000", RATE_BURST="100000")
    with Load([server]) as load:
        load.goes_on()
        own_redis.signal(signal.SIGSTOP)
        wait_until("it is seen", lambda: not redis_up(server))
        load.goes_on(500)
        assert ready(server)["degraded"] == ["redis"]
        own_redis.signal(signal.SIGCONT)
        wait_until("Redis is used again", lambda: redis_up(server))
        load.goes_on()
    assert set(load.statuses) == {200}
    assert load.slowest_s < 10 * SLOW


def test_the_process_takes_its_share_while_redis_is_away(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    [server] = servers_on(own_redis, RATE_LIMIT="60", RATE_BURST="20", MAX_INSTANCES="4")
    own_redis.kill()
    wait_until("it is seen", lambda: not redis_up(server))
    with server.client() as client:
        replies = [client.call("GET", LIST) for _ in range(8)]
    assert Counter(each.status for each in replies) == {200: 5, 429: 3}, "20 / 4 at once, and one every 4 s"


def test_redis_that_was_away_from_the_start(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    own_redis.kill()
    [server] = servers_on(own_redis, up=False, RATE_LIMIT="100000000")
    assert ready(server)["degraded"] == ["redis"]
    assert server.call("POST", "/api/v1/payments", {"amount": 1, "currency": "EUR"}).status in (201, 400)
    own_redis.start()
    wait_until("Redis is used", lambda: redis_up(server))
    assert changes(server) == ["redis_lost", "redis_connected"]


def test_redis_that_is_full(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    [server] = servers_on(own_redis, RATE_LIMIT="100000000", RATE_BURST="100000")
    with server.client() as client:
        assert client.call("GET", LIST).status == 200
        command(own_redis, "CONFIG SET maxmemory 1")
        assert {client.call("GET", LIST).status for _ in range(20)} == {200}
        wait_until("it is seen", lambda: not redis_up(server))
        assert {client.call("GET", LIST).status for _ in range(20)} == {200}
        command(own_redis, "CONFIG SET maxmemory 0")
        wait_until("Redis is used again", lambda: redis_up(server))


def test_a_lowered_limit_forgives_what_is_beyond_it(redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    """Else a caller would wait for longer than Retry-After says."""
    [strict] = servers_on(redis, RATE_LIMIT="1", RATE_BURST="1", **PATIENT)
    while strict.call("GET", LIST).status == 200:
        pass
    [lax] = servers_on(redis, RATE_LIMIT="60", RATE_BURST="1", **PATIENT)
    assert lax.call("GET", LIST).headers["retry-after"] == "1"
    time.sleep(1)
    assert lax.call("GET", LIST).status == 200


def test_redis_that_forgot_the_script(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    [server] = servers_on(own_redis, RATE_LIMIT="60", RATE_BURST="9", **PATIENT)
    with server.client() as client:
        assert client.call("GET", LIST).headers["ratelimit"].startswith('"default";r=8')
        command(own_redis, "SCRIPT FLUSH")
        assert client.call("GET", LIST).headers["ratelimit"].startswith('"default";r=7')
    assert server.metrics()["payflow_redis_errors_total"] == 0
    wait_until("it is connected, and the log says so", lambda: changes(server) == ["redis_connected"])


def test_a_wrong_password_is_told_and_no_secret_is_logged(own_redis: Redis, servers_on: Callable[..., list[Server]]) -> None:
    url = own_redis.url.replace(own_redis.password, "not-the-password")
    [server] = servers_on(own_redis, up=False, REDIS_URL=url, RATE_LIMIT="60")
    wait_until("it is logged", lambda: changes(server) == ["redis_lost"])
    assert "WRONGPASS" in server.log.read_text()
    assert "not-the-password" not in server.log.read_text()
    assert server.call("GET", LIST).status == 200


def exchange(redis: Redis, text: str, enough: Callable[[bytes], bool]) -> bytes:
    """The answers to a log-in and one inline command."""
    with socket.create_connection(("127.0.0.1", redis.port), timeout=10) as connection:
        connection.sendall(f"AUTH {redis.password}\r\n{text}\r\n".encode())
        received = b""
        while not enough(received):
            received += connection.recv(10000)
    return received


def command(redis: Redis, text: str) -> None:
    received = exchange(redis, text, lambda got: got.count(b"\r\n") == 2)
    assert received == b"+OK\r\n+OK\r\n", received


def script_calls(redis: Redis) -> int:
    """How often Redis was asked about a limit."""
    received = exchange(redis, "INFO commandstats", lambda got: got.endswith(b"\r\n\r\n"))
    return sum(int(calls) for calls in re.findall(rb"cmdstat_eval(?:sha)?:calls=(\d+)", received))
