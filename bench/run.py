#!/usr/bin/python3
"""PayFlow beside what a team would pick instead, on one PostgreSQL, in one run: `make bench`.

  bench/run.py [PART...]     parts: create reads edge open start profile big; all but big if none is named
  bench/run.py --list        who takes part

Everybody writes the same rows (payment, idempotency key, event) in the same tables, each payment answered after its COMMIT.
Contestants alternate, round by round; figures are medians. Nothing but ratios within one run means anything elsewhere.
Settings: BENCH_SECONDS (5) a measurement, BENCH_ROUNDS (3), BENCH_CONNECTIONS (1,8,64,256,1000).
A part that is left out keeps the figures of the last run, if that measured as long: no figure is set against another part's.
Writes build/reports/bench.json and bench.txt; bench/report.py makes the page and the picture of them.
"""
from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))

from servers import Database, Folder, Postgres, Process, Redis, Server  # noqa: E402

HERE = TOP / "bench"
TWINS = HERE / "twins"
BUILD = TOP / "build" / "bench"
REPORTS = TOP / "build" / "reports"
BINARY = TOP / "build" / "static" / "payflow"
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CONNECTIONS = [int(n) for n in os.environ.get("BENCH_CONNECTIONS", "1,8,64,256,1000").split(",")]
BIG_ROWS = int(os.environ.get("BENCH_BIG_ROWS", "10000000"))
TICKS = os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(text, flush=True)


# --- the contestants --------------------------------------------------------------------------------------------------


class NotMeasuredError(Exception):
    """Some requests failed: what was counted is no figure."""


class Twin(Process):
    """A service in another language, with a pool of `pool` connections."""

    def __init__(self, folder: Folder, name: str, command: list[str], database: Database, pool: int) -> None:
        super().__init__(folder.make(name))
        self.name = name
        self.command = command
        self.database = database
        self.environment = dict(os.environ) | {
            "PORT": str(self.port), "POOL_SIZE": str(pool), "SQL_FILE": str(TWINS / "create.sql"), "NODE_ENV": "production",
            "DATABASE_URL": f"postgres://{database.user}:{database.password}@127.0.0.1:{database.port}/{database.name}",
        }

    def start(self) -> Twin:
        self.launch(self.command, self.environment)
        self.wait_up()
        return self


@dataclass
class Contestant:
    name: str
    start: Callable[[], Process]
    environment: dict[str, str] = field(default_factory=dict)  # of the load


