"""The real binary, Prometheus and Alertmanager: trouble is caused for real, the right alert arrives alone at the right
receiver, and resolves.

The rules are the repository's, copied with every time in them divided by FACTOR (rules.shrunk_file): 5 minutes are 10
seconds. What looks back further than an hour is left out of the copy; alerts/tests has it.
"""
from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from rules import TOP, rules, shrunk, shrunk_file
from servers import Folder, Postgres, Redis, Server, wait_until
from watchers import Alertmanager, Prometheus, Receiver

FACTOR = 30
LIMIT_S = 60  # for an alert to come, or to resolve
QUIET_S = 3  # after it came, in which no other may


class Traffic:
    """About 60 reads and 12 payments a second; on demand their refunds are asked for, or slow payments are made too."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.newest = ""
        self.refunds = False
        self.slow = False
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(step, pause), daemon=True)
                        for step, pause in ((self.read, 0.03), (self.read, 0.03), (self.pay, 0.08), (self.pay_slowly, 0.1),
                                            *[(self.read_refunds, 0.1)] * 4)]
        for thread in self.threads:
            thread.start()

    def run(self, step: Callable[[], None], pause_s: float) -> None:
        while not self.stopping.wait(pause_s):
            with contextlib.suppress(OSError, ValueError, KeyError):
                step()

    def read(self) -> None:
        self.server.call("GET", "/api/v1/payments?limit=1")

    def pay(self) -> None:
        made = self.server.call("POST", "/api/v1/payments", {"amount": 5, "currency": "EUR"})
        self.newest = made.json()["id"]

    def read_refunds(self) -> None:
        if self.refunds:
            self.server.call("GET", f"/api/v1/payments/{self.newest}/refunds")

    def pay_slowly(self) -> None:
        if self.slow:
            self.server.call("POST", "/api/v1/payments", {"amount": 5, "currency": "EUR", "description": "slow"})

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(20)


class World:
    def __init__(self, folder: Folder) -> None:
        self.postgres = Postgres(folder, fsync="off").start()
        self.redis = Redis(folder).start()
        self.server = Server(folder, self.postgres.database(), self.redis, DB_WRITERS="4").migrate().start()
        self.receiver = Receiver()
        self.alertmanager = Alertmanager(folder, self.receiver, group_wait="3s").start()
        self.prometheus = Prometheus(folder, self.server.port, self.alertmanager, FACTOR).start()
        self.traffic = Traffic(self.server)
        time.sleep(12)  # a past without trouble

    def stop(self) -> None:
        self.traffic.stop()
        for each in (self.prometheus, self.alertmanager, self.server, self.redis, self.postgres):
            each.stop()
        self.receiver.stop()

    def sees(self, receiver: str, alert: str, cause: Callable[[], None], end: Callable[[], None]) -> None:
        """While the cause lasts exactly this alert comes to that receiver; when it ends, it resolves."""
        assert self.receiver.got == []
        cause()
        try:
            wait_until(f"{alert} arrives", lambda: self.receiver.got, LIMIT_S, every_s=0.2)
            time.sleep(QUIET_S)
        finally:
            end()
        wait_until(f"{alert} resolves, after {self.receiver.got}", lambda: (receiver, alert) in self.receiver.names("resolved"),
                   LIMIT_S, every_s=0.2)
        wait_until("nothing fires any more", lambda: self.prometheus.query("ALERTS") == [], LIMIT_S, every_s=0.5)
        time.sleep(QUIET_S)
        assert self.receiver.names("firing") == {(receiver, alert)}, self.receiver.got
        self.receiver.got.clear()


@pytest.fixture(scope="module")
def world(folder: Folder) -> Iterator[World]:
    made = World(folder)
    yield made
    made.stop()


def test_the_copy_has_every_rule_and_only_its_times_differ() -> None:
    assert shrunk("a[5m] - time() - 600\n    for: 1m\n", 60) == "a[5000ms] - time() - 10\n    for: 1000ms\n"
    originals = {rule.name for rule in rules() if rule.file != "google.yml"}
    copies = "".join(shrunk_file(TOP / "alerts" / name, FACTOR, 3600) for name in ("service.yml", "payments.yml", "slo.yml"))
    assert all(f"alert: {name}\n" in copies for name in originals)


def test_healthy_traffic_calls_nobody(world: World) -> None:
    assert world.receiver.got == []
    assert world.prometheus.query("ALERTS") == []


def test_errors(world: World) -> None:
    """A table is not there: about a tenth of the requests fail. (They would be tried again until their deadline, and so be
    slow as well; a short deadline keeps the one trouble from the other.)"""
    def deadline(milliseconds: str) -> None:
        world.server.stop()
        world.server.environment["REQUEST_TIMEOUT_MS"] = milliseconds
        world.server.start()

    def cause() -> None:
        world.server.sql("ALTER TABLE refunds RENAME TO refunds_away")
        world.traffic.refunds = True

    def end() -> None:
        world.traffic.refunds = False
        world.server.sql("ALTER TABLE refunds_away RENAME TO refunds")
    deadline("300")
    world.sees("page", "HighErrorRate", cause, end)
    deadline("5000")


def test_latency(world: World) -> None:
    """A few payments in a hundred requests take 700 ms in PostgreSQL."""
    world.server.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                     "IF NEW.description = 'slow' THEN PERFORM pg_sleep(0.7); END IF; RETURN NEW; END $$")
    world.server.sql("CREATE TRIGGER slow BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION slow()")

    def end() -> None:
        world.traffic.slow = False
        world.server.sql("DROP TRIGGER slow ON payments")
    world.sees("ticket", "HighLatency", lambda: setattr(world.traffic, "slow", True), end)


def test_dead_database(world: World) -> None:
    def end() -> None:
        world.postgres.start()
    world.sees("page", "DatabaseUnreachable", world.postgres.kill, end)


def test_crash_loop(world: World) -> None:
    stopping = threading.Event()

    def crash() -> None:
        while not stopping.is_set():
            world.server.kill()
            world.server.start(ready=False)
            stopping.wait(2)
    crashing = threading.Thread(target=crash, daemon=True)

    def end() -> None:
        stopping.set()
        crashing.join(20)
    world.sees("page", "PodCrashLooping", crashing.start, end)
