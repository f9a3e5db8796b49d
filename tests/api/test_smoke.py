"""`payflow smoke`: what a release must do before it gets traffic; here against good and bad servers."""
from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from listener import Handler, Listener
from servers import BINARY, Folder, Server


@pytest.fixture(scope="module")
def keyed(folder: Folder, postgres, redis) -> Iterator[Server]:
    made = Server(folder, postgres.database(), redis, PAYFLOW_AUTH="on", APP_VERSION="7.1.0").migrate().start()
    yield made
    assert made.stop() == 0


def smoke(server: Server, url: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    given = {"SMOKE_URL": url or f"http://127.0.0.1:{server.port}", "SMOKE_KEY": "pfk_test_none"} | settings
    return server.command("smoke", limit_s=90, **given)


@pytest.fixture(scope="module")
def key(keyed: Server) -> str:
    return keyed.new_key("smoke", "--test")


def test_a_good_server_passes_and_the_payment_is_a_test_payment(keyed: Server, key: str) -> None:
    done = smoke(keyed, SMOKE_KEY=key, SMOKE_ROUNDS="3")
    assert done.returncode == 0, done.stderr
    assert "version 7.1.0" in done.stdout and "rounds: 3" in done.stdout
    made = keyed.sql("SELECT livemode, amount_minor FROM payments WHERE reference = 'smoke'")
    assert made == [(False, 101)] * 3


@pytest.mark.parametrize(("settings", "says"), [
    ({"APP_VERSION": "7.1.1"}, "FAILED version: expected version 7.1.1"),
    ({"SMOKE_KEY": "pfk_test_" + "0" * 40}, "FAILED payment: no payment was made; it answered 401"),
    ({"SMOKE_URL": "http://127.0.0.1:1"}, "FAILED health: no connection"),
])
def test_it_says_what_is_wrong(keyed: Server, key: str, settings: dict[str, str], says: str) -> None:
    done = keyed.command("smoke", **{"SMOKE_URL": f"http://127.0.0.1:{keyed.port}", "SMOKE_KEY": key} | settings)
    assert done.returncode == 1
    assert says in done.stderr
    assert settings.get("SMOKE_KEY", key) not in done.stderr + done.stdout


@pytest.mark.parametrize(("settings", "name"), [
    ({"SMOKE_URL": "127.0.0.1:80"}, "SMOKE_URL"),
    ({"SMOKE_URL": "http://x:99999999/"}, "SMOKE_URL"),
    ({"SMOKE_URL": "http://x/path"}, "SMOKE_URL"),
    ({"SMOKE_KEY": "pfk_live_" + "0" * 40}, "SMOKE_KEY"),  # it would make real payments
])
def test_bad_settings_are_refused(keyed: Server, key: str, settings: dict[str, str], name: str) -> None:
    done = keyed.command("smoke", **{"SMOKE_URL": "http://x", "SMOKE_KEY": key} | settings)
    assert done.returncode == 78 and name in done.stderr


Rewrite = Callable[[str, str, bytes], bytes]


@contextmanager
def front(server: Server, rewrite: Rewrite, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A proxy in front of the server that may change answers; its URL."""
    class Proxy(Handler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            keep = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection", "content-length")}
            reply = server.call(self.command, self.path, body or None, headers=keep)
            changed = rewrite(self.command, self.path, reply.body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name not in ("content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(changed)))
            self.end_headers()
            self.wfile.write(changed)

        do_GET = do_POST = answer

    proxy = Listener(Proxy, tls=context)
    try:
        yield f"{'https' if context else 'http'}://localhost:{proxy.port}"
    finally:
        proxy.stop()


@pytest.mark.parametrize(("at", "old", "new", "says"), [
    ("POST", b'"livemode":false', b'"livemode":true', "FAILED payment: it is no test payment"),
    ("GET", b'"amount":1.01', b'"amount":1.10', "FAILED read: another payment came back"),
])
def test_an_answer_that_is_wrong_is_noticed(keyed: Server, key: str, at: str, old: bytes, new: bytes, says: str) -> None:
    def rewrite(method: str, path: str, body: bytes) -> bytes:
        return body.replace(old, new) if method == at and "payments" in path else body
    with front(keyed, rewrite) as url:
        done = smoke(keyed, url, SMOKE_KEY=key)
    assert done.returncode == 1 and says in done.stderr


def test_a_payment_made_twice_is_noticed(keyed: Server, key: str) -> None:
    seen: list[bytes] = []

    def rewrite(method: str, path: str, body: bytes) -> bytes:
        if method == "POST":
            seen.append(body)
            return re.sub(rb'"id":"pay_.{25}.', b'"id":"pay_01kb0a6v0rj4t2c7m9x3w5y8z' + b"ef"[len(seen) - 1:][:1], body)
        return body
    with front(keyed, rewrite) as url:
        done = smoke(keyed, url, SMOKE_KEY=key)
    assert done.returncode == 1 and "the same key made it a second time" in done.stderr


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "1", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(("name", "trusted", "says"), [
    ("localhost", True, None),
    ("localhost", False, "FAILED health: self-signed certificate"),
    ("elsewhere", True, "FAILED health: hostname mismatch"),
])
def test_https_is_verified(keyed: Server, key: str, tmp_path: Path, name: str, trusted: bool, says: str | None) -> None:
    cert, private = certificate(tmp_path, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, private)
    with front(keyed, lambda _method, _path, body: body, context) as url:
        done = smoke(keyed, url, SMOKE_KEY=key, SSL_CERT_FILE=str(cert if trusted else tmp_path / "none"))
    assert (done.returncode, says is None) in ((0, True), (1, False)), done.stderr
    assert says is None or says in done.stderr


def test_without_a_database_it_is_not_ready_and_smoke_ends(folder: Folder) -> None:
    lonely = Server(folder, APP_VERSION="7.1.0").start(ready=False)
    try:
        done = subprocess.run([BINARY, "smoke"], env=lonely.environment | {
            "SMOKE_URL": f"http://127.0.0.1:{lonely.port}", "SMOKE_KEY": "pfk_test_none", "SMOKE_LIMIT_S": "1"},
            capture_output=True, text=True, timeout=120, check=False)
    finally:
        lonely.stop()
    assert done.returncode == 1 and "FAILED ready" in done.stderr and "database not configured" in done.stderr
