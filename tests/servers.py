"""PostgreSQL, Redis and PayFlow as processes of a test: on free loopback ports, in a folder of their own, ended by pid.

For fixtures (conftest.py) and for programs that are no test (bench). Nothing here outlives the process that started it:
the kernel ends the servers when that process dies.

    with Folder() as folder:
        postgres, redis = Postgres(folder), Redis(folder)
        postgres.start(), redis.start()
        server = Server(folder, postgres.database(), redis)
        server.migrate().start()
        assert server.call("POST", "/api/v1/payments", {"amount": 1.5}).status == 201
        for each in (server, redis, postgres): each.stop()
"""
from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import psycopg2

TOP = Path(__file__).resolve().parent.parent
BUILD = os.environ.get("PAYFLOW_BUILD", "dev")  # dev, asan, tsan, cov, static
BINARY = Path(os.environ.get("PAYFLOW_BINARY", TOP / "build" / "payflow"))
SLOW = {"asan": 3, "inject": 3, "tsan": 8, "cov": 2}.get(BUILD, 1)  # how much slower this build is, roughly

Result = TypeVar("Result")

# The kernel's PDEATHSIG comes when the *thread* ends that started the process; this one ends with the interpreter.
_starter = ThreadPoolExecutor(1)
_numbers = itertools.count(1)


def scaled(count: int, least: int = 1) -> int:
    """As much work as this build can do in the same time."""
    return max(least, count // SLOW)


def wait_until(what: str, true: Callable[[], object], limit_s: float = 30, every_s: float = 0.02) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit_s:g} s: {what}")
        time.sleep(every_s)


def together(clients: int, work: Callable[[int], Result]) -> list[Result]:
    """work(0), work(1), … in a thread each, all begun at one moment; their results in order, or the first one's error."""
    gate = threading.Barrier(clients)

    def begin(number: int) -> Result:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(begin, range(clients)))


class Workers:
    """Threads that work() from the begin of a `with` block to its end; it waits for them, and raises what one of them raised."""

    def __init__(self, count: int) -> None:
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]

    def work(self, number: int) -> None:
        """What thread `number` does until self.stopping is set."""
        raise NotImplementedError

    def _run(self, number: int) -> None:
        try:
            self.work(number)
        except BaseException as error:  # told by the test's own thread
            self.errors.append(error)

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)
        assert not self.errors, self.errors
        assert not any(thread.is_alive() for thread in self.threads)


def free_port() -> int:
    """Below the ports that outgoing connections get, so that none of them takes it before the server does."""
    while True:
        port = random.randint(15000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def unprivileged() -> str | None:
    """The user that runs PostgreSQL, which refuses to be root's; None: this user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Folder:
    """A temporary folder that everybody may enter; what is in it may be another user's."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="payflow-test-"))
        self.path.chmod(0o755)

    def make(self, name: str, user: str | None = None) -> Path:
        """A new private folder in it, of that user."""
        path = self.path / f"{name}-{next(_numbers)}"
        path.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        return path

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Process:
    """A server process. `home` is its working directory; what it prints goes to `log`."""

    name = "process"
    end_signal = signal.SIGTERM
    death_signal = "KILL"  # sent by the kernel when this program dies
    user: str | None = None

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def launch(self, command: Sequence[object], environment: Mapping[str, str] | None = None) -> None:
        prefix = ["setpriv", "--pdeathsig", self.death_signal]
        if self.user is not None:
            prefix += ["--reuid", self.user, "--regid", str(pwd.getpwnam(self.user).pw_gid), "--clear-groups"]
        with self.log.open("ab") as log:
            self.process = _starter.submit(
                subprocess.Popen, [*prefix, *map(str, command)], cwd=self.home, env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True).result()

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False

    def wait_up(self, limit_s: float = 60) -> None:
        def up_or_ended() -> bool:
            if not self.is_running():
                raise RuntimeError(f"{self.name} ended at its start: {self.log.read_text(errors='replace')[-2000:]}")
            return self.is_up()
        wait_until(f"{self.name} answers", up_or_ended, limit_s)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, limit_s: float) -> int:
        assert self.process is not None
        return self.process.wait(limit_s)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        if self.is_running():
            self.signal(signal.SIGKILL)
            self.wait(30)

    def stop(self, number: int | None = None, limit_s: float = 30) -> int | None:
        """Asks it to end and waits; the exit code, None if it was never started. Killed if it does not end."""
        if self.process is None:
            return None
        if self.is_running():
            self.signal(number or self.end_signal)
            try:
                self.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


