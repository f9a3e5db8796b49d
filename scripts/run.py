#!/usr/bin/python3
"""`make run`: PayFlow with a private PostgreSQL and Redis under .run/, until Ctrl-C. The payments stay.

All three are children of this process, each in a session of its own (so that Ctrl-C reaches only this process, which
stops them in order) and told by the kernel to end if this process is killed. What a kill -9 left behind all the same is
found by its working directory and stopped before the next start.

PostgreSQL refuses to run as root, so root starts both servers as the user that PostgreSQL's package made. Where that
user can't reach the checkout (a clone in /root), the data lies under /var/lib/payflow and .run holds links to it.

Environment: PORT (3000) and all of PayFlow's settings, except the database's and Redis', which are set here.
"""
from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NoReturn

TOP = Path(__file__).resolve().parent.parent
RUN = TOP / ".run"
BINARY = TOP / "build" / "payflow"
ELSEWHERE = Path("/var/lib/payflow")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)

stopping = threading.Event()


class Failure(Exception):
    """One sentence for the person at the terminal."""


def say(sentence: str) -> None:
    print(f"run: {sentence}", flush=True)


def die_with_parent(signal_number: int) -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal_number)


class Owner:
    """Who runs PostgreSQL and Redis: this user, or, for root, the user `postgres`."""

    def __init__(self) -> None:
        self.user: str | None = None
        if os.geteuid() == 0:
            self.user = "postgres"
            try:
                self.ids = pwd.getpwnam(self.user)
            except KeyError:
                raise Failure("PostgreSQL can't run as root, and there is no user `postgres` to run it as; "
                              "install the package postgresql") from None

    def popen(self, arguments: Sequence[str | Path], end_signal: int, **options: object) -> subprocess.Popen[bytes]:
        if self.user is not None:
            options |= {"user": self.ids.pw_uid, "group": self.ids.pw_gid, "extra_groups": []}
        # After the change of user, which would clear it.
        return subprocess.Popen([str(a) for a in arguments], start_new_session=True,
                                preexec_fn=lambda: die_with_parent(end_signal), **options)  # type: ignore[call-overload]

    def reaches(self, path: Path) -> bool:
        """True if this user can enter the directory."""
        return self.user is None or self.popen(["/usr/bin/test", "-x", path], signal.SIGTERM).wait() == 0

    def directory(self, name: str) -> Path:
        """A private directory of this user that stays: .run/NAME, or where .run/NAME links to."""
        path = RUN / name
        if not path.exists():
            home = RUN
            if not self.reaches(RUN):
                home = ELSEWHERE / hashlib.sha256(str(TOP).encode()).hexdigest()[:16]
                home.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)  # a link whose target is gone
                path.symlink_to(home / name)
            (home / name).mkdir(mode=0o700, exist_ok=True)
        real = path.resolve()
        if self.user is not None:
            os.chown(real, self.ids.pw_uid, self.ids.pw_gid)
        if not self.reaches(real):
            raise Failure(f"the user `{self.user}` can't enter {real}; move it to where that user can, "
                          f"or make its parents searchable")
        return real


