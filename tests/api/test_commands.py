"""The commands of the binary: migrate, verify, prune, config, version, healthcheck. (keys: test_keys.py; smoke: test_smoke.py)"""
from __future__ import annotations

import re
import socket
import subprocess

import pytest
from servers import BINARY, SLOW, TOP, Server, together

PAYMENTS = "/api/v1/payments"
MIGRATIONS = sorted(path.stem for path in (TOP / "src/store/migrations").glob("*.sql"))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The binary with an environment of its own."""
    return subprocess.run([BINARY, *arguments], env={"PATH": "/usr/bin"} | environment, capture_output=True, text=True, check=False,
                          timeout=60 * SLOW)


# --- usage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["sing"], ["serve", "now"], ["migrate", "--force"], ["config", "--json"], ["verify", "x"], ["", ""]])
def test_what_is_no_command_is_refused_with_the_usage(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert "Usage: payflow [COMMAND]" in done.stderr


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_names_every_command(word):
    done = run(word)
    assert done.returncode == 0
    assert re.findall(r"^  (\w+) ", done.stdout, re.M) == ["serve", "migrate", "keys", "verify", "prune", "smoke", "healthcheck", "config",
                                                           "version"]


def test_version_names_every_component_with_its_version():
    done = run("version")
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert list(lines) == ["payflow", "civetweb", "cjson", "hiredis", "libpq", "openssl", "glibc"]
    assert lines["payflow"].split()[0] == (TOP / "VERSION").read_text().strip()
    assert all(re.match(r"\d+\.\d+", version) for version in lines.values())
    assert run("--version").stdout == done.stdout


@pytest.mark.parametrize("command", ["migrate", "verify", "prune", "keys"])
def test_without_a_database_configured_a_command_says_so(command):
    done = run(command, *(["list"] if command == "keys" else []))
    assert done.returncode == 78
    assert done.stderr == f"payflow {command}: no database is configured; set DB_HOST or DATABASE_URL\n"


# --- migrate ------------------------------------------------------------------------------------------------------------


def applied(server: Server) -> list[tuple]:
    return server.sql("SELECT version, name FROM schema_migrations ORDER BY version")


def test_migrate_applies_each_migration_once_and_says_so(fresh_server):
    server = fresh_server(start=False)
    done = server.command("migrate")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"applied {name}" for name in MIGRATIONS] + [
        f"{len(MIGRATIONS)} applied, the schema is at {len(MIGRATIONS)}"]
    assert applied(server) == [(int(name[:4]), name) for name in MIGRATIONS]
    again = server.command("migrate")
    assert (again.returncode, again.stdout) == (0, f"0 applied, the schema is at {len(MIGRATIONS)}\n")


def test_many_migrations_at_once_apply_each_once(fresh_server):
    server = fresh_server(start=False)
    done = together(6, lambda _: server.command("migrate"))
    assert [each.returncode for each in done] == [0] * 6, [each.stderr for each in done]
    assert sum(each.stdout.count("applied 0001") for each in done) == 1
    assert len(applied(server)) == len(MIGRATIONS)


def test_migrate_beside_a_server_under_load_stops_nobody(fresh_server):
    server = fresh_server()

    def work(number: int) -> set[int]:
        if number == 0:
            return {server.command("migrate").returncode}
        with server.client() as client:
            return {client.call("POST", PAYMENTS, {"amount": 1}).status for _ in range(20)}

    assert set().union(*together(8, work)) == {0, 201}


def test_migrate_leaves_a_newer_database_alone_and_refuses_one_that_needs_a_newer_binary(fresh_server):
    server = fresh_server(start=False).migrate()
    server.sql("INSERT INTO schema_migrations (version, name) VALUES (9000, 'from_the_future')")
    done = server.command("migrate")
    assert (done.returncode, done.stdout) == (0, "0 applied, the schema is at 9000, newer than this binary, which still works with it\n")
    server.sql("UPDATE schema_migrations SET breaks_before = 9000 WHERE version = 9000")
    done = server.command("migrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the database needs a binary that knows at least 9000 migrations" in done.stderr


def test_a_migration_that_fails_leaves_the_database_as_it_was(fresh_server):
    server = fresh_server(start=False)
    server.sql("CREATE TABLE refunds (x integer)")  # in the way of 0002
    done = server.command("migrate")
    assert done.returncode == 1
    assert 'relation "refunds" already exists (SQLSTATE 42P07)' in done.stderr
    assert applied(server) == [(1, "0001_payments")]
    assert server.sql("SELECT to_regclass('accounts')") == [(None,)]
    server.sql("DROP TABLE refunds")
    assert server.command("migrate").returncode == 0


def test_migrate_waits_for_a_lock_that_traffic_holds_and_then_goes_on(fresh_server):
    server = fresh_server(start=False)
    server.command("migrate")
    server.sql("DELETE FROM schema_migrations WHERE version = 3")
    holder = server.database.connect()
    holder.cursor().execute("SELECT pg_advisory_lock(7238615011337453)")
    waiting = subprocess.Popen([BINARY, "migrate"], env=server.environment, stdout=subprocess.PIPE, text=True)
    assert waiting.stdout.readline() == "waiting for another migration\n"
    assert applied(server)[-1][0] == 2
    holder.close()
    assert "applied 0003" in waiting.communicate(timeout=60)[0]
    assert waiting.returncode == 0


# --- verify -------------------------------------------------------------------------------------------------------------

A, B = "(SELECT min(id) FROM payments)", "(SELECT max(id) FROM payments)"
CORRUPTIONS = [  # the rule that it breaks, among others; how
    ("every payment has a history that begins with its creation", f"DELETE FROM events WHERE payment_id = {A}"),
    ("every payment has a history that begins with its creation", f"UPDATE payments SET amount_minor = 99999 WHERE id = {A}"),
    ("every event belongs to a payment of the same account and mode", f"DELETE FROM payments WHERE id = {A}"),
    ("every event belongs to a payment of the same account and mode", f"UPDATE events SET livemode = true WHERE payment_id = {A}"),
    ("a payment's events are numbered without gaps", f"UPDATE events SET n = 7 WHERE payment_id = {A} AND n = 2"),
    ("a payment's state is what its last event says", f"UPDATE payments SET status = 2, captured_minor = 5 WHERE id = {B}"),
    ("a payment's state is what its last event says", f"DELETE FROM events WHERE payment_id = {A} AND n = 3"),
    ("what was captured and refunded is the sum of the steps", f"UPDATE events SET amount_minor = 1 WHERE payment_id = {A} AND n = 2"),
    ("every refund is an event of the same amount, and the other way round", f"UPDATE refunds SET amount_minor = 1 WHERE payment_id = {A}"),
    ("every refund is an event of the same amount, and the other way round", f"DELETE FROM refunds WHERE payment_id = {A}"),
    ("refunds never exceed what was captured, nor captures the amount", f"INSERT INTO refunds SELECT created_at, 900, account_id, livemode,"
     f" payment_id, 'ref_planted', reason FROM refunds WHERE payment_id = {A}"),
    ("every idempotency key leads to what it made", "UPDATE idempotency_keys SET object_id = 'pay_gone' WHERE operation = 1"),
    ("every idempotency key leads to what it made", "UPDATE idempotency_keys SET object_id = 'ref_gone' WHERE operation = 4"),
    ("no step was recorded twice", f"UPDATE events SET object_id = 'ref_twice' WHERE payment_id = {A} AND n > 1"),
    ("every payment belongs to an account", "UPDATE payments SET account_id = 77"),
]


@pytest.fixture(scope="module")
def story(folder, postgres, redis):
    """A payment with a capture and a refund, another one, and copies of all tables, to be put back after each corruption."""
    server = Server(folder, postgres.database(), redis).migrate().start()
    made = server.call("POST", PAYMENTS, {"amount": 10}, key="one").headers["location"]
    server.call("POST", f"{made}/capture", {"amount": 8}, key="two")
    server.call("POST", f"{made}/refunds", {"amount": 3}, key="three")
    server.call("POST", PAYMENTS, {"amount": 10})
    assert server.stop() == 0
    for table in ("payments", "events", "refunds", "idempotency_keys"):
        server.sql(f"CREATE TABLE copy_of_{table} AS SELECT * FROM {table}")
    yield server


def put_back(server: Server) -> None:
    for table in ("payments", "events", "refunds", "idempotency_keys"):
        server.sql(f"DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM copy_of_{table}")


def test_verify_finds_nothing_where_all_is_well(story):
    done = story.command("verify")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "2 payments, 4 events"
    assert {rule for rule, _ in CORRUPTIONS} == {line[6:] for line in lines[1:]} and all(line.startswith("ok    ") for line in lines[1:])


@pytest.mark.parametrize("rule,plant", CORRUPTIONS, ids=[plant[:60] for _, plant in CORRUPTIONS])
def test_verify_finds_planted_corruption(story, rule, plant):
    story.sql(plant)
    try:
        done = story.command("verify")
    finally:
        put_back(story)
    assert done.returncode == 1
    assert re.search(rf"^FAIL  {re.escape(rule)}: \d+ do not$", done.stdout, re.M), done.stdout


# --- prune --------------------------------------------------------------------------------------------------------------


def test_prune_deletes_keys_that_are_old_enough_and_nothing_else(fresh_server):
    server = fresh_server()
    for number in range(6):
        assert server.call("POST", PAYMENTS, {"amount": 1}, key=f"k{number}").status == 201
    server.sql("UPDATE idempotency_keys SET created_at = now() - interval '24 hours 1 minute' WHERE key IN ('k0', 'k1', 'k2')")
    server.sql("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes' WHERE key = 'k3'")
    held = server.database.connect()
    held.cursor().execute("SELECT * FROM idempotency_keys WHERE key = 'k2' FOR UPDATE")
    done = server.command("prune")
    assert (done.returncode, done.stdout) == (0, "deleted 2 idempotency keys older than 24 hours\n")  # nobody waits for the third
    held.close()
    assert server.command("prune").stdout == "deleted 1 idempotency keys older than 24 hours\n"
    assert server.sql("SELECT key FROM idempotency_keys ORDER BY key") == [("k3",), ("k4",), ("k5",)]
    assert server.sql("SELECT count(*) FROM payments") == [(6,)]
    assert server.call("POST", PAYMENTS, {"amount": 1}, key="k3").replayed
    reused = server.call("POST", PAYMENTS, {"amount": 2}, key="k0")
    assert (reused.status, reused.replayed) == (201, False)
    assert server.command("verify").returncode == 0


def test_prune_in_batches_beside_writers_of_the_same_keys(fresh_server):
    server = fresh_server()
    server.sql("INSERT INTO idempotency_keys (created_at, account_id, livemode, operation, target, key, object_id, fingerprint)"
               " SELECT now() - interval '2 days', 1, false, 1, '', 'old-' || n, 'pay_x', decode(repeat('00', 32), 'hex')"
               " FROM generate_series(1, 4500) n")

    def work(number: int) -> set[int]:
        if number < 2:
            return {server.command("prune").returncode}
        with server.client() as client:
            return {client.call("POST", PAYMENTS, {"amount": 1}, key=f"old-{turn * 40 + number}").status for turn in range(1, 20)}

    assert set().union(*together(10, work)) <= {0, 201, 409, 422}
    assert server.sql("SELECT count(*) FROM idempotency_keys WHERE created_at < now() - interval '1 day'") == [(0,)]
    assert server.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


# --- config -------------------------------------------------------------------------------------------------------------


def test_config_shows_what_is_in_force_and_hides_secrets():
    secrets = {"DATABASE_URL": "postgresql://u:hush-1@h/d", "DB_PASSWORD": "hush-2", "REDIS_URL": "redis://:hush-3@r:1/0"}
    done = run("config", PORT="4000", PAYFLOW_ENV="staging", **secrets)
    assert done.returncode == 0
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (shown["PORT"], shown["PAYFLOW_ENV"], shown["MAX_CONCURRENCY"], shown["PAYFLOW_AUTH"]) == ("4000", "staging", "128", "on")
    assert {shown[name] for name in secrets} == {"(set)"}
    assert "hush" not in done.stdout + done.stderr
    assert dict(line.split("=", 1) for line in run("config").stdout.splitlines())["DB_PASSWORD"] == "(not set)"


@pytest.mark.parametrize("name,value", [
    ("PORT", "0"), ("PORT", "65536"), ("PORT", "3000x"), ("PORT", "-1"), ("PORT", "0x10"), ("PORT", "1e3"), ("PORT", " 3000"),
    ("PORT", "+3000"),
    ("MAX_CONCURRENCY", "99999999999999999999"), ("PAYFLOW_AUTH", "maybe"), ("PAYFLOW_ENV", "prod"), ("LOG_LEVEL", "loud"),
    ("IDEMPOTENCY_HOURS", "23"), ("REDIS_URL", "http://x"), ("REDIS_URL", "redis://r:port"), ("REDIS_URL", "redis://%zz@r"),
    ("KEY_CACHE_MS", "30001"), ("PAYFLOW_AUHT", "off"), ("PAYFLOW_DEBUG", "1"),
])
def test_a_bad_value_is_named_and_nothing_starts(name, value):
    for command in ("config", "serve", "migrate"):
        done = run(command, **{name: value})
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr.startswith(f"{name}: ")
        assert len(done.stderr.splitlines()) == 1


def test_all_bad_values_are_reported_at_once_and_none_of_a_secret():
    bad = {"PORT": "x", "DB_PORT": "y", "PAYFLOW_AUTH": "z", "RATE_BURST": "0", "REDIS_URL": "hush://hush-9"}
    done = run("config", **bad)
    assert done.returncode == 78
    assert {line.split(":")[0] for line in done.stderr.splitlines()} == set(bad)
    assert "hush-9" not in done.stderr


def test_an_empty_value_counts_as_not_set():
    shown = run("config", PORT="", PAYFLOW_ENV="", LOG_LEVEL="").stdout
    assert "PORT=3000\n" in shown and "PAYFLOW_ENV=development\n" in shown


def test_a_misspelled_name_is_told_what_it_may_have_meant():
    assert run("config", PAYFLOW_AUHT="off").stderr == "PAYFLOW_AUHT: there is no such setting; did you mean PAYFLOW_AUTH?\n"


@pytest.mark.parametrize("unsafe,name", [
    ({"PAYFLOW_AUTH": "off"}, "PAYFLOW_AUTH"), ({"DB_HOST": "db", "DB_SSLMODE": "require"}, "DB_SSLMODE"),
    ({"DB_HOST": "db", "DB_SSLMODE": "disable"}, "DB_SSLMODE"), ({"DATABASE_URL": "postgresql://db/p?sslmode=prefer"}, "DATABASE_URL"),
    ({"DATABASE_URL": "postgresql://db/p"}, "DATABASE_URL"), ({"REDIS_URL": "redis://r:6379"}, "REDIS_URL"),
])
def test_production_refuses_what_is_unsafe(unsafe, name):
    done = run("serve", PAYFLOW_ENV="production", **unsafe)
    assert done.returncode == 78
    assert done.stderr.startswith(f"{name}: production needs ")
    assert run("config", PAYFLOW_ENV="development", **unsafe).returncode == 0


def test_the_page_of_settings_is_what_the_binary_says():
    """To write it anew: build/payflow config --markdown >docs/settings.md"""
    assert (TOP / "docs" / "settings.md").read_text() == run("config", "--markdown").stdout


# --- healthcheck --------------------------------------------------------------------------------------------------------


def test_healthcheck_tells_a_healthy_server_from_none(server):
    assert server.command("healthcheck").returncode == 0
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        done = run("healthcheck", PORT=str(nobody.getsockname()[1]))
    assert done.returncode == 1
    assert re.fullmatch(r"payflow healthcheck: no 200 from http://127\.0\.0\.1:\d+/health\n", done.stderr)


def test_healthcheck_ends_soon_when_nothing_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it connects, and hears nothing
        assert run("healthcheck", PORT=str(silent.getsockname()[1])).returncode == 1


def test_a_taken_port_is_one_clear_sentence():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", PORT=str(port), LOG_FORMAT="text")
    assert done.returncode == 70
    assert f"CRITICAL port {port} is taken: another program listens on it\n" in done.stderr
