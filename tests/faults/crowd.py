"""Callers that create, capture and refund without end, race for the same keys and payments, and follow the feed."""
from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from ledger import CURRENCIES, Answer, Caller, Intent, Journal
from servers import Client

PATIENCE_S = 6.0  # how long a caller stays with one intent before it goes on; what is left resolves at the end
POOL = 60         # payments that all callers work on at a time


class Crowd:
    """The callers' threads, and what they share."""

    def __init__(self, journal: Journal, ports: Sequence[int], callers: int, seed: int) -> None:
        self.journal = journal
        self.ports = ports
        self.lock = threading.Lock()
        self.numbers = 0
        self.ended = threading.Event()
        self.in_flight: deque[Intent] = deque(maxlen=callers)  # with a key: for those who send the same
        self.pending: deque[Intent] = deque(maxlen=POOL)       # payments to capture
        self.captured: deque[Intent] = deque(maxlen=POOL)      # captures to refund from
        self.unresolved: list[Intent] = []
        self.counts: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._live, args=(random.Random(f"{seed} caller {n}"),)) for n in range(callers)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(120)

    def _number(self) -> int:
        with self.lock:
            self.numbers += 1
            return self.numbers

    def _pick(self, pool: deque, rng: random.Random) -> Intent | None:
        with self.lock:
            return rng.choice(pool) if pool else None

    def _next(self, rng: random.Random) -> tuple[Intent, bool]:
        """An intent, and whether it is another caller's, sent a second time meanwhile."""
        roll = rng.random()
        known = self._pick(self.in_flight, rng) if roll < 0.15 else None
        if known is not None:
            return known, True
        number = self._number()
        if 0.15 <= roll < 0.30 and (payment := self._pick(self.pending, rng)) is not None:
            amount = payment.amount_minor if rng.random() < 0.5 else rng.randint(1, payment.amount_minor)
            return Intent(number, "capture", f"capture-{number}", f"k{number}", amount, payment.currency, payment.payment), False
        if 0.30 <= roll < 0.50 and (capture := self._pick(self.captured, rng)) is not None:
            amount = max(1, capture.amount_minor // rng.randint(2, 5))
            return Intent(number, "refund", f"refund-{number}", f"k{number}", amount, capture.currency, capture.payment), False
        key = None if roll > 0.92 else f"k{number}"
        currency = rng.choice(list(CURRENCIES))
        return Intent(number, "create", f"create-{number}", key, rng.randint(1, 10**7), currency), False

    def _live(self, rng: random.Random) -> None:
        caller = Caller(self.journal, self.ports, rng)
        while not self.ended.is_set():
            intent, again = self._next(rng)
            if not again:
                self.journal.intent(intent)
                if intent.key is not None:
                    with self.lock:
                        self.in_flight.append(intent)
            answer = caller.settle(intent, time.monotonic() + PATIENCE_S)
            self._note(intent, answer, again)
        caller.close()

    def _note(self, intent: Intent, answer: Answer, again: bool) -> None:
        with self.lock:
            self.counts["sent at the same time with the same key" if again else intent.kind] += 1
            if not answer.is_final and intent.key is not None:
                self.unresolved.append(intent)
            if again or not answer.is_done:
                return
            if intent.kind == "create":
                self.pending.append(Intent(0, "create", "", None, intent.amount_minor, intent.currency, answer.id))
            elif intent.kind == "capture":
                self.captured.append(intent)

    def resolve(self, limit_s: float) -> int:
        """Sends again what had no final answer; how many those were."""
        caller = Caller(self.journal, self.ports, random.Random(0))
        until = time.monotonic() + limit_s
        left = {intent.number: intent for intent in self.unresolved}
        for intent in left.values():
            caller.settle(intent, until)
        caller.close()
        return len(left)


class FeedReader(threading.Thread):
    """Follows the feed from its beginning, through whatever happens to the servers."""

    def __init__(self, ports: Sequence[int], seed: int) -> None:
        super().__init__(name="feed")
        self.ports = ports
        self.rng = random.Random(f"{seed} feed")
        self.ended = threading.Event()
        self.events: list[tuple[str, int]] = []
        self.cursor = ""

    def run(self) -> None:
        while not self.ended.is_set():
            if not self.read_page():
                time.sleep(0.1)

    def read_page(self) -> bool:
        """False: nothing new, or no answer."""
        path = "/api/v1/events?limit=100" + (f"&cursor={self.cursor}" if self.cursor else "")
        try:
            with Client(self.rng.choice(self.ports), timeout_s=15) as client:
                reply = client.call("GET", path)
                page = reply.json()
        except (OSError, http.client.HTTPException, ValueError):
            return False
        if reply.status != 200:
            return False
        self.events += [(event["payment_id"], int(event["id"].rsplit("_", 1)[1])) for event in page["data"]]
        self.cursor = page["next_cursor"] or self.cursor
        return bool(page["data"])

    def finish(self, recorded: int, limit_s: float) -> None:
        """Reads on to the end."""
        self.ended.set()
        self.join(60)
        until = time.monotonic() + limit_s
        while len(self.events) < recorded and time.monotonic() < until:
            if not self.read_page():
                time.sleep(0.1)
        while self.read_page():
            pass
