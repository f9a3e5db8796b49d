"""Hundreds of clients race on a few payments; what they were told, what the database holds, the history and the feed
must be one story (issue: payments a business can run on)."""
from __future__ import annotations

import http.client
import json
import os
import random
import threading
from collections import Counter, defaultdict

from servers import scaled

CLIENTS = 200
OPERATIONS = int(os.environ.get("MODEL_OPERATIONS", str(scaled(50000))))
HOT = 12  # payments that everybody works on at a time
AMOUNT = 100


class Client:
    """A keep-alive connection that connects again when it was closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, dict, dict]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        for attempt in range(3):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
                answer = self.connection.getresponse()
                return answer.status, dict(answer.getheaders()), json.loads(answer.read())
            except (ConnectionError, http.client.HTTPException):
                self.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")


class Story:
    """What the clients were told."""

    def __init__(self, payments: list[str]) -> None:
        self.lock = threading.Lock()
        self.hot = payments
        self.answers: dict[tuple[str, str, str], list[tuple[int, dict, bool]]] = defaultdict(list)
        self.statuses: Counter[int] = Counter()
        self.left = OPERATIONS
        self.faults: list[str] = []

    def next(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def told(self, payment: str, step: str, key: str, answer: tuple[int, dict, dict]) -> None:
        status, headers, body = answer
        with self.lock:
            self.statuses[status] += 1
            self.answers[payment, step, key].append((status, body, headers.get("Idempotent-Replayed") == "true"))


def new_payment(client: Client) -> str:
    status, _, body = client.call("POST", "/api/v1/payments", {"amount": AMOUNT})
    assert status == 201, body
    return body["id"]


def one_operation(client: Client, story: Story, dice: random.Random) -> None:
    slot = dice.randrange(HOT)
    payment = story.hot[slot]
    step = dice.choices(["capture", "cancel", "refunds", "get"], [3, 0.2, 10, 2])[0]
    if step == "get":
        status, _, body = client.call("GET", f"/api/v1/payments/{payment}")
        story.statuses[status] += 1
        if body["status"] in ("refunded", "canceled"):  # nothing can follow: a new one takes its place
            story.hot[slot] = new_payment(client)
        return
    # Few different keys a payment, so that many operations repeat an earlier one, or come at the same moment.
    number = dice.randrange(60)
    amount = number % 7 + 1
    key = f"{step}-{number}"
    body = {} if step == "cancel" else {"amount": 50 + amount if step == "capture" else amount}
    story.told(payment, step, key, client.call("POST", f"/api/v1/payments/{payment}/{step}", body, key))


def work(port: int, story: Story, seed: int) -> None:
    client = Client(port)
    dice = random.Random(seed)
    try:
        while story.next():
            one_operation(client, story, dice)
    except Exception as fault:  # reported by the test's thread
        story.faults.append(repr(fault))


def read_feed(port: int, stop: threading.Event, events: list[dict]) -> None:
    """Follows the feed while it grows, as a subscriber would, and once more at the end."""
    client = Client(port)
    cursor = None
    last = False
    while True:
        path = "/api/v1/events?limit=100" + (f"&cursor={cursor}" if cursor else "")
        status, _, page = client.call("GET", path)
        assert status == 200, page
        events += page["data"]
        cursor = page["next_cursor"]
        if not page["data"]:
            if last:
                return
            last = stop.is_set()
            stop.wait(0.01)


def check_answers(story: Story, by_payment: dict[str, list[dict]]) -> None:
    for (payment, step, key), answers in story.answers.items():
        done = [(status, body) for status, body, _ in answers if status < 300]
        assert len({json.dumps(answer, sort_keys=True) for answer in done}) <= 1, f"{payment} {step} {key}: {done}"
        firsts = sum(1 for status, _, replayed in answers if status < 300 and not replayed)
        assert firsts <= 1, f"{payment} {step} {key} was done {firsts} times"
    captured = Counter()
    refunded = Counter()
    for (payment, step, _), answers in story.answers.items():
        for status, body, replayed in answers:
            assert status in (200, 201, 409, 422), (status, body)
            if status < 300 and not replayed:
                captured[payment] += step == "capture"
                refunded[payment] += body["amount"] if step == "refunds" else 0
    for payment, events in by_payment.items():
        types = Counter(event["type"] for event in events)
        assert types["payment.captured"] <= 1 and captured[payment] <= 1
        assert types["payment.captured"] == captured[payment]
        assert round(events[-1]["amount_refunded"]) == refunded[payment]
        assert events[-1]["amount_refunded"] <= events[-1]["amount_captured"] <= AMOUNT


def test_hundreds_of_racing_clients_leave_one_true_story(fresh_server):
    server = fresh_server(MAX_CONCURRENCY="256")
    first = Client(server.port)
    story = Story([new_payment(first) for _ in range(HOT)])
    events: list[dict] = []
    stop = threading.Event()
    reader = threading.Thread(target=read_feed, args=(server.port, stop, events))
    reader.start()
    workers = [threading.Thread(target=work, args=(server.port, story, seed)) for seed in range(CLIENTS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    reader.join()
    assert not story.faults, story.faults[:3]
    assert not [status for status in story.statuses if status >= 500], story.statuses

    ids = [event["id"] for event in events]
    assert len(ids) == len(set(ids)), "the feed showed an event twice"
    assert set(ids) == {
        f"evt_{payment[4:]}_{n}" for payment, n in server.sql("SELECT payment_id, n FROM events")
    }, "the feed missed an event"
    by_payment: dict[str, list[dict]] = defaultdict(list)
    for event in events:
        by_payment[event["payment_id"]].append(event)
    for payment, history in by_payment.items():
        assert [event["id"] for event in history] == [f"evt_{payment[4:]}_{n + 1}" for n in range(len(history))]
    check_answers(story, by_payment)
    verify = server.command("verify")
    assert verify.returncode == 0, verify.stdout
    print(f"{OPERATIONS} operations, {len(by_payment)} payments, {len(events)} events, answers {dict(story.statuses)}")
