"""A request may be sent again: one key, one payment, one answer, whoever sends it, however often and wherever to."""
from __future__ import annotations

import itertools
import json
import random
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from servers import SLOW, Client, Reply, scaled, together, wait_until

PAYMENTS = "/api/v1/payments"
BODY = {"amount": 49.99, "currency": "EUR", "reference": "order-1"}


def new_key() -> str:
    return str(uuid.uuid4())


def count(server, key: str) -> tuple[int, int]:
    """Payments that the key made, and keys of that name."""
    return server.sql("SELECT count(p.id), count(DISTINCT k.object_id) FROM idempotency_keys k LEFT JOIN payments p"
                      " ON p.id = k.object_id WHERE k.key = %s", key)[0]


def one_story(replies: list[Reply]) -> None:
    """All answers are one, and all but one of them say that they are a replay."""
    assert {reply.status for reply in replies} == {201}, [r.body for r in replies if r.status != 201][:3]
    assert len({reply.body for reply in replies}) == 1
    assert len({reply.headers["location"] for reply in replies}) == 1
    assert sum(not reply.replayed for reply in replies) == 1


def test_a_request_that_is_sent_again_gets_the_first_answer_again(server):
    key = new_key()
    replies = [server.call("POST", PAYMENTS, BODY, key=key) for _ in range(3)]
    one_story(replies)
    assert [reply.replayed for reply in replies] == [False, True, True]
    assert count(server, key) == (1, 1)


@pytest.mark.parametrize("again", [
    '{"currency":"EUR","reference":"order-1","amount":49.990}',
    '{"amount": 4999e-2, "reference": "order-\\u0031"}',
    '{ "amount" : 49.99, "description": null, "metadata": null, "reference": "order-1", "currency": null }',
])
def test_the_same_request_in_other_words_is_the_same(server, again):
    key = new_key()
    first = server.call("POST", PAYMENTS, BODY, key=key)
    second = server.call("POST", PAYMENTS, again, key=key)
    assert (second.status, second.body, second.replayed) == (201, first.body, True)


@pytest.mark.parametrize("change", [
    {"amount": 50}, {"currency": "USD"}, {"reference": "order-2"}, {"reference": None}, {"description": ""}, {"metadata": {}},
    {"metadata": {"a": "b"}},
])
def test_another_request_with_the_same_key_is_refused_and_the_first_one_stands(server, change):
    key = new_key()
    first = server.call("POST", PAYMENTS, BODY, key=key)
    other = server.call("POST", PAYMENTS, BODY | change, key=key)
    assert (other.status, other.json()["type"]) == (422, "urn:payflow:problem:idempotency-key-reused")
    assert other.json()["field"] == "Idempotency-Key"
    assert server.call("POST", PAYMENTS, BODY, key=key).body == first.body
    assert count(server, key) == (1, 1)


def test_a_bare_key_and_a_quoted_one_are_the_same(server):
    key = new_key()
    first = server.call("POST", PAYMENTS, BODY, key=key)
    assert server.call("POST", PAYMENTS, BODY, key=f'"{key}"').body == first.body


@pytest.mark.parametrize("key", ["k", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "K" * 255])
def test_any_visible_key_of_1_to_255_characters_will_do(server, key):
    assert {server.call("POST", PAYMENTS, BODY, key=key).status for _ in range(2)} == {201}


def test_keys_that_differ_in_case_are_two(server):
    key = "key-" + new_key()
    assert server.call("POST", PAYMENTS, BODY, key=key).json()["id"] != server.call("POST", PAYMENTS, BODY, key=key.upper()).json()["id"]


def test_without_a_key_every_request_is_one_of_its_own(server):
    assert server.call("POST", PAYMENTS, BODY).json()["id"] != server.call("POST", PAYMENTS, BODY).json()["id"]


