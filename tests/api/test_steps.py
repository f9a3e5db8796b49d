"""The life of a payment: what may follow what, in the API and in the database, and when a hundred clients race."""
from __future__ import annotations

import itertools
from collections import Counter

import psycopg2.errors
import pytest
from servers import Reply, together

PAYMENTS = "/api/v1/payments"
STEPS = {"capture": "captured", "cancel": "canceled", "fail": "failed", "refunds": None}


@pytest.fixture
def payment(server) -> str:
    """The path of a new payment of 100 euros."""
    return server.call("POST", PAYMENTS, {"amount": 100}).headers["location"]


def types(server, payment: str) -> list[str]:
    return [event["type"] for event in server.call("GET", f"{payment}/events?limit=100").json()["data"]]


def test_captured_in_full_then_refunded_in_parts_until_nothing_is_left(server, payment):
    captured = server.call("POST", f"{payment}/capture")
    assert captured.status == 200
    assert {name: captured.json()[name] for name in ("status", "amount", "amount_captured")} == {
        "status": "captured", "amount": 100, "amount_captured": 100}
    refund = server.call("POST", f"{payment}/refunds", {"amount": 30.5, "reason": "damaged"})
    assert refund.status == 201
    shown = refund.json()
    assert list(shown) == ["id", "payment_id", "amount", "currency", "status", "created_at", "reason"]
    assert (shown["payment_id"], shown["amount"], shown["status"]) == (payment.rpartition("/")[2], 30.5, "succeeded")
    now = server.call("GET", payment).json()
    assert (now["status"], now["amount_refunded"]) == ("partially_refunded", 30.5)
    rest = server.call("POST", f"{payment}/refunds")
    assert rest.json()["amount"] == 69.5
    now = server.call("GET", payment).json()
    assert (now["status"], now["amount_refunded"], now["amount_captured"]) == ("refunded", 100, 100)
    assert types(server, payment) == ["payment.created", "payment.captured", "payment.refunded", "payment.refunded"]


def test_captured_in_part_the_rest_can_neither_be_captured_nor_refunded(server, payment):
    assert server.call("POST", f"{payment}/capture", {"amount": 60}).json()["amount_captured"] == 60
    assert server.call("POST", f"{payment}/capture", {"amount": 40}).status == 409
    too_much = server.call("POST", f"{payment}/refunds", {"amount": 60.01})
    assert (too_much.status, too_much.json()["reason"]) == (422, "too_high")
    assert server.call("POST", f"{payment}/refunds", {"amount": 60}).status == 201
    assert server.call("GET", payment).json()["status"] == "refunded"


def test_more_than_the_amount_cannot_be_captured(server, payment):
    refused = server.call("POST", f"{payment}/capture", {"amount": 100.01})
    assert (refused.status, refused.json()["state"], refused.json()["id"]) == (422, "pending", payment.rpartition("/")[2])
    assert server.call("GET", payment).json()["status"] == "pending"


def reach(server, state: str) -> str:
    payment = server.call("POST", PAYMENTS, {"amount": 100}).headers["location"]
    ways = {"pending": [], "captured": [("capture", {})], "canceled": [("cancel", {})], "failed": [("fail", {})],
            "partially_refunded": [("capture", {}), ("refunds", {"amount": 1})], "refunded": [("capture", {}), ("refunds", {})]}
    for step, body in ways[state]:
        assert server.call("POST", f"{payment}/{step}", body).status < 300
    assert server.call("GET", payment).json()["status"] == state
    return payment


LEGAL = {("pending", "capture"): "captured", ("pending", "cancel"): "canceled", ("pending", "fail"): "failed",
         ("captured", "refunds"): "refunded", ("partially_refunded", "refunds"): "refunded"}
STATES = ["pending", "captured", "partially_refunded", "refunded", "canceled", "failed"]


@pytest.mark.parametrize("state,step", itertools.product(STATES, STEPS))
def test_what_may_follow_what(server, state, step):
    payment = reach(server, state)
    before = server.call("GET", payment).body
    history = types(server, payment)
    reply = server.call("POST", f"{payment}/{step}")
    if (state, step) in LEGAL:
        assert reply.status == (201 if step == "refunds" else 200)
        assert server.call("GET", payment).json()["status"] == LEGAL[state, step]
        assert len(types(server, payment)) == len(history) + 1
    else:
        assert (reply.status, reply.json()["reason"], reply.json()["state"]) == (409, "illegal_state", state)
        assert server.call("GET", payment).body == before
        assert types(server, payment) == history


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_no_payment_is_not_found(server, step):
    for target in ("pay_01kb0a6v0rj4t2c7m9x3w5y8ze", "x"):
        for body in (None, {}):
            assert server.call("POST", f"{PAYMENTS}/{target}/{step}", body).status == 404


@pytest.mark.parametrize("currency,amount,part,rest", [
    ("JPY", 1000, 1, 999), ("KWD", 1.234, 0.001, 1.233), ("CLF", 0.0002, 0.0001, 0.0001),
])
def test_every_currency_is_refunded_to_its_last_minor_unit(server, currency, amount, part, rest):
    payment = server.call("POST", PAYMENTS, {"amount": amount, "currency": currency}).headers["location"]
    assert server.call("POST", f"{payment}/capture").json()["amount_captured"] == amount
    assert server.call("POST", f"{payment}/refunds", {"amount": part}).json()["currency"] == currency
    assert server.call("POST", f"{payment}/refunds").json()["amount"] == rest
    assert server.call("POST", f"{payment}/refunds").status == 409


