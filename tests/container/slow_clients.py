#!/usr/bin/python3
"""Slow clients against the proxy of compose, on this machine's loopback only: slow_clients.py HTTPS_PORT HTTP_PORT COUNT.

Heads that never end, bodies that come a byte at a time, answers that nobody reads. Who is thrown out comes again. For each line
of standard input it prints how many are connected and how many left or were thrown out so far; it ends with its input.
"""
from __future__ import annotations

import contextlib
import queue
import resource
import socket
import ssl
import sys
import threading
import time

PACE_S = 3.0  # between two bytes
UNREAD_S = 12.0  # an answer is left lying for so long; the proxy gives up before
CONNECTORS = 4
KINDS = ("head", "head", "head", "body", "body", "read")
REQUESTS = {
    "head": b"POST /api/v1/payments HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "body": b"POST /api/v1/payments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
    "read": b"GET /docs/swagger-ui.js HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


class Crowd:
    def __init__(self, https_port: int, http_port: int, count: int) -> None:
        self.https_port, self.http_port = https_port, http_port
        self.waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.open: dict[socket.socket, tuple[str, float]] = {}
        self.gone = 0
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE  # an attacker does not care
        for i in range(count):
            self.waiting.put(KINDS[i % len(KINDS)])
        for work in [self.connect_all] * CONNECTORS + [self.dawdle]:
            threading.Thread(target=work, daemon=True).start()

    def connect_all(self) -> None:
        while True:
            kind = self.waiting.get()
            try:
                self.open[self.connect(kind)] = (kind, time.monotonic())
            except OSError:
                self.waiting.put(kind)
                time.sleep(0.05)

    def connect(self, kind: str) -> socket.socket:
        made = socket.socket()
        try:
            if kind == "read":
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            made.settimeout(30)
            made.connect(("127.0.0.1", self.http_port if kind == "head" else self.https_port))
            if kind != "head":
                made = self.tls.wrap_socket(made, server_hostname="localhost")
            made.sendall(REQUESTS[kind])
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        return made

    def dawdle(self) -> None:
        """Every connection sends one byte more, or reads nothing; those that are closed are counted and made anew."""
        while True:
            time.sleep(PACE_S)
            for connection, (kind, since) in list(self.open.items()):
                if not (time.monotonic() - since < UNREAD_S if kind == "read" else drips(connection)):
                    del self.open[connection]
                    connection.close()
                    self.gone += 1
                    self.waiting.put(kind)


def drips(connection: socket.socket) -> bool:
    """False if the other end has closed."""
    try:
        connection.send(b" ")
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            return connection.recv(1024) != b""
    except (BlockingIOError, ssl.SSLWantWriteError):
        return True
    except OSError:
        return False
    return True


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    for _ in sys.stdin:
        print(len(crowd.open), crowd.gone, flush=True)


if __name__ == "__main__":
    main()
