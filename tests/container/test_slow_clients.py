"""Slow clients end at the proxy: thousands of them, and honest callers see no error. How much slower they get is reported; only
far too slow is a failure, because this machine runs the attackers, the callers and the stack at once."""
from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import wait_until
from stack import Load, Stack, percentile, report

WANTED = 5000
MEASURE_S = 12
SPARE_FILES = 500
RATIO_MAX = 30
P99_MAX_S = 2.0


class Crowd:
    def __init__(self, stack: Stack, count: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("slow_clients.py"), str(stack.ports["HTTPS_PORT"]),
             str(stack.ports["HTTP_PORT"]), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def count(self) -> tuple[int, int]:
        """How many are connected, and how many left or were thrown out so far."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        held, gone = self.process.stdout.readline().split()
        return int(held), int(gone)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def count() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The engine's own proxy needs two files for each connection.
    return WANTED if most == resource.RLIM_INFINITY else min(WANTED, (most - SPARE_FILES) // 3)


@pytest.fixture
def crowd(stack: Stack, count: int) -> Iterator[Crowd]:
    made = Crowd(stack, count)
    yield made
    made.stop()


def measure(stack: Stack) -> Load:
    with Load(stack, callers=2, pause_s=0.02) as load:
        time.sleep(MEASURE_S)
    return load


def test_thousands_of_slow_clients_and_no_honest_caller_sees_an_error(stack: Stack, count: int,
                                                                      request: pytest.FixtureRequest) -> None:
    quiet = measure(stack)
    crowd: Crowd = request.getfixturevalue("crowd")
    wait_until("nine in ten of the slow clients are connected", lambda: crowd.count()[0] >= count * 0.9, 90, 1)
    busy = measure(stack)
    held, gone = crowd.count()
    before, under = percentile(quiet.seconds, 0.99), percentile(busy.seconds, 0.99)
    report("slow clients", f"{held} of {count} held on at the end, {gone} were thrown out and came again; honest callers: "
                           f"p99 {before * 1000:.1f} ms quiet, {under * 1000:.1f} ms under it, {under / before:.1f} times; "
                           f"{len(busy.paid)} payments, {len(busy.failures)} errors")
    assert not busy.failures and not busy.lost, busy.failures[:5] + busy.lost[:5]
    assert held >= count * 0.5
    assert under < max(P99_MAX_S, before * RATIO_MAX)


def test_they_leave_nothing_behind(stack: Stack) -> None:
    """The proxy did not die meanwhile, and PayFlow, which saw none of them, neither."""
    for name in ("proxy-1", "payflow-1", "payflow-2"):
        found = stack.inspect(name)
        assert not found["State"]["OOMKilled"], name
    after = measure(stack)
    assert not after.failures and not after.lost
