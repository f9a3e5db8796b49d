"""Callers, all the time: they make and read payments, never try again, and remember what they were told."""
from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from wire import read_message

CALLERS = 8


@dataclass
class Seen:
    requests: Counter[str] = field(default_factory=Counter)  # by revision
    failures: Counter[str] = field(default_factory=Counter)  # 5xx and broken connections, by revision
    acknowledged: list[str] = field(default_factory=list)    # payments that a 201 named

    def __str__(self) -> str:
        by = ", ".join(f"{name} {n} ({self.failures[name]} failed)" for name, n in sorted(self.requests.items()))
        return f"{self.requests.total()} requests, {self.failures.total()} failed: {by}"


class Load:
    """`rate` requests a second to a port, from when it is entered until it is left."""

    def __init__(self, port: int, key: str, rate: float = 120) -> None:
        self.port = port
        self.key = key
        self.pause_s = CALLERS / rate
        self.seen = Seen()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.all()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join(30)

    async def all(self) -> None:
        await asyncio.gather(*(self.caller() for _ in range(CALLERS)))

    async def caller(self) -> None:
        connection = None
        last = ""
        turn = 0
        while not self.ending.is_set():
            begun = time.monotonic()
            turn += 1
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
                made = await asyncio.wait_for(self.request(*connection, last if turn % 4 == 0 else ""), 20)
                last = made or last
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.seen.requests["?"] += 1
                self.seen.failures["?"] += 1
                connection = None
            await asyncio.sleep(max(0, self.pause_s - (time.monotonic() - begun)))
        if connection is not None:
            connection[1].close()

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, read: str) -> str:
        """Makes a payment, or reads `read`; the id of one that was made."""
        body = b"" if read else json.dumps({"amount": 12.34, "currency": "EUR"}).encode()
        line = f"GET /api/v1/payments/{read}" if read else "POST /api/v1/payments"
        more = "" if read else (f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                                f"Idempotency-Key: {uuid.uuid4()}\r\n")
        writer.write(f"{line} HTTP/1.1\r\nHost: payflow\r\nAuthorization: Bearer {self.key}\r\n{more}\r\n".encode() + body)
        head, fields, answer = await read_message(reader)
        revision, status = fields.get(b"x-revision", b"?").decode(), int(head[9:12])
        self.seen.requests[revision] += 1
        if status not in (200, 201):
            self.seen.failures[revision] += 1
            return ""
        made: str = json.loads(answer)["id"]
        if status == 201:
            self.seen.acknowledged.append(made)
        return made
