"""Who may call: keys, scopes, modes, expiry, revocation, isolation, and a database role that may do no more than serving needs."""
from __future__ import annotations

import hashlib
import re
import time

import psycopg2
import psycopg2.errors
import pytest
import yaml
from servers import TOP, Database, Server, wait_until

PAYMENTS = "/api/v1/payments"
BOTH = "payments:read,payments:write"
CONTRACT = yaml.safe_load((TOP / "openapi.yaml").read_text())
NOWHERE = "pay_01kb0a6v0rj4t2c7m9x3w5y8ze"


@pytest.fixture(scope="module")
def shop(folder, postgres, redis):
    """A server that asks for keys, trusts a checked one for 300 ms, and has three of them."""
    server = Server(folder, postgres.database(), redis, PAYFLOW_AUTH="on", KEY_CACHE_MS="300").migrate()
    server.keys = {"a": server.new_key("a"), "b": server.new_key("b"), "a-test": server.new_key("a", "--test")}
    server.start()
    yield server
    assert server.stop() == 0


def key_id(server: Server, key: str) -> str:
    return server.sql("SELECT id FROM api_keys WHERE hash = %s", hashlib.sha256(key.encode()).digest())[0][0]


# --- keys create, list, revoke ------------------------------------------------------------------------------------------


def test_a_key_made_elsewhere_is_known_by_its_hash_alone(shop):
    key = "pfk_test_" + "5a" * 32
    hash_ = hashlib.sha256(key.encode()).hexdigest()
    made = shop.command("keys", "create", "--account", "elsewhere", "--scope", BOTH, "--test", "--hash", hash_)
    assert made.returncode == 0 and made.stdout == ""
    assert key not in made.stderr
    answer = shop.call("POST", PAYMENTS, {"amount": 1}, token=key)
    assert answer.status == 201 and answer.json()["livemode"] is False
    for bad in ("", "5a", "5A" * 32, "xy" * 32, "5a" * 33):
        assert shop.command("keys", "create", "--account", "elsewhere", "--scope", BOTH, "--hash", bad).returncode == 64


def test_a_key_is_printed_once_alone_on_stdout_and_only_its_hash_is_kept(shop):
    made = shop.command("keys", "create", "--account", "hash", "--scope", BOTH)
    assert re.fullmatch(r"pfk_live_[0-9a-f]{64}\n", made.stdout)
    key = made.stdout.strip()
    assert re.search(r"Key key_[0-9a-z]{26} of account hash\. It is shown this once", made.stderr)
    assert key not in made.stderr
    assert shop.sql("SELECT length(hash), livemode FROM api_keys WHERE id = %s", key_id(shop, key)) == [(32, True)]
    everything = "".join(str(shop.sql(f"SELECT * FROM {table}")) for table in ("api_keys", "accounts"))
    assert key not in everything and key[9:] not in everything
    assert key not in shop.command("keys", "list").stdout


def test_keys_differ_and_an_account_may_have_many(shop):
    keys = {shop.new_key("many") for _ in range(3)}
    assert len(keys) == 3
    assert shop.sql("SELECT count(*) FROM accounts WHERE name = 'many'") == [(1,)]


def test_the_list_shows_whose_key_it_is_what_it_may_and_whether_it_still_does(shop):
    rows = {"read": shop.new_key("lister", scope="payments:read"), "test": shop.new_key("lister", "--test"),
            "soon": shop.new_key("lister", "--expires", "90d"), "gone": shop.new_key("lister")}
    shop.command("keys", "revoke", key_id(shop, rows["gone"]))
    shop.sql("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE id = %s", key_id(shop, rows["test"]))
    listing = {line.split()[0]: line for line in shop.command("keys", "list").stdout.splitlines()}
    assert re.search(r"lister +live +payments:read +\d{4}-\d\d-\d\d +active$", listing[key_id(shop, rows["read"])])
    assert re.search(r"lister +test +payments:read,payments:write .* expired$", listing[key_id(shop, rows["test"])])
    assert re.search(r" active until \d{4}-\d\d-\d\d$", listing[key_id(shop, rows["soon"])])
    assert listing[key_id(shop, rows["gone"])].endswith(" revoked")