def cpu_s(pid: int) -> float:
    """CPU time of a process with its threads and the children it has waited for."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(v) for v in values[11:15]) / TICKS


def family(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found += [each for child in children.read_text().split() for each in family(int(child))]
    return found


def family_cpu_s(pid: int) -> float:
    total = 0.0
    for each in family(pid):
        with contextlib.suppress(OSError):  # it ended meanwhile
            total += cpu_s(each)
    return total


def resident_mb(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


class Bench:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.postgres = Postgres(folder, shared_buffers="512MB", max_wal_size="8GB", max_connections="300",
                                 checkpoint_timeout="30min").start()
        self.redis = Redis(folder).start()
        self.database = self.postgres.database("payflow")
        self.server = Server(folder, self.database, binary=BINARY)
        self.server.migrate()
        self.pools: dict[str, int] = {}
        self.sweeps: dict[str, dict[int, float]] = {}
        self.results: list[dict] = []
        self.run = 0
        self.concurrency = 128  # PayFlow's: the default, or what the connections need

    def clear(self) -> None:
        self.database.sql("TRUNCATE payments, idempotency_keys, events, refunds")
        self.database.sql("CHECKPOINT")
        os.sync()  # what one contestant wrote is not left for the next to wait for

    def payflow(self) -> Server:
        return Server(self.folder, self.database, binary=BINARY, MAX_CONCURRENCY=str(self.concurrency)).start()

    def limited(self) -> Server:
        return Server(self.folder, self.database, self.redis, binary=BINARY, MAX_CONCURRENCY=str(self.concurrency),
                      PAYFLOW_AUTH="on", RATE_LIMIT="100000000", RATE_BURST="100000").start()

    def twin(self, name: str, pool: int) -> Twin:
        command = {"express": ["node", str(BUILD / "express" / "app.js")], "go": [str(BUILD / "go-twin")]}[name]
        return Twin(self.folder, name, command, self.database, pool).start()

    def contestants(self) -> list[Contestant]:
        found = [Contestant("payflow", self.payflow)]
        if "payflow+limits" not in self.pools:
            self.pools["payflow+limits"] = 0
            self.key = self.server.new_key("bench")
        found.append(Contestant("payflow+limits", self.limited, {"API_KEY": self.key}))
        found += [Contestant(n, lambda n=n: self.twin(n, self.pools[n])) for n in ("go", "express") if n in self.pools]
        return found

    # --- one measurement

    def load(self, port: int, connections: int, kind: str, arguments: list[str], seconds: float,
             environment: dict[str, str]) -> dict:
        self.run += 1
        command = ["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{seconds:g}s", "--timeout", "10s",
                   "-s", str(HERE / "load.lua"), f"http://127.0.0.1:{port}", kind]
        command += arguments or [f"run{self.run}-{time.time_ns():x}"]
        out = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment).stdout
        figures = json.loads(out.strip().splitlines()[-1])
        if figures["failed"] or figures["broken"]:
            raise NotMeasuredError(f"{kind} with {connections} connections: {figures}")
        return figures

    def measure(self, name: str, server: Process, connections: int, kind: str, *arguments: str,
                environment: dict[str, str] | None = None, seconds: float = SECONDS) -> dict:
        before = family_cpu_s(server.pid), family_cpu_s(self.postgres.pid)
        figures = self.load(server.port, connections, kind, list(arguments), seconds, environment or {})
        after = family_cpu_s(server.pid), family_cpu_s(self.postgres.pid)
        requests = max(1, figures["requests"])
        return {
            "part": kind, "name": name, "connections": connections, "rps": figures["requests"] / figures["seconds"],
            "p50_ms": figures["p50_ms"], "p99_ms": figures["p99_ms"],
            "server_us": (after[0] - before[0]) / requests * 1e6, "postgres_us": (after[1] - before[1]) / requests * 1e6,
            "resident_mb": sum(resident_mb(pid) for pid in family(server.pid)),
        }

    def keep(self, found: dict) -> None:
        self.results.append(found)
        say(f"  {found['part']:7} {found['connections']:5} {found['name']:16} {found['rps']:10,.0f}/s  p50 {found['p50_ms']:8.2f} "
            f"p99 {found['p99_ms']:8.2f} ms  CPU {found['server_us']:6.1f} + {found['postgres_us']:6.1f} us  "
            f"{found['resident_mb']:6.1f} MB")

    @contextmanager
    def running(self, contestant: Contestant) -> Iterator[Process]:
        """A contestant that fails loses its figure; the others go on."""
        server = contestant.start()
        try:
            yield server
        except NotMeasuredError as failure:
            say(f"  {contestant.name}: not a measurement: {failure}")
        finally:
            server.stop()

    # --- the parts

    def sweep(self) -> None:
        """Each twin at its best pool size."""
        sizes = {"go": [2, 4, 8, 16, 32], "express": [2, 4, 8, 16, 32]}
        ready = {"go": (BUILD / "go-twin").exists(), "express": (BUILD / "express" / "node_modules").exists()}
        for name in (n for n in sizes if ready[n]):
            self.sweeps[name] = {}
            for size in sizes[name]:
                self.clear()
                server = self.twin(name, size)
                self.load(server.port, 64, "create", [], 1, {})  # warm
                self.sweeps[name][size] = self.load(server.port, 64, "create", [], min(SECONDS, 3), {})["requests"]
                server.stop()
            self.pools[name] = max(self.sweeps[name], key=lambda size: self.sweeps[name][size])
            say(f"  {name}: best with a pool of {self.pools[name]}  {self.sweeps[name]}")

    def pgbench(self, name: str, script: str, connections: int, rows: int) -> None:
        self.clear()
        before = family_cpu_s(self.postgres.pid)
        out = subprocess.run(
            [shutil.which("pgbench") or self.postgres.bin / "pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "2",
             "-T", f"{SECONDS:.0f}", "-f", str(TWINS / script), "-h", "127.0.0.1", "-p", str(self.database.port), "-U",
             self.database.user, self.database.name], check=True, capture_output=True, text=True,
            env=os.environ | {"PGPASSWORD": self.database.password}).stdout
        cpu = family_cpu_s(self.postgres.pid) - before
        tps = re.search(r"tps = ([\d.]+)", out)
        latency = re.search(r"latency average = ([\d.]+)", out)
        assert tps and latency, out
        rps = float(tps[1]) * rows
        self.keep({"part": "create", "name": name, "connections": connections, "rps": rps, "p50_ms": float(latency[1]),
                   "p99_ms": 0.0, "server_us": 0.0, "postgres_us": cpu / (rps * SECONDS) * 1e6, "resident_mb": 0.0})

    def create(self) -> None:
        for connections in CONNECTIONS:
            self.concurrency = max(128, min(connections, 1000))
            for turn in range(ROUNDS):
                contestants = self.contestants()
                first = turn % len(contestants)
                for contestant in contestants[first:] + contestants[:first]:
                    self.clear()
                    with self.running(contestant) as server:
                        self.load(server.port, connections, "create", [], 1, contestant.environment)
                        self.keep(self.measure(contestant.name, server, connections, "create",
                                               environment=contestant.environment))
                if connections in (64, 256):
                    self.pgbench("pgbench-row", "pgbench_single.sql", min(connections, 64), 1)
                    self.pgbench("pgbench-same", "pgbench_same.sql", min(connections, 64), 1)
                    self.pgbench("pgbench-batch", "pgbench_batch.sql", 2, 64)

    def reads(self) -> None:
        self.concurrency = 128
        self.clear()
        with self.running(self.contestants()[0]) as server:
            self.load(server.port, 64, "create", [], 3, {})
        ids = [row[0] for row in self.database.sql("SELECT id FROM payments LIMIT 2000")]
        for _ in range(ROUNDS):
            for contestant in self.contestants():
                with self.running(contestant) as server:
                    one = contestant.environment
                    chosen = ids if contestant.name != "payflow+limits" else []
                    if chosen:
                        self.load(server.port, 64, "get", chosen, 1, one)
                        self.keep(self.measure(contestant.name, server, 64, "get", *chosen, environment=one))
                    if contestant.name == "payflow":
                        self.keep(self.measure(contestant.name, server, 64, "list", environment=one))
                        server.call("POST", "/api/v1/payments", {"amount": 49.99, "currency": "EUR"}, key="again")
                        self.load(server.port, 1, "replay", ["again-body"], 1, one)
                        self.keep(self.measure(contestant.name, server, 64, "replay", "again-body", environment=one))

    def edge(self) -> None:
        """The edge alone: /health beside nginx's constant answer."""
        for _ in range(ROUNDS):
            for name, start in (("payflow", self.payflow), ("nginx", self.nginx)):
                with self.running(Contestant(name, start)) as server:
                    self.load(server.port, 64, "health", [], 1, {})
                    self.keep(self.measure(name, server, 64, "health"))

    def nginx(self) -> Process:
        server = Process(self.folder.make("nginx"))
        server.name = "nginx"
        (server.home / "nginx.conf").write_text(
            f"daemon off; worker_processes 2; pid {server.home}/nginx.pid; error_log {server.home}/error.log;\n"
            f"events {{ worker_connections 2048; }}\n"
            f"http {{ access_log {server.home}/access.log; keepalive_requests 100000000;\n"
            f"  server {{ listen 127.0.0.1:{server.port}; location / {{ default_type application/json; return 200 '{{\"status\":"
            f"\"healthy\"}}'; }} }} }}\n")
        server.launch(["/usr/sbin/nginx", "-c", server.home / "nginx.conf", "-p", server.home])
        server.wait_up()
        return server

    def open(self) -> None:
        """At a fixed rate, whether answers come or not: half of what the Go twin did at 64 connections."""
        vegeta = shutil.which("vegeta") or str(TOP / "build" / "tools" / "bin" / "vegeta")
        if not Path(vegeta).exists() or "go" not in self.pools:
            say("  open: vegeta or the Go twin is not there: not measured")
            return
        best = [r["rps"] for r in self.results if (r["part"], r["name"], r["connections"]) == ("create", "go", 64)]
        rate = int(statistics.median(best) / 2) if best else 1500
        for _ in range(ROUNDS):
            for contestant in (c for c in self.contestants() if c.name in ("payflow", "go")):
                self.clear()
                with self.running(contestant) as server:
                    self.load(server.port, 64, "create", [], 1, {})
                    self.keep(self.vegeta(vegeta, contestant.name, server, rate))

    def vegeta(self, program: str, name: str, server: Process, rate: int) -> dict:
        self.run += 1
        body = base64.b64encode(b'{"amount": 49.99, "currency": "EUR"}').decode()
        targets = "".join(json.dumps({
            "method": "POST", "url": f"http://127.0.0.1:{server.port}/api/v1/payments", "body": body,
            "header": {"Content-Type": ["application/json"], "Idempotency-Key": [f"open-{self.run}-{n}"]}}) + "\n"
            for n in range(int(rate * SECONDS) + 1))
        before = cpu_s(server.pid), family_cpu_s(self.postgres.pid)
        attack = subprocess.run([program, "attack", "-format=json", "-lazy", f"-rate={rate}", f"-duration={SECONDS}s",
                                 "-timeout=10s"], input=targets.encode(), capture_output=True, check=True).stdout
        report = json.loads(subprocess.run([program, "report", "-type=json"], input=attack, capture_output=True, check=True).stdout)
        after = cpu_s(server.pid), family_cpu_s(self.postgres.pid)
        if report["success"] < 1:
            raise NotMeasuredError(f"{name} at {rate}/s: {report['status_codes']} {report['errors']}")
        return {"part": "open", "name": name, "connections": rate, "rps": report["throughput"],
                "p50_ms": report["latencies"]["50th"] / 1e6, "p99_ms": report["latencies"]["99th"] / 1e6,
                "server_us": (after[0] - before[0]) / report["requests"] * 1e6,
                "postgres_us": (after[1] - before[1]) / report["requests"] * 1e6, "resident_mb": resident_mb(server.pid)}

    def profile(self) -> None:
        """Where the processors' time goes with payflow at 64 connections, by perf's samples of the whole machine."""
        perf = shutil.which("perf")
        if not perf:
            say("  profile: perf (Debian: linux-perf) is not there: not measured")
            return
        samples = str(self.folder.make("profile") / "perf.data")
        self.clear()
        with self.running(self.contestants()[0]) as server:
            self.load(server.port, 64, "create", [], 1, {})
            recording = subprocess.Popen([perf, "record", "-q", "-a", "-e", "cpu-clock", "-F", "999", "-o", samples],
                                         stderr=subprocess.DEVNULL)
            rps = self.measure("payflow", server, 64, "create")["rps"]
            recording.send_signal(signal.SIGINT)
            recording.wait()
        report = subprocess.run([perf, "report", "-i", samples, "--stdio", "--sort", "comm,dso"], check=True, capture_output=True,
                                text=True).stdout
        for share, comm, place in re.findall(r"^ +([\d.]+)% +(\S+) +(\S+)", report, re.MULTILINE):
            self.results.append({"part": "profile", "name": comm, "connections": 64, "kernel": place.startswith("[kernel"),
                                 "us": float(share) / 100 * (os.cpu_count() or 1) / rps * 1e6})

    def start(self) -> None:
        for _ in range(max(ROUNDS, 11)):
            server = Server(self.folder, self.database, binary=BINARY)
            begun = time.perf_counter()
            server.launch([server.binary, "serve"], server.environment)
            first = self.until(server, "GET", "/health", None, 200)
            answered = time.perf_counter() - begun
            resident = resident_mb(server.pid)
            self.until(server, "POST", "/api/v1/payments", {"amount": 1}, 201)
            paid = time.perf_counter() - begun
            server.stop()
            self.results.append({"part": "start", "name": "payflow", "connections": first, "answer_ms": answered * 1000,
                                 "payment_ms": paid * 1000, "idle_mb": resident})

    @staticmethod
    def until(server: Server, method: str, path: str, body: object, status: int) -> int:
        for tries in range(1, 20000):
            try:
                if server.call(method, path, body).status == status:
                    return tries
            except ConnectionRefusedError:
                pass
            time.sleep(0.0002)
        raise SystemExit("no answer")

    def big(self) -> None:
        """Throughput on a table of BIG_ROWS payments beside an empty one."""
        for rows in (0, BIG_ROWS):
            self.clear()
            if rows:
                say(f"  filling {rows:,} rows")
                self.fill(rows)
            if rows:
                size = "SELECT sum(pg_total_relation_size(t::regclass)) FROM unnest('{payments,idempotency_keys,events}'::text[]) t"
                self.results.append({"part": "disk", "name": "payflow", "connections": rows,
                                     "bytes": int(self.database.sql(size)[0][0]) / rows})
            for _ in range(ROUNDS):
                with self.running(self.contestants()[0]) as server:
                    self.load(server.port, 64, "create", [], 1, {})
                    self.keep(self.measure(f"payflow on {rows:,} rows", server, 64, "create"))
        self.clear()

    def fill(self, rows: int) -> None:
        """As if they had come in the two weeks before; ids and times grow together, keys are random."""
        step = 1000000
        for first in range(0, rows, step):
            last = min(rows, first + step)
            self.database.sql(f"""
                WITH made AS MATERIALIZED (
                    SELECT 'pay_0' || lpad(to_hex(i), 10, '0') || substr(md5(i::text), 1, 15) AS id, md5('k' || i) AS key,
                           now() - interval '14 days' + i * interval '100 ms' AS created_at FROM generate_series({first}, {last - 1}) i
                ), k AS (INSERT INTO idempotency_keys (created_at, account_id, livemode, operation, target, key, object_id, fingerprint)
                    SELECT created_at, 1, false, 1, '', key, id, sha256(key::bytea) FROM made
                ), e AS (INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor,
                        refunded_minor, payment_id, actor, request_id)
                    SELECT created_at, 1, 1, 1, 1, 1, false, 4999, 0, 0, id, 'none', md5(id) FROM made)
                INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency)
                SELECT 1, false, 1, 4999, created_at, id, 'EUR' FROM made""")
        self.database.sql("VACUUM ANALYZE payments, idempotency_keys, events")
        self.database.sql("CHECKPOINT")


