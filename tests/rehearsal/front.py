"""The stand-in's data plane: picks a revision by weight or tag, forwards, and counts."""
from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

from instances import Instance, Revision
from wire import UNAVAILABLE, read_message

Choose = Callable[[], Revision | None]
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nContent-Type: text/plain\r\n\r\nNot Found"


class Broken(Exception):
    """The instance gave no whole answer."""


async def ask(instance: Instance, data: bytes) -> tuple[bytes, int]:
    """Sends it on a kept or a new connection. A kept one may have been closed meanwhile; then a new one is tried."""
    while True:
        kept = bool(instance.idle)
        try:
            reader, writer = instance.idle.pop() if kept else await asyncio.open_connection("127.0.0.1", instance.port)
            writer.write(data)
            head, found, body = await read_message(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            if kept:
                continue
            raise Broken from error
        if found.get(b"connection", b"").lower() == b"close":
            writer.close()
        else:
            instance.idle.append((reader, writer))
        return head + body, int(head[9:12])


async def forward(revision: Revision, data: bytes) -> bytes:
    begun = time.monotonic()
    revision.inflight += 1
    try:
        instance = revision.instance
        if instance is None or not instance.is_running():
            if not await asyncio.to_thread(revision.start):
                raise Broken
            instance = revision.instance
        if instance is None:  # it has died again meanwhile
            raise Broken
        answer, status = await asyncio.wait_for(ask(instance, data), 30)
    except (Broken, TimeoutError):
        answer, status = UNAVAILABLE, 503
    finally:
        revision.inflight -= 1
    revision.counts.add(status, (time.monotonic() - begun) * 1000)
    head, _, body = answer.partition(b"\r\n\r\n")
    return head + b"\r\nX-Revision: " + revision.name.encode() + b"\r\n\r\n" + body


class Front:
    """Listens on a port a service and a port a tag; all in one thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="front", daemon=True)
        self.thread.start()

    def listen(self, choose: Choose) -> int:
        """Serves what `choose` picks for each request; the port."""
        async def serve() -> int:
            async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    while True:
                        head, found, body = await read_message(reader)
                        revision = choose()
                        writer.write(await forward(revision, head + body) if revision else NOT_FOUND)
                        if found.get(b"connection", b"").lower() == b"close":
                            break
                except (OSError, asyncio.IncompleteReadError):
                    pass
                finally:
                    writer.close()
            server = await asyncio.start_server(connection, "127.0.0.1", 0, limit=1 << 20)
            port: int = server.sockets[0].getsockname()[1]
            return port
        return asyncio.run_coroutine_threadsafe(serve(), self.loop).result(10)

    def stop(self) -> None:
        async def cancel() -> None:
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(cancel(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


def pick(shares: list[tuple[Revision, int]]) -> Revision | None:
    if not shares:
        return None
    return random.choices([r for r, _ in shares], [p for _, p in shares])[0]