@dataclass
class Database:
    """One database of a server, as its owner sees it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)
    kept: psycopg2.extensions.connection | None = field(default=None, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def connect(self, **more: object) -> psycopg2.extensions.connection:
        return psycopg2.connect(host=self.host, port=self.port, dbname=self.name, user=self.user,
                                password=self.password, **more)

    def sql(self, statement: str, *values: object) -> list[tuple]:
        """Runs it and commits; its rows. On a connection that is kept, and made anew once it broke."""
        with self.lock:
            if self.kept is not None and self.kept.closed:
                self.kept = None
            if self.kept is None:
                self.kept = self.connect()
                self.kept.autocommit = True
            with self.kept.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []

    def empty(self) -> None:
        """As it was when it was made; whoever still is connected is put out."""
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public; SELECT pg_stat_reset()")

    def environment(self) -> dict[str, str]:
        return {"DB_HOST": self.host, "DB_PORT": str(self.port), "DB_NAME": self.name, "DB_USER": self.user,
                "DB_PASSWORD": self.password, "DB_SSLMODE": "prefer"}


class Postgres(Process):
    """A cluster of the newest installed version (or of `version`); `options` are settings of postgresql.conf."""

    name = "PostgreSQL"
    end_signal = signal.SIGINT  # a fast shutdown; SIGQUIT is an immediate one

    def __init__(self, folder: Folder, version: int | None = None, **options: str) -> None:
        self.user = unprivileged()
        super().__init__(folder.make("postgres", self.user))
        found = {int(p.parent.parent.name): p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")}
        if not found or (version is not None and version not in found):
            raise RuntimeError(f"PostgreSQL {version or ''} is not installed")
        self.version = version or max(found)
        self.bin = found[self.version]
        self.options = options
        self.password = secrets.token_hex(16)
        self.data = self.home / "data"

    def create(self) -> None:
        password = self.home / "password"
        password.write_text(self.password)
        if self.user is not None:
            shutil.chown(password, self.user)
        self.launch([self.bin / "initdb", "-D", self.data, "-U", "postgres", "--pwfile", password, "-A", "scram-sha-256",
                     "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"])
        if self.wait(120) != 0:
            raise RuntimeError(f"initdb failed: {self.log.read_text(errors='replace')[-2000:]}")
        password.unlink()

    def start(self) -> Postgres:
        if not self.data.exists():
            self.create()
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed; this object runs only one
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""} | self.options
        self.launch([self.bin / "postgres", "-D", self.data, *(f"--{name}={value}" for name, value in settings.items())])
        self.wait_up()
        return self

    def is_up(self) -> bool:
        return subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              check=False).returncode == 0

    def database(self, name: str | None = None, owner: str = "postgres") -> Database:
        """A new, empty database. Another owner than the superuser is made, if it is not there."""
        maintenance = Database("127.0.0.1", self.port, "postgres", "postgres", self.password)
        name = name or f"payflow_{next(_numbers)}"
        if not maintenance.sql("SELECT 1 FROM pg_roles WHERE rolname = %s", owner):
            maintenance.sql(f"CREATE ROLE {owner} LOGIN PASSWORD '{self.password}'")
        maintenance.sql(f"CREATE DATABASE {name} OWNER {owner}")
        return Database("127.0.0.1", self.port, name, owner, self.password)


class Redis(Process):
    """Keeps nothing on disk. `start` after `kill` begins empty, on the same port."""

    name = "Redis"

    def __init__(self, folder: Folder, **options: str) -> None:
        super().__init__(folder.make("redis"))
        self.options = options
        self.password = secrets.token_hex(16)

    def start(self) -> Redis:
        program = shutil.which("redis-server") or TOP / "build" / "tools" / "bin" / "redis-server"
        file = self.home / "redis.conf"
        settings = {"bind": "127.0.0.1", "port": str(self.port), "requirepass": self.password, "save": '""',
                    "appendonly": "no"} | self.options
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.launch([program, file])
        self.wait_up()
        return self

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def replayed(self) -> bool:
        return self.headers.get("idempotent-replayed") == "true"


observers: list[Callable[[str, str, Reply], None]] = []  # called with each request's method and path and its answer


class Client:
    """A keep-alive connection for one thread; connects when needed. Nothing is ever sent twice by itself."""

    def __init__(self, port: int, token: str | None = None, timeout_s: float = 60) -> None:
        self.token = token
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def call(self, method: str, path: str, body: object = None, key: str | None = None, token: str | None = None,
             headers: Mapping[str, str] | None = None) -> Reply:
        """`body`: bytes and text go as they are, anything else as JSON."""
        fields = dict(headers or {})
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
            body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        if key is not None:
            fields["Idempotency-Key"] = key
        if token or self.token:
            fields["Authorization"] = f"Bearer {token or self.token}"
        try:
            self.connection.request(method, path, body, fields)
            answer = self.connection.getresponse()
            reply = Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        except BaseException:
            self.connection.close()
            raise
        for observe in observers:
            observe(method, path, reply)
        return reply

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server(Process):
    """`payflow serve`. What isn't given as a setting is the binary's default, except that stopping does not tarry."""

    name = "PayFlow"
    host = "127.0.0.1"

    def __init__(self, folder: Folder, database: Database | None = None, redis: Redis | None = None,
                 binary: Path = BINARY, **settings: str) -> None:
        super().__init__(folder.make("payflow"))
        self.database = database
        self.binary = binary
        ours = ("DATABASE_URL", "DB_", "REDIS_", "PG", "RATE_", "LOG_", "MAX_")
        kept = {n: v for n, v in os.environ.items() if not n.startswith(ours) and n not in ("PAYFLOW_ENV", "PAYFLOW_AUTH")}
        self.environment = kept | {"PORT": str(self.port), "DRAIN_MS": "0"}
        self.environment |= database.environment() if database else {}
        self.environment |= {"REDIS_URL": redis.url} if redis else {}
        self.environment |= settings

    def migrate(self) -> Server:
        done = self.command("migrate")
        if done.returncode != 0:
            raise RuntimeError(f"migrate failed: {done.stdout}{done.stderr}")
        return self

    def start(self, ready: bool = True) -> Server:
        """Returns when it is ready, or, without `ready`, as soon as it listens."""
        self.launch([self.binary, "serve"], self.environment)
        self.wait_up()
        if ready:
            wait_until(f"/ready of {self.binary}", lambda: self.call("GET", "/ready").status == 200)
        return self

    def command(self, *arguments: str, limit_s: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
        """Another command of the binary with this server's settings."""
        return subprocess.run([self.binary, *arguments], env=self.environment | settings, cwd=self.home, check=False,
                              capture_output=True, text=True, timeout=limit_s * SLOW)

    def new_key(self, account: str, *arguments: str, scope: str = "payments:read,payments:write") -> str:
        """A live API key (a test key with --test) of that account."""
        made = self.command("keys", "create", "--account", account, "--scope", scope, *arguments)
        if made.returncode != 0:
            raise RuntimeError(f"keys create failed: {made.stderr}")
        return made.stdout.strip()

    def client(self, token: str | None = None) -> Client:
        return Client(self.port, token)

    def call(self, method: str, path: str, body: object = None, **more: object) -> Reply:
        """One request on a connection of its own; see Client.call."""
        with self.client() as client:
            return client.call(method, path, body, **more)  # type: ignore[arg-type]

    def raw(self, data: bytes) -> bytes:
        """Sends these bytes and returns all that comes until the server closes."""
        received = b""
        with socket.create_connection((self.host, self.port), timeout=20) as connection:
            with contextlib.suppress(ConnectionError):  # it may answer and close before it has read everything
                connection.sendall(data)
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
        return received

    def sql(self, statement: str, *values: object) -> list[tuple]:
        assert self.database is not None
        return self.database.sql(statement, *values)

    def metrics(self) -> dict[str, float]:
        """Each sample by its name with its labels, as it is printed."""
        lines = self.call("GET", "/metrics").body.decode().splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))}

    def log_lines(self) -> Iterator[dict]:
        """What it has logged; a line that is no JSON is an error."""
        for line in self.log.read_text(errors="strict").splitlines():
            yield json.loads(line)

    def resident_kb(self) -> int:
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1])