def test_a_key_belongs_to_its_route_and_its_payment(server):
    key = new_key()
    first, second = (server.call("POST", PAYMENTS, {"amount": 10}).json()["id"] for _ in range(2))
    replies = [server.call("POST", path, {"amount": 10}, key=key) for path in (
        PAYMENTS, f"{PAYMENTS}/{first}/capture", f"{PAYMENTS}/{first}/refunds", f"{PAYMENTS}/{second}/capture")]
    assert [reply.status for reply in replies] == [201, 200, 201, 200]
    assert not any(reply.replayed for reply in replies)


def test_a_refused_request_leaves_its_key_free(server):
    key = new_key()
    assert server.call("POST", PAYMENTS, {"amount": -1}, key=key).status == 400
    assert server.call("POST", PAYMENTS, BODY, key=key).status == 201
    payment = server.call("POST", PAYMENTS, {"amount": 10}).json()["id"]
    assert server.call("POST", f"{PAYMENTS}/{payment}/refunds", {"amount": 3}, key=key).status == 409
    assert server.call("POST", f"{PAYMENTS}/{payment}/capture").status == 200
    assert server.call("POST", f"{PAYMENTS}/{payment}/refunds", {"amount": 3}, key=key).status == 201


@pytest.mark.parametrize("step,body,later", [
    ("capture", {"amount": 6}, [("refunds", {"amount": 2}), ("refunds", {})]),
    ("cancel", {}, []), ("fail", {}, []),
])
def test_a_step_is_replayed_as_it_was_whatever_followed(server, step, body, later):
    payment = f"{PAYMENTS}/{server.call('POST', PAYMENTS, {'amount': 10}).json()['id']}"
    first = server.call("POST", f"{payment}/{step}", body, key="step")
    for following, more in later:
        assert server.call("POST", f"{payment}/{following}", more).status == 201
    again = server.call("POST", f"{payment}/{step}", body, key="step")
    assert (again.status, again.body, again.replayed) == (200, first.body, True)
    assert server.call("POST", f"{payment}/{step}", body, key="other").status == 409
    if body:
        assert server.call("POST", f"{payment}/{step}", {"amount": 5}, key="step").status == 422


def test_a_refund_is_replayed_with_its_id_and_reason(server):
    payment = f"{PAYMENTS}/{server.call('POST', PAYMENTS, {'amount': 10}).json()['id']}"
    server.call("POST", f"{payment}/capture")
    first = server.call("POST", f"{payment}/refunds", {"amount": 4, "reason": "damaged Ä"}, key="r")
    server.call("POST", f"{payment}/refunds")
    again = server.call("POST", f"{payment}/refunds", {"amount": 4, "reason": "damaged Ä"}, key="r")
    assert (first.status, again.status, again.body, again.replayed) == (201, 201, first.body, True)
    assert server.call("POST", f"{payment}/refunds", {"amount": 4}, key="r").status == 422
    assert sorted(row["amount"] for row in server.call("GET", f"{payment}/refunds").json()["data"]) == [4, 6]


# --- at once ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(3))
def test_fifty_clients_with_one_key_at_once_make_one_payment(server, attempt):
    key = new_key()
    one_story(together(50, lambda _: server.call("POST", PAYMENTS, BODY, key=key)))
    assert count(server, key) == (1, 1)


def test_fifty_clients_with_one_key_on_two_servers_make_one_payment(fresh_server):
    first = fresh_server()
    servers = [first, fresh_server(database=first.database)]
    for _ in range(5):
        key = new_key()
        one_story(together(50, lambda number, key=key: servers[number % 2].call("POST", PAYMENTS, BODY, key=key)))
        assert count(first, key) == (1, 1)


def held(server, statement: str, *values: object) -> psycopg2.extensions.connection:
    """A transaction that did this and neither commits nor ends."""
    connection = server.database.connect()
    connection.cursor().execute(statement, values)
    return connection