def pids_in(directory: Path, program: str) -> list[int]:
    """The processes of that name that work in that directory: every PostgreSQL process does, in its data directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "comm").read_text().strip() == program \
                    and (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:
            pass  # it ended, or is somebody else's
    return found


def clear(directory: Path, program: str, end_signal: int) -> None:
    """Ends what an earlier run left in this directory."""
    for attempt in range(200):
        left = pids_in(directory, program)
        if not left:
            return
        if attempt == 0:
            say(f"stopping {program}, left from an earlier run")
        for pid in left if attempt in (0, 150) else []:
            try:
                os.kill(pid, end_signal if attempt == 0 else signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    raise Failure(f"{program} of an earlier run does not end (process {left[0]})")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise Failure(f"PORT={text} is no port; choose one from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", int(text)))
        except PermissionError:
            raise Failure(f"this user may not listen on port {text}; choose one from 1024: PORT=3001 make run") from None
        except OSError:
            raise Failure(f"port {text} is taken; stop what listens there, or choose another: PORT=3001 make run") from None
    return int(text)


def secret(name: str) -> str:
    """A generated password that stays: .run/NAME, readable by this user only."""
    path = RUN / name
    if not path.is_file():
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_hex(24))
        new.rename(path)
    return path.read_text()


def wait_for(what: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path | None) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            where = f"; the last line of {log.relative_to(TOP)}: {last_line(log)}" if log else ""
            raise Failure(f"{what} did not start{where}")
        time.sleep(0.05)


def last_line(log: Path) -> str:
    return (log.read_text(errors="replace").strip().splitlines() or ["(empty)"])[-1]


class Postgres:
    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.home = owner.directory("postgres")
        self.data = self.home / "data"
        self.log = RUN / "postgres.log"
        # The clone was deleted and made again, but its data lie elsewhere (see Owner.directory).
        self.password_lost = self.data.exists() and not (RUN / "postgres.password").is_file()
        self.password = secret("postgres.password")
        self.port = free_port()

    def bin(self) -> Path:
        """The newest installed version, or the one that made the data."""
        found = {int(p.parent.parent.name): p.parent for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")
                 if p.parent.parent.name.isdigit()}
        if not found:
            raise Failure("no PostgreSQL server is installed; install the package postgresql")
        if not self.data.exists():
            return found[max(found)]
        version = int((self.data / "PG_VERSION").read_text())
        if version not in found:
            raise Failure(f"the data in {self.data} is of PostgreSQL {version}, which is not installed; install "
                          f"postgresql-{version}, or move the directory away to begin anew")
        return found[version]

    def create(self) -> None:
        say(f"making a PostgreSQL cluster in {self.data}")
        new = self.home / "data.new"  # becomes data when it is whole
        shutil.rmtree(new, ignore_errors=True)
        password = self.home / "password.new"
        password.write_text(self.password)
        password.chmod(0o600)
        if self.owner.user is not None:
            os.chown(password, self.owner.ids.pw_uid, self.owner.ids.pw_gid)
        with self.log.open("wb") as log:
            initdb = self.owner.popen(
                [self.bin() / "initdb", "-D", new, "-U", "payflow", "--pwfile", password, "-A", "scram-sha-256",
                 "-E", "UTF8", "--locale=C.UTF-8"], signal.SIGTERM, cwd=self.home, stdout=log, stderr=log)
            failed = initdb.wait() != 0
        password.unlink()
        if failed:
            raise Failure(f"initdb failed; the last line of .run/postgres.log: {last_line(self.log)}")
        new.rename(self.data)

    def renew_password(self) -> None:
        say(f"taking over the data of an earlier clone in {self.data}")
        with self.log.open("wb") as log:
            alone = self.owner.popen([self.bin() / "postgres", "--single", "-D", self.data, "postgres"], signal.SIGTERM,
                                     cwd=self.home, stdin=subprocess.PIPE, stdout=log, stderr=log)
            alone.communicate(f"ALTER ROLE payflow PASSWORD '{self.password}'\n".encode())
        if alone.returncode != 0:
            (RUN / "postgres.password").unlink()  # so that the next start tries again
            raise Failure(f"it failed; the last line of .run/postgres.log: {last_line(self.log)}")

    def start(self) -> subprocess.Popen[bytes]:
        clear(self.data, "postgres", signal.SIGINT)
        if not self.data.exists():
            self.create()
        # Nobody works in the directory (see clear): a pid file is left over, and its number may be another's by now.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        if self.password_lost:
            self.renew_password()
        with self.log.open("wb") as log:
            process = self.owner.popen(
                [self.bin() / "postgres", "-D", self.data, "-c", "listen_addresses=127.0.0.1", "-p", str(self.port),
                 "-c", "unix_socket_directories=", "-c", "logging_collector=off"],
                signal.SIGINT, cwd=self.home, stdout=log, stderr=log)
        try:
            wait_for("PostgreSQL", process, self.is_up, self.log)
            self.psql("SELECT 'CREATE DATABASE payflow' WHERE NOT EXISTS "
                      "(SELECT FROM pg_database WHERE datname = 'payflow') \\gexec")
        except Failure:
            stop(process, signal.SIGINT, 10)
            raise
        return process

    def is_up(self) -> bool:
        return subprocess.run([self.bin() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              check=False).returncode == 0

    def psql(self, sql: str) -> None:
        environment = os.environ | {"PGPASSWORD": self.password}
        result = subprocess.run(
            [self.bin() / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "payflow", "postgres"],
            input=sql, text=True, capture_output=True, env=environment, check=False)
        if result.returncode != 0 or result.stderr:
            raise Failure(f"PostgreSQL refused the first statement: {result.stderr.strip()}")


class Redis:
    """Redis only helps (rate limits), so it keeps nothing on disk."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.home = owner.directory("redis")
        self.log = RUN / "redis.log"
        self.password = secret("redis.password")
        self.port = free_port()

    def start(self) -> subprocess.Popen[bytes]:
        found = shutil.which("redis-server") or TOP / "build" / "tools" / "bin" / "redis-server"
        clear(self.home, "redis-server", signal.SIGTERM)
        # By a link that its user can reach: build/tools/bin may lie in a clone in /root.
        program = self.home / "redis-server"
        program.unlink(missing_ok=True)
        program.symlink_to(Path(found).resolve())
        with self.log.open("wb") as log:
            process = self.owner.popen([program, "-"], signal.SIGTERM, cwd=self.home, stdin=subprocess.PIPE,
                                       stdout=log, stderr=log)
        assert process.stdin is not None
        with process.stdin as settings:
            settings.write(f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave \"\"\n"
                           f"appendonly no\n".encode())
        try:
            wait_for("Redis", process, self.is_up, self.log)
        except Failure:
            stop(process, signal.SIGTERM, 5)
            raise
        return process

    def is_up(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def stop(process: subprocess.Popen[bytes], end_signal: int, limit_s: float) -> None:
    if process.poll() is None:
        process.send_signal(end_signal)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def take_lock() -> IO[str]:
    """Held as long as this process lives; another run of this checkout that is just stopping is waited for."""
    try:
        RUN.mkdir(exist_ok=True)
        lock = (RUN / "lock").open("a+")
    except OSError as error:
        raise Failure(f"{RUN} can't be written: {error.strerror}") from None
    for _ in range(300):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mark(lock, "running")
            return lock
        except BlockingIOError:
            lock.seek(0)
            words = lock.read().split()
            if words[1:] == ["running"]:
                raise Failure(f"this checkout runs already (process {words[0]}); stop it with Ctrl-C there, "
                              "or use another clone with another PORT") from None
            time.sleep(0.1)
    raise Failure("an earlier run of this checkout does not come to its end")


def mark(lock: IO[str], state: str) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(f"{os.getpid()} {state}\n")
    lock.flush()


def settings(port: int, postgres: Postgres, redis: Redis) -> dict[str, str]:
    ours = ("DATABASE_URL", "DB_", "REDIS_", "PG")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return inherited | {
        "PORT": str(port), "DB_HOST": "127.0.0.1", "DB_PORT": str(postgres.port), "DB_NAME": "payflow",
        "DB_USER": "payflow", "DB_PASSWORD": postgres.password, "DB_SSLMODE": "disable",
        "REDIS_URL": f"redis://:{redis.password}@127.0.0.1:{redis.port}/0",
    }


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def run() -> int:
    lock = take_lock()
    home = RUN / "payflow"  # only to be found by, see clear
    home.mkdir(exist_ok=True)
    owner = Owner()
    clear(home, "payflow", signal.SIGTERM)
    port = check_port(os.environ.get("PORT") or "3000")
    postgres, redis = Postgres(owner), Redis(owner)
    children: list[tuple[str, subprocess.Popen[bytes], int, float]] = []
    status = 0
    try:
        say("starting PostgreSQL and Redis")
        children.append(("PostgreSQL", postgres.start(), signal.SIGINT, 60))
        children.append(("Redis", redis.start(), signal.SIGTERM, 5))
        environment = settings(port, postgres, redis)
        if subprocess.run([BINARY, "migrate"], env=environment, cwd=home, check=False).returncode != 0:
            raise Failure("the database could not be migrated; what it said stands above")
        payflow = subprocess.Popen([BINARY, "serve"], env=environment, cwd=home, start_new_session=True,
                                   preexec_fn=lambda: die_with_parent(signal.SIGTERM))
        children.append(("PayFlow", payflow, signal.SIGTERM, 12))
        wait_for("PayFlow", payflow, lambda: stopping.is_set() or is_ready(port), None)
        if not stopping.is_set():
            greet(port, postgres)
        while not stopping.wait(0.2):
            for name, process, _, _ in children:
                if process.poll() is not None:
                    raise Failure(f"{name} ended by itself ({how(process.returncode)}); the others are being stopped")
    except Failure as failure:
        say(str(failure))
        status = 1
    finally:
        mark(lock, "stopping")
        for _, process, end_signal, limit_s in reversed(children):
            stop(process, end_signal, limit_s)
        if children:
            say("stopped; the payments stay in .run/")
    return status


def how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def greet(port: int, postgres: Postgres) -> None:
    print(f"""
PayFlow serves on http://localhost:{port}. Ctrl-C stops it; the payments stay. Try:

  curl -i localhost:{port}/api/v1/payments -H 'content-type: application/json' -d '{{"amount": 49.99, "currency": "EUR"}}'

To look inside:
  PGPASSWORD=$(cat .run/postgres.password) psql -h 127.0.0.1 -p {postgres.port} -U payflow payflow
""", flush=True)


def main() -> NoReturn:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        sys.exit(0)
    if "MAKELEVEL" in os.environ:
        die_with_parent(signal.SIGTERM)  # a killed make must not leave us behind
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: stopping.set())
    try:
        sys.exit(run())
    except Failure as failure:
        sys.exit(f"run: {failure}")


if __name__ == "__main__":
    main()