def test_an_event_says_who_did_what_and_when(server, payment):
    server.call("POST", f"{payment}/capture", {"amount": 70}, headers={"X-Request-Id": "capture-1"})
    event = server.call("GET", f"{payment}/events").json()["data"][1]
    identifier = payment.rpartition("/")[2]
    assert event.pop("created_at")[:10] > "2020"
    assert event == {"id": f"evt_{identifier[4:]}_2", "type": "payment.captured", "payment_id": identifier, "livemode": False,
                     "amount": 70, "currency": "EUR", "status": "captured", "amount_captured": 70, "amount_refunded": 0,
                     "actor": "none", "request_id": "capture-1"}


# --- the database refuses the opposite, whatever the code does -----------------------------------------------------------

PLANTS = [
    ("captured beyond the amount", "UPDATE payments SET captured_minor = amount_minor + 1, status = 2 WHERE id = %s"),
    ("captured below nothing", "UPDATE payments SET captured_minor = -1, status = 2 WHERE id = %s"),
    ("refunded beyond the capture", "UPDATE payments SET status = 4, captured_minor = 5, refunded_minor = 6 WHERE id = %s"),
    ("refunded without a capture", "UPDATE payments SET status = 3, refunded_minor = 1 WHERE id = %s"),
    ("captured, and nothing captured", "UPDATE payments SET status = 2 WHERE id = %s"),
    ("refunded, and something is left", "UPDATE payments SET status = 4, captured_minor = 5, refunded_minor = 4 WHERE id = %s"),
    ("partially refunded, and nothing is left", "UPDATE payments SET status = 3, captured_minor = 5, refunded_minor = 5 WHERE id = %s"),
    ("canceled, and something captured", "UPDATE payments SET status = 5, captured_minor = 1 WHERE id = %s"),
    ("failed, and something captured", "UPDATE payments SET status = 6, captured_minor = 1 WHERE id = %s"),
    ("a state that there is not", "UPDATE payments SET status = 7 WHERE id = %s"),
    ("an amount of nothing", "UPDATE payments SET amount_minor = 0 WHERE id = %s"),
    ("an amount below nothing", "UPDATE payments SET amount_minor = -5 WHERE id = %s"),
    ("an amount beyond all", "UPDATE payments SET amount_minor = 1000000000000000 WHERE id = %s"),
    ("a refund of nothing", "INSERT INTO refunds VALUES (now(), 0, 1, false, %s, 'ref_x')"),
    ("an event's number of nothing", "UPDATE events SET n = 0 WHERE payment_id = %s"),
]


@pytest.mark.parametrize("statement", [each for _, each in PLANTS], ids=[name for name, _ in PLANTS])
def test_the_database_itself_refuses(server, payment, statement):
    with pytest.raises(psycopg2.errors.CheckViolation):
        server.sql(statement, payment.rpartition("/")[2])
    assert server.call("GET", payment).json()["status"] == "pending"


def test_the_database_itself_refuses_a_second_event_of_one_number(server, payment):
    with pytest.raises(psycopg2.errors.UniqueViolation):
        server.sql("INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor,"
                   " refunded_minor, payment_id, actor, request_id)"
                   " SELECT created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor, refunded_minor,"
                   " payment_id, actor, request_id FROM events WHERE payment_id = %s", payment.rpartition("/")[2])


# --- races ------------------------------------------------------------------------------------------------------------


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def test_of_a_hundred_captures_at_once_one_succeeds(server, payment):
    assert statuses(together(100, lambda _: server.call("POST", f"{payment}/capture"))) == {200: 1, 409: 99}
    assert types(server, payment) == ["payment.created", "payment.captured"]


def test_of_a_hundred_refunds_at_once_as_many_succeed_as_there_is_money_for(server, payment):
    server.call("POST", f"{payment}/capture")
    replies = together(100, lambda _: server.call("POST", f"{payment}/refunds", {"amount": 3}))
    assert statuses(replies) == {201: 33, 422: 67}
    assert server.call("GET", payment).json()["amount_refunded"] == 99
    assert server.sql("SELECT count(*), sum(amount_minor) FROM refunds WHERE payment_id = %s", payment.rpartition("/")[2]) == [(33, 9900)]


def test_capture_cancel_and_fail_at_once_end_in_one_of_them(server):
    for _ in range(5):
        payment = server.call("POST", PAYMENTS, {"amount": 5}).headers["location"]
        replies = together(30, lambda number, payment=payment: server.call(
            "POST", f"{payment}/{('capture', 'cancel', 'fail')[number % 3]}"))
        assert statuses(replies) == {200: 1, 409: 29}
        (winner,) = [reply.json()["status"] for reply in replies if reply.status == 200]
        assert server.call("GET", payment).json()["status"] == winner
        assert {reply.json()["state"] for reply in replies if reply.status == 409} == {winner}


def test_two_servers_race_on_a_few_payments_and_verify_finds_one_story(fresh_server):
    first = fresh_server()
    servers = [first, fresh_server(database=first.database)]
    payments = [first.call("POST", PAYMENTS, {"amount": 50}).headers["location"] for _ in range(4)]

    def work(number: int) -> list[int]:
        client = servers[number % 2].client()
        results = []
        for turn in range(12):
            payment = payments[(number + turn) % 4]
            step, body = (("capture", {}), ("refunds", {"amount": 4}), ("refunds", {"amount": 7}), ("cancel", {}))[(number // 2 + turn) % 4]
            results.append(client.call("POST", f"{payment}/{step}", body, key=f"{step}-{number % 5}-{turn % 3}").status)
        return results

    seen = Counter(itertools.chain.from_iterable(together(40, work)))
    assert set(seen) <= {200, 201, 409, 422}
    verify = first.command("verify")
    assert verify.returncode == 0, verify.stdout
    assert first.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]
