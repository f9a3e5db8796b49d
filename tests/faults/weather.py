"""Two PayFlow servers, PostgreSQL and Redis with proxies between them, and everything that can happen to them.

Each fault is a method `do_…` that takes the scheduler's random numbers, does its harm for a while and ends it again. It
returns False if there was nothing to harm at that moment: then it does not count, and its turn comes again.
Five schedulers run side by side, so that faults overlap; those of one scheduler don't, because they would undo each other.
"""
from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ledger import rows
from proxy import BOTH, PASS, Act, Proxy, Rule
from servers import BUILD, Folder, Postgres, Redis, Server, wait_until

DISK_MB = 2048
# It is preloaded, which neither a static binary nor a sanitizer's allows.
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None) if BUILD in ("dev", "cov") else None

Fault = Callable[[random.Random], "bool | None"]


def name_of(fault: Fault) -> str:
    return fault.__name__.removeprefix("do_").replace("_", " ")


class Disk:
    """A file system of its own for PostgreSQL, so that it can be full without this machine's being so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = self._mount(f"size={DISK_MB}m")

    def _mount(self, options: str) -> bool:
        return os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"{options},mode=0700", "tmpfs", self.folder], check=False, capture_output=True).returncode == 0

    def resize(self, size_kb: int) -> bool:
        """False if there is more on it already."""
        return subprocess.run(["mount", "-o", f"remount,size={size_kb}k", self.folder], check=False, capture_output=True).returncode == 0

    def fill(self) -> bool:
        """From now on nothing more fits. False if PostgreSQL wrote faster than it could be stopped."""
        for spare_kb in (8, 64, 512, 4096):
            state = os.statvfs(self.folder)
            if self.resize((state.f_blocks - state.f_bfree) * state.f_frsize // 1024 + spare_kb):
                return True
        return False

    def free(self) -> None:
        assert self.resize(DISK_MB * 1024)

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)


class World:
    """What is there, and what happens to it."""

    def __init__(self, folder: Folder, seed: int, binary: Path) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []  # what went wrong by itself
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.postgres = Postgres(folder, max_connections="100", shared_buffers="64MB", max_wal_size="64MB",
                                 min_wal_size="32MB", checkpoint_timeout="30s", log_min_messages="panic")
        self.disk = Disk(self.postgres.home)
        if self.disk.mounted and self.postgres.user is not None:
            os.chown(self.postgres.home, *self._owner(self.postgres.user))
        self.redis = Redis(folder)
        self.postgres.start()
        self.redis.start()
        self.database = self.postgres.database()
        self.to_postgres = [Proxy(self.postgres.port, postgres=True) for _ in range(2)]
        self.to_redis = [Proxy(self.redis.port) for _ in range(2)]
        self.servers = [Server(folder, self.database, self.redis, binary, DB_PORT=str(self.to_postgres[n].port),
                               DB_SSLMODE="disable", RATE_LIMIT="1000000", RATE_BURST="100000", LOG_LEVEL="warning",
                               REDIS_URL=self.redis.url.replace(str(self.redis.port), str(self.to_redis[n].port)))
                        for n in range(2)]
        self.servers[0].migrate()
        for server in self.servers:
            server.start()
        self.to_servers = [Proxy(server.port) for server in self.servers]
        self.proxies = [*self.to_postgres, *self.to_redis, *self.to_servers]
        self.threads = [threading.Thread(target=self._schedule, args=(name, pause_s, kinds))
                        for name, (pause_s, kinds) in self.plan().items()]

    @staticmethod
    def _owner(user: str) -> tuple[int, int]:
        import pwd
        entry = pwd.getpwnam(user)
        return entry.pw_uid, entry.pw_gid

    # --- the schedule ---

    def plan(self) -> dict[str, tuple[float, list[Fault]]]:
        """The schedulers: their longest pause between two faults, and their kinds. Where kinds are few, pauses are long, so that all
        kinds come about equally often.
        """
        return {
            "servers": (5.0, [self.do_server_killed, self.do_server_stopped, self.do_server_terminated,
                              *([self.do_clock_wrong] if FAKETIME is not None else [])]),
            "database": (3.0, [self.do_postgres_fast, self.do_postgres_immediate, self.do_postgres_killed,
                               self.do_backend_killed, self.do_sessions_terminated,
                               *([self.do_disk_full] if self.disk.mounted else [])]),
            "redis": (1.8, [self.do_redis_killed, self.do_redis_frozen, self.do_redis_full, self.do_redis_emptied,
                            self.do_redis_cut, self.do_redis_refused, self.do_redis_slow, self.do_redis_half_open]),
            "commits": (0.6, [self.do_cut_before_commit, self.do_cut_after_commit, self.do_torn_before_commit,
                              self.do_torn_after_commit, self.do_delay_before_commit, self.do_delay_after_commit,
                              self.do_late_commit, self.do_silent_before_commit, self.do_silent_after_commit,
                              self.do_deaf_after_commit]),
            "network": (1.0, [self.do_database_cut, self.do_database_refused, self.do_database_slow,
                              self.do_database_half_open, self.do_clients_cut, self.do_clients_refused,
                              self.do_clients_slow, self.do_clients_half_open]),
        }

    def least(self) -> int:
        """How often each kind has happened at least."""
        with self.lock:
            return min(self.counts[name_of(fault)] for _, kinds in self.plan().values() for fault in kinds)

    def missing(self) -> list[str]:
        """Faults that this machine does not allow."""
        return ([] if self.disk.mounted else ["disk full: no right to mount a file system"]) + \
               ([] if FAKETIME is not None else ["clock wrong: libfaketime is not installed, or can't be preloaded to this build"])

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def _schedule(self, name: str, pause_s: float, kinds: list[Fault]) -> None:
        rng = random.Random(f"{self.seed} {name}")
        waiting: list[Fault] = []
        while not self.ended.wait(rng.uniform(0.1, pause_s)):
            if not waiting:  # every kind once, in a new order, then all again
                waiting = rng.sample(kinds, len(kinds))
            fault = waiting.pop()
            try:
                happened = fault(random.Random(rng.random())) is not False
            except Exception as error:
                with self.lock:
                    self.faults.append(f"{fault.__name__}: {error!r}")
                return
            if happened:
                with self.lock:
                    self.counts[name_of(fault)] += 1
            else:
                waiting.insert(0, fault)

    def calm(self) -> None:
        """Ends all faults and waits until both servers are ready."""
        self.ended.set()
        for thread in self.threads:
            thread.join(120)
        for proxy in self.proxies:
            proxy.heal()
        for server in self.servers:
            self._check(server)
            wait_until(f"{server.home.name} is ready", lambda server=server: server.call("GET", "/ready").status == 200, 60)

    def stop(self) -> None:
        for server in self.servers:
            if (status := server.stop(limit_s=20)) != 0:
                self.faults.append(f"{server.home.name} ended with {status}")
        for proxy in self.proxies:
            proxy.close()
        self.redis.stop()
        self.postgres.stop()
        self.disk.unmount()

    def _check(self, server: Server) -> None:
        """A server that is not running has ended by itself: nobody else leaves one so."""
        if not server.is_running():
            assert server.process is not None
            with self.lock:
                self.faults.append(f"{server.home.name} ended by itself with {server.process.returncode}")
            server.start(ready=False)

    # --- processes ---

    def do_server_killed(self, rng: random.Random) -> None:
        server = rng.choice(self.servers)
        self._check(server)
        server.kill()
        time.sleep(rng.uniform(0, 0.5))
        server.start(ready=False)

    def do_server_stopped(self, rng: random.Random) -> None:
        """As long as it likes: nobody tells it."""
        server = rng.choice(self.servers)
        self._check(server)
        server.signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 3))
        server.signal(signal.SIGCONT)

    def do_server_terminated(self, rng: random.Random) -> None:
        server = rng.choice(self.servers)
        self._check(server)
        if (status := server.stop(limit_s=15)) != 0:
            with self.lock:
                self.faults.append(f"{server.home.name}: SIGTERM ended with {status}")
        server.start(ready=False)

    def do_clock_wrong(self, rng: random.Random) -> None:
        """One server is hours ahead or behind from its next start on."""
        server = rng.choice(self.servers)
        self._check(server)
        server.environment |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{rng.randint(-86400, 86400):+d}s",
                               "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        server.kill()
        server.start(ready=False)

    def _postgres_again(self) -> None:
        """Starts it, once nobody works on its files any more (a killed postmaster's children take a moment)."""
        data = str(self.postgres.data)

        def is_left(entry: Path) -> bool:
            with contextlib.suppress(OSError):
                return os.readlink(entry / "cwd") == data
            return False

        wait_until("no process of PostgreSQL is left",
                   lambda: not any(is_left(entry) for entry in Path("/proc").glob("[0-9]*")), 60)
        self.postgres.start()

    def do_postgres_fast(self, rng: random.Random) -> None:
        self.postgres.stop(signal.SIGINT)
        time.sleep(rng.uniform(0, 1))
        self._postgres_again()

    def do_postgres_immediate(self, rng: random.Random) -> None:
        self.postgres.stop(signal.SIGQUIT)
        time.sleep(rng.uniform(0, 0.5))
        self._postgres_again()

    def do_postgres_killed(self, rng: random.Random) -> None:
        self.postgres.kill()
        time.sleep(rng.uniform(0, 0.5))
        self._postgres_again()

    def _sessions(self) -> list[int]:
        found = rows(self.database, "SELECT pid FROM pg_stat_activity WHERE application_name = 'payflow'")
        return [pid for pid, in found]

    def do_backend_killed(self, rng: random.Random) -> bool:
        """kill -9 of one session's process: PostgreSQL ends all and recovers."""
        if not (pids := self._sessions()):
            return False
        with contextlib.suppress(ProcessLookupError):  # its server was killed meanwhile
            os.kill(rng.choice(pids), signal.SIGKILL)
            wait_until("PostgreSQL has recovered", self._answers, 60, 0.1)
            return True
        return False

    def _answers(self) -> bool:
        with contextlib.suppress(Exception):
            return rows(self.database, "SELECT 1") == [(1,)]
        return False

    def do_sessions_terminated(self, rng: random.Random) -> bool:
        share = rng.choice([0.3, 1.0])
        chosen = [pid for pid in self._sessions() if rng.random() < share]
        return [(True,)] in [rows(self.database, "SELECT pg_terminate_backend(%s)", pid) for pid in chosen]

    def do_disk_full(self, rng: random.Random) -> bool:
        if not self.disk.fill():
            return False
        time.sleep(rng.uniform(0.5, 2))
        self.disk.free()
        if not self.postgres.is_running():  # it could not even recover
            self._postgres_again()
        wait_until("PostgreSQL is back", self._answers, 60, 0.1)
        return True

    def do_redis_killed(self, rng: random.Random) -> None:
        self.redis.kill()
        time.sleep(rng.uniform(0, 1))
        self.redis.start()

    def do_redis_frozen(self, rng: random.Random) -> None:
        self.redis.signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.2, 2))
        self.redis.signal(signal.SIGCONT)

    def _redis(self, *words: str) -> None:
        with socket.create_connection(("127.0.0.1", self.redis.port), timeout=10) as connection:
            for command in (("AUTH", self.redis.password), words):
                connection.sendall(f"*{len(command)}\r\n".encode() + b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in command))
                answer = connection.recv(4096)
                if not answer.startswith(b"+OK"):
                    raise RuntimeError(f"Redis answers {answer!r} to {words[0]}")

    def do_redis_full(self, rng: random.Random) -> None:
        self._redis("CONFIG", "SET", "maxmemory", "1")
        time.sleep(rng.uniform(0.2, 1.5))
        self._redis("CONFIG", "SET", "maxmemory", "0")

    def do_redis_emptied(self, rng: random.Random) -> None:
        del rng
        self._redis("FLUSHALL")

    # --- the network ---

    def _at_commits(self, rng: random.Random, before: Act = PASS, after: Act = PASS) -> bool:
        """For a while, at some of the COMMITs of one server, or, if none came meanwhile, at its next one."""
        proxy = rng.choice(self.to_postgres)
        every, ahead = rng.randint(2, 12), rng.randint(0, 12)
        acts = 0

        def rule(act: Act) -> Rule | None:
            def at(moment: int) -> Act:
                nonlocal acts
                if (moment + ahead) % every != 0:
                    return PASS
                acts += 1
                return act
            return None if act is PASS else at
        proxy.before_commit, proxy.after_commit = rule(before), rule(after)
        self.ended.wait(rng.uniform(0.3, 1))
        until = time.monotonic() + 5
        while acts == 0 and time.monotonic() < until and not self.ended.wait(0.05):
            pass
        proxy.before_commit = proxy.after_commit = None
        return acts > 0

    def do_cut_before_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, before=Act("cut"))

    def do_cut_after_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, after=Act("cut"))

    def do_torn_before_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, before=Act("torn"))

    def do_torn_after_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, after=Act("torn"))

    def do_delay_before_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, before=Act("hold", rng.uniform(0.05, 1)))

    def do_delay_after_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, after=Act("hold", rng.uniform(0.05, 1)))

    def do_late_commit(self, rng: random.Random) -> bool:
        """The server gets it when the client has been gone for a while, or has just gone."""
        return self._at_commits(rng, before=Act("late", rng.choice([0, rng.uniform(0.05, 7)])))

    def do_silent_before_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, before=Act("mute", rng.uniform(0.5, 6)))

    def do_silent_after_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, after=Act("mute", rng.uniform(0.5, 6)))

    def do_deaf_after_commit(self, rng: random.Random) -> bool:
        return self._at_commits(rng, after=Act("deaf", rng.uniform(0.5, 6)))

    def _slow(self, proxy: Proxy, rng: random.Random) -> None:
        proxy.latency_s = rng.uniform(0.01, 0.3)
        self.ended.wait(rng.uniform(0.5, 1.5))
        proxy.latency_s = 0

    def _half_open(self, proxy: Proxy, rng: random.Random) -> None:
        """In one direction or in both; whoever lost something then finds the connection gone."""
        proxy.muted = rng.choice([BOTH, BOTH[:1], BOTH[1:]])
        self.ended.wait(rng.uniform(0.5, 3))
        proxy.muted = ()
        proxy.cut()

    def _refused(self, proxy: Proxy, rng: random.Random) -> None:
        proxy.refusing = True
        proxy.cut()
        self.ended.wait(rng.uniform(0.2, 1.5))
        proxy.refusing = False

    def do_database_cut(self, rng: random.Random) -> bool:
        return any([proxy.cut() > 0 for proxy in rng.sample(self.to_postgres, rng.randint(1, 2))])

    def do_database_refused(self, rng: random.Random) -> None:
        self._refused(rng.choice(self.to_postgres), rng)

    def do_database_slow(self, rng: random.Random) -> None:
        self._slow(rng.choice(self.to_postgres), rng)

    def do_database_half_open(self, rng: random.Random) -> None:
        self._half_open(rng.choice(self.to_postgres), rng)

    def do_clients_cut(self, rng: random.Random) -> bool:
        return rng.choice(self.to_servers).cut() > 0

    def do_clients_refused(self, rng: random.Random) -> None:
        self._refused(rng.choice(self.to_servers), rng)

    def do_clients_slow(self, rng: random.Random) -> None:
        self._slow(rng.choice(self.to_servers), rng)

    def do_clients_half_open(self, rng: random.Random) -> None:
        self._half_open(rng.choice(self.to_servers), rng)

    def do_redis_cut(self, rng: random.Random) -> bool:
        return rng.choice(self.to_redis).cut() > 0

    def do_redis_refused(self, rng: random.Random) -> None:
        self._refused(rng.choice(self.to_redis), rng)

    def do_redis_slow(self, rng: random.Random) -> None:
        self._slow(rng.choice(self.to_redis), rng)

    def do_redis_half_open(self, rng: random.Random) -> None:
        self._half_open(rng.choice(self.to_redis), rng)
