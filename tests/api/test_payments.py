"""A payment is recorded, exactly as it was sent, and read back."""
from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from servers import scaled

PAYMENTS = "/api/v1/payments"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
NOWHERE = "pay_01kb0a6v0rj4t2c7m9x3w5y8ze"


def time_of(identifier: str) -> int:
    """The milliseconds in an id: the first 48 of its 130 bits, of which the two highest are 0."""
    value = 0
    for digit in identifier.partition("_")[2]:
        value = value * 32 + ALPHABET.index(digit)
    return value >> 80


def created_ms(payment: dict) -> int:
    return round(datetime.fromisoformat(payment["created_at"]).timestamp() * 1000)


def test_a_payment_is_answered_with_what_it_is_and_where(server):
    before = time.time()
    reply = server.call("POST", PAYMENTS, {"amount": 49.99, "currency": "EUR"})
    assert reply.status == 201
    payment = reply.json()
    assert list(payment) == ["id", "amount", "currency", "status", "created_at", "livemode"]
    assert re.fullmatch(r"pay_[0-7][0-9a-hjkmnp-tv-z]{25}", payment["id"])
    assert (payment["amount"], payment["currency"], payment["status"]) == (49.99, "EUR", "pending")
    assert payment["livemode"] is False
    assert before - 1 < created_ms(payment) / 1000 < time.time() + 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payment["created_at"])
    assert reply.headers["location"] == f"{PAYMENTS}/{payment['id']}"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert "idempotent-replayed" not in reply.headers
    again = server.call("GET", reply.headers["location"])
    assert (again.status, again.body) == (200, reply.body)


def test_the_payment_and_its_first_event_are_in_the_database(server):
    payment = server.call("POST", PAYMENTS, {"amount": 0.1, "currency": "KWD"}).json()
    assert server.sql("SELECT amount_minor, captured_minor, refunded_minor, currency, status, account_id, livemode,"
                      " (extract(epoch FROM created_at) * 1000)::int8 FROM payments WHERE id = %s", payment["id"]) == [
        (100, 0, 0, "KWD", 1, 1, False, created_ms(payment))]
    assert server.sql("SELECT n, step, status, amount_minor FROM events WHERE payment_id = %s", payment["id"]) == [
        (1, 1, 1, 100)]


def test_the_time_of_creation_is_the_ids_own(server):
    payments = [server.call("POST", PAYMENTS, {"amount": 1}).json() for _ in range(3)]
    assert [time_of(p["id"]) for p in payments] == [created_ms(p) for p in payments]
    assert len({p["id"] for p in payments}) == 3


@pytest.mark.parametrize("body", [{"amount": 7}, {"amount": 7, "currency": None}])
def test_the_currency_is_euro_if_none_is_named(server, body):
    assert server.call("POST", PAYMENTS, body).json()["currency"] == "EUR"


def test_all_optional_fields_come_back_as_they_were_sent(server):
    sent = {"amount": 1250, "currency": "JPY",
            "description": "Grüner Tee \U0001f375 \"fein\"\n\\ / \u0001\u007f", "reference": "order-1042",
            "metadata": {"basket": "7", "Ä": "ö", "empty": "", "é\U0001f600": "\t"}}
    reply = server.call("POST", PAYMENTS, sent)
    assert reply.status == 201
    payment = reply.json()
    assert {name: payment[name] for name in sent} == sent
    assert list(payment)[-3:] == ["description", "reference", "metadata"]
    assert server.call("GET", f"{PAYMENTS}/{payment['id']}").body == reply.body


def test_optional_fields_may_be_null_and_are_then_left_out(server):
    reply = server.call("POST", PAYMENTS, {"amount": 1, "description": None, "reference": None, "metadata": None})
    assert list(reply.json()) == ["id", "amount", "currency", "status", "created_at", "livemode"]


def test_the_largest_of_everything_is_taken(server):
    sent = {"amount": 9999999999999.99, "description": "ü" * 500, "reference": "\U0001f600" * 100,
            "metadata": {f"{number:02}" + "é" * 38: "€" * 500 for number in range(18)}}
    reply = server.call("POST", PAYMENTS, sent)
    assert reply.status == 201, reply.body
    assert {name: reply.json()[name] for name in sent} == sent
    many = {str(number): "" for number in range(50)}
    assert server.call("POST", PAYMENTS, {"amount": 1, "metadata": many}).json()["metadata"] == many


