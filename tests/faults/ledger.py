"""What callers intended and what they were told, written down before and after each request, and how that is compared
with what the database holds.

An intent is one payment, capture or refund that a caller wants once. It may be sent many times, always with the same
key and body. Its `ref` stands in the payment's `reference` or the refund's `reason`, so that what it made is found by
what the caller meant, and not by what the server says it did.
"""
from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from servers import Client, Database, Server

DONE = (200, 201)
CURRENCIES = {"EUR": 2, "JPY": 0, "BHD": 3, "CLF": 4}


@dataclass(frozen=True)
class Intent:
    number: int
    kind: str  # create, capture, refund
    ref: str
    key: str | None
    amount_minor: int
    currency: str
    payment: str = ""  # of a capture or refund

    @property
    def path(self) -> str:
        tail = {"create": "", "capture": f"/{self.payment}/capture", "refund": f"/{self.payment}/refunds"}
        return "/api/v1/payments" + tail[self.kind]

    @property
    def body(self) -> bytes:
        amount = f'"amount": {major(self.amount_minor, self.currency)}'
        if self.kind == "create":
            return f'{{{amount}, "currency": "{self.currency}", "reference": "{self.ref}"}}'.encode()
        return f'{{{amount}, "reason": "{self.ref}"}}'.encode() if self.kind == "refund" else f"{{{amount}}}".encode()


@dataclass
class Answer:
    """What came back for one sending of an intent: a status, or only an error."""

    status: int = 0
    problem: str = ""
    id: str = ""  # of the payment, or of the refund
    amount: str = ""  # as it was printed
    replayed: bool = False
    error: str = ""

    @property
    def is_done(self) -> bool:
        return self.status in DONE

    @property
    def is_final(self) -> bool:
        """False: whoever gets this sends the same again."""
        return self.is_done or self.problem in ("illegal-state", "amount-too-high")

    @property
    def is_expected(self) -> bool:
        """In a storm."""
        return self.is_final or bool(self.error) or self.status == 503 or self.problem == "in-flight"


def major(minor: int, currency: str) -> str:
    """Digit by digit, as the API prints it: no trailing zeros."""
    digits = CURRENCIES[currency]
    if digits == 0:
        return str(minor)
    text = str(minor).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}".rstrip("0").rstrip(".")


class Journal:
    """Appends entries to a file; with `durable`, an entry is on the disk when write returns. Thread-safe."""

    def __init__(self, path: Path, durable: bool) -> None:
        self.path = path
        self.durable = durable
        self.file = path.open("w")
        self.lock = threading.Lock()
        self.sync_lock = threading.Lock()
        self.written = self.synced = 0

    def write(self, entry: dict) -> None:
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")
            self.written += 1
            mine = self.written
        if not self.durable:
            return
        with self.sync_lock:  # who waits here finds his entry on the disk already
            if self.synced < mine:
                with self.lock:
                    self.file.flush()
                    upto = self.written
                os.fdatasync(self.file.fileno())
                self.synced = upto

    def intent(self, intent: Intent) -> None:
        self.write({"intent": asdict(intent)})

    def answer(self, intent: Intent, answer: Answer) -> None:
        self.write({"to": intent.number, "answer": {n: v for n, v in asdict(answer).items() if v}})

    def close(self) -> None:
        with self.lock:
            self.file.close()


@dataclass
class Story:
    """The journal, read back."""

    intents: dict[int, Intent] = field(default_factory=dict)
    answers: dict[int, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, path: Path) -> Story:
        story = cls()
        with path.open() as lines:
            for line in lines:
                entry = json.loads(line)
                if "intent" in entry:
                    intent = Intent(**entry["intent"])
                    story.intents[intent.number] = intent
                else:
                    story.answers[entry["to"]].append(Answer(**entry["answer"]))
        return story

    def done(self, intent: Intent) -> list[Answer]:
        return [answer for answer in self.answers[intent.number] if answer.is_done]

    def was_refused(self, intent: Intent) -> bool:
        """For good: by the payment's state or by what is left of it."""
        return any(answer.is_final and not answer.is_done for answer in self.answers[intent.number])

    def of_kind(self, kind: str) -> Iterable[Intent]:
        return (intent for intent in self.intents.values() if intent.kind == kind)