@pytest.mark.parametrize("arguments", [
    [], ["create"], ["create", "--account", "x"], ["create", "--scope", BOTH], ["create", "--account", "x", "--scope", "admin"],
    ["create", "--account", "x", "--scope", "payments:read,all"], ["create", "--account"],
    ["create", "--account", "x", "--scope", BOTH, "--expires", "soon"], ["create", "--account", "x", "--scope", BOTH, "--expires", "0d"],
    ["create", "--account", "x", "--scope", BOTH, "--expires", "99999d"], ["create", "--account", "x", "--scope", BOTH, "--live"],
    ["list", "all"], ["revoke"], ["revoke", "a", "b"], ["delete", "x"],
])
def test_what_keys_does_not_understand_it_does_not_do(shop, arguments):
    before = shop.sql("SELECT count(*) FROM api_keys")
    done = shop.command("keys", *arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith("Usage: payflow keys create")
    assert shop.sql("SELECT count(*) FROM api_keys") == before


def test_a_key_that_is_not_there_cannot_be_revoked(shop):
    done = shop.command("keys", "revoke", "key_x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no key of that id" in done.stderr


# --- authentication -----------------------------------------------------------------------------------------------------

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("header", [
    None, "", "Bearer", "Bearer ", "Bearer x", "Basic dXNlcjpwdw==", f"Bearer pfk_live_{HEX}", f"Bearer pfk_test_{HEX}",
    f"Bearer pfk_live_{HEX}0", f"Bearer pfk_live_{HEX[:-1]}", f"pfk_live_{HEX}", f"Bearer  pfk_live_{HEX}", f"Bearer pfk_dead_{HEX}",
    f"Bearer pfk_live_{HEX} x", "Bearer ' OR 1=1 --", "Bearer " + "a" * 8000,
])
def test_without_a_key_that_is_known_there_is_no_answer_but_401(shop, header):
    for path in (PAYMENTS, f"{PAYMENTS}/{NOWHERE}", "/api/v1/events"):
        reply = shop.call("GET", path, headers={} if header is None else {"Authorization": header})
        assert reply.status == 401
        challenge = 'Bearer realm="payflow"' + ('' if header is None else ', error="invalid_token"')
        assert reply.headers["www-authenticate"] == challenge
        assert reply.json()["error"] == "Authentication required"


def test_bearer_may_be_written_in_any_case(shop):
    for word in ("bearer", "BEARER", "Bearer"):
        assert shop.call("GET", PAYMENTS, headers={"Authorization": f"{word} {shop.keys['a']}"}).status == 200


def test_a_key_in_other_letters_is_another_key(shop):
    assert shop.call("GET", PAYMENTS, token=shop.keys["a"].upper()).status == 401
    assert shop.call("GET", PAYMENTS, token="pfk_live_" + shop.keys["a"][9:].upper()).status == 401
    assert shop.call("GET", PAYMENTS, token=shop.keys["a"].replace("live", "test")).status == 401


def test_the_key_is_checked_before_the_request_is(shop):
    assert shop.call("POST", PAYMENTS, "no json").status == 401
    assert shop.call("GET", f"{PAYMENTS}?limit=0").status == 401


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
def test_what_is_no_business_needs_no_key(shop, path):
    assert shop.call("GET", path).status == 200


# --- scopes, expiry, revocation -----------------------------------------------------------------------------------------


def test_a_key_may_do_what_its_scopes_say_and_no_more(shop):
    reader, writer = shop.new_key("scopes", scope="payments:read"), shop.new_key("scopes", scope="payments:write")
    payment = shop.call("POST", PAYMENTS, {"amount": 5}, token=writer).headers["location"]
    assert shop.call("GET", payment, token=reader).status == 200
    for method, path, token in [("POST", PAYMENTS, reader), ("POST", f"{payment}/capture", reader), ("POST", f"{payment}/cancel", reader),
                                ("POST", f"{payment}/fail", reader), ("POST", f"{payment}/refunds", reader), ("GET", payment, writer),
                                ("GET", PAYMENTS, writer), ("GET", f"{payment}/events", writer), ("GET", f"{payment}/refunds", writer),
                                ("GET", "/api/v1/events", writer)]:
        reply = shop.call(method, path, {"amount": 1} if path == PAYMENTS and method == "POST" else None, token=token)
        assert reply.status == 403, (method, path)
        assert reply.headers["www-authenticate"] == 'Bearer realm="payflow", error="insufficient_scope"'
    assert shop.call("GET", payment, token=reader).json()["status"] == "pending"


def test_a_key_ends_at_its_time_even_if_it_was_checked_a_moment_ago(fresh_server):
    server = fresh_server(PAYFLOW_AUTH="on", KEY_CACHE_MS="30000")
    key = server.new_key("short", "--expires", "1d")
    server.sql("UPDATE api_keys SET expires_at = now() + interval '2 s'")
    assert server.call("GET", PAYMENTS, token=key).status == 200
    wait_until("the key has ended", lambda: server.call("GET", PAYMENTS, token=key).status == 401, 20)
    assert server.sql("SELECT now() > expires_at FROM api_keys") == [(True,)]


def test_a_revocation_is_felt_on_every_server_within_the_time_a_key_is_trusted(shop, fresh_server):
    other = fresh_server(database=shop.database, PAYFLOW_AUTH="on", KEY_CACHE_MS="300")
    key = shop.new_key("revoked")
    for server in (shop, other):
        assert server.call("GET", PAYMENTS, token=key).status == 200
    done = shop.command("keys", "revoke", key_id(shop, key))
    assert (done.returncode, "within 30 seconds" in done.stdout) == (0, True)
    time.sleep(0.4)
    for server in (shop, other):
        assert server.call("GET", PAYMENTS, token=key).status == 401


def test_a_checked_key_is_trusted_without_the_database_for_no_more_than_thirty_seconds(fresh_server):
    server = fresh_server(PAYFLOW_AUTH="on")
    assert "KEY_CACHE_MS=30000\n" in server.command("config").stdout  # the default is the longest there is
    assert server.command("config", KEY_CACHE_MS="30001").returncode == 78
    key = server.new_key("trusted")
    assert server.call("GET", PAYMENTS, token=key).status == 200
    server.command("keys", "revoke", key_id(server, key))
    assert server.call("GET", PAYMENTS, token=key).status == 200


def test_guessed_keys_push_no_real_one_out_of_the_cache(fresh_server):
    server = fresh_server(PAYFLOW_AUTH="on")
    key = server.new_key("real")
    with server.client() as client:
        assert client.call("GET", PAYMENTS, token=key).status == 200
        for number in range(2000):
            assert client.call("GET", PAYMENTS, token=f"pfk_live_{number:064x}").status == 401
    server.command("keys", "revoke", key_id(server, key))
    assert server.call("GET", PAYMENTS, token=key).status == 200, "it is still in the cache, which only real keys enter"


# --- isolation ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def belongings(shop):
    """What account A has in live mode: payments in every state, with refunds and events."""
    def post(path, body):
        reply = shop.call("POST", path, body, token=shop.keys["a"])
        assert reply.status in (200, 201), reply.body
        return reply
    payments = {state: post(PAYMENTS, {"amount": 10, "reference": "of-a"}).headers["location"]
                for state in ("pending", "captured", "refunded")}
    for state in ("captured", "refunded"):
        post(f"{payments[state]}/capture", {})
    refund = post(f"{payments['refunded']}/refunds", {"amount": 4}).json()["id"]
    return [path.rpartition("/")[2] for path in payments.values()] + [refund]


ROUTES = [(method.upper(), path) for path, operations in CONTRACT["paths"].items() for method in operations
          if method in ("get", "post") and path.startswith("/api/")]


def without_id(problem: dict) -> dict:
    return {name: value for name, value in problem.items() if name != "request_id"}


@pytest.mark.parametrize("who", ["b", "a-test"])
@pytest.mark.parametrize("method,path", ROUTES)
def test_nobody_else_meets_what_is_account_as_on_any_route(shop, belongings, who, method, path):
    token = shop.keys[who]
    body = {} if method == "POST" else None
    if "{id}" in path:
        nothing = shop.call(method, path.replace("{id}", NOWHERE), body, token=token)
        assert nothing.status == 404
        for identifier in belongings:
            reply = shop.call(method, path.replace("{id}", identifier), body, token=token, headers={"X-Request-Id": "same"})
            assert reply.status == 404
            assert without_id(reply.json()) == without_id(nothing.json()), "in the same words as for none"
            if path.endswith(("/capture", "/refunds")) and method == "POST":
                reply = shop.call(method, path.replace("{id}", identifier), {"amount": 1}, token=token, key="of-b")
                assert reply.status == 404
    elif method == "GET":
        cursor = shop.call("GET", f"{path}?limit=1", token=shop.keys["a"]).json()["next_cursor"]
        for query in ["", "?limit=100"]:
            reply = shop.call("GET", path + query, token=token)
            assert reply.status == 200
            assert not any(identifier in reply.body.decode() for identifier in belongings)
            assert reply.json()["data"] == []
        reply = shop.call("GET", f"{path}?cursor={cursor}", token=token)
        assert reply.status == 400 or reply.json()["data"] == []
    else:
        made = shop.call("POST", path, {"amount": 3}, token=shop.new_key("other"))
        assert made.status == 201
        assert shop.call("GET", made.headers["location"], token=token).status == 404


def test_nothing_of_account_a_was_changed_by_all_that(shop, belongings):
    shown = [shop.call("GET", f"{PAYMENTS}/{identifier}", token=shop.keys["a"]) for identifier in belongings[:-1]]
    assert [each.json()["status"] for each in shown] == ["pending", "captured", "partially_refunded"]
    events = shop.call("GET", "/api/v1/events?limit=100", token=shop.keys["a"]).json()["data"]
    assert len(events) == 6 and {event["payment_id"] for event in events} == set(belongings[:-1])
    assert {event["actor"] for event in events} == {key_id(shop, shop.keys["a"])}


def test_a_key_of_idempotency_is_an_accounts_and_a_modes_own(shop):
    replies = [shop.call("POST", PAYMENTS, {"amount": 9}, token=shop.new_key("idem", *mode), key="one")
               for mode in ([], ["--test"])] + [shop.call("POST", PAYMENTS, {"amount": 9}, token=shop.new_key("idem-2"), key="one")]
    assert [(reply.status, reply.replayed) for reply in replies] == [(201, False)] * 3
    assert len({reply.json()["id"] for reply in replies}) == 3
    assert [reply.json()["livemode"] for reply in replies] == [True, False, True]


def test_live_and_test_never_mix_in_figures(shop):
    before = shop.metrics()
    shop.call("POST", PAYMENTS, {"amount": 9, "currency": "SEK"}, token=shop.keys["a-test"])
    after = shop.metrics()
    name = 'payflow_payments_total{outcome="created",currency="SEK",livemode="%s"}'
    assert after[name % "false"] - before.get(name % "false", 0) == 1
    assert after.get(name % "true") == before.get(name % "true")
    shop.sql("DELETE FROM events WHERE NOT livemode")
    shop.sql("DELETE FROM payments WHERE NOT livemode")


# --- the database's own roles ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def least(folder, postgres, redis):
    """Roles as Terraform makes them: an owner who is no superuser migrates, and the server may do what payflow_app may."""
    owned = postgres.database(owner="schema_owner")
    maintenance = Database("127.0.0.1", postgres.port, "postgres", "postgres", postgres.password)
    maintenance.sql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'payflow_app') THEN"
                    " CREATE ROLE payflow_app NOLOGIN; END IF; END $$")
    maintenance.sql(f"CREATE ROLE serving LOGIN PASSWORD '{postgres.password}' IN ROLE payflow_app")
    served = Database(owned.host, owned.port, owned.name, "serving", owned.password)
    owner = Server(folder, owned, redis, PAYFLOW_AUTH="on").migrate()
    server = Server(folder, served, redis, PAYFLOW_AUTH="on").start()
    yield server, owner
    assert server.stop() == 0


