"""HTTP/1.1 as far as the rehearsal needs it: heads, and bodies with a Content-Length."""
from __future__ import annotations

import asyncio

UNAVAILABLE = (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 19\r\nContent-Type: text/plain\r\n\r\n"
               b"Service Unavailable")


def fields(head: bytes) -> dict[bytes, bytes]:
    return {n.strip().lower(): v.strip() for n, _, v in (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)}


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The head, its fields and the body, all of one request or answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = fields(head)
    return head, found, await reader.readexactly(int(found.get(b"content-length", b"0")))
