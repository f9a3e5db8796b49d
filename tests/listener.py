"""Small servers of the tests' own, each in a thread of this process."""
from __future__ import annotations

import http.server
import socketserver
import ssl
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """Says nothing on stderr about each request."""

    def log_message(self, *_: object) -> None:
        pass


class Listener:
    """Listens on 127.0.0.1 from now on, on a free port if none is given; http.server's handlers and socketserver's."""

    def __init__(self, handler: type[socketserver.BaseRequestHandler], port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        kind = http.server.ThreadingHTTPServer if issubclass(handler, Handler) else socketserver.ThreadingTCPServer
        self._server = kind(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
