"""Certificates of our own, and stand-ins for what Google gives: the metadata server, and who checks its tokens.

The metadata server and the LDAP server are mocks: they speak as much of their protocols as PayFlow and PostgreSQL ask
for. PostgreSQL and Redis are real; PostgreSQL has the passwords it is given (the tokens) checked by the LDAP mock.
"""
from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from listener import Handler, Listener
from servers import Database, Folder, Postgres, Redis, free_port

DATABASE_SCOPE = "https://www.googleapis.com/auth/sqlservice.login"
REDIS_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_PREFIX = "ya29.mock-"
GOOD_TIME = ("20200101000000Z", "20990101000000Z")
PAST_TIME = ("20200101000000Z", "20210101000000Z")
NOT_YET = ("20980101000000Z", "20990101000000Z")

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = test
[authority]
basicConstraints = critical, CA:TRUE
[ca]
default_ca = ours
[ours]
database = {home}/index.txt
new_certs_dir = {home}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@dataclass
class Identity:
    certificate: Path
    key: Path

    def copy_for(self, home: Path, user: str | None) -> Identity:
        """A copy that only that user can read, as PostgreSQL wants its key."""
        copies = Identity(home / f"{secrets.token_hex(4)}.crt", home / f"{secrets.token_hex(4)}.key")
        for source, target in ((self.certificate, copies.certificate), (self.key, copies.key)):
            shutil.copy(source, target)
            target.chmod(0o600)
            if user is not None:
                shutil.chown(target, user)
        return copies


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Folder) -> None:
        self.home = folder.make("authority")
        self.config = self.home / "openssl.cnf"
        self.config.write_text(CONFIG.format(home=self.home))
        (self.home / "index.txt").touch()
        self.certificate, self.key = self.home / "ca.crt", self.home / "ca.key"
        openssl("req", "-x509", "-config", self.config, "-extensions", "authority", *self.new_key(self.key),
                "-days", "2", "-subj", "/CN=a test's authority", "-out", self.certificate)

    @staticmethod
    def new_key(path: Path) -> list[object]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]

    def issue(self, *names: str, valid: tuple[str, str] = GOOD_TIME) -> Identity:
        """A server's certificate for these names, as in subjectAltName ("DNS:localhost", "IP:127.0.0.1")."""
        stem = self.home / secrets.token_hex(8)
        made = Identity(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        extensions.write_text(f"subjectAltName = {', '.join(names)}\n")
        openssl("req", "-new", "-config", self.config, *self.new_key(made.key), "-subj", "/CN=a test's server",
                "-out", request)
        openssl("ca", "-batch", "-config", self.config, "-cert", self.certificate, "-keyfile", self.key,
                "-in", request, "-out", made.certificate, "-extfile", extensions, "-notext",
                "-startdate", valid[0], "-enddate", valid[1])
        return made


class TlsRedis(Redis):
    """Redis with a TLS port beside its plain one, which only the test uses."""

    def __init__(self, folder: Folder, identity: Identity) -> None:
        self.tls_port = free_port()
        super().__init__(folder, **{"tls-port": str(self.tls_port), "tls-cert-file": str(identity.certificate),
                                    "tls-key-file": str(identity.key), "tls-auth-clients": "no"})

    def tls_url(self, host: str = "127.0.0.1", password: bool = True) -> str:
        return f"rediss://{f':{self.password}@' if password else ''}{host}:{self.tls_port}"

    def command(self, *words: str) -> str:
        """One command by the plain port; what Redis said, as it came. Logs in by HELLO: each AUTH is PayFlow's."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"HELLO 2 AUTH default {self.password}\r\n{' '.join(words)}\r\nQUIT\r\n".encode())
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return received.decode()


    def log_ins(self) -> tuple[int, int]:
        """How many AUTH there were, and how many of these were in vain."""
        found = re.search(r"cmdstat_auth:calls=(\d+),.*rejected_calls=(\d+),failed_calls=(\d+)",
                          self.command("INFO", "commandstats"))
        return (int(found[1]), int(found[2]) + int(found[3])) if found else (0, 0)


class TlsPostgres(Postgres):
    """PostgreSQL that shows this certificate."""

    def __init__(self, folder: Folder, identity: Identity) -> None:
        super().__init__(folder, fsync="off", ssl="on")
        self.show(identity)

    def show(self, identity: Identity) -> None:
        """From the next start on."""
        mine = identity.copy_for(self.home, self.user)
        self.options |= {"ssl_cert_file": str(mine.certificate), "ssl_key_file": str(mine.key)}

    def check_with(self, ldap_port: int, user: str) -> None:
        """That user's passwords are judged by this LDAP server; never sent without TLS."""
        file = self.data / "pg_hba.conf"
        rule = f'hostssl all {user} all ldap ldapserver=127.0.0.1 ldapport={ldap_port} ldapprefix="cn=" ldapsuffix=""\n'
        file.write_text(rule + file.read_text())
        Database("127.0.0.1", self.port, "postgres", "postgres", self.password).sql("SELECT pg_reload_conf()")


class Tokens:
    """Which tokens there are, until when, and who asked."""

    def __init__(self, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self.lock = threading.Lock()
        self.ends: dict[tuple[str, str], float] = {}
        self.accepted: list[str] = []  # at each log-in to PostgreSQL
        self.refused = 0
        self.redis: TlsRedis | None = None

    def issue(self, scope: str) -> str:
        token = TOKEN_PREFIX + secrets.token_urlsafe(96)
        with self.lock:
            self.ends[scope, token] = time.monotonic() + self.lifetime_s
        if scope == REDIS_SCOPE and self.redis is not None:
            self.redis.command("ACL", "SETUSER", "default", ">" + token)
            end = threading.Timer(self.lifetime_s, self.end_in_redis, [token])
            end.daemon = True
            end.start()
        return token

    def end_in_redis(self, token: str) -> None:
        with contextlib.suppress(OSError):
            self.redis.command("ACL", "SETUSER", "default", "<" + token)

    def is_good(self, token: str) -> bool:
        """Does it open the database now?"""
        with self.lock:
            good = self.ends.get((DATABASE_SCOPE, token), 0) > time.monotonic()
            if good:
                self.accepted.append(token)
            else:
                self.refused += 1
            return good


class Metadata:
    """MOCK of the metadata server. `mode` says how it behaves: ok, error, hang, nonsense; stop() and start() as it were."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.mode = "ok"
        self.port = free_port()
        self.requests = 0
        self.listener: Listener | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Metadata:
        outer = self

        class Answers(Handler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

        self.listener = Listener(Answers, self.port)
        return self

    def stop(self) -> None:
        if self.listener is not None:
            self.listener.stop()
            self.listener = None

    def answer(self, request: Handler) -> None:
        self.requests += 1
        url = urllib.parse.urlparse(request.path)
        scope = urllib.parse.parse_qs(url.query).get("scopes", [""])[0]
        known = (url.path == "/computeMetadata/v1/instance/service-accounts/default/token"
                 and request.headers["Metadata-Flavor"] == "Google" and scope in (DATABASE_SCOPE, REDIS_SCOPE))
        if self.mode == "hang":
            time.sleep(30)
        body = b"<html>no JSON</html>"
        if self.mode == "ok" and known:
            body = json.dumps({"access_token": self.tokens.issue(scope), "expires_in": int(self.tokens.lifetime_s),
                               "token_type": "Bearer"}).encode()
        with contextlib.suppress(OSError):
            request.send_response(503 if self.mode == "error" else 200 if known else 404)
            request.send_header("Metadata-Flavor", "Google")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)


def ber(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The element of BER at that place: its tag, its content, and where the next one is."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at:at + size], "big"), at + size
    return tag, data[at:at + length], at + length


class Ldap:
    """MOCK of an LDAP server (RFC 4511), as much as a simple bind needs: a password is good if it is a good token."""

    def __init__(self, tokens: Tokens) -> None:
        outer = self
        self.tokens = tokens

        class Binds(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data = b""
                while piece := self.request.recv(65536):
                    data += piece
                    with contextlib.suppress(IndexError):
                        _, content, end = ber(data, 0)
                        if end <= len(data):
                            self.request.sendall(outer.reply(content))
                            data = data[end:]

        self.listener = Listener(Binds)
        self.port = self.listener.port
        self.stop = self.listener.stop

    def reply(self, message: bytes) -> bytes:
        _, number, at = ber(message, 0)
        tag, bind, _ = ber(message, at)
        if tag != 0x60:  # UnbindRequest
            return b""
        _, _, at = ber(bind, 0)  # version
        _, _, at = ber(bind, at)  # name
        _, password, _ = ber(bind, at)
        code = 0 if self.tokens.is_good(password.decode()) else 49
        answer = bytes([0x02, len(number), *number, 0x61, 7, 0x0A, 1, code, 0x04, 0, 0x04, 0])
        return bytes([0x30, len(answer)]) + answer