def part_of(result: dict) -> str:
    if result["part"] == "disk" or result["name"].startswith("payflow on "):
        return "big"
    return {"get": "reads", "list": "reads", "replay": "reads", "health": "edge"}.get(result["part"], result["part"])


def kept(parts: list[str]) -> list[dict]:
    """What the last run measured in parts that are not measured now, if it measured as long."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        last = json.loads((REPORTS / "bench.json").read_text())
        if (last["seconds"], last["rounds"]) == (SECONDS, ROUNDS):
            return [each for each in last["results"] if part_of(each) not in parts]
    return []


def prepare() -> None:
    """Builds the twins where their tools are there; says what will be missing."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if shutil.which("go"):
        say("bench: building the Go twin")
        subprocess.run(["go", "build", "-trimpath", "-o", str(BUILD / "go-twin"), "."], cwd=TWINS / "go", check=True)
    else:
        say("bench: Go is not installed, so its twin does not run")
    if shutil.which("npm"):
        say("bench: installing the Express twin")
        shutil.copytree(TWINS / "express", BUILD / "express", dirs_exist_ok=True)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"], cwd=BUILD / "express",
                       check=True)
    else:
        say("bench: Node.js is not installed, so the Express twin does not run")


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    parts = sys.argv[1:] or ["create", "reads", "edge", "open", "start", "profile"]
    if set(parts) - {"create", "reads", "edge", "open", "start", "profile", "big"}:
        sys.exit(__doc__)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    prepare()
    with Folder() as folder:
        bench = Bench(folder)
        bench.results = kept(parts)
        try:
            if {"create", "reads", "open"} & set(parts):
                bench.sweep()
            for part in parts:
                say(f"{part}:")
                getattr(bench, part)()
                REPORTS.mkdir(parents=True, exist_ok=True)
                (REPORTS / "bench.json").write_text(json.dumps({
                    "seconds": SECONDS, "rounds": ROUNDS, "cores": os.cpu_count(), "pools": bench.sweeps,
                    "results": bench.results}, indent=1))
        finally:
            bench.redis.stop()
            bench.postgres.stop()
    return subprocess.run([sys.executable, str(HERE / "report.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
