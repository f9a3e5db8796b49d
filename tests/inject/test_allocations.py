"""Every allocation of a request fails, those of CivetWeb, hiredis and libpq among them: once, and then every one from a
certain one on."""
from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from operations import NEW_CONNECTIONS, OPERATIONS, OTHERS, Operation, attempt, check
from shop import EXHAUSTIVE, Results, Shop, in_parallel, on_demand_only

NEVER = 2**32 - 1
# The longest first, so that they don't wait for one another in the end.
EVERY = [NEW_CONNECTIONS, *reversed([each for each in OPERATIONS if EXHAUSTIVE or each.status != 409]), *OTHERS]


def fail(operation: Operation, server: Shop, first: int, last: int) -> tuple[str, int]:
    """One request with those allocations failing; what came back, and how many failed."""
    with server.client() as client:
        made = operation.prepare(server, client)
        before = made.made(server)
        with server.control.allocations(first, last) as armed:
            outcome = attempt(made, client)
        check(server, operation, made, before, outcome)
        return outcome.kind, armed.failed


def fail_all(server: Shop, operation: Operation, numbers: list[int], last: Callable[[int], int]) -> str:
    """As far as there are allocations of those numbers. A connection that is made anew meanwhile adds to them."""
    told: dict[str, int] = {}
    missed = 0
    for number in numbers:
        kind, failed = fail(operation, server, number, last(number))
        missed = 0 if failed else missed + 1
        if missed == 3:
            break
        if failed:
            told[kind] = told.get(kind, 0) + 1
    assert sum(told.values()) >= 2, "the request allocates more than once"
    return f"{sum(told.values())} requests: {told}"


def fail_each(server: Shop, operation: Operation) -> str:
    step = 16 if operation is NEW_CONNECTIONS and not EXHAUSTIVE else 1
    return fail_all(server, operation, list(range(1, 1000, step)), lambda number: number)


def fail_from(server: Shop, operation: Operation) -> str:
    return fail_all(server, operation, list(range(1, 1000)) if EXHAUSTIVE else [1, 2, 5, 9], lambda number: NEVER)


WAYS = {"once": fail_each, "from one on": fail_from}
CASES = list(itertools.product(WAYS, EVERY))


@pytest.fixture(scope="module")
def results(impatient: list[Shop]) -> Results:
    on_demand_only()
    return in_parallel(impatient, WAYS, CASES)


@pytest.mark.parametrize(("how", "operation"), CASES, ids=str)
def test_each_allocation_of_a_request_fails(results: Results, how: str, operation: Operation) -> None:
    print(f"allocations fail {how}, {operation}: {results.get(how, operation)}")


def test_they_failed_in_many_places(results: Results) -> None:
    print(f"allocations failed in {results.sites} places of the program")
    assert results.sites >= 20
