"""Bad input: what exactly is answered, that it is never a 5xx, and that it leaves no row."""
from __future__ import annotations

import json

import pytest

PAYMENTS = "/api/v1/payments"
TABLES = "SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM idempotency_keys), (SELECT count(*) FROM events)," \
         " (SELECT count(*) FROM refunds), (SELECT sum(captured_minor + refunded_minor) FROM payments)"
KINDS = {
    "invalid-amount": (400, "Invalid amount"), "invalid-field": (400, "Invalid field"),
    "invalid-json": (400, "Invalid JSON"), "invalid-idempotency-key": (400, "Invalid Idempotency-Key"),
    "not-found": (404, "Not found"), "illegal-state": (409, "Not possible in this state"),
    "length-required": (411, "Length required"), "body-too-large": (413, "Body too large"),
    "unsupported-media-type": (415, "Unsupported media type"), "amount-too-high": (422, "Amount too high"),
}
NOT_A_NUMBER = ("invalid-amount", "amount", "not_a_number", "amount must be a JSON number, like 49.99, and no string.")
NOT_POSITIVE = ("invalid-amount", "amount", "not_positive", "amount must be more than 0.")
MISSING = ("invalid-amount", "amount", "missing", "amount is required.")
UNKNOWN_CURRENCY = ("invalid-field", "currency", "unknown_currency",
                    "currency must be an active ISO 4217 code in capitals, like EUR.")
NO_OBJECT = ("invalid-field", "metadata", "not_an_object", "metadata must be an object of strings.")
KEY_LENGTH = ("invalid-field", "metadata", "key_length", "A key of metadata must have 1 to 40 characters.")
NO_STRING = ("invalid-field", "metadata", "value_not_a_string", "The values of metadata must be strings.")


def decimals(exponent: int, currency: str) -> tuple:
    return ("invalid-amount", "amount", "too_many_decimals", f"amount has more decimals than the {exponent} of {currency}.")


def too_large(most: str, currency: str) -> tuple:
    return ("invalid-amount", "amount", "too_large", f"amount must be a number above 0 and at most {most} {currency}.")


def unknown(name: str) -> tuple:
    return ("invalid-field", name, "unknown_field", "The body has a field that is not known here.")


def no_json(reason: str, what: str, byte: int) -> tuple:
    return ("invalid-json", None, reason, f"The body {what}; seen at byte {byte}.")


def syntax(byte: int) -> tuple:
    return no_json("syntax", "is not JSON (RFC 8259)", byte)


def not_utf8(byte: int) -> tuple:
    return no_json("not_utf8", "is not valid UTF-8, or holds half of a surrogate pair", byte)


