"""A TCP proxy that breaks what passes through it; before PostgreSQL it knows the moments around a COMMIT.

All proxies of a process run in one thread with one event loop. What a proxy does is said by plain attributes, which any
thread may set at any time:

    proxy = Proxy(postgres.port, postgres=True)
    proxy.before_commit = cut        # the next COMMIT never reaches the server
    proxy.after_commit = cut         # the next COMMIT happens, and nobody is told

A rule is called at its moment with the number of that moment and says what to do; it is asked for every COMMIT.

    proxy.refuse = lambda statement: "40001" if statement == "create" else ""

It is asked for every statement, by the name that PayFlow gave it ("prepare create", "create") or by its first word ("BEGIN");
the SQLSTATE that it gives is the answer, in PostgreSQL's place, which never hears of the statement.
"""
from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from servers import free_port

CHUNK = 65536
BOTH = ("server", "client")
HELD_S = 30.0  # nothing is held longer


@dataclass(frozen=True)
class Act:
    """What to do at a moment.

    pass   nothing
    cut    both connections end; what the moment was about is not forwarded
    late   the client's connection ends at once, and the server gets the message `delay_s` later
    hold   the message is forwarded `delay_s` later
    torn   half of the message is forwarded, then both connections end
    mute   nothing is forwarded any more, in any direction, and both connections stay open for `delay_s`
    deaf   the same, but what goes in the other direction still arrives
    """

    what: str
    delay_s: float = 0.0


PASS = Act("pass")
CUT = Act("cut")
Rule = Callable[[int], Act]


def nth(number: int, act: Act) -> Rule:
    """That act at one moment, counted from 1, and nothing at all others."""
    return lambda moment: act if moment == number else PASS


