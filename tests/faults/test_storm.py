"""Payments through a storm: everything around them is restarted, cut and killed, and nothing is lost or doubled."""
from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ledger import Answer, Caller, Intent, Journal, Story, compare, rows, verify
from proxy import CUT, Act, Proxy
from servers import Client, Folder, Postgres, Redis, Server, scaled, wait_until

PAYMENTS = scaled(20000)
CONNECTIONS = 64
RESOLVES_WITHIN_S = 60


class Storm:
    """`CONNECTIONS` callers, each with a connection of its own, share out the intents."""

    def __init__(self, journal: Journal, port: int, count: int) -> None:
        self.journal = journal
        self.port = port
        self.left = iter(range(count))
        self.lock = threading.Lock()
        self.sent = 0
        self.unresolved: list[Intent] = []
        self.threads = [threading.Thread(target=self.work, args=(n,)) for n in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()

    def next(self) -> int | None:
        with self.lock:
            self.sent += 1
            return next(self.left, None)

    def work(self, seed: int) -> None:
        rng = random.Random(seed)
        caller = Caller(self.journal, [self.port], rng)
        while (number := self.next()) is not None:
            currency = rng.choice(["EUR", "JPY", "BHD"])
            intent = Intent(number, "create", f"storm-{number}", f"key-{number}", rng.randint(1, 10**9), currency)
            self.journal.intent(intent)
            answer = caller.send(intent)
            tries = 1
            while not answer.is_final and tries < 3:  # as an impatient caller; the rest is resolved afterwards
                time.sleep(0.05)
                answer = caller.send(intent)
                tries += 1
            if not answer.is_final:
                with self.lock:
                    self.unresolved.append(intent)
        caller.close()

    def wait_for(self, share: float) -> None:
        wait_until(f"{share:.0%} of the payments were sent", lambda: self.sent >= share * PAYMENTS, 120)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(120)


def restart(postgres: Postgres, number: int) -> None:
    postgres.stop(number)
    postgres.start()


def test_every_201_is_there_once_and_every_key_has_one_payment(folder: Folder, tmp_path: Path) -> None:
    postgres = Postgres(folder, max_connections="100").start()
    redis = Redis(folder).start()
    proxy = Proxy(postgres.port, postgres=True)
    database = postgres.database()
    server = Server(folder, database, redis, DB_PORT=str(proxy.port), DB_SSLMODE="disable",
                    RATE_LIMIT="1000000", RATE_BURST="100000")
    server.migrate().start()

    def at_commits(act: Act, every: int) -> Callable[[int], Act]:
        return lambda moment: act if moment % every == 0 else Act("pass")

    def kill_server() -> None:
        server.kill()
        server.start()

    def cut_at_commits() -> None:
        proxy.before_commit, proxy.after_commit = at_commits(CUT, 7), at_commits(CUT, 5)
        time.sleep(1.5)
        proxy.heal()

    def kill_redis() -> None:
        redis.kill()
        time.sleep(0.3)
        redis.start()

    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = %s"
    faults: list[Callable[[], object]] = [
        lambda: restart(postgres, signal.SIGINT),
        proxy.cut,
        kill_server,
        lambda: rows(database, terminate, database.name),
        kill_redis,
        lambda: restart(postgres, signal.SIGQUIT),
        cut_at_commits,
        kill_server,
        lambda: restart(postgres, signal.SIGQUIT),
    ]
    journal = Journal(tmp_path / "journal", durable=False)
    storm = Storm(journal, server.port, PAYMENTS)
    for number, fault in enumerate(faults, start=1):
        storm.wait_for(number / (len(faults) + 2))
        fault()
    storm.join()
    assert storm.sent >= PAYMENTS
    caller = Caller(journal, [server.port], random.Random(0))
    until = time.monotonic() + RESOLVES_WITHIN_S
    for intent in storm.unresolved:
        caller.settle(intent, until)
    caller.close()
    journal.close()
    story = Story.read(journal.path)
    assert len(story.intents) == PAYMENTS
    assert compare(story, database)[:10] == []
    assert rows(database, "SELECT count(*), count(DISTINCT reference) FROM payments") == [(PAYMENTS, PAYMENTS)]
    assert verify(server) == []
    answers = [answer for each in story.answers.values() for answer in each]
    assert sum(bool(answer.error) for answer in answers) > 0, "the storm was no storm"
    assert sum(proxy.acts.values()) > 0
    print(f"{PAYMENTS} payments, {len(answers)} answers, {sum(not a.is_final for a in answers)} of them not final, "
          f"{len(storm.unresolved)} resolved afterwards, {proxy.acts}")
    assert server.stop() == 0
    proxy.close()
    redis.stop()
    postgres.stop()


def test_sigterm_under_load_drops_nobody(fresh_server: Callable[..., Server]) -> None:
    """A client that sees Connection: close connects anew, as a front end does, until nobody listens any more."""
    server = fresh_server(DRAIN_MS="1000")
    dropped: list[str] = []
    answered = [0] * CONNECTIONS
    ended = threading.Event()

    def ask(number: int) -> None:
        while not ended.is_set():
            client = Client(server.port, timeout_s=20)
            try:
                client.connection.connect()
            except ConnectionRefusedError:
                return
            except OSError as error:
                dropped.append(f"connecting: {error!r}")
                return
            try:
                reply = client.call("POST", "/api/v1/payments", {"amount": 5}, key=f"{number}-{answered[number]}")
                if reply.status != 201:
                    dropped.append(str(reply))
                answered[number] += 1
                while reply.headers.get("connection") != "close":
                    reply = client.call("POST", "/api/v1/payments", {"amount": 5}, key=f"{number}-{answered[number]}")
                    answered[number] += 1
            except OSError as error:
                dropped.append(repr(error))
            finally:
                client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    begun = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert time.monotonic() - begun < 10
    ended.set()
    for thread in threads:
        thread.join(30)
    assert dropped == []
    assert server.sql("SELECT count(*) FROM payments") == [(sum(answered),)]


def test_a_late_answer_is_no_answer() -> None:
    """The journal's own judgement: what counts as final, and what a storm excuses."""
    assert Answer(201).is_final and Answer(201).is_done
    assert not Answer(503, "outcome-unknown").is_final and Answer(503, "unavailable").is_expected
    assert Answer(409, "illegal-state").is_final and not Answer(409, "in-flight").is_final
    assert not Answer(500, "internal").is_expected and not Answer(400, "invalid-field").is_expected