# (body, answer) for POST /api/v1/payments
PAYMENT = [
    # the amount
    ("{}", MISSING),
    ('{"currency": "EUR"}', MISSING),
    ('{"amount": null}', MISSING),
    ('{"Amount": 1}', MISSING),
    ('{"amount": 0}', NOT_POSITIVE),
    ('{"amount": -0}', NOT_POSITIVE),
    ('{"amount": 0.00}', NOT_POSITIVE),
    ('{"amount": 0e99}', NOT_POSITIVE),
    ('{"amount": -1}', NOT_POSITIVE),
    ('{"amount": -0.01}', NOT_POSITIVE),
    ('{"amount": -1e400}', NOT_POSITIVE),
    ('{"amount": "49.99"}', NOT_A_NUMBER),
    ('{"amount": ""}', NOT_A_NUMBER),
    ('{"amount": true}', NOT_A_NUMBER),
    ('{"amount": false}', NOT_A_NUMBER),
    ('{"amount": []}', NOT_A_NUMBER),
    ('{"amount": [1]}', NOT_A_NUMBER),
    ('{"amount": {}}', NOT_A_NUMBER),
    ('{"amount": 1.999}', decimals(2, "EUR")),
    ('{"amount": 49.991}', decimals(2, "EUR")),
    ('{"amount": 1e-3}', decimals(2, "EUR")),
    ('{"amount": 1e-400}', decimals(2, "EUR")),
    ('{"amount": 0.1, "currency": "JPY"}', decimals(0, "JPY")),
    ('{"amount": 0.0001, "currency": "KWD"}', decimals(3, "KWD")),
    ('{"amount": 0.00001, "currency": "CLF"}', decimals(4, "CLF")),
    ('{"amount": 10000000000000}', too_large("9999999999999.99", "EUR")),
    ('{"amount": 9999999999999.991}', decimals(2, "EUR")),
    ('{"amount": 1e400}', too_large("9999999999999.99", "EUR")),
    ('{"amount": 1e99999999999999999999}', too_large("9999999999999.99", "EUR")),
    ('{"amount": 18446744073709551617}', too_large("9999999999999.99", "EUR")),
    ('{"amount": 1000000000000000, "currency": "JPY"}', too_large("999999999999999", "JPY")),
    ('{"amount": 1%s}' % ("0" * 5000), too_large("9999999999999.99", "EUR")),
    # the currency
    ('{"amount": 1, "currency": ""}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "eur"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "EURO"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "EU"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": " EUR"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "XXX"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "DEM"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "BTC"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": "€"}', UNKNOWN_CURRENCY),
    ('{"amount": 1, "currency": 978}', ("invalid-field", "currency", "not_a_string", "currency must be a string.")),
    ('{"amount": 1, "currency": ["EUR"]}', ("invalid-field", "currency", "not_a_string", "currency must be a string.")),
    # names
    ('{"amount": 1, "curency": "USD"}', unknown("curency")),
    ('{"amount": 1, "Currency": "USD"}', unknown("Currency")),
    ('{"amount": 1, "status": "captured"}', unknown("status")),
    ('{"amount": 1, "id": "pay_1"}', unknown("id")),
    ('{"amount": 1, "__proto__": {}}', unknown("__proto__")),
    ('{"amount": 1, "": 1}', unknown("")),
    ('{"amount": 1, "amount": 2}', no_json("duplicate_key", "has an object with the same name twice", 14)),
    ('{"amount": 1, "\\u0061mount": 2}', no_json("duplicate_key", "has an object with the same name twice", 14)),
    # texts
    ('{"amount": 1, "description": 1}', ("invalid-field", "description", "not_a_string", "description must be a string.")),
    ('{"amount": 1, "description": "%s"}' % ("é" * 501),
     ("invalid-field", "description", "too_long", "description may have 500 characters.")),
    ('{"amount": 1, "reference": {}}', ("invalid-field", "reference", "not_a_string", "reference must be a string.")),
    ('{"amount": 1, "reference": "%s"}' % ("x" * 101),
     ("invalid-field", "reference", "too_long", "reference may have 100 characters.")),
    # metadata
    ('{"amount": 1, "metadata": "a"}', NO_OBJECT),
    ('{"amount": 1, "metadata": []}', NO_OBJECT),
    ('{"amount": 1, "metadata": {"a": 1}}', NO_STRING),
    ('{"amount": 1, "metadata": {"a": null}}', NO_STRING),
    ('{"amount": 1, "metadata": {"a": {"b": "c"}}}', NO_STRING),
    ('{"amount": 1, "metadata": {"": "a"}}', KEY_LENGTH),
    ('{"amount": 1, "metadata": {"%s": "a"}}' % ("k" * 41), KEY_LENGTH),
    ('{"amount": 1, "metadata": {"a": "%s"}}' % ("v" * 501),
     ("invalid-field", "metadata", "value_too_long", "A value of metadata may have 500 characters.")),
    (json.dumps({"amount": 1, "metadata": {str(n): "" for n in range(51)}}),
     ("invalid-field", "metadata", "too_many_keys", "metadata may have 50 keys.")),
    ('{"amount": 1, "metadata": {"a": "b", "a": "c"}}',
     no_json("duplicate_key", "has an object with the same name twice", 37)),
    # JSON
    ("null", no_json("not_an_object", "is not a JSON object", 0)),
    ("[]", no_json("not_an_object", "is not a JSON object", 0)),
    ("1", no_json("not_an_object", "is not a JSON object", 0)),
    ('"amount"', no_json("not_an_object", "is not a JSON object", 0)),
    (" ", syntax(1)),
    ("{", syntax(1)),
    ('{"amount"', syntax(9)),
    ('{"amount": 1', syntax(12)),
    ('{"amount": 1}}', syntax(13)),
    ('{"amount": 1} {}', syntax(14)),
    ('{"amount": 1,}', syntax(13)),
    ("{'amount': 1}", syntax(1)),
    ("{amount: 1}", syntax(1)),
    ('{"amount": 01}', syntax(12)),
    ('{"amount": 1.}', syntax(11)),
    ('{"amount": .5}', syntax(11)),
    ('{"amount": +1}', syntax(11)),
    ('{"amount": 0x10}', syntax(12)),
    ('{"amount": 1_000}', syntax(12)),
    ('{"amount": 1,000.00}', syntax(13)),
    ('{"amount": NaN}', syntax(11)),
    ('{"amount": Infinity}', syntax(11)),
    ('{"amount": 1} // comment', syntax(14)),
    ('{"amount": 1, "reference": "a\nb"}', syntax(29)),
    ('{"amount": 1, "reference": "a\\xb"}', syntax(30)),
    ('\ufeff{"amount": 1}', syntax(0)),
    ("amount=1&currency=EUR", syntax(0)),
    ("<amount>1</amount>", syntax(0)),
    ('{"amount": 1, "reference": "a\\u0000b"}', no_json("nul", "holds \\u0000, which no text here may", 29)),
    (b'{"amount": 1, "reference": "\x00"}', syntax(28)),
    (b'{"amount": 1, "reference": "\xff"}', not_utf8(28)),
    (b'{"amount": 1, "reference": "\xc0\xaf"}', not_utf8(28)),
    (b'{"amount": 1, "reference": "\xed\xa0\x80"}', not_utf8(28)),
    (b'{"amount": 1, "reference": "\xe4"}', not_utf8(28)),
    ('{"amount": 1, "reference": "\\ud800"}', not_utf8(28)),
    ('{"amount": 1}'.encode("utf-16"), syntax(0)),
    ('{{"amount": 1, "metadata": {}1{}}}'.format("[" * 32, "]" * 32),
     no_json("too_deep", "has arrays or objects nested too deeply", 57)),
    ("[" * 60000, no_json("too_deep", "has arrays or objects nested too deeply", 32)),
    ('{{"amount": 1, {}}}'.format(", ".join(f'"x{n}": 1' for n in range(128))),
     no_json("too_many_members", "has an object with too many members", 1301)),
    ('{"amount": 1, "description": "%s"}' % ("x" * 65536),
     ("body-too-large", None, None, "A body may have 65536 bytes.")),
]


