"""Who answers for PostgreSQL and Redis must prove who it is: real servers with good and bad certificates."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
from identity import NOT_YET, PAST_TIME, Authority, TlsPostgres, TlsRedis
from servers import Folder, Server, wait_until

REFUSED = {
    "another-name": (["DNS:other.example"], None, "match"),
    "another-address": (["IP:127.0.0.2", "DNS:localhost.example"], None, "match"),
    "another-authority": (["DNS:localhost", "IP:127.0.0.1"], "other", "verify|certificate"),
    "expired": (["DNS:localhost", "IP:127.0.0.1"], PAST_TIME, "expired|verify"),
    "not-yet-valid": (["DNS:localhost", "IP:127.0.0.1"], NOT_YET, "not yet valid|verify"),
}
HOSTS = ["localhost", "127.0.0.1"]


@pytest.fixture(scope="module")
def authority(folder: Folder) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def other(folder: Folder) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def tls_postgres(folder: Folder, authority: Authority) -> Iterator[TlsPostgres]:
    made = TlsPostgres(folder, authority.issue("DNS:localhost", "IP:127.0.0.1"))
    yield made.start()
    made.stop()


def identity_of(case: str, authority: Authority, other: Authority):
    names, what, _ = REFUSED[case]
    if what == "other":
        return other.issue(*names)
    return authority.issue(*names, valid=what) if what else authority.issue(*names)


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def on_postgres(folder: Folder, authority: Authority, tls_postgres: TlsPostgres) -> Server:
    """Not a running one: for its commands."""
    return Server(folder, tls_postgres.database(), DB_SSLMODE="verify-full",
                  DB_SSLROOTCERT=str(authority.certificate)).migrate()


@pytest.mark.parametrize("host", HOSTS)
def test_postgres_that_proves_its_name_is_used(on_postgres: Server, host: str) -> None:
    done = on_postgres.command("verify", DB_HOST=host)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", REFUSED)
def test_postgres_with_a_bad_certificate_is_refused(case: str, authority: Authority, other: Authority,
                                                    tls_postgres: TlsPostgres, on_postgres: Server) -> None:
    good = dict(tls_postgres.options)
    tls_postgres.stop()
    tls_postgres.show(identity_of(case, authority, other))
    tls_postgres.start()
    try:
        for host in HOSTS:
            done = on_postgres.command("verify", DB_HOST=host)
            assert done.returncode != 0, f"{host} was believed"
            assert any(word in done.stdout + done.stderr for word in REFUSED[case][2].split("|")), done.stderr
        unchecked = on_postgres.command("verify", DB_SSLMODE="require", DB_SSLROOTCERT="")
        assert unchecked.returncode == 0, "it is the certificate that is refused, not something else"
    finally:
        tls_postgres.stop()
        tls_postgres.options = good
        tls_postgres.start()


# --- Redis ---


def verdict(folder: Folder, url: str, **settings: str) -> dict:
    """What a server logs about that Redis first."""
    server = Server(folder, None, None, REDIS_URL=url, **settings).start(ready=False)
    try:
        def said() -> list[dict]:
            return [line for line in server.log_lines() if line.get("event", "").startswith("redis_")]
        wait_until("it says how Redis is", said)
        assert server.call("GET", "/health").status == 200
        return said()[0]
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("host", HOSTS)
def test_redis_that_proves_its_name_is_used(folder: Folder, authority: Authority, host: str) -> None:
    redis = TlsRedis(folder, authority.issue("DNS:localhost", "IP:127.0.0.1")).start()
    try:
        assert verdict(folder, redis.tls_url(host), REDIS_CA=str(authority.certificate))["event"] == "redis_connected"
    finally:
        redis.stop()


@pytest.mark.parametrize("case", REFUSED)
def test_redis_with_a_bad_certificate_is_refused(case: str, folder: Folder, authority: Authority,
                                                 other: Authority) -> None:
    redis = TlsRedis(folder, identity_of(case, authority, other)).start()
    try:
        for host in HOSTS:
            line = verdict(folder, redis.tls_url(host), REDIS_CA=str(authority.certificate))
            assert line["event"] == "redis_lost", f"{host} was believed"
            assert any(word in line["message"] for word in REFUSED[case][2].split("|")), line
        assert redis.log_ins() == (0, 0), "nothing was sent to it, least of all a password"
    finally:
        redis.stop()


def test_redis_without_an_authority_to_vouch_for_it_is_refused(folder: Folder, authority: Authority) -> None:
    redis = TlsRedis(folder, authority.issue("DNS:localhost")).start()
    try:
        for settings in ({}, {"REDIS_CA": "/nonexistent"}):
            assert verdict(folder, redis.tls_url("localhost"), **settings)["event"] == "redis_lost"
    finally:
        redis.stop()


def test_redis_that_speaks_no_tls_is_refused(folder: Folder, authority: Authority) -> None:
    redis = TlsRedis(folder, authority.issue("DNS:localhost")).start()
    try:
        url = f"rediss://:{redis.password}@localhost:{redis.port}"
        assert verdict(folder, url, REDIS_CA=str(authority.certificate))["event"] == "redis_lost"
    finally:
        redis.stop()


# --- settings ---

SAFE = {"PAYFLOW_ENV": "production", "DB_HOST": "db.example", "DB_SSLMODE": "verify-full", "REDIS_URL": "rediss://cache.example"}


@pytest.mark.parametrize("settings, complaint", [
    ({}, None),
    ({"DB_SSLMODE": "verify-ca"}, None),
    ({"DB_SSLMODE": "require"}, "DB_SSLMODE"),
    ({"DATABASE_URL": "postgresql://db.example/x?sslmode=prefer"}, "DATABASE_URL"),
    ({"DATABASE_URL": "postgresql://db.example/x"}, "DATABASE_URL"),
    ({"REDIS_URL": "redis://cache.example"}, "REDIS_URL"),
    ({"PAYFLOW_AUTH": "off"}, "PAYFLOW_AUTH"),
    ({"PAYFLOW_ENV": "development", "DB_SSLMODE": "prefer", "REDIS_URL": "redis://cache.example"}, None),
    ({"PAYFLOW_ENV": "development", "DB_SSLMODE": "prefer", "DB_IAM": "on"}, "DB_SSLMODE"),
    ({"PAYFLOW_ENV": "staging", "REDIS_URL": "redis://cache.example", "REDIS_IAM": "on"}, "REDIS_URL"),
], ids=str)
def test_wires_that_others_could_read_are_refused_at_the_start(folder: Folder, settings: dict[str, str],
                                                               complaint: str | None) -> None:
    done = Server(folder).command("config", **(SAFE | settings))
    assert done.returncode == (78 if complaint else 0), done.stderr
    assert complaint is None or done.stderr.startswith(f"{complaint}: ")
