"""HTTP/1.1 by hand: bytes to send, a socket on which a test decides what is sent when, and a strict reader of answers."""
from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Self

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