def test_what_waits_for_one_connection_is_one_batch_with_one_payment_a_key(fresh_server):
    """While a batch is held up, all others wait together and then are one batch: with the same keys many times in it."""
    server = fresh_server(DB_WRITERS="1", REQUEST_TIMEOUT_MS="30000")
    before = server.metrics()
    blocker = held(server, "LOCK TABLE payments IN SHARE MODE")
    keys = [new_key() for _ in range(5)]
    with ThreadPoolExecutor(50) as pool:
        waiting = [pool.submit(server.call, "POST", PAYMENTS, BODY, key=keys[number % 5]) for number in range(50)]
        time.sleep(0.3)
        blocker.rollback()
        replies = [each.result() for each in waiting]
    blocker.close()
    for number, key in enumerate(keys):
        one_story(replies[number::5])
        assert count(server, key) == (1, 1)
    after = server.metrics()
    assert after["payflow_batch_rows_sum"] - before["payflow_batch_rows_sum"] == 5


def test_different_bodies_with_one_key_at_once_make_one_payment_and_refuse_the_others(server):
    key = new_key()
    replies = together(40, lambda number: server.call("POST", PAYMENTS, {"amount": 1 + number % 2}, key=key))
    statuses = sorted({reply.status for reply in replies})
    assert statuses == [201, 422]
    assert len({reply.body for reply in replies if reply.status == 201}) == 1
    assert len([reply for reply in replies if reply.status == 201]) == 20
    assert count(server, key) == (1, 1)


def test_six_servers_with_shuffled_keys_do_not_deadlock(fresh_server):
    first = fresh_server(BATCH_ROWS_MAX="64")
    servers = [first, *(fresh_server(database=first.database, BATCH_ROWS_MAX="64") for _ in range(5))]
    keys = [new_key() for _ in range(scaled(240, 60))]
    clients = 8  # a server

    def work(number: int) -> list[tuple[str, int, bytes]]:
        client = Client(servers[number % 6].port)
        own = keys[number // 6::clients]
        random.Random(number).shuffle(own)
        replies = [(key, client.call("POST", PAYMENTS, {"amount": 1}, key=key)) for key in own]
        return [(key, reply.status, reply.body) for key, reply in replies]

    seen: dict[str, set[bytes]] = {key: set() for key in keys}
    for key, status, body in itertools.chain.from_iterable(together(6 * clients, work)):
        assert status == 201, body
        seen[key].add(body)
    assert {len(bodies) for bodies in seen.values()} == {1}
    assert first.sql("SELECT count(*) FROM payments") == [(len(keys),)]
    assert first.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
    assert not any("deadlock" in line["message"] for server in servers for line in server.log_lines())


# --- a key that somebody holds ------------------------------------------------------------------------------------------

HOLD = ("INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, object_id, fingerprint)"
        " VALUES (1, false, 1, '', %s, 'pay_01kb0a6v0rj4t2c7m9x3w5y8ze', decode(repeat('00', 32), 'hex'))")


def test_a_key_held_by_a_stuck_transaction_delays_only_its_own_callers(fresh_server):
    server = fresh_server(REQUEST_TIMEOUT_MS="4000")
    stuck = held(server, HOLD, "stuck")
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(server.call, "POST", PAYMENTS, BODY, key="stuck") for _ in range(10)]
        wait_until("the stuck ones are in quarantine", lambda: server.metrics()["payflow_quarantined_total"] >= 1)
        begun = time.monotonic()
        others = 0
        while time.monotonic() - begun < 1:
            assert server.call("POST", PAYMENTS, BODY, key=new_key()).status == 201
            others += 1
        assert others > 50 / SLOW  # they go on as if nothing were; one every 250 ms would be 4
        replies = [each.result() for each in waiting]
    for reply in replies:
        assert (reply.status, reply.json()["type"]) == (409, "urn:payflow:problem:in-flight")
        assert int(reply.headers["retry-after"]) >= 1
    stuck.rollback()
    stuck.close()
    assert server.call("POST", PAYMENTS, BODY, key="stuck").status == 201
    assert count(server, "stuck") == (1, 1)


