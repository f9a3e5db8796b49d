#!/usr/bin/python3
"""A broken build: the real binary with a wrong setting, or behind a proxy that makes its answers bad. Only images of the
rehearsal hold it.

    faulty.py {setting NAME=VALUE | errors SHARE | slow SHARE | dies REQUESTS} BINARY [ARGUMENT...]

The first HARMLESS requests are answered well, so that it comes through its smoke test as a real fault would. With an argument
(`migrate`) it is the binary alone.
"""
from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys

from wire import UNAVAILABLE, read_message

HARMLESS = 10
SLOW_S = 1.6
ERROR = UNAVAILABLE.replace(b"503 Service Unavailable", b"500 Internal Server Error", 1)


class Fault:
    def __init__(self, kind: str, amount: float) -> None:
        self.kind = kind
        self.amount = amount
        self.seen = 0

    async def spoil(self) -> bytes | None:
        """An answer instead of the binary's; None: the binary shall answer."""
        self.seen += 1
        if self.seen <= HARMLESS:
            return None
        if self.kind == "dies" and self.seen > self.amount:
            os._exit(139)
        if self.kind != "dies" and random.random() < self.amount:
            if self.kind == "errors":
                return ERROR
            await asyncio.sleep(SLOW_S)
        return None


async def serve(fault: Fault, port: int, inner: int) -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inside, outside = await asyncio.open_connection("127.0.0.1", inner)
            while True:
                head, _, body = await read_message(reader)
                answer = await fault.spoil()
                if answer is None:
                    outside.write(head + body)
                    head, _, body = await read_message(inside)
                    answer = head + body
                writer.write(answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
    server = await asyncio.start_server(connection, "127.0.0.1", port, limit=1 << 20)
    await server.serve_forever()


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    kind, amount, binary, *arguments = sys.argv[1:]
    if arguments:
        os.execv(binary, [binary, *arguments])
    if kind == "setting":
        name, _, value = amount.partition("=")
        os.execve(binary, [binary], os.environ | {name: value})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        inner = probe.getsockname()[1]
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", binary], env=os.environ | {"PORT": str(inner)})
    while True:
        try:
            socket.create_connection(("127.0.0.1", inner)).close()
            break
        except OSError:
            if process.poll() is not None:
                sys.exit(process.returncode)
    asyncio.run(serve(Fault(kind, float(amount)), int(os.environ["PORT"]), inner))


if __name__ == "__main__":
    main()