class Caller:
    """One thread's connections to the servers. Sends an intent, and writes down what came back."""

    def __init__(self, journal: Journal, ports: Sequence[int], rng: random.Random, timeout_s: float = 15) -> None:
        self.journal = journal
        self.rng = rng
        self.clients = [Client(port, timeout_s=timeout_s) for port in ports]

    def send(self, intent: Intent) -> Answer:
        client = self.rng.choice(self.clients)
        try:
            reply = client.call("POST", intent.path, intent.body, key=intent.key)
            answer = read(intent, reply.status, reply.headers, reply.body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            client.close()
            answer = Answer(error=type(error).__name__)
        self.journal.answer(intent, answer)
        return answer

    def settle(self, intent: Intent, until: float) -> Answer:
        """Sends it until the answer is final, `until` (time.monotonic) has come, or, without a key, once."""
        pause_s = 0.01
        while True:
            answer = self.send(intent)
            if answer.is_final or intent.key is None or time.monotonic() >= until or not answer.is_expected:
                return answer
            time.sleep(pause_s * self.rng.uniform(0.5, 1.5))
            pause_s = min(pause_s * 2, 0.5)

    def close(self) -> None:
        for client in self.clients:
            client.close()


def read(intent: Intent, status: int, headers: dict[str, str], body: bytes) -> Answer:
    told = json.loads(body, parse_float=str, parse_int=str)
    answer = Answer(status, replayed=headers.get("idempotent-replayed") == "true")
    if status in DONE:
        answer.id = told["id"]
        answer.amount = told["amount_captured" if intent.kind == "capture" else "amount"]
    else:
        answer.problem = told.get("type", "").rsplit(":", 1)[-1]
        answer.id = told.get("id", "")
    return answer


def rows(database: Database, statement: str, *values: object) -> list[tuple]:
    """On a connection of its own: one that was kept may have been ended by a fault."""
    connection = database.connect()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


# --- the comparison ---------------------------------------------------------------------------------------------------


def compare(story: Story, database: Database) -> list[str]:
    """Everything in which the callers' story and the database differ. Empty: nothing lost, nothing doubled."""
    return [*_answers(story), *_payments(story, database), *_captures(story, database), *_refunds(story, database)]


def _answers(story: Story) -> Iterable[str]:
    """What no storm excuses."""
    for number, answers in story.answers.items():
        intent = story.intents[number]
        for answer in answers:
            if not answer.is_expected:
                yield f"{intent.ref}: unexpected answer {answer}"
            if answer.is_done and answer.amount != major(intent.amount_minor, intent.currency):
                yield f"{intent.ref}: asked for {intent.amount_minor} {intent.currency} minor, told {answer.amount}"
        ids = {answer.id for answer in answers if answer.is_done}
        if len(ids) > 1:
            yield f"{intent.ref}: told of several objects: {sorted(ids)}"
        if intent.key is not None and not any(answer.is_final for answer in answers):
            yield f"{intent.ref}: never resolved"


def _payments(story: Story, database: Database) -> Iterable[str]:
    made = defaultdict(list)
    for ref, identity, amount, currency, key in rows(database,
            "SELECT p.reference, p.id, p.amount_minor, p.currency, k.key FROM payments p"
            " LEFT JOIN idempotency_keys k ON k.object_id = p.id AND k.operation = 1"):
        made[ref].append((identity, amount, currency, key))
    known = {intent.ref: intent for intent in story.of_kind("create")}
    for ref in set(made) - set(known):
        yield f"{ref}: a payment that nobody asked for"
    for ref, intent in known.items():
        found = made[ref]
        if len(found) > 1:
            yield f"{ref}: DOUBLED: {len(found)} payments"
        told = {answer.id for answer in story.done(intent)}
        if told and not found:
            yield f"{ref}: LOST: acknowledged as {sorted(told)}"
        for identity, amount, currency, key in found:
            if told and identity not in told:
                yield f"{ref}: acknowledged as {sorted(told)}, recorded as {identity}"
            if (amount, currency, key) != (intent.amount_minor, intent.currency, intent.key):
                yield f"{ref}: asked for {intent}, recorded {amount} {currency} with key {key}"


def _captures(story: Story, database: Database) -> Iterable[str]:
    captured = dict(rows(database, "SELECT id, captured_minor FROM payments"))
    keys = {key for key, in rows(database, "SELECT key FROM idempotency_keys WHERE operation = 2")}
    told = defaultdict(list)
    for intent in story.of_kind("capture"):
        if story.done(intent):
            told[intent.payment].append(intent)
        elif story.was_refused(intent) and intent.key in keys:
            yield f"{intent.ref}: refused, and recorded"
    for payment, intents in told.items():
        if len(intents) > 1:
            yield f"{payment}: DOUBLED: captured by {[intent.ref for intent in intents]}"
        if captured.get(payment) != intents[0].amount_minor:
            yield f"{payment}: LOST: {intents[0].ref} captured {intents[0].amount_minor}, recorded {captured.get(payment)}"


def _refunds(story: Story, database: Database) -> Iterable[str]:
    made = defaultdict(list)
    for ref, identity, amount in rows(database, "SELECT reason, id, amount_minor FROM refunds"):
        made[ref].append((identity, amount))
    known = {intent.ref: intent for intent in story.of_kind("refund")}
    for ref in set(made) - set(known):
        yield f"{ref}: a refund that nobody asked for"
    for ref, intent in known.items():
        found = made[ref]
        told = {answer.id for answer in story.done(intent)}
        if len(found) > 1:
            yield f"{ref}: DOUBLED: {len(found)} refunds"
        if found and not told and story.was_refused(intent):
            yield f"{ref}: refused, and recorded: {found}"
        if told and (len(found) != 1 or found[0] != (next(iter(told)), intent.amount_minor)):
            yield f"{ref}: LOST: told {sorted(told)} of {intent.amount_minor}, recorded {found}"


def compare_feed(read: Sequence[tuple[str, int]], database: Database) -> list[str]:
    """`read`: each event that a reader of the feed was shown, in that order, as its payment and number."""
    faults = [f"feed: {payment} event {n} shown {times} times" for (payment, n), times in Counter(read).items() if times > 1]
    recorded = set(rows(database, "SELECT payment_id, n FROM events"))
    faults += [f"feed: {payment} event {n} never shown" for payment, n in recorded - set(read)]
    faults += [f"feed: {payment} event {n} shown, not recorded" for payment, n in set(read) - recorded]
    last: dict[str, int] = defaultdict(int)
    for payment, n in read:
        if n != last[payment] + 1:
            faults.append(f"feed: {payment} event {n} shown after event {last[payment]}")
        last[payment] = n
    return faults


def verify(server: Server) -> list[str]:
    """What `payflow verify` finds."""
    done = server.command("verify", limit_s=120)
    return [] if done.returncode == 0 else [f"payflow verify: {done.stdout}{done.stderr}"]
