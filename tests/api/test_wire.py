"""How connections live: requests in pieces and in rows, ends that come early, clients that wait, sizes at their limits.

What single requests are answered is in test_rfc.py.
"""
from __future__ import annotations

import socket
import time

import pytest
from http11 import PAYMENTS, Connection, get, payment, post


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