def test_serving_needs_no_more_than_the_serving_role_has(least):
    server, owner = least
    key = owner.new_key("least")
    made = server.call("POST", PAYMENTS, {"amount": 10}, token=key, key="one")
    assert server.call("POST", PAYMENTS, {"amount": 10}, token=key, key="one").replayed
    payment = made.headers["location"]
    for step, body in (("capture", {}), ("refunds", {"amount": 3, "reason": "x"})):
        assert server.call("POST", f"{payment}/{step}", body, token=key, key="one").status in (200, 201)
    other = server.call("POST", PAYMENTS, {"amount": 10}, token=key).headers["location"]
    assert server.call("POST", f"{other}/cancel", token=key).status == 200
    for path in (payment, PAYMENTS, f"{payment}/events", f"{payment}/refunds", "/api/v1/events"):
        assert server.call("GET", path, token=key).status == 200
    assert owner.command("verify").returncode == 0


@pytest.mark.parametrize("statement", [
    "UPDATE events SET amount_minor = 1", "DELETE FROM events", "TRUNCATE events", "DELETE FROM payments", "DELETE FROM refunds",
    "UPDATE payments SET amount_minor = 1", "UPDATE payments SET account_id = 1", "UPDATE payments SET currency = 'JPY'",
    "UPDATE payments SET livemode = true",
    "UPDATE refunds SET amount_minor = 1", "DELETE FROM idempotency_keys", "UPDATE idempotency_keys SET object_id = 'x'",
    "INSERT INTO accounts (name) VALUES ('x')", "INSERT INTO api_keys SELECT * FROM api_keys", "UPDATE api_keys SET revoked_at = NULL",
    "DELETE FROM api_keys", "UPDATE feed_epoch SET epoch = 7", "UPDATE schema_migrations SET breaks_before = 9",
    "INSERT INTO schema_migrations (version, name) VALUES (99, 'x')", "ALTER TABLE events ADD COLUMN x integer", "DROP TABLE events",
    "ALTER TABLE payments DROP CONSTRAINT payments_captured", "CREATE TABLE x (y integer)", "CREATE INDEX x ON events (n)",
    "ALTER TABLE events DISABLE TRIGGER ALL", "GRANT UPDATE ON events TO payflow_app", "SET ROLE schema_owner",
])
def test_the_serving_role_can_neither_change_history_nor_alter_anything(least, statement):
    server, _ = least
    connection = server.database.connect()
    try:
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.lookup("0LP01"))):
            connection.cursor().execute(statement)
            if statement.startswith("GRANT"):  # PostgreSQL only warns; nothing must have been granted
                connection.commit()
                connection.cursor().execute("UPDATE events SET amount_minor = 1")
    finally:
        connection.close()