def test_a_caller_who_waits_for_a_held_key_gets_it_when_it_is_let_go(fresh_server):
    server = fresh_server(REQUEST_TIMEOUT_MS="30000")
    stuck = held(server, HOLD, "held")
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(server.call, "POST", PAYMENTS, BODY, key="held") for _ in range(5)]
        wait_until("it waits", lambda: server.metrics()["payflow_quarantined_total"] >= 1)
        stuck.rollback()
        one_story([each.result() for each in waiting])
    stuck.close()


def test_a_key_that_another_process_commits_meanwhile_is_replayed(fresh_server):
    """The winner's row, not visible when the batch began, is read by a statement of its own afterwards."""
    server = fresh_server(REQUEST_TIMEOUT_MS="30000")
    model = server.call("POST", PAYMENTS, BODY, key="model").json()["id"]
    winner = model[:-1] + ("0" if model[-1] != "0" else "1")
    stuck = held(server, "INSERT INTO payments SELECT account_id, livemode, status, amount_minor, 0, 0, created_at, %s, currency,"
                 " description, reference, metadata FROM payments WHERE id = %s", winner, model)
    stuck.cursor().execute("INSERT INTO idempotency_keys SELECT created_at, account_id, livemode, operation, target, 'won', %s,"
                           " fingerprint FROM idempotency_keys WHERE key = 'model'", (winner,))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.call, "POST", PAYMENTS, BODY, key="won")
        wait_until("it waits", lambda: server.metrics()["payflow_quarantined_total"] >= 1)
        stuck.commit()
        reply = waiting.result()
    stuck.close()
    assert (reply.status, reply.json()["id"], reply.replayed) == (201, winner, True)


def test_a_payment_locked_by_a_stuck_transaction_delays_only_its_own_steps(fresh_server):
    server = fresh_server(REQUEST_TIMEOUT_MS="3000")
    payments = [server.call("POST", PAYMENTS, {"amount": 10}).json()["id"] for _ in range(30)]
    stuck = held(server, "SELECT * FROM payments WHERE id = %s FOR UPDATE", payments[0])
    with ThreadPoolExecutor(30) as pool:
        replies = list(pool.map(lambda id_: server.call("POST", f"{PAYMENTS}/{id_}/capture", key="c"), payments))
    assert [reply.status for reply in replies] == [409] + [200] * 29
    assert replies[0].json()["type"] == "urn:payflow:problem:in-flight"
    stuck.rollback()
    stuck.close()
    assert server.call("POST", f"{PAYMENTS}/{payments[0]}/capture", key="c").status == 200


def test_a_row_that_postgres_refuses_hurts_no_neighbour_in_its_batch(fresh_server):
    """A batch that fails on one row's data is cut in halves until the row is found."""
    server = fresh_server(DB_WRITERS="1", REQUEST_TIMEOUT_MS="30000")
    server.sql("ALTER TABLE payments ADD CONSTRAINT no_thirteen CHECK (amount_minor <> 1300)")
    blocker = held(server, "LOCK TABLE payments IN SHARE MODE")
    with ThreadPoolExecutor(30) as pool:
        waiting = [pool.submit(server.call, "POST", PAYMENTS, {"amount": amount}, key=f"a{amount}") for amount in range(1, 31)]
        time.sleep(0.2)
        blocker.rollback()
        replies = [each.result() for each in waiting]
    blocker.close()
    assert [number + 1 for number, reply in enumerate(replies) if reply.status != 201] == [13]
    assert replies[12].status == 500
    assert json.loads(replies[12].body)["detail"] == "The request could not be carried out; nothing was done."
    assert server.sql("SELECT count(*) FROM payments") == [(29,)]


def test_a_client_that_hangs_up_finds_its_payment_under_its_key(server):
    """Who never saw the answer asks again with the same key, and there is one payment."""
    key = new_key()
    body = json.dumps(BODY).encode()
    head = (f"POST {PAYMENTS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()

    def hang_up(_: int) -> None:
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(head + body)

    together(10, hang_up)
    reply = server.call("POST", PAYMENTS, BODY, key=key)
    assert reply.status == 201
    assert count(server, key) == (1, 1)