@pytest.mark.parametrize("sent,currency,got", [
    ("49.90", "EUR", "49.9"), ("50.00", "EUR", "50"), ("0.01", "EUR", "0.01"), ("4999e-2", "EUR", "49.99"),
    ("0.4999E+2", "EUR", "49.99"), ("1E3", "EUR", "1000"), ("9999999999999.99", "EUR", "9999999999999.99"),
    ("900719925474.993", "KWD", "900719925474.993"), ("0.1000000000000000000000000000000000", "EUR", "0.1"),
    ("99999999999.9999", "CLF", "99999999999.9999"), ("999999999999999", "JPY", "999999999999999"),
    ("0.000000000000000001e18", "JPY", "1"),
])
def test_an_amount_is_the_same_number_digit_for_digit(server, sent, currency, got):
    reply = server.call("POST", PAYMENTS, f'{{"amount": {sent}, "currency": "{currency}"}}')
    assert reply.status == 201, reply.body
    assert f'"amount":{got},'.encode() in reply.body


def test_random_amounts_of_every_exponent_go_in_and_come_out_digit_for_digit(server):
    """Through HTTP and the database; the million of issue 3 is in tests/unit/test_money.c, which this extends."""
    dice = random.Random(7)
    with server.client() as client:
        for number in range(scaled(2000)):
            currency, exponent = (("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4))[number % 4]
            minor = dice.randint(1, 10 ** dice.randint(1, 15) - 1)
            text = format(Decimal(minor).scaleb(-exponent), "f")
            reply = client.call("POST", PAYMENTS, f'{{"amount":{text},"currency":"{currency}"}}')
            assert reply.status == 201, (text, currency, reply.body)
            shown = re.search(rb'"amount":([0-9.]+),', reply.body)[1].decode()
            expected = text.rstrip("0").rstrip(".") if "." in text else text
            assert shown == expected
            if number % 20 == 0:
                read = client.call("GET", f"{PAYMENTS}/{reply.json()['id']}")
                assert read.body == reply.body


@pytest.mark.parametrize("target", [
    NOWHERE, "pay_", "1", "pay_01KB0A6V0RJ4T2C7M9X3W5Y8ZE", NOWHERE + "0", NOWHERE[:-1], "ref" + NOWHERE[3:], "pay_%30" + NOWHERE[5:],
    "pay_8zzzzzzzzzzzzzzzzzzzzzzzzz", "pay_01kb0a6v0rj4t2c7m9x3w5y8zu",
])
@pytest.mark.parametrize("rest", ["", "/events", "/refunds"])
def test_an_id_that_is_none_and_one_of_nobody_are_both_not_found(server, target, rest):
    reply = server.call("GET", f"{PAYMENTS}/{target}{rest}")
    assert reply.status == 404
    problem = reply.json()
    if "%" not in target:
        assert problem["detail"] == "There is no such payment."
    assert problem["error"] == problem["title"] == "Not found"


def test_a_request_id_of_the_caller_comes_back_and_stands_in_the_history(server):
    reply = server.call("POST", PAYMENTS, {"amount": 1}, headers={"X-Request-Id": "caller-7:a/b+c=d.e_f~g"})
    assert reply.headers["x-request-id"] == "caller-7:a/b+c=d.e_f~g"
    events = server.call("GET", f"{reply.headers['location']}/events").json()["data"]
    assert [event["request_id"] for event in events] == ["caller-7:a/b+c=d.e_f~g"]


@pytest.mark.parametrize("headers,expected", [
    ({"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "4bf92f3577b34da6a3ce929d0e0e4736"),
    ({"X-Cloud-Trace-Context": "105445AA7843BC8BF206B12000100000/1;o=1"}, "105445aa7843bc8bf206b12000100000"),
    ({"X-Request-Id": "mine", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "mine"),
])
def test_a_trace_gives_the_request_its_id_unless_the_caller_does(server, headers, expected):
    assert server.call("GET", "/health", headers=headers).headers["x-request-id"] == expected


@pytest.mark.parametrize("bad", ["", "a b", "a\"b", "x" * 200, "é", "<script>"])
def test_a_request_id_that_could_do_harm_is_replaced(server, bad):
    made = server.call("GET", "/health", headers={"X-Request-Id": bad.encode()}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_the_same_second_in_words(server):
    """created_at is UTC, whatever the machine's zone is."""
    payment = server.call("POST", PAYMENTS, {"amount": 1}).json()
    shown = datetime.fromisoformat(payment["created_at"])
    assert abs((datetime.now(UTC) - shown).total_seconds()) < 5
