"""The wire, byte by byte: RFC 9110 and 9112, and what attackers send.

Every case says exactly what is answered. Where two readers of the same bytes could disagree about where a request
ends, the answer is an error and the connection closes, so that nothing can be smuggled.
"""
from __future__ import annotations

import json
import socket
import time
import uuid
from dataclasses import dataclass
from typing import Self

import pytest

PROBLEM = "application/problem+json"
PAYMENTS = b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict:
        assert self.headers["content-type"] == PROBLEM
        assert self.headers["cache-control"] == "no-store"
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["type"].startswith("urn:payflow:problem:")
        assert problem["request_id"] == self.headers["x-request-id"]
        assert problem["error"] and problem["detail"]
        return problem


def answers(data: bytes, methods: str = "") -> list[Answer]:
    """All answers in a stream, which must end with the last one. `methods`: H where an answer is to a HEAD."""
    found = []
    while data:
        head, blank, data = data.partition(b"\r\n\r\n")
        assert blank, f"a head without an end: {head!r}"
        line, *lines = head.decode("ascii").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [tuple(text.split(": ", 1)) for text in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header stands twice: {lines}"
        without_body = methods[len(found):len(found) + 1] == "H" or status == "204" or status == "100"
        length = 0 if without_body else int(headers["content-length"])
        assert len(data) >= length, "a body was cut off"
        if status != "100":
            assert "date" in headers and headers["x-content-type-options"] == "nosniff" and headers["x-request-id"]
        found.append(Answer(int(status), headers, data[:length]))
        data = data[length:]
    return found


def only(data: bytes, methods: str = "") -> Answer:
    found = answers(data, methods)
    assert len(found) == 1, f"{len(found)} answers: {data!r}"
    return found[0]


class Connection:
    """A socket on which the test decides what is sent when."""

    def __init__(self, server):
        self.socket = socket.create_connection((server.host, server.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, head_only: bool = False) -> Answer:
        """The next answer, and no more."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = 0 if head_only else int(fields.get(b"content-length", b"0"))
        while len(rest) < length:
            self._more()
            rest = self.buffer.partition(b"\r\n\r\n")[2]
        self.buffer = rest[length:]
        return only(head + b"\r\n\r\n" + rest[:length], "H" if head_only else "")

    def _more(self) -> None:
        got = self.socket.recv(65536)
        assert got, f"closed after {self.buffer!r}"
        self.buffer += got

    def is_closed(self) -> bool:
        """True if the server closes, without a further byte."""
        assert self.buffer == b""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def is_open(self) -> bool:
        self.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        return self.read().status == 200


def payment(**fields) -> bytes:
    return json.dumps({"amount": 1.5, "currency": "EUR", **fields}).encode()


def post(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return PAYMENTS + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(*headers: bytes, target: bytes = b"/health", host: bytes = b"Host: x\r\n", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + host + b"".join(h + b"\r\n" for h in headers) + b"\r\n"


def references(server) -> set[str]:
    """The references of the newest payments."""
    answer = only(server.raw(b"GET /api/v1/payments?limit=100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    assert answer.status == 200
    return {row.get("reference") for row in json.loads(answer.body)["data"]}


# --- What is no request --------------------------------------------------------------------------------------------
# (name, bytes, status). One answer, then the connection closes; nothing behind it is read as a request.
MALFORMED = [
    # the request line
    ("no_target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("no_version", b"GET /health\r\nHost: x\r\n\r\n", 400),
    ("two_spaces_before_target", b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("two_spaces_before_version", b"GET /health  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("space_after_version", b"GET /health HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    ("tab_between", b"GET\t/health\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("leading_space", b" GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("two_empty_lines_first", b"\r\n\r\n" + HEALTH, 400),
    ("line_feed_first", b"\n" + HEALTH, 400),
    ("bare_line_feeds", HEALTH.replace(b"\r\n", b"\n"), 400),
    ("bare_line_feed_in_headers", b"GET /health HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
    ("bare_carriage_return", b"GET /health HTTP/1.1\rHost: x\r\n\r\n", 400),
    ("bare_carriage_return_in_value", get(b"X: a\rb"), 400),
    ("two_carriage_returns", b"GET /health HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    ("method_with_at", b"G@T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("method_with_bytes", b"G\xc3\x89T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("method_of_25_letters", b"A" * 25 + b" /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("word_without_end", b"A" * 40, 400),
    ("tls_hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40, 400),
    ("json_without_http", b'{"amount": 1, "currency": "EUR"}\r\n\r\n', 400),
    ("http_2_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("version_2_0", get(version=b"HTTP/2.0"), 505),
    ("version_1_2", get(version=b"HTTP/1.2"), 505),
    ("version_0_9", get(version=b"HTTP/0.9"), 505),
    ("version_1_10", get(version=b"HTTP/1.10"), 400),
    ("version_lower_case", get(version=b"http/1.1"), 400),
    ("version_with_comma", get(version=b"HTTP/1,1"), 400),
    ("version_without_minor", get(version=b"HTTP/1"), 400),
    ("another_protocol", get(version=b"ICY/1.1"), 400),
    # the target
    ("relative_target", get(target=b"health"), 400),
    ("asterisk_for_get", get(target=b"*"), 400),
    ("fragment", get(target=b"/health#x"), 400),
    ("nul_in_target", get(target=b"/health\x00"), 400),
    ("delete_in_target", get(target=b"/health\x7f"), 400),
    ("bytes_in_target", get(target=b"/h\xc3\xa9alth"), 400),
    ("absolute_without_host", get(target=b"http:///health"), 400),
    ("absolute_with_user", get(target=b"http://user@x/health"), 400),
    ("absolute_with_other_scheme", get(target=b"ftp://x/health"), 400),
    ("target_of_4097_bytes", get(target=b"/" + b"a" * 4096), 414),
    ("target_without_end", b"GET /" + b"a" * 20000, 414),
    # Host
    ("no_host", get(host=b""), 400),
    ("two_hosts", get(host=b"Host: x\r\nHost: y\r\n"), 400),
    ("the_same_host_twice", get(host=b"Host: x\r\nhost: x\r\n"), 400),
    ("two_hosts_in_1_0", get(host=b"Host: x\r\nHost: y\r\n", version=b"HTTP/1.0"), 400),
    ("empty_host", get(host=b"Host:\r\n"), 400),
    ("host_with_space", get(host=b"Host: a b\r\n"), 400),
    ("host_list", get(host=b"Host: a, b\r\n"), 400),
    ("host_with_path", get(host=b"Host: a/b\r\n"), 400),
    ("host_with_user", get(host=b"Host: u@a\r\n"), 400),
    ("host_with_bad_port", get(host=b"Host: a:8x\r\n"), 400),
    ("host_with_long_port", get(host=b"Host: a:123456\r\n"), 400),
    ("host_with_open_bracket", get(host=b"Host: [::1\r\n"), 400),
    ("host_with_bytes", get(host=b"Host: \xc3\xa9\r\n"), 400),
    # headers
    ("space_before_colon", get(b"X : y"), 400),
    ("tab_before_colon", get(b"X\t: y"), 400),
    ("no_colon", get(b"nonsense"), 400),
    ("empty_name", get(b": y"), 400),
    ("space_in_name", get(b"X Y: z"), 400),
    ("bracket_in_name", get(b"X[0]: z"), 400),
    ("nul_in_name", get(b"X\x00Y: z"), 400),
    ("nul_in_value", get(b"X: a\x00b"), 400),
    ("bell_in_value", get(b"X: a\x07b"), 400),
    ("delete_in_value", get(b"X: a\x7fb"), 400),
    ("folded", get(b"X: a\r\n b"), 400),
    ("folded_with_tab", get(b"X: a\r\n\tb"), 400),
    ("folded_first_line", b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    ("header_of_17_kb", get(b"X: " + b"a" * 17000), 431),
    ("65_headers", get(*[b"X-%d: y" % i for i in range(64)]), 431),
    ("headers_without_end", b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 4000, 431),
    ("two_authorizations", get(b"Authorization: Bearer a", b"Authorization: Bearer b"), 400),
    ("two_keys", post(payment(), b"Idempotency-Key: a", b"Idempotency-Key: b"), 400),
    ("two_content_types", post(payment(), b"Content-Type: application/json"), 400),
    ("two_expectations", post(payment(), b"Expect: 100-continue", b"Expect: 100-continue"), 400),
    # lengths
    ("length_with_plus", PAYMENTS + b"Content-Length: +5\r\n\r\nhello", 400),
    ("length_negative", PAYMENTS + b"Content-Length: -5\r\n\r\nhello", 400),
    ("length_with_letters", PAYMENTS + b"Content-Length: 5abc\r\n\r\nhello", 400),
    ("length_hexadecimal", PAYMENTS + b"Content-Length: 0x5\r\n\r\nhello", 400),
    ("length_with_point", PAYMENTS + b"Content-Length: 5.0\r\n\r\nhello", 400),
    ("length_list", PAYMENTS + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    ("length_with_space", PAYMENTS + b"Content-Length: 5 5\r\n\r\nhello", 400),
    ("length_empty", PAYMENTS + b"Content-Length:\r\n\r\nhello", 400),
    ("length_on_get_malformed", get(b"Content-Length: x"), 400),
    ("two_lengths", PAYMENTS + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("the_same_length_twice", PAYMENTS + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("length_and_chunked", PAYMENTS + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked_and_length", PAYMENTS + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("chunked_in_1_0", PAYMENTS.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("identity", PAYMENTS + b"Transfer-Encoding: identity\r\n\r\n", 400),
    ("gzip_only", PAYMENTS + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    ("chunked_then_gzip", PAYMENTS + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    ("chunked_twice", PAYMENTS + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("two_transfer_encodings", PAYMENTS + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("xchunked", PAYMENTS + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("chunked_quoted", PAYMENTS + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 400),
    ("chunked_after_vertical_tab", PAYMENTS + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("transfer_encoding_empty", PAYMENTS + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("gzip_then_chunked", PAYMENTS + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    # chunked bodies
    *[(f"chunk_{name}", PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\n" + body, 400) for name, body in [
        ("size_missing", b"\r\nhello\r\n0\r\n\r\n"),
        ("size_not_hexadecimal", b"g\r\nhello\r\n0\r\n\r\n"),
        ("size_with_plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("size_with_minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("size_with_0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("size_with_leading_space", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("size_with_trailing_space", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("size_too_long", b"000000005\r\nhello\r\n0\r\n\r\n"),
        ("bare_line_feed", b"5\nhello\n0\n\n"),
        ("data_too_short", b"6\r\nhello\r\n0\r\n\r\n"),
        ("data_too_long", b"4\r\nhello\r\n0\r\n\r\n"),
        ("without_crlf", b"5\r\nhello0\r\n\r\n"),
        ("bare_line_feed_in_extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("extension_without_end", b"5;" + b"a" * 5000),
        ("trailer_without_colon", b"0\r\nnonsense\r\n\r\n"),
        ("trailer_with_space", b"0\r\nX : y\r\n\r\n"),
        ("trailers_without_end", b"0\r\n" + b"X: y\r\n" * 2000),
    ]],
]


@pytest.mark.parametrize("data,status", [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_what_is_no_request_is_refused_and_the_connection_closes(server, data, status):
    started = time.monotonic()
    answer = only(server.raw(data + b"\r\n\r\n" + HEALTH))
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    answer.problem()
    assert time.monotonic() - started < 4, "the answer or the close came by a time-out only"


# --- Smuggling -----------------------------------------------------------------------------------------------------
def smuggled(reference: str) -> bytes:
    return post(payment(reference=reference), b"Connection: close")


def _wrapped(inner: bytes) -> list[tuple[str, bytes, int]]:
    """Requests that carry another one where a lax reader would find it."""
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    length = b"Content-Length: %d\r\n" % len(inner)
    return [
        ("cl_te", PAYMENTS + length + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("te_cl", PAYMENTS + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk, 400),
        ("te_space", PAYMENTS + length + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("te_tab", PAYMENTS + length + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("te_folded", PAYMENTS + length + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("te_bare_lf", PAYMENTS + length + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("te_identity", PAYMENTS + length + b"Transfer-Encoding: identity\r\n\r\n" + inner, 400),
        ("cl_cl", PAYMENTS + b"Content-Length: 0\r\n" + length + b"\r\n" + inner, 400),
        ("cl_list", PAYMENTS + b"Content-Length: 0, %d\r\n\r\n" % len(inner) + inner, 400),
        ("cl_plus", PAYMENTS + b"Content-Length: +0\r\n\r\n" + inner, 400),
        ("chunk_overflow", PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + inner, 413),
        ("chunk_huge", PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + inner, 413),
        ("length_huge", PAYMENTS + b"Content-Length: 99999999999999999999999\r\n\r\n" + inner, 413),
        ("length_wraps", PAYMENTS + b"Content-Length: 18446744073709551616\r\n\r\n" + inner, 413),
        ("header_injection", get(b"X: y\r\n\r\n".rstrip() + b"\x00" + inner.split(b"\r\n")[0]), 400),
        ("chunked_in_1_0", PAYMENTS.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 400),
        ("wrong_type_unread", PAYMENTS.replace(b"application/json", b"text/plain") + b"Content-Length: 70000\r\n\r\n" + inner, 413),
        ("unread_body_of_get", get(b"Content-Length: 60000", b"Expect: 100-continue") + inner, 200),
        ("unread_chunks_of_get", get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + inner, 200),
        ("not_found_chunked", PAYMENTS.replace(b"payments", b"nope") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 404),
    ]


@pytest.mark.parametrize("index", range(len(_wrapped(b""))), ids=[case[0] for case in _wrapped(b"")])
def test_a_smuggled_request_gets_no_answer_and_leaves_no_row(server, index):
    reference = f"smuggled-{uuid.uuid4()}"
    _, data, status = _wrapped(smuggled(reference))[index]
    assert only(server.raw(data)).status == status
    assert reference not in references(server)


def test_what_the_smuggling_test_looks_for_can_be_found(server):
    reference = f"plain-{uuid.uuid4()}"
    assert only(server.raw(smuggled(reference))).status == 201
    assert reference in references(server)


def test_a_body_may_look_like_a_request_and_stays_a_body(server):
    reference = f"smuggled-{uuid.uuid4()}"
    inner = smuggled(reference)
    with Connection(server) as connection:
        connection.send(post(inner))
        assert connection.read().status == 400  # it is no JSON
        assert connection.is_open()
    assert reference not in references(server)


# --- Routes and methods --------------------------------------------------------------------------------------------
# (name, bytes, status, Allow). Sound requests: the connection stays open.
ROUTED = [
    ("unknown_path", get(target=b"/nope"), 404, None),
    ("root", get(target=b"/"), 404, None),
    ("slash_at_the_end", get(target=b"/health/"), 404, None),
    ("two_slashes", get(target=b"//health"), 404, None),
    ("two_slashes_inside", get(target=b"/api//v1/payments"), 404, None),
    ("dot_segment", get(target=b"/./health"), 404, None),
    ("dot_dot_segment", get(target=b"/api/../health"), 404, None),
    ("encoded_dots", get(target=b"/api/%2e%2e/health"), 404, None),
    ("encoded_letter", get(target=b"/%68ealth"), 404, None),
    ("encoded_slash", get(target=b"/api%2fv1/payments"), 404, None),
    ("backslash", get(target=b"/api\\v1/payments"), 404, None),
    ("upper_case", get(target=b"/HEALTH"), 404, None),
    ("parameter_in_path", get(target=b"/health;x=1"), 404, None),
    ("path_to_files", get(target=b"/../../etc/passwd"), 404, None),
    ("empty_parameter", get(target=b"/api/v1/payments/"), 404, None),
    ("encoded_parameter", get(target=b"/api/v1/payments/%70ay"), 404, None),
    ("absolute_unknown", get(target=b"http://x/nope"), 404, None),
    ("absolute_root", get(target=b"http://x"), 404, None),
    ("post_to_health", post(b"{}").replace(b"/api/v1/payments", b"/health"), 405, "GET, HEAD, OPTIONS"),
    ("put", b"PUT /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ("delete", b"DELETE /api/v1/payments HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, POST, OPTIONS"),
    ("patch", b"PATCH /api/v1/payments/x HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ("trace", b"TRACE /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ("query", b"QUERY /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ("put_to_nowhere", b"PUT /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, None),
    ("connect", b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 501, None),
    ("method_lower_case", b"get /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
    ("method_of_24_letters", b"A" * 24 + b" /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
    ("method_unknown", b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
    ("expectation", get(b"Expect: the-unexpected"), 417, None),
    ("no_length", PAYMENTS + b"\r\n", 411, None),
    ("type_missing", b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 415, None),
    *[(f"type_{name}", post(b"{}").replace(b"application/json", value), 415, None) for name, value in [
        ("text", b"text/plain"), ("form", b"application/x-www-form-urlencoded"), ("empty", b""),
        ("json_patch", b"application/json-patch+json"), ("latin1", b"application/json; charset=latin1"),
        ("utf16", b"application/json;charset=utf-16"), ("profile", b"application/json; profile=x"),
        ("list", b"application/json, text/plain"),
    ]],
    ("gzip", post(b"{}", b"Content-Encoding: gzip"), 415, None),
]


@pytest.mark.parametrize("data,status,allow", [case[1:] for case in ROUTED], ids=[case[0] for case in ROUTED])
def test_a_sound_request_for_nothing_we_have_is_refused_and_the_connection_stays(server, data, status, allow):
    with Connection(server) as connection:
        connection.send(data)
        answer = connection.read()
        assert answer.status == status
        assert answer.headers.get("allow") == allow
        assert "connection" not in answer.headers
        answer.problem()
        assert connection.is_open()


@pytest.mark.parametrize("target,allow", [
    (b"*", "GET, HEAD, POST, OPTIONS"), (b"/health", "GET, HEAD, OPTIONS"),
    (b"/api/v1/payments", "GET, HEAD, POST, OPTIONS"),
])
def test_options_names_the_methods(server, target, allow):
    with Connection(server) as connection:
        connection.send(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.read()
        assert (answer.status, answer.headers["allow"]) == (204, allow)
        assert "content-length" not in answer.headers and "content-type" not in answer.headers
        assert connection.is_open()


@pytest.mark.parametrize("target,status", [(b"/health", 200), (b"/nope", 404)])
def test_head_is_get_without_the_body(server, target, status):
    with Connection(server) as connection:
        connection.send(b"HEAD " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        head = connection.read(head_only=True)
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        full = connection.read()
        assert head.status == full.status == status
        assert head.headers["content-type"] == full.headers["content-type"]
        assert head.headers["content-length"] == full.headers["content-length"]


# --- What is odd but right -----------------------------------------------------------------------------------------
FINE = [
    ("plain", get()),
    ("one_empty_line_first", b"\r\n" + get()),
    ("absolute_form", get(target=b"http://example.com/health")),
    ("absolute_form_https", get(target=b"HTTPS://example.com:443/health?x=y")),
    ("query", get(target=b"/health?a=%zz&b#c"[:-2])),
    ("host_with_port", get(host=b"Host: localhost:3000\r\n")),
    ("host_ipv4", get(host=b"Host: 127.0.0.1\r\n")),
    ("host_ipv6", get(host=b"Host: [::1]:3000\r\n")),
    ("header_names_in_any_case", get(host=b"hOsT: x\r\n")),
    ("no_space_after_colon", get(b"X:y")),
    ("spaces_around_value", get(b"X: \t y \t ")),
    ("empty_value", get(b"X:")),
    ("bytes_in_value", get(b"X: \xff\xc3\xa9")),
    ("odd_token", get(b"!#$%&'*+-.^_`|~09azAZ: y")),
    ("64_headers", get(*[b"X-%d: y" % i for i in range(63)])),
    ("head_of_15_kb", get(b"X: " + b"a" * 15000)),
    ("target_of_4096_bytes", get(target=b"/health?" + b"a" * 4088)),
    ("upgrade_ignored", get(b"Connection: Upgrade", b"Upgrade: websocket")),
    ("http2_upgrade_ignored", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA")),
    ("body_of_get", get(b"Content-Length: 5") + b"hello"),
    ("expectation_in_1_0", get(b"Expect: x", b"Connection: keep-alive", version=b"HTTP/1.0")),
    ("1_0_without_host", get(b"Connection: keep-alive", host=b"", version=b"HTTP/1.0")),
]


@pytest.mark.parametrize("data", [case[1] for case in FINE], ids=[case[0] for case in FINE])
def test_what_is_odd_but_right_is_served(server, data):
    with Connection(server) as connection:
        connection.send(data)
        assert connection.read().status == 200
        assert connection.is_open()


@pytest.mark.parametrize("content_type", [
    b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8"',
    b"application/json ; charset=UTF-8 ;",
])
def test_json_may_be_named_in_these_ways(server, content_type):
    with Connection(server) as connection:
        connection.send(post(payment()).replace(b"application/json", content_type))
        assert connection.read().status == 201


# --- Connections ---------------------------------------------------------------------------------------------------
def test_a_request_in_pieces_of_one_byte_is_one_request(server):
    with Connection(server) as connection:
        for byte in post(payment()):
            connection.send(bytes([byte]))
        assert connection.read().status == 201
        assert connection.is_open()


def test_nothing_is_answered_before_the_head_is_complete(server):
    data = get()
    with Connection(server) as connection:
        for cut in (1, 3, 5, 10, len(data) - 2, len(data) - 1):
            with Connection(server) as half:
                half.send(data[:cut])
                half.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    half.socket.recv(1)
                half.socket.settimeout(10)
                half.send(data[cut:])
                assert half.read().status == 200
        assert connection.is_open()


def test_pipelined_requests_are_answered_in_order(server):
    with Connection(server) as connection:
        connection.send(get() + get(target=b"/nope") + post(payment()) + get(b"Connection: close"))
        assert [connection.read().status for _ in range(4)] == [200, 404, 201, 200]
        assert connection.is_closed()


def test_two_hundred_pipelined_requests_are_all_answered(server):
    with Connection(server) as connection:
        connection.send(get() * 200)
        assert {connection.read().status for _ in range(200)} == {200}
        assert connection.is_open()


def test_a_chunked_request_may_be_followed_by_another(server):
    body = payment()
    chunked = b"%x\r\n%s\r\n%X;name=\"a b\"\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    with Connection(server) as connection:
        connection.send(PAYMENTS + b"Transfer-Encoding: Chunked\r\n\r\n" + chunked + get())
        assert connection.read().status == 201
        assert connection.read().status == 200
        assert connection.is_open()


def test_a_chunked_body_in_pieces_of_one_byte_is_one_body(server):
    body = payment()
    with Connection(server) as connection:
        connection.send(PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\n")
        for byte in b"%x \t;a=b\r\n%s\r\n00\r\n\r\n" % (len(body), body):
            connection.send(bytes([byte]))
        assert connection.read().status == 201
        assert connection.is_open()


@pytest.mark.parametrize("data,closes,says", [
    (get(), False, None),
    (get(b"Connection: close"), True, "close"),
    (get(b"Connection: keep-alive, Close"), True, "close"),
    (get(b"Connection: x", b"Connection: close"), True, "close"),
    (get(b"Connection: closed"), False, None),
    (get(version=b"HTTP/1.0"), True, "close"),
    (get(b"Connection: keep-alive", version=b"HTTP/1.0"), False, "keep-alive"),
    (get(b"Connection: Keep-Alive, close", version=b"HTTP/1.0"), True, "close"),
])
def test_the_connection_stays_open_as_asked(server, data, closes, says):
    with Connection(server) as connection:
        connection.send(data)
        answer = connection.read()
        assert answer.headers.get("connection") == says
        assert connection.is_closed() if closes else connection.is_open()


def test_a_client_that_has_finished_sending_still_gets_its_answer(server):
    with Connection(server) as connection:
        connection.send(get())
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read().status == 200
        assert connection.is_closed()


def test_a_body_that_ends_too_early_is_refused(server):
    with Connection(server) as connection:
        connection.send(post(payment())[:-1])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read().status == 400
        assert connection.is_closed()


def test_a_head_that_ends_too_early_gets_no_answer(server):
    with Connection(server) as connection:
        connection.send(get()[:-1])
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.is_closed()


def test_an_answer_survives_a_client_that_keeps_sending(server):
    """Closing with unread bytes would make the kernel reset the connection, and the answer could be lost."""
    with Connection(server) as connection:
        connection.send(PAYMENTS + b"Content-Length: 200000\r\n\r\n" + b"x" * 100000)
        time.sleep(0.2)
        connection.send(b"x" * 50000)
        answer = connection.read()
        assert (answer.status, answer.headers["connection"]) == (413, "close")


# --- Expect and sizes ----------------------------------------------------------------------------------------------
def expecting(body: bytes, *headers: bytes) -> bytes:
    return post(body, b"Expect: 100-Continue", *headers)[:-len(body)]


def test_a_client_that_waits_is_told_to_go_on(server):
    body = payment()
    with Connection(server) as connection:
        connection.send(expecting(body))
        assert connection.read().status == 100
        connection.send(body)
        assert connection.read().status == 201
        assert connection.is_open()


def test_a_client_that_does_not_wait_is_not_told(server):
    with Connection(server) as connection:
        connection.send(post(payment(), b"Expect: 100-continue"))
        assert connection.read().status == 201
        assert connection.is_open()


@pytest.mark.parametrize("data,status", [
    (expecting(b"x" * 65537), 413),
    (expecting(b"{}").replace(b"application/json", b"text/plain"), 415),
    (expecting(b"{}", b"Content-Encoding: br"), 415),
    (expecting(b"{}").replace(b"/api/v1/payments", b"/nope"), 404),
    (expecting(b"{}").replace(b"/api/v1/payments", b"/health"), 405),
    (expecting(b"{}").replace(b"Host: x\r\n", b""), 400),
    (expecting(b"{}").replace(b"POST", b"BREW"), 501),
])
def test_a_client_that_waits_in_vain_is_told_at_once_and_the_connection_closes(server, data, status):
    with Connection(server) as connection:
        connection.send(data)
        answer = connection.read()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        answer.problem()
        assert connection.is_closed()


def test_a_body_of_64_kb_is_read_and_one_byte_more_is_not(server):
    filler = payment(description="").replace(b'""', b'"%s"')
    exact = filler % (b"x" * (65536 - len(filler) + 2))
    assert len(exact) == 65536
    with Connection(server) as connection:
        connection.send(post(exact))
        assert connection.read().status == 400  # read whole; its description is too long
        connection.send(post(exact + b" "))
        assert connection.read().status == 413
        assert connection.is_closed()


@pytest.mark.parametrize("chunk", [1, 4096, 65536])
def test_a_chunked_body_beyond_64_kb_is_refused(server, chunk):
    with Connection(server) as connection:
        piece = b"%x\r\n%s\r\n" % (chunk, b" " * chunk)
        connection.send(PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\n" + piece * (65536 // chunk + 1) + b"0\r\n\r\n")
        assert connection.read().status == 413
        assert connection.is_closed()


def test_all_malformed_requests_left_the_server_as_it_was(server):
    for _, data, _ in MALFORMED[:20]:
        server.raw(data)
    assert only(server.raw(HEALTH)).status == 200
