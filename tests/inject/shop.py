"""What the tests here share that is no fixture."""
from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from control import Control
from operations import Operation
from proxy import Proxy
from servers import BUILD, Client, Server

EXHAUSTIVE = os.environ.get("INJECT", "") == "all"  # every case, instead of those that CI has the time for
SHOPS = 4


def on_demand_only() -> None:
    if BUILD != "inject":
        pytest.skip("only build/inject/payflow fails on demand")


class Shop(Server):
    """A server whose clients have a key, its proxy to PostgreSQL, and what makes its calls fail."""

    token: str | None = None
    proxy: Proxy
    control: Control

    def client(self, token: str | None = None) -> Client:
        return super().client(token or self.token)


class Results:
    """What became of each way to fail of each operation: a line to print, or an exception."""

    def __init__(self, shops: Sequence[Shop]) -> None:
        self.futures: dict[tuple[str, str], Future[str]] = {}
        self.shops = shops

    def get(self, how: str, operation: Operation) -> str:
        return self.futures[how, operation.name].result()

    @property
    def sites(self) -> int:
        """From how many places in the program calls were made that failed."""
        return len({site for each in self.shops for site in each.control.sites})


Way = Callable[[Shop, Operation], str]


def in_parallel(shops: Sequence[Shop], ways: Mapping[str, Way], cases: Iterable[tuple[str, Operation]]) -> Results:
    """Does all that on these shops side by side: mostly they wait until they may connect again."""
    idle: queue.Queue[Shop] = queue.Queue()
    results = Results(shops)

    def work(way: Way, operation: Operation) -> str:
        server = idle.get()
        try:
            return way(server, operation)
        finally:
            idle.put(server)

    for each in shops:
        idle.put(each)
    with ThreadPoolExecutor(len(shops)) as pool:
        for how, operation in cases:
            results.futures[how, operation.name] = pool.submit(work, ways[how], operation)
    return results