def rows(server) -> list[tuple]:
    return server.sql(TABLES)


def check(reply, answer: tuple, **more: str) -> None:
    kind, field, reason, detail = answer
    status, title = KINDS[kind]
    problem = {"type": f"urn:payflow:problem:{kind}", "title": title, "status": status, "detail": detail, "error": title}
    problem |= {"field": field} if field is not None else {}
    problem |= {"reason": reason} if reason is not None else {}
    problem |= more | {"request_id": reply.headers["x-request-id"]}
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json() == problem


@pytest.mark.parametrize("body,answer", PAYMENT, ids=[str(body[:40]) for body, _ in PAYMENT])
def test_a_bad_payment_is_refused_with_its_reason_and_leaves_no_row(server, body, answer):
    before = rows(server)
    sent = body.encode() if isinstance(body, str) else body
    check(server.call("POST", PAYMENTS, sent, key="bad-input"), answer)
    assert rows(server) == before


def test_the_table_is_large_enough():
    assert len(PAYMENT) >= 60


KEY = ("invalid-idempotency-key", "Idempotency-Key", "malformed",
       "Idempotency-Key must be 1 to 255 visible ASCII characters, bare or in double quotes.")


@pytest.mark.parametrize("key", ["", " ", "a b", "a\tb", '"', '""', '"a', 'a"', 'a"b', '"a"b"', "a\\b", b"\xc3\xa9", b"\xff",
                                 "k" * 256, '"%s"' % ("k" * 256), '"a", "b"'])
def test_a_bad_idempotency_key_is_refused_and_leaves_no_row(server, key):
    before = rows(server)
    check(server.call("POST", PAYMENTS, {"amount": 1}, headers={"Idempotency-Key": key}), KEY)
    assert rows(server) == before


def parameter(field: str, reason: str, detail: str) -> tuple:
    return ("invalid-field", field, reason, detail)


LIMIT = parameter("limit", "out_of_range", "limit must be a whole number from 1 to 100.")
STATUS = parameter("status", "unknown_status",
                   "status must be pending, captured, partially_refunded, refunded, canceled or failed.")
CURRENCY = parameter("currency", "unknown_currency", "currency must be an active ISO 4217 code in capitals.")
CURSOR = parameter("cursor", "malformed", "The cursor is not one that this list with this filter gave.")
TIME = "A time is written as RFC 3339, like 2026-11-24T08:00:00Z, or as a date."
NAMES = parameter("query", "unknown_parameter",
                  "The query may have limit, cursor, status, currency, created_from and created_to.")
REPEATED = "A query parameter may be given once."
MALFORMED = parameter("query", "malformed", "The query string is not well-formed.")
QUERIES = [
    *[(f"limit={value}", LIMIT) for value in ("0", "101", "-1", "1.5", "ten", "", "01e1", "1000", "%31%30%30%30", "+5")],
    *[(f"status={value}", STATUS) for value in ("", "Pending", "paid", "pending,captured", "1")],
    *[(f"currency={value}", CURRENCY) for value in ("", "eur", "XXX", "EURO", "%C3%A9")],
    *[(f"created_from={value}", parameter("created_from", "not_a_time", TIME))
      for value in ("", "yesterday", "2026-02-30", "2026-13-01", "2026-11-24T08:00:00", "2026-11-24%2008:00:00Z", "1969-12-31",
                    "2026-11-24T25:00:00Z", "2026-11-24T08:00:00%2B99:00", "20261124", "1732435200")],
    ("created_to=2026", parameter("created_to", "not_a_time", TIME)),
    *[(f"cursor={value}", CURSOR)
      for value in ("", "x", "AAAA", "1", "pay_01kb0a6v0rj4t2c7m9x3w5y8ze", "A" * 100, "../../etc/passwd", "%27%20OR%201%3D1--")],
    *[(query, NAMES) for query in ("page=2", "Limit=1", "limit[]=1", "=", "=1", "%20limit=1", "offset=10", "a")],
    ("limit=1&limit=2", parameter("limit", "repeated", REPEATED)),
    ("status=pending&status=pending", parameter("status", "repeated", REPEATED)),
    ("limit=%", MALFORMED), ("limit=%zz", MALFORMED), ("limit=%00", MALFORMED), ("limit=%ff", MALFORMED), ("%c0%af=1", MALFORMED),
    ("cursor=" + "x" * 3000, MALFORMED),
]