class _Loop:
    """The event loop of all proxies."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="proxies").start()

    def run(self, coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(HELD_S)  # type: ignore[arg-type]


_loop: _Loop | None = None


def _shared() -> _Loop:
    global _loop
    _loop = _loop or _Loop()
    return _loop


class _Ended(Exception):
    """This connection is to end."""


class _Link:
    """One client's connection and the server's that belongs to it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server
        self.started = False   # PostgreSQL: the start-up message went by
        self.commits = False   # what the client sends now ends in a COMMIT
        self.awaited = False   # a COMMIT was forwarded and its ReadyForQuery has not come
        self.muted = asyncio.Event()
        self.refused = ""      # a statement is being refused: all up to its Sync is dropped
        self.begun = False     # between BEGIN and its end, as far as PostgreSQL was told

    def close(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()  # at once, as a broken network: what is buffered is lost

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not data:
            return
        if self.proxy.latency_s > 0:
            await asyncio.sleep(self.proxy.latency_s)
        if self.muted.is_set() or ("server" if writer is self.server else "client") in self.proxy.muted:
            return  # lost on the way
        writer.write(data)
        await writer.drain()

    async def at(self, act: Act, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Carries out an act on a message that goes to `writer`."""
        delay_s = min(act.delay_s, HELD_S)
        if act.what == "cut":
            raise _Ended
        if act.what == "torn":
            await self.send(writer, data[:len(data) // 2])
            raise _Ended
        if act.what == "mute":
            self.muted.set()
        if act.what in ("mute", "deaf"):
            await asyncio.sleep(delay_s)
            raise _Ended
        if act.what == "late":
            self.client.transport.abort()
            await asyncio.sleep(delay_s)  # the server is silent meanwhile: it waits for this message
            self.server.write(data)
            await self.server.drain()
            await asyncio.sleep(2)  # so that the server has worked on it before it sees the end
            raise _Ended
        if act.what == "hold":
            await asyncio.sleep(delay_s)
        await self.send(writer, data)


def _messages(buffer: bytearray) -> list[bytes]:
    """Takes the whole messages out of what PostgreSQL or its client has sent: a type and a length each."""
    found = []
    while len(buffer) >= 5:
        size = 1 + struct.unpack_from("!I", buffer, 1)[0]
        if len(buffer) < size:
            break
        found.append(bytes(buffer[:size]))
        del buffer[:size]
    return found


def _error(severity: str, sqlstate: str) -> bytes:
    fields = {b"S": severity, b"V": severity, b"C": sqlstate, b"M": "refused on purpose"}
    body = b"".join(name + text.encode() + b"\0" for name, text in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", 4 + len(body)) + body


class Proxy:
    """Listens on `port` of the loopback and forwards to `target`."""

    def __init__(self, target: int, postgres: bool = False) -> None:
        self.target = target
        self.postgres = postgres
        self.port = free_port()
        self.latency_s = 0.0     # each piece waits this long, in each direction
        self.refusing = False    # new connections are closed at once
        self.muted: Sequence[str] = ()  # what goes there is lost, and nobody is told (half-open): server, client
        self.before_commit: Rule | None = None
        self.after_commit: Rule | None = None
        self.commits_before = 0  # moments so far
        self.commits_after = 0
        self.acts: dict[str, int] = {}
        self.refuse: Callable[[str], str] | None = None
        self.links: set[_Link] = set()
        self._listener: asyncio.Server | None = None
        _shared().run(self._listen())

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=256)

    def cut(self) -> int:
        """Ends every connection now; how many those were."""
        async def end() -> int:
            links = list(self.links)
            for link in links:
                link.close()
            return len(links)
        return _shared().run(end())  # type: ignore[return-value]

    def heal(self) -> None:
        """From now on everything passes. Connections that lost something end: their peers would wait for it."""
        lossy = bool(self.muted)
        self.latency_s, self.refusing, self.muted = 0.0, False, ()
        self.before_commit = self.after_commit = self.refuse = None
        if lossy:
            self.cut()

    def close(self) -> None:
        async def end() -> None:
            if self._listener is not None:
                self._listener.close()
        _shared().run(end())
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self.refusing:
            client.transport.abort()
            return
        try:
            server_reader, server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            client.transport.abort()
            return
        for writer in (client, server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(self, client, server)
        self.links.add(link)
        pumps = [asyncio.create_task(pump(link, source)) for pump, source in
                 ((self._to_server, reader), (self._to_client, server_reader))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            link.close()
            self.links.discard(link)

    def _act(self, moment: str) -> Act:
        if moment == "before":
            self.commits_before += 1
            rule, number = self.before_commit, self.commits_before
        else:
            self.commits_after += 1
            rule, number = self.after_commit, self.commits_after
        act = rule(number) if rule is not None else PASS
        if act.what != "pass":
            name = f"{act.what} {moment} COMMIT"
            self.acts[name] = self.acts.get(name, 0) + 1
        return act

    async def _to_server(self, link: _Link, reader: asyncio.StreamReader) -> None:
        buffer = bytearray()
        with contextlib.suppress(OSError, _Ended):
            while data := await reader.read(CHUNK):
                if not self.postgres:
                    await link.send(link.server, data)
                    continue
                buffer += data
                if not link.started:
                    if len(buffer) < 8 or len(buffer) < struct.unpack_from("!I", buffer)[0]:
                        continue
                    size, code = struct.unpack_from("!II", buffer)
                    link.started = code >> 16 == 3  # else a request for encryption, or to cancel
                    await link.send(link.server, bytes(buffer[:size]))
                    del buffer[:size]
                passing = b""
                for message in _messages(buffer):
                    if self.refuse is not None and await self._refused(link, message):
                        continue
                    if not self._is_commit(link, message):
                        passing += message
                        continue
                    await link.send(link.server, passing)
                    passing = b""
                    link.commits = False
                    link.awaited = True
                    await link.at(self._act("before"), link.server, message)
                await link.send(link.server, passing)

    async def _refused(self, link: _Link, message: bytes) -> bool:
        """True if the message is part of a statement that is refused, and answered here."""
        if not link.refused:
            kind, words = message[:1], message[5:].split(b"\0")
            name = {b"P": "prepare " + words[0].decode(), b"B": words[1].decode() if kind == b"B" else "",
                    b"Q": words[0].decode().split(" ")[0]}.get(kind, "")
            link.refused = self.refuse(name) if name and self.refuse is not None else ""
            if not link.refused:
                link.begun = {"BEGIN": True, "COMMIT": False, "ROLLBACK": False}.get(name, link.begun)
                return False
        if message[:1] in b"SQ":
            fatal = link.refused.startswith("57P")
            await link.send(link.client, _error("FATAL" if fatal else "ERROR", link.refused))
            if fatal:
                await asyncio.sleep(0.01)  # so that the client reads it before it sees the end
                raise _Ended
            await link.send(link.client, b"Z\0\0\0\x05" + (b"E" if link.begun else b"I"))
            link.refused = ""
        return True

    @staticmethod
    def _is_commit(link: _Link, message: bytes) -> bool:
        """A write's own transaction ends with the Sync behind its Bind; a step's with the words COMMIT."""
        kind = message[:1]
        if kind == b"B":
            statement = message[5:].split(b"\0", 2)[1]
            link.commits = statement in (b"create", b"create_careful")
        return (kind == b"S" and link.commits) or (kind == b"Q" and message[5:].startswith(b"COMMIT"))

    async def _to_client(self, link: _Link, reader: asyncio.StreamReader) -> None:
        buffer = bytearray()
        with contextlib.suppress(OSError, _Ended):
            while data := await reader.read(CHUNK):
                if not link.awaited:
                    await link.send(link.client, bytes(buffer) + data)
                    buffer.clear()
                    continue
                buffer += data
                for message in _messages(buffer):
                    if message[:1] == b"Z" and link.awaited:
                        link.awaited = False
                        await link.at(self._act("after"), link.client, message)
                    else:
                        await link.send(link.client, message)
