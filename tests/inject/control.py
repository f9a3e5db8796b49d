"""The memory that the tests share with build/inject/payflow: which of its calls fail (tests/inject/inject.c)."""
from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

CLIENT, DATABASE = 1, 2
RECEIVE, SEND, ACCEPT, POLL = 1, 2, 4, 8
SITES_MAX = 1024


class _Fault(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("armed", "count", "failed", "first", "last")]


class _Memory(ctypes.Structure):
    _fields_ = [("allocations", _Fault), ("calls", _Fault), ("sides", ctypes.c_uint32), ("kinds", ctypes.c_uint32),
                ("error", ctypes.c_int32), ("database_port", ctypes.c_uint32), ("redis_port", ctypes.c_uint32),
                ("server_port", ctypes.c_uint32), ("sites_used", ctypes.c_uint32), ("sites", ctypes.c_uint64 * SITES_MAX)]


class Control:
    """Nothing fails until it is told to; `with control.allocations(3, 3):` fails the third within."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(ctypes.sizeof(_Memory)))
        path.chmod(0o666)
        with path.open("r+b") as file:
            self.memory = _Memory.from_buffer(mmap.mmap(file.fileno(), 0))

    def ports(self, server: int, database: int, redis: int) -> None:
        self.memory.server_port, self.memory.database_port, self.memory.redis_port = server, database, redis

    def allocations(self, first: int, last: int) -> Armed:
        return Armed(self.memory.allocations, first, last)

    def calls(self, sides: int, kinds: int, error: int, first: int, last: int) -> Armed:
        """`error`: an errno; 0: the call moves one byte."""
        self.memory.sides, self.memory.kinds, self.memory.error = sides, kinds, error
        return Armed(self.memory.calls, first, last)

    @property
    def sites(self) -> list[int]:
        """From which places in the program failing calls were made so far."""
        return list(self.memory.sites[:min(self.memory.sites_used, SITES_MAX)])


class Armed:
    def __init__(self, fault: _Fault, first: int, last: int) -> None:
        self.fault, self.first, self.last = fault, first, last

    def __enter__(self) -> Armed:
        self.fault.count = self.fault.failed = 0
        self.fault.first, self.fault.last = self.first, self.last
        self.fault.armed = 1
        return self

    def __exit__(self, *_: object) -> None:
        self.fault.armed = 0

    @property
    def count(self) -> int:
        return self.fault.count

    @property
    def failed(self) -> int:
        return self.fault.failed