@pytest.mark.parametrize("query,answer", QUERIES, ids=[query[:40] for query, _ in QUERIES])
def test_a_bad_query_is_refused_with_its_reason(server, query, answer):
    check(server.call("GET", f"{PAYMENTS}?{query}"), answer)


@pytest.fixture
def payment(server):
    """A captured payment of 10 euros."""
    made = server.call("POST", PAYMENTS, {"amount": 10}).json()["id"]
    assert server.call("POST", f"{PAYMENTS}/{made}/capture").status == 200
    return made


STEPS = [
    ("refunds", '{"amount": null}', NOT_A_NUMBER),
    ("refunds", '{"amount": 0}', NOT_POSITIVE),
    ("refunds", '{"amount": -1}', NOT_POSITIVE),
    ("refunds", '{"amount": "1"}', NOT_A_NUMBER),
    ("refunds", '{"amount": 0.001}', decimals(2, "EUR")),
    ("refunds", '{"amount": 1e20}', too_large("9999999999999.99", "EUR")),
    ("refunds", '{"amount": 1, "currency": "EUR"}', unknown("currency")),
    ("refunds", '{"reason": 1}', ("invalid-field", "reason", "not_a_string", "reason must be a string.")),
    ("refunds", '{"reason": "%s"}' % ("r" * 501), ("invalid-field", "reason", "too_long", "reason may have 500 characters.")),
    ("refunds", "[]", no_json("not_an_object", "is not a JSON object", 0)),
    ("refunds", "{", syntax(1)),
    ("capture", '{"amount": null}', NOT_A_NUMBER),
    ("capture", '{"amout": 1}', unknown("amout")),
    ("capture", '{"reason": "x"}', unknown("reason")),
    ("cancel", '{"amount": 1}', unknown("amount")),
    ("cancel", '{"reason": "x"}', unknown("reason")),
    ("fail", '{"reason": "x"}', unknown("reason")),
    ("fail", "null", no_json("not_an_object", "is not a JSON object", 0)),
]


@pytest.mark.parametrize("step,body,answer", STEPS, ids=[f"{step} {body[:30]}" for step, body, _ in STEPS])
def test_a_bad_step_is_refused_with_its_reason_and_changes_nothing(server, payment, step, body, answer):
    before = rows(server)
    check(server.call("POST", f"{PAYMENTS}/{payment}/{step}", body, key="bad-step"), answer)
    assert rows(server) == before


@pytest.mark.parametrize("step,body,answer", [
    ("refunds", '{"amount": 10.01}', ("amount-too-high", "amount", "too_high",
                                      "The amount is more than what is left; nothing was changed.")),
    *[(step, "{}", ("illegal-state", None, "illegal_state",
                    "The payment's state does not allow this; nothing was changed.")) for step in ("capture", "cancel", "fail")],
])
def test_what_the_payment_does_not_allow_is_refused_with_its_state_and_changes_nothing(server, payment, step, body, answer):
    before = rows(server)
    check(server.call("POST", f"{PAYMENTS}/{payment}/{step}", body, key="too-much"), answer, id=payment, state="captured")
    assert rows(server) == before


@pytest.mark.parametrize("query,answer", [
    ("limit=0", LIMIT), ("cursor=", parameter("cursor", "malformed", "The cursor is empty.")),
    ("cursor=-1", parameter("cursor", "malformed", "The cursor is not one that this list gave.")),
    ("status=pending", parameter("query", "unknown_parameter", "The query may have limit and cursor.")),
    ("limit=1&limit=1", parameter("limit", "repeated", REPEATED)),
    ("cursor=1&cursor=1", parameter("cursor", "repeated", REPEATED)),
    ("limit=%", MALFORMED),
])
@pytest.mark.parametrize("path", ["/events", "/payments/%s/events", "/payments/%s/refunds"])
def test_a_bad_query_of_a_history_is_refused_with_its_reason(server, payment, path, query, answer):
    target = "/api/v1" + (path % payment if "%s" in path else path)
    check(server.call("GET", f"{target}?{query}"), answer)
