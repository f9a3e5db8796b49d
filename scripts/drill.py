#!/usr/bin/python3
"""`make drill`: backup, loss, restore, verified. A real PostgreSQL archives its WAL under the load of the real binary; somebody
deletes payments by mistake; then the primary is destroyed with its disk. Twice it comes back from backup and archive:

  to a moment   just before the mistake, in the primary's place: everything acknowledged before that moment is there, the
                mistake is not, `payflow verify` is clean, and the running service takes payments again by itself (RTO)
  to the end    of what was archived, beside it: how much was lost at most (RPO)

Figures go to standard output and to build/reports/drill.json. Exit code 0: every promise was kept.
"""
from __future__ import annotations

import contextlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))
from servers import Database, Folder, Postgres, Server, wait_until  # noqa: E402

REPORT = TOP / "build" / "reports" / "drill.json"
CALLERS = 8
ARCHIVE_TIMEOUT_S = 5  # a segment is archived at least this often; Cloud SQL's own figure is minutes
BEFORE_BACKUP_S, AFTER_BACKUP_S, AFTER_MOMENT_S = 3, 8, 7


def say(sentence: str) -> None:
    print(f"drill: {sentence}", flush=True)


@dataclass
class Load:
    """Callers that make payments and capture some; what was acknowledged, and when, is kept."""

    server: Server
    acknowledged: dict[str, float] = field(default_factory=dict)  # id: time of the 201
    captured: dict[str, float] = field(default_factory=dict)
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Load:
        self._threads = [threading.Thread(target=self._caller, args=(n,), daemon=True) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _caller(self, number: int) -> None:
        dice = random.Random(number)
        with self.server.client() as client:
            count = 0
            while not self._stop.wait(0.002):
                count += 1
                with contextlib.suppress(OSError):
                    made = client.call("POST", "/api/v1/payments", {"amount": dice.randint(1, 9999), "currency": "EUR"},
                                       key=f"drill-{number}-{count}")
                    self._note(self.acknowledged, made.status == 201 and made.json()["id"])
                    if made.status == 201 and dice.random() < 0.2:
                        payment = made.json()["id"]
                        done = client.call("POST", f"/api/v1/payments/{payment}/capture", {})
                        self._note(self.captured, done.status == 200 and payment)

    def _note(self, where: dict[str, float], payment: str | bool) -> None:
        with self._lock:
            if payment:
                where[str(payment)] = time.time()
            else:
                self.refused += 1


def back_up(postgres: Postgres, database: Database, target: Path) -> float:
    begun = time.monotonic()
    subprocess.run([postgres.bin / "pg_basebackup", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-D", target,
                    "-c", "fast", "-X", "none", "--no-sync"], check=True, capture_output=True, cwd=postgres.home,
                   env={"PGPASSWORD": database.password, "PATH": "/usr/bin:/bin"})
    return time.monotonic() - begun


def destroy(postgres: Postgres) -> None:
    """The machine is gone, and its disk."""
    children = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text().split()
    postgres.kill()
    for child in children:
        wait_until(f"process {child} is gone", lambda c=child: not Path(f"/proc/{c}").exists())
    shutil.rmtree(postgres.data)


def restore(postgres: Postgres, backup: Path, archive: Path, target: str) -> None:
    """Starts `postgres` from the backup and replays the archive up to the target."""
    shutil.copytree(backup, postgres.data)
    settings = ["# the drill's restore", f"restore_command = 'cp {archive}/%f %p'", "recovery_target_action = 'promote'",
                "archive_mode = off", target]
    with (postgres.data / "postgresql.auto.conf").open("a") as file:
        file.write("\n".join(settings) + "\n")
    (postgres.data / "recovery.signal").touch()
    if postgres.user is not None:
        subprocess.run(["chown", "-R", postgres.user, postgres.data], check=True)
    postgres.data.chmod(0o700)
    postgres.options = {name: value for name, value in postgres.options.items() if not name.startswith("archive")}
    postgres.start()


def ids_in(database: Database) -> set[str]:
    return {row[0] for row in database.sql("SELECT id FROM payments")}


def promoted(database: Database) -> bool:
    with contextlib.suppress(Exception):
        return database.sql("SELECT pg_is_in_recovery()") == [(False,)]
    return False


def payment_taken(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.call("POST", "/api/v1/payments", {"amount": 1, "currency": "EUR"}).status == 201
    return False


def read(server: Server, path: str) -> dict:
    """As a caller should: 503 means again."""
    deadline = time.monotonic() + 20
    while (answer := server.call("GET", path)).status == 503 and time.monotonic() < deadline:
        time.sleep(0.2)
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.body!r}")
    return answer.json()


class Drill:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.failures: list[str] = []
        probe = Postgres(folder)
        self.archive = folder.make("archive", probe.user)
        probe.options = {"archive_mode": "on", "archive_timeout": str(ARCHIVE_TIMEOUT_S), "max_connections": "100",
                         "archive_command": f"test ! -f {self.archive}/%f && cp %p {self.archive}/%f"}
        self.primary = probe
        self.backup = folder.path / "backup"
        self.figures: dict[str, float | int] = {}

    def expect(self, promise: str, kept: bool) -> None:
        say(f"{'kept' if kept else 'BROKEN'}: {promise}")
        if not kept:
            self.failures.append(promise)

    def run(self) -> None:
        self.primary.start()
        database = self.primary.database("payflow")
        server = Server(self.folder, database).migrate().start()
        try:
            self.through_the_loss(database, server)
        finally:
            server.stop()
            self.primary.stop()

    def through_the_loss(self, database: Database, server: Server) -> None:
        load = Load(server).start()
        time.sleep(BEFORE_BACKUP_S)
        self.figures["backup_s"] = round(back_up(self.primary, database, self.backup), 1)
        time.sleep(AFTER_BACKUP_S)
        # Whatever is committed now has a time before it; the mistake comes after it.
        moment, moment_s = database.sql("SELECT clock_timestamp()::text, extract(epoch FROM clock_timestamp())::float8")[0]
        _, cursor = self.feed(server, None)
        time.sleep(1)
        deleted = database.sql("WITH gone AS (DELETE FROM payments WHERE id IN (SELECT id FROM payments LIMIT 100) RETURNING 1) "
                               "SELECT count(*) FROM gone")[0][0]
        say(f"the moment is {moment}; after it, {deleted} payments are deleted by mistake")
        time.sleep(AFTER_MOMENT_S)
        destroyed_s = time.time()
        destroy(self.primary)
        say(f"the primary is destroyed after {len(load.acknowledged)} acknowledged payments")
        self.restore_to_moment(database, server, moment, destroyed_s)
        load.stop()
        self.judge(database, server, load, moment_s, cursor)
        self.restore_to_end(load, destroyed_s, database)

    def feed(self, server: Server, cursor: str | None) -> tuple[set[str], str]:
        """The payments that the feed shows behind the cursor, and the cursor of its end."""
        shown: set[str] = set()
        while True:
            page = read(server, "/api/v1/events?limit=100" + (f"&cursor={cursor}" if cursor else ""))
            shown |= {event["payment_id"] for event in page["data"]}
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return shown, str(cursor)

    def restore_to_moment(self, database: Database, server: Server, moment: str, destroyed_s: float) -> None:
        restore(self.primary, self.backup, self.archive, f"recovery_target_time = '{moment}'")
        wait_until("the restored database is promoted", lambda: promoted(database), 60)
        # Transaction ids of after the moment will be used again: the feed's order must go on behind all it ever showed.
        database.sql("UPDATE feed_epoch SET epoch = epoch + 1")
        wait_until("the service takes payments again", lambda: payment_taken(server), 60)
        self.figures["rto_s"] = round(time.time() - destroyed_s, 1)

    def judge(self, database: Database, server: Server, load: Load, moment_s: float, cursor: str) -> None:
        there = ids_in(database)
        due = {payment for payment, at in load.acknowledged.items() if at < moment_s}
        captured = {payment for payment, at in load.captured.items() if at < moment_s}
        still = {row[0] for row in database.sql("SELECT id FROM payments WHERE captured_minor > 0")}
        self.figures |= {"acknowledged_before_moment": len(due), "acknowledged": len(load.acknowledged),
                         "refused_meanwhile": load.refused}
        self.expect(f"all {len(due)} payments acknowledged before the moment are there", bool(due) and due <= there)
        self.expect(f"all {len(captured)} captures acknowledged before the moment are there", bool(captured) and captured <= still)
        verify = server.command("verify")
        self.expect("payflow verify is clean", verify.returncode == 0)
        if verify.returncode != 0:
            print(verify.stdout + verify.stderr)
        new = server.call("POST", "/api/v1/payments", {"amount": 2, "currency": "EUR"}).json()["id"]
        wait_until("the feed shows the new payment behind an old cursor", lambda: new in self.feed(server, cursor)[0], 20)
        self.expect("a feed reader with a cursor from before goes on", True)

    def restore_to_end(self, load: Load, destroyed_s: float, database: Database) -> None:
        other = Postgres(self.folder)
        other.password = database.password
        try:
            restore(other, self.backup, self.archive, "recovery_target_timeline = 'current'")
            copy = Database("127.0.0.1", other.port, database.name, database.user, database.password)
            wait_until("the second copy is promoted", lambda: promoted(copy), 60)
            there = ids_in(copy)
            before = {payment: at for payment, at in load.acknowledged.items() if at < destroyed_s}
            newest = max(at for payment, at in before.items() if payment in there)
            lost = [at for payment, at in before.items() if payment not in there and at > newest]
            self.figures |= {"rpo_s": round(destroyed_s - newest, 1), "lost_after_archive": len(lost)}
            self.expect(f"no more was lost than {ARCHIVE_TIMEOUT_S} s and what archiving takes",
                        self.figures["rpo_s"] <= 3 * ARCHIVE_TIMEOUT_S)
        finally:
            other.stop()


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    begun = time.monotonic()
    with Folder() as folder:
        drill = Drill(folder)
        drill.run()
    drill.figures["whole_drill_s"] = round(time.monotonic() - begun, 1)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"failures": drill.failures, "archive_timeout_s": ARCHIVE_TIMEOUT_S} | drill.figures, indent=2) + "\n")
    say(f"RPO {drill.figures['rpo_s']} s with archive_timeout {ARCHIVE_TIMEOUT_S} s; RTO {drill.figures['rto_s']} s from the loss "
        f"to the first payment; {drill.figures['acknowledged_before_moment']} payments held; build/reports/drill.json")
    return 1 if drill.failures else 0


if __name__ == "__main__":
    sys.exit(main())
