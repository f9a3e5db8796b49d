"""The wire as a specification: RFC 9110 and 9112, section by section, and what attackers send.

Each table says what is sent and exactly what is answered. Where two readers of the same bytes could disagree about where a
request ends, the answer is an error and the connection closes, so that nothing can be smuggled. How connections live is in
test_wire.py.
"""
from __future__ import annotations

import select
import time
import uuid

import pytest
from http11 import HEALTH, PAYMENTS, Connection, get, only, payment, post, references

Cases = dict[str, list[tuple]]
CHUNKED = PAYMENTS + b"Transfer-Encoding: chunked\r\n\r\n"


def each(cases: Cases) -> dict:
    """The arguments of parametrize: a test's name has the section and the case."""
    rows = [(section.partition(":")[0].replace(", ", "-").replace(" ", "-"), row) for section, group in cases.items() for row in group]
    return {"argvalues": [row[1:] if len(row) > 2 else row[1] for _, row in rows], "ids": [f"{section}-{row[0]}" for section, row in rows]}


# --- What is no request: one answer, then the connection closes. Nothing behind it is read as a request ------------
REFUSED: Cases = {
    "RFC 9112, 2.2: message parsing": [
        ("two_empty_lines_first", b"\r\n\r\n" + HEALTH, 400),
        ("line_feed_first", b"\n" + HEALTH, 400),
        ("bare_line_feeds", HEALTH.replace(b"\r\n", b"\n"), 400),
        ("bare_line_feed_in_headers", b"GET /health HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        ("bare_carriage_return", b"GET /health HTTP/1.1\rHost: x\r\n\r\n", 400),
        ("bare_carriage_return_in_value", get(b"X: a\rb"), 400),
        ("two_carriage_returns", b"GET /health HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    ],
    "RFC 9112, 2.3: the version": [
        ("version_1_10", get(version=b"HTTP/1.10"), 400),
        ("version_lower_case", get(version=b"http/1.1"), 400),
        ("version_with_comma", get(version=b"HTTP/1,1"), 400),
        ("version_without_minor", get(version=b"HTTP/1"), 400),
        ("another_protocol", get(version=b"ICY/1.1"), 400),
        ("version_with_leading_zero", get(version=b"HTTP/01.1"), 400),
        ("version_of_three_numbers", get(version=b"HTTP/1.1.1"), 400),
        ("version_negative", get(version=b"HTTP/-1.1"), 400),
        ("version_with_space", get(version=b"HTTP /1.1"), 400),
        ("version_with_nul", get(version=b"HTTP/1.1\x00"), 400),
    ],
    "RFC 9110, 15.6.6: a version that is not served": [
        ("http_2_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("version_2_0", get(version=b"HTTP/2.0"), 505),
        ("version_1_2", get(version=b"HTTP/1.2"), 505),
        ("version_0_9", get(version=b"HTTP/0.9"), 505),
        ("version_9_9", get(version=b"HTTP/9.9"), 505),
        ("version_3_0", get(version=b"HTTP/3.0"), 505),
    ],
    "RFC 9112, 3: the request line": [
        ("no_target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("no_version", b"GET /health\r\nHost: x\r\n\r\n", 400),
        ("two_spaces_before_target", b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("two_spaces_before_version", b"GET /health  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("space_after_version", b"GET /health HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
        ("tab_between", b"GET\t/health\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("leading_space", b" GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("word_without_end", b"A" * 40, 400),
        ("tls_hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40, 400),
        ("json_without_http", b'{"amount": 1, "currency": "EUR"}\r\n\r\n', 400),
        ("simple_request_of_0_9", b"GET /health\r\n", 400),
        ("one_word", b"GET\r\n\r\n", 400),
        ("words_before_the_method", b"Extra wordsGET /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("a_response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
    ],
    "RFC 9112, 3.1: the method": [
        ("method_with_at", b"G@T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("method_with_bytes", b"G\xc3\x89T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("method_of_25_letters", b"A" * 25 + b" /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("nul_in_method", b"G\x00T /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("no_method", b" /health HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
    "RFC 9112, 3.2: the target and Host": [
        ("relative_target", get(target=b"health"), 400),
        ("fragment", get(target=b"/health#x"), 400),
        ("nul_in_target", get(target=b"/health\x00"), 400),
        ("delete_in_target", get(target=b"/health\x7f"), 400),
        ("bytes_in_target", get(target=b"/h\xc3\xa9alth"), 400),
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
        ("empty_target", b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("host_with_nul", get(host=b"Host: a\x00b\r\n"), 400),
        ("host_with_at_only", get(host=b"Host: @\r\n"), 400),
        ("host_with_query", get(host=b"Host: a?b\r\n"), 400),
        ("host_of_commas", get(host=b"Host: ,\r\n"), 400),
    ],
    "RFC 9112, 3.2.2: the absolute form": [
        ("absolute_without_host", get(target=b"http:///health"), 400),
        ("absolute_with_user", get(target=b"http://user@x/health"), 400),
        ("absolute_with_other_scheme", get(target=b"ftp://x/health"), 400),
        ("absolute_does_not_spare_host", get(target=b"http://x/health", host=b""), 400),
        ("absolute_with_space_in_host", get(target=b"http://a b/health"), 400),
        ("absolute_with_bad_port", get(target=b"http://x:8x/health"), 400),
    ],
    "RFC 9112, 3.2.3: the authority form": [
        ("authority_for_get", get(target=b"x:443"), 400),
        ("connect_without_authority", b"CONNECT ? HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
    "RFC 9112, 3.2.4: the asterisk form": [
        ("asterisk_for_get", get(target=b"*"), 400),
        ("asterisk_and_more", b"OPTIONS *x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
    "RFC 9110, 15.5.15: a target that is too long": [
        ("target_of_4097_bytes", get(target=b"/" + b"a" * 4096), 414),
        ("target_without_end", b"GET /" + b"a" * 20000, 414),
    ],
    "RFC 9112, 5: a header line": [
        ("no_colon", get(b"nonsense"), 400),
        ("line_feed_for_the_blank_line", b"GET /health HTTP/1.1\r\nHost: x\r\n\n", 400),
        ("carriage_return_before_a_name", get(b"\rX: y"), 400),
    ],
    "RFC 9112, 5.1: nothing between name and colon": [
        ("space_before_colon", get(b"X : y"), 400),
        ("tab_before_colon", get(b"X\t: y"), 400),
    ],
    "RFC 9112, 5.2: no folding": [
        ("folded", get(b"X: a\r\n b"), 400),
        ("folded_with_tab", get(b"X: a\r\n\tb"), 400),
        ("folded_first_line", b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    ],
    "RFC 9110, 5.1: names": [
        ("empty_name", get(b": y"), 400),
        ("space_in_name", get(b"X Y: z"), 400),
        ("bracket_in_name", get(b"X[0]: z"), 400),
        ("nul_in_name", get(b"X\x00Y: z"), 400),
        ("bytes_in_name", get(b"X\xc3\xa9: z"), 400),
        ("comma_in_name", get(b"X,Y: z"), 400),
        ("quoted_name", get(b'"X": z'), 400),
    ],
    "RFC 9110, 5.5: values": [
        ("nul_in_value", get(b"X: a\x00b"), 400),
        ("bell_in_value", get(b"X: a\x07b"), 400),
        ("delete_in_value", get(b"X: a\x7fb"), 400),
    ],
    "RFC 9110, 5.3: what may stand only once": [
        ("two_authorizations", get(b"Authorization: Bearer a", b"Authorization: Bearer b"), 400),
        ("two_keys", post(payment(), b"Idempotency-Key: a", b"Idempotency-Key: b"), 400),
        ("two_content_types", post(payment(), b"Content-Type: application/json"), 400),
        ("two_expectations", post(payment(), b"Expect: 100-continue", b"Expect: 100-continue"), 400),
    ],
    "RFC 6585, 5: too many or too large": [
        ("header_of_17_kb", get(b"X: " + b"a" * 17000), 431),
        ("65_headers", get(*[b"X-%d: y" % i for i in range(64)]), 431),
        ("headers_without_end", b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 4000, 431),
    ],
    "RFC 9110, 8.6: Content-Length": [
        ("length_with_plus", PAYMENTS + b"Content-Length: +5\r\n\r\nhello", 400),
        ("length_negative", PAYMENTS + b"Content-Length: -5\r\n\r\nhello", 400),
        ("length_with_letters", PAYMENTS + b"Content-Length: 5abc\r\n\r\nhello", 400),
        ("length_hexadecimal", PAYMENTS + b"Content-Length: 0x5\r\n\r\nhello", 400),
        ("length_with_point", PAYMENTS + b"Content-Length: 5.0\r\n\r\nhello", 400),
        ("length_list", PAYMENTS + b"Content-Length: 5, 5\r\n\r\nhello", 400),
        ("length_with_space", PAYMENTS + b"Content-Length: 5 5\r\n\r\nhello", 400),
        ("length_empty", PAYMENTS + b"Content-Length:\r\n\r\nhello", 400),
        ("length_on_get_malformed", get(b"Content-Length: x"), 400),
        ("length_wraps_below_zero", get(b"Content-Length: -123456789123456789123456789"), 400),
        ("length_with_underscore", PAYMENTS + b"Content-Length: 1_0\r\n\r\nhello", 400),
        ("length_with_vertical_tab", PAYMENTS + b"Content-Length: \x0b5\r\n\r\nhello", 400),
        ("length_octal_prefix", PAYMENTS + b"Content-Length: 0o5\r\n\r\nhello", 400),
    ],
    "RFC 9112, 6.1: Transfer-Encoding": [
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
        ("chunked_with_parameter", PAYMENTS + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
        ("chunked_then_identity", PAYMENTS + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        ("chunked_after_nul", PAYMENTS + b"Transfer-Encoding: \x00chunked\r\n\r\n0\r\n\r\n", 400),
        ("chunked_after_delete", PAYMENTS + b"Transfer-Encoding: \x7fchunked\r\n\r\n0\r\n\r\n", 400),
        ("chunked_in_two_words", PAYMENTS + b"Transfer-Encoding: chu nked\r\n\r\n0\r\n\r\n", 400),
    ],
    "RFC 9112, 6.3: one length": [
        ("two_lengths", PAYMENTS + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("the_same_length_twice", PAYMENTS + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("length_and_chunked", PAYMENTS + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("chunked_and_length", PAYMENTS + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        ("lengths_in_two_cases", PAYMENTS + b"content-length: 5\r\nCONTENT-LENGTH: 5\r\n\r\nhello", 400),
        ("length_0_and_chunked", PAYMENTS + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("get_with_length_and_chunked", get(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    ],
}

# The same, of a chunked body. A size that does not fit is too large, whatever number it would wrap to.
REFUSED_CHUNKS: Cases = {
    "RFC 9112, 7.1: chunks": [
        ("size_missing", b"\r\nhello\r\n0\r\n\r\n", 400),
        ("size_not_hexadecimal", b"g\r\nhello\r\n0\r\n\r\n", 400),
        ("size_with_plus", b"+5\r\nhello\r\n0\r\n\r\n", 400),
        ("size_with_minus", b"-5\r\nhello\r\n0\r\n\r\n", 400),
        ("size_with_0x", b"0x5\r\nhello\r\n0\r\n\r\n", 400),
        ("size_with_leading_space", b" 5\r\nhello\r\n0\r\n\r\n", 400),
        ("size_with_trailing_space", b"5 \r\nhello\r\n0\r\n\r\n", 400),
        ("size_too_long", b"000000005\r\nhello\r\n0\r\n\r\n", 400),
        ("bare_line_feed", b"5\nhello\n0\n\n", 400),
        ("data_too_short", b"6\r\nhello\r\n0\r\n\r\n", 400),
        ("data_too_long", b"4\r\nhello\r\n0\r\n\r\n", 400),
        ("without_crlf", b"5\r\nhello0\r\n\r\n", 400),
        ("size_with_underscore", b"1_0\r\nhello\r\n0\r\n\r\n", 400),
        ("size_negative_in_hexadecimal", b"-0\r\n\r\n", 400),
        ("size_with_nul", b"5\x00\r\nhello\r\n0\r\n\r\n", 400),
        ("line_of_spaces", b"  \r\n\r\n", 400),
        ("bare_carriage_return", b"5\rhello\r\n0\r\n\r\n", 400),
        ("size_beyond_64_bits", b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", 413),
        ("size_of_64_bits", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 413),
        ("size_that_overflows_to_5", b"10000000000000005\r\nhello\r\n0\r\n\r\n", 413),
    ],
    "RFC 9112, 7.1.1: extensions": [
        ("bare_line_feed_in_extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
        ("extension_without_end", b"5;" + b"a" * 5000, 400),
        ("bare_carriage_return_in_extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", 400),
        ("nul_in_extension", b"5;a\x00\r\nhello\r\n0\r\n\r\n", 400),
        ("extension_without_semicolon", b"5 a=b\r\nhello\r\n0\r\n\r\n", 400),
    ],
    "RFC 9112, 7.1.2: trailers": [
        ("trailer_without_colon", b"0\r\nnonsense\r\n\r\n", 400),
        ("trailer_with_space", b"0\r\nX : y\r\n\r\n", 400),
        ("trailers_without_end", b"0\r\n" + b"X: y\r\n" * 2000, 400),
        ("folded_trailer", b"0\r\nX: y\r\n z\r\n\r\n", 400),
        ("nul_in_trailer", b"0\r\nX: \x00\r\n\r\n", 400),
        ("bare_line_feed_after_trailer", b"0\r\nX: y\n\r\n", 400),
    ],
}


def check_refused(server, data: bytes, status: int) -> None:
    started = time.monotonic()
    answer = only(server.raw(data + b"\r\n\r\n" + HEALTH))
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    answer.problem()
    assert time.monotonic() - started < 4, "the answer or the close came by a time-out only"


@pytest.mark.parametrize("data,status", **each(REFUSED))
def test_what_is_no_request_is_refused_and_the_connection_closes(server, data, status):
    check_refused(server, data, status)


@pytest.mark.parametrize("data,status", **each(REFUSED_CHUNKS))
def test_what_is_no_chunked_body_is_refused_and_the_connection_closes(server, data, status):
    check_refused(server, CHUNKED + data, status)


@pytest.mark.parametrize("place", ["GET /hea%slth HTTP/1.1\r\nHost: x\r\n\r\n", "GET /health HTTP/1.1\r\nHo%sst: x\r\n\r\n",
                                   "GET /health HTTP/1.1\r\nHost: x\r\nX: a%sb\r\n\r\n"], ids=["target", "name", "value"])
def test_no_control_character_may_stand_in_a_head(server, place):
    """RFC 9110, 5.5 and 9112, 3.2. A tab is fine in a value."""
    for code in [*range(32), 127]:
        if code != 9 or "X:" not in place:
            assert only(server.raw((place % chr(code)).encode("latin-1"))).status == 400, code


# --- RFC 9112, 11.2: smuggling -----------------------------------------------------------------------------------------------------
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


# --- Sound requests for what we do not have: the connection stays open. (name, bytes, status, Allow) ----------------
STAYS: Cases = {
    "RFC 9110, 15.5.5: nothing is at this path, which is compared as it stands": [
        ("unknown_path", get(target=b"/nope"), 404, None),
        ("root", get(target=b"/"), 404, None),
        ("slash_at_the_end", get(target=b"/health/"), 404, None),
        ("two_slashes", get(target=b"//health"), 404, None),
        ("two_slashes_inside", get(target=b"/api//v1/payments"), 404, None),
        ("upper_case", get(target=b"/HEALTH"), 404, None),
        ("parameter_in_path", get(target=b"/health;x=1"), 404, None),
        ("backslash", get(target=b"/api\\v1/payments"), 404, None),
        ("path_to_files", get(target=b"/../../etc/passwd"), 404, None),
        ("empty_parameter", get(target=b"/api/v1/payments/"), 404, None),
        ("absolute_unknown", get(target=b"http://x/nope"), 404, None),
        ("absolute_root", get(target=b"http://x"), 404, None),
        ("absolute_with_query_only", get(target=b"http://x?a=b"), 404, None),
        ("put_to_nowhere", b"PUT /nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, None),
    ],
    "RFC 3986, 6.2.2: escapes and dot segments are not resolved": [
        ("dot_segment", get(target=b"/./health"), 404, None),
        ("dot_dot_segment", get(target=b"/api/../health"), 404, None),
        ("dots_at_the_end", get(target=b"/health/.."), 404, None),
        ("encoded_dots", get(target=b"/api/%2e%2e/health"), 404, None),
        ("encoded_twice", get(target=b"/api/%252e%252e/health"), 404, None),
        ("encoded_letter", get(target=b"/%68ealth"), 404, None),
        ("encoded_slash", get(target=b"/api%2fv1/payments"), 404, None),
        ("encoded_nul", get(target=b"/health%00"), 404, None),
        ("encoded_line_end", get(target=b"/health%0d%0aX:%20y"), 404, None),
        ("overlong_slash", get(target=b"/..%c0%af../health"), 404, None),
        ("bad_escape", get(target=b"/health%zz"), 404, None),
        ("half_an_escape", get(target=b"/health%2"), 404, None),
        ("encoded_parameter", get(target=b"/api/v1/payments/%70ay"), 404, None),
    ],
    "RFC 9110, 15.5.6: the path has not this method": [
        ("post_to_health", post(b"{}").replace(b"/api/v1/payments", b"/health"), 405, "GET, HEAD, OPTIONS"),
        ("put", b"PUT /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
        ("delete", b"DELETE /api/v1/payments HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, POST, OPTIONS"),
        ("patch", b"PATCH /api/v1/payments/x HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
        ("query", b"QUERY /health HTTP/1.1\r\nHost: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ],
    "RFC 9110, 9.3.8: TRACE tells nothing back": [
        ("trace", b"TRACE /health HTTP/1.1\r\nHost: x\r\nCookie: x\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
        ("trace_max_forwards", b"TRACE /health HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", 405, "GET, HEAD, OPTIONS"),
    ],
    "RFC 9110, 9.1: methods are case-sensitive, and unknown ones say so": [
        ("method_lower_case", b"get /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
        ("method_mixed_case", b"Get /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
        ("method_of_24_letters", b"A" * 24 + b" /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
        ("method_unknown", b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
        ("method_of_odd_characters", b"!#$%&'*+-.^_`|~ /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
    ],
    "RFC 9112, 3.2.3 and 9110, 9.3.6: this is no proxy": [
        ("connect", b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 501, None),
        ("connect_in_origin_form", b"CONNECT /health HTTP/1.1\r\nHost: x\r\n\r\n", 501, None),
    ],
    "RFC 9110, 10.1.1: an expectation that nobody knows": [
        ("expectation", get(b"Expect: the-unexpected"), 417, None),
        ("expectation_with_more", get(b"Expect: 100-continue, x"), 417, None),
    ],
    "RFC 9110, 15.5.12: a body needs a length": [("no_length", PAYMENTS + b"\r\n", 411, None)],
    "RFC 9110, 15.5.16: a body must be JSON in UTF-8, as it stands": [
        ("type_missing", b"POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 415, None),
        *[(f"type_{name}", post(b"{}").replace(b"application/json", value), 415, None) for name, value in [
            ("text", b"text/plain"), ("form", b"application/x-www-form-urlencoded"), ("empty", b""),
            ("json_patch", b"application/json-patch+json"), ("latin1", b"application/json; charset=latin1"),
            ("utf16", b"application/json;charset=utf-16"), ("profile", b"application/json; profile=x"),
            ("list", b"application/json, text/plain"),
        ]],
        ("gzip", post(b"{}", b"Content-Encoding: gzip"), 415, None),
    ],
}


@pytest.mark.parametrize("data,status,allow", **each(STAYS))
def test_a_sound_request_for_nothing_we_have_is_refused_and_the_connection_stays(server, data, status, allow):
    with Connection(server) as connection:
        connection.send(data)
        answer = connection.read()
        assert answer.status == status
        assert answer.headers.get("allow") == allow
        assert "connection" not in answer.headers
        answer.problem()
        assert connection.is_open()


# --- What is odd but right: served, and the connection stays -------------------------------------------------------
SERVED: Cases = {
    "RFC 9112, 2.2: one empty line before a request": [
        ("plain", get()),
        ("one_empty_line_first", b"\r\n" + get()),
    ],
    "RFC 9112, 3.2: the four forms of a target": [
        ("absolute_form", get(target=b"http://example.com/health")),
        ("absolute_form_https", get(target=b"HTTPS://example.com:443/health?x=y")),
        ("absolute_form_wins_over_host", get(target=b"http://a/health", host=b"Host: b\r\n")),
        ("query", get(target=b"/health?a=%zz&b")),
        ("query_with_question_marks", get(target=b"/health?a?b=?")),
        ("target_of_4096_bytes", get(target=b"/health?" + b"a" * 4088)),
    ],
    "RFC 9110, 7.2: Host": [
        ("host_with_port", get(host=b"Host: localhost:3000\r\n")),
        ("host_with_empty_port", get(host=b"Host: localhost:\r\n")),
        ("host_ipv4", get(host=b"Host: 127.0.0.1\r\n")),
        ("host_ipv6", get(host=b"Host: [::1]:3000\r\n")),
        ("host_last", get(b"X: y", b"Host: x", host=b"")),
    ],
    "RFC 9112, 5 and 9110, 5: header lines": [
        ("header_names_in_any_case", get(host=b"hOsT: x\r\n")),
        ("no_space_after_colon", get(b"X:y")),
        ("tab_after_colon", get(host=b"hoSt:\tx\r\n")),
        ("spaces_around_value", get(b"X: \t y \t ")),
        ("empty_value", get(b"X:")),
        ("value_of_spaces", get(b"X:    ")),
        ("colons_in_value", get(b"X: a:b: c")),
        ("bytes_in_value", get(b"X: \xff\xc3\xa9")),
        ("odd_token", get(b"!#$%&'*+-.^_`|~09azAZ: y")),
        ("the_same_name_twice", get(b"X: a", b"X: b")),
        ("64_headers", get(*[b"X-%d: y" % i for i in range(63)])),
        ("head_of_15_kb", get(b"X: " + b"a" * 15000)),
    ],
    "RFC 9110, 7.8: nobody must upgrade": [
        ("upgrade_ignored", get(b"Connection: Upgrade", b"Upgrade: websocket")),
        ("http2_upgrade_ignored", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA")),
    ],
    "RFC 9110, 6.4 and 9.3.1: a body means nothing to GET": [("body_of_get", get(b"Content-Length: 5") + b"hello")],
    "RFC 9110, 8.6: digits": [
        ("length_0", get(b"Content-Length: 0")),
        ("length_with_leading_zeros", get(b"Content-Length: 0005") + b"hello"),
    ],
    "RFC 9110, 10.1.4, 6.5 and 7.6: fields that need no answer": [
        ("te", get(b"TE: trailers, deflate;q=0.5", b"Connection: TE")),
        ("trailer", get(b"Trailer: X")),
        ("max_forwards", get(b"Max-Forwards: 0")),
        ("via", get(b"Via: 1.0 a, 1.1 b")),
        ("range", get(b"Range: bytes=0-1")),
        ("conditions", get(b'If-Match: "x"', b"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT")),
        ("accept", get(b"Accept: text/html;q=0.1", b"Accept-Encoding: br")),
    ],
    "RFC 9112, 9.3: HTTP/1.0": [
        ("expectation_in_1_0", get(b"Expect: x", b"Connection: keep-alive", version=b"HTTP/1.0")),
        ("1_0_without_host", get(b"Connection: keep-alive", host=b"", version=b"HTTP/1.0")),
    ],
}


@pytest.mark.parametrize("data", **each(SERVED))
def test_what_is_odd_but_right_is_served(server, data):
    with Connection(server) as connection:
        connection.send(data)
        assert connection.read().status == 200
        assert connection.is_open()


# Chunked payments that are odd but right: recorded, and the next request is found behind them.
BODY = payment()
SERVED_CHUNKS: Cases = {
    "RFC 9112, 7.1: chunks": [
        ("one_chunk", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
        ("a_chunk_a_byte", b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
        ("size_in_upper_case", b"%X\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
        ("size_with_leading_zeros", b"%08x\r\n%s\r\n000\r\n\r\n" % (len(BODY), BODY)),
    ],
    "RFC 9112, 7.1.1: extensions are ignored": [
        ("extension", b'%x;a=b;c="d e"\r\n%s\r\n0;last\r\n\r\n' % (len(BODY), BODY)),
        ("space_before_extension", b"%x \t;a\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    ],
    "RFC 9112, 7.1.2 and 9110, 6.5.1: trailers are dropped, whatever they say": [
        ("trailer", b"%x\r\n%s\r\n0\r\nX: y\r\nZ:\r\n\r\n" % (len(BODY), BODY)),
        ("length_in_trailer", b"%x\r\n%s\r\n0\r\nContent-Length: 99\r\n\r\n" % (len(BODY), BODY)),
        ("close_in_trailer", b"%x\r\n%s\r\n0\r\nConnection: close\r\nHost: y\r\n\r\n" % (len(BODY), BODY)),
        ("chunked_in_trailer", b"%x\r\n%s\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" % (len(BODY), BODY)),
    ],
}


@pytest.mark.parametrize("data", **each(SERVED_CHUNKS))
def test_a_chunked_payment_is_recorded_and_the_next_request_is_found(server, data):
    with Connection(server) as connection:
        connection.send(CHUNKED + data + get(target=b"/nope"))
        assert [connection.read().status for _ in range(2)] == [201, 404]
        assert connection.is_open()


@pytest.mark.parametrize("content_type", [
    b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8"',
    b"application/json ; charset=UTF-8 ;",
])
def test_json_may_be_named_in_these_ways(server, content_type):
    """RFC 9110, 8.3.1."""
    with Connection(server) as connection:
        connection.send(post(payment()).replace(b"application/json", content_type))
        assert connection.read().status == 201


# --- RFC 9110, 9.3: HEAD and OPTIONS -------------------------------------------------------------------------------
@pytest.mark.parametrize("target,allow", [
    (b"*", "GET, HEAD, POST, OPTIONS"), (b"/health", "GET, HEAD, OPTIONS"), (b"http://x/health", "GET, HEAD, OPTIONS"),
    (b"/api/v1/payments", "GET, HEAD, POST, OPTIONS"),
])
def test_options_names_the_methods(server, target, allow):
    """RFC 9110, 9.3.7 and 8.6: a 204 has no Content-Length."""
    with Connection(server) as connection:
        connection.send(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.read()
        assert (answer.status, answer.headers["allow"]) == (204, allow)
        assert "content-length" not in answer.headers and "content-type" not in answer.headers
        assert connection.is_open()


@pytest.mark.parametrize("target,status", [(b"/health", 200), (b"/nope", 404), (b"/api/v1/payments/x", 404)])
def test_head_is_get_without_the_body(server, target, status):
    """RFC 9110, 9.3.2."""
    with Connection(server) as connection:
        connection.send(b"HEAD " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        head = connection.read(head_only=True)
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        full = connection.read()
        assert head.status == full.status == status
        assert head.headers["content-type"] == full.headers["content-type"]
        assert head.headers["content-length"] == full.headers["content-length"]


def test_an_answer_says_when_it_was_made(server):
    """RFC 9110, 6.6.1 and 5.6.7."""
    answer = only(server.raw(HEALTH))
    assert abs(time.mktime(time.strptime(answer.headers["date"], "%a, %d %b %Y %H:%M:%S GMT")) - time.mktime(time.gmtime())) < 10


# --- The 33 cases of the kind that h1spec made known ----------------------------------------------------------------
# Fifteen heads that are cut: the server waits, and serves the request once the rest is there (RFC 9112, 2.2 and 9.5).
CUT_AFTER = [b"G", b"GET ", b"GET /health", b"GET /health ", b"GET /health HTTP", b"GET /health HTTP/1.1", b"GET /health HTTP/1.1\r",
             b"GET /health HTTP/1.1\r\n", b"GET /health HTTP/1.1\r\nHos", b"GET /health HTTP/1.1\r\nHost:",
             b"GET /health HTTP/1.1\r\nHost: ", b"GET /health HTTP/1.1\r\nHost: x", b"GET /health HTTP/1.1\r\nHost: x\r",
             b"GET /health HTTP/1.1\r\nHost: x\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\n\r"]
# Eighteen whole ones: (what it is, its section, bytes, status).
WHOLE = [
    ("no version", "9112-3", b"GET /health \r\n\r\n", 400),
    ("GET that expects", "9110-10.1.1", get(b"Expect: 100-continue"), 200),
    ("a plain GET", "9112-3", get(), 200),
    ("a name in odd case, a tab, an empty value", "9112-5", get(b"empty:", host=b"hoSt:\tx\r\n"), 200),
    ("brackets in a name", "9110-5.1", get(b"X[]: y"), 400),
    ("no Host", "9112-3.2", get(b"Content-Length: 5", host=b""), 400),
    ("two Hosts", "9112-3.2", get(host=b"Host: a\r\nHost: b\r\n"), 400),
    ("a length far below zero", "9110-8.6", get(b"Content-Length: -99999999999999999999999999"), 400),
    ("a length below zero", "9110-8.6", get(b"Content-Length: -4321"), 400),
    ("a length of letters", "9110-8.6", get(b"Content-Length: xyz"), 400),
    ("an empty value", "9110-5.5", get(b"X: "), 200),
    ("a bell in a value", "9110-5.5", get(b"X: y\x07"), 400),
    ("HTTP/9.9", "9110-15.6.6", get(version=b"HTTP/9.9"), 505),
    ("words before the method", "9112-3", b"More words" + get(), 400),
    ("a line that ends in LF CR", "9112-2.2", b"GET /health HTTP/1.1\r\nHost: x\r\n\rX: y\r\n\r\n", 400),
    ("a body with its length", "9112-6.3", post(payment()), 201),
    ("a chunked body", "9112-7.1", CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), 201),
    ("two lengths", "9112-6.3", get(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
]


def test_there_are_33_of_them():
    assert (len(CUT_AFTER), len(WHOLE)) == (15, 18)


def test_a_cut_head_is_waited_for_and_then_served(server):
    whole = get()
    connections = [Connection(server) for _ in CUT_AFTER]
    try:
        for connection, part in zip(connections, CUT_AFTER, strict=True):
            assert whole.startswith(part)
            connection.send(part)
        assert select.select([c.socket for c in connections], [], [], 0.3)[0] == [], "an answer to half a head, or a close"
        for connection, part in zip(connections, CUT_AFTER, strict=True):
            connection.send(whole[len(part):])
            assert connection.read().status == 200
    finally:
        for connection in connections:
            connection.socket.close()


@pytest.mark.parametrize("data,status", [row[2:] for row in WHOLE], ids=[f"{row[1]}-{row[0].replace(' ', '_')}" for row in WHOLE])
def test_a_whole_request_is_answered_as_it_must_be(server, data, status):
    with Connection(server) as connection:
        connection.send(data)
        assert connection.read().status == status


def test_all_refused_requests_left_the_server_as_it_was(server):
    assert only(server.raw(HEALTH)).status == 200
