"""Lists: every payment that was there before page 1 exactly once, whatever happens meanwhile; filters; the feed."""
from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import BUILD, Server, scaled, together

PAYMENTS = "/api/v1/payments"


def pages(server: Server, path: str = PAYMENTS, limit: int = 100, query: str = "") -> Iterator[list[dict]]:
    """Page after page, until there is no more."""
    cursor = None
    while True:
        reply = server.call("GET", f"{path}?limit={limit}{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert reply.status == 200, reply.body
        page = reply.json()
        assert list(page) == ["data", "has_more", "next_cursor"]
        assert len(page["data"]) <= limit
        assert page["has_more"] == (page["next_cursor"] is not None)
        yield page["data"]
        if not page["has_more"]:
            return
        assert len(page["data"]) == limit
        cursor = page["next_cursor"]


def ids(rows: list[dict]) -> list[str]:
    return [row["id"] for row in rows]


def everything(server: Server, **more) -> list[dict]:
    return [row for page in pages(server, **more) for row in page]


def make(server: Server, count: int, **fields: object) -> list[str]:
    """Their ids. Those of one millisecond are in no order, so what is "newest first" goes by the id."""
    with server.client() as client:
        return [client.call("POST", PAYMENTS, {"amount": 1, **fields}).json()["id"] for _ in range(count)]


def test_an_empty_list_is_empty(fresh_server):
    server = fresh_server()
    for path in (PAYMENTS, PAYMENTS + "?limit=1"):
        assert server.call("GET", path).json() == {"data": [], "has_more": False, "next_cursor": None}


def test_pages_hold_everything_once_newest_first(fresh_server):
    server = fresh_server()
    made = make(server, 25)
    for limit in (1, 7, 10, 25, 26, 100):
        assert ids(everything(server, limit=limit)) == sorted(made, reverse=True)


def test_without_a_limit_a_page_has_ten(fresh_server):
    server = fresh_server()
    make(server, 11)
    page = server.call("GET", PAYMENTS).json()
    assert (len(page["data"]), page["has_more"]) == (10, True)


def test_a_list_shows_each_payment_as_reading_it_does(server):
    made = server.call("POST", PAYMENTS, {"amount": 12, "description": "x", "metadata": {"a": "b"}})
    shown = server.call("GET", f"{PAYMENTS}?limit=1").json()["data"]
    assert shown == [made.json()]


def test_what_is_recorded_meanwhile_moves_nothing(fresh_server):
    server = fresh_server()
    before = make(server, 40)
    seen: list[str] = []
    for page in pages(server, limit=7):
        seen += ids(page)
        make(server, 3)
    assert [each for each in seen if each in before] == sorted(before, reverse=True)
    assert len(seen) == len(set(seen))


def test_writers_in_parallel_never_make_a_page_skip_or_repeat(fresh_server):
    """Sixteen writers go on while eight readers page; each reader must see all that was there when it began, once."""
    server = fresh_server()
    make(server, 50)
    rounds = scaled(40, 8)

    def work(number: int) -> list[str]:
        if number < 16:
            return make(server, rounds)
        for _ in range(3):
            before = {row for (row,) in server.sql("SELECT id FROM payments")}
            seen = ids(everything(server, limit=20))
            assert len(seen) == len(set(seen))
            assert before <= set(seen)
        return []

    made = sum(len(each) for each in together(24, work))
    assert len(everything(server)) == made + 50


# --- filters ------------------------------------------------------------------------------------------------------------


def test_filters_choose_by_status_and_currency(fresh_server):
    server = fresh_server()
    make(server, 3, currency="EUR")
    yen = make(server, 2, currency="JPY")
    captured = make(server, 2, currency="USD")
    for each in captured:
        server.call("POST", f"{PAYMENTS}/{each}/capture")
    assert ids(everything(server, query="&currency=JPY")) == sorted(yen, reverse=True)
    assert ids(everything(server, query="&status=captured")) == sorted(captured, reverse=True)
    assert ids(everything(server, query="&status=captured", limit=1)) == sorted(captured, reverse=True)
    assert ids(everything(server, query="&status=pending&currency=EUR", limit=2))[:1] != []
    assert everything(server, query="&status=captured&currency=EUR") == []
    assert len(everything(server, query="&status=pending")) == 5


def test_a_filter_that_fits_few_of_many_finds_them_all(fresh_server):
    server = fresh_server()
    rare = []
    for _ in range(5):
        make(server, 30)
        rare += make(server, 1, currency="CHF")
    assert ids(everything(server, query="&currency=CHF", limit=2)) == sorted(rare, reverse=True)


def spaced(count: int) -> Iterator[int]:
    """Numbers that come at least two milliseconds apart."""
    for number in range(count):
        time.sleep(0.002)
        yield number


def test_filters_choose_by_time_from_which_on_and_before_which(fresh_server):
    server = fresh_server()
    first, second, third = (server.call("POST", PAYMENTS, {"amount": 1}).json() for _ in spaced(3))
    times = [each["created_at"] for each in (first, second, third)]
    assert ids(everything(server, query=f"&created_from={times[1]}")) == [third["id"], second["id"]]
    assert ids(everything(server, query=f"&created_to={times[1]}")) == [first["id"]]
    assert ids(everything(server, query=f"&created_from={times[1]}&created_to={times[2]}")) == [second["id"]]
    assert everything(server, query=f"&created_from={times[2]}&created_to={times[1]}") == []
    assert len(everything(server, query="&created_from=2026-01-01&created_to=2999-12-31")) == 3
    east = times[1].replace("Z", "%2B00:00")
    assert ids(everything(server, query=f"&created_from={east}")) == [third["id"], second["id"]]
    assert everything(server, query="&created_from=9999-12-31T23:59:59Z") == []


def test_a_cursor_belongs_to_the_filter_that_it_came_from(fresh_server):
    server = fresh_server()
    make(server, 3)
    cursor = server.call("GET", f"{PAYMENTS}?limit=1").json()["next_cursor"]
    assert server.call("GET", f"{PAYMENTS}?limit=2&cursor={cursor}").status == 200
    for other in ("&status=pending", "&currency=EUR", "&created_from=2020-01-01"):
        reply = server.call("GET", f"{PAYMENTS}?limit=1&cursor={cursor}{other}")
        assert (reply.status, reply.json()["field"]) == (400, "cursor")
    for path in ("/api/v1/events", f"{PAYMENTS}/{make(server, 1)[0]}/refunds"):
        assert server.call("GET", f"{path}?cursor={cursor}").status == 400
    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1:]
        assert server.call("GET", f"{PAYMENTS}?cursor={changed}").status == 400


# --- refunds and events -------------------------------------------------------------------------------------------------


def test_a_payments_refunds_newest_first_and_its_events_oldest_first(fresh_server):
    server = fresh_server()
    payment = make(server, 1)[0]
    server.sql("UPDATE payments SET amount_minor = 2500 WHERE id = %s", payment)
    server.call("POST", f"{PAYMENTS}/{payment}/capture")
    refunds = [server.call("POST", f"{PAYMENTS}/{payment}/refunds", {"amount": 1}).json() for _ in range(23)]
    for limit in (5, 23, 24):
        assert everything(server, path=f"{PAYMENTS}/{payment}/refunds", limit=limit) == sorted(refunds, key=lambda r: r["id"], reverse=True)
        events = everything(server, path=f"{PAYMENTS}/{payment}/events", limit=limit)
        assert ids(events) == [f"evt_{payment[4:]}_{n}" for n in range(1, 26)]
    assert [event["type"] for event in events] == ["payment.created", "payment.captured"] + ["payment.refunded"] * 23
    assert [event["refund_id"] for event in events[2:]] == ids(refunds)
    assert [event["amount_refunded"] for event in events[2:]] == list(range(1, 24))
    other = make(server, 1)[0]
    cursor = server.call("GET", f"{PAYMENTS}/{payment}/refunds?limit=1").json()["next_cursor"]
    assert server.call("GET", f"{PAYMENTS}/{other}/refunds?cursor={cursor}").status == 400
    assert everything(server, path=f"{PAYMENTS}/{other}/refunds") == []


def follow(server: Server, cursor: str | None, limit: int = 100) -> tuple[list[dict], str]:
    """All that the feed has after the cursor."""
    found: list[dict] = []
    while True:
        page = server.call("GET", f"/api/v1/events?limit={limit}" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["data"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return found, cursor


def test_the_feed_goes_on_from_where_its_reader_was(fresh_server):
    server = fresh_server()
    events, cursor = follow(server, None)
    assert events == []
    seen: list[str] = []
    for round_ in range(4):
        made = make(server, 7)
        events, cursor = follow(server, cursor, limit=round_ + 2)
        assert [event["payment_id"] for event in events] == made
        seen += ids(events)
    assert follow(server, cursor)[0] == []
    assert ids(follow(server, None)[0]) == seen


def test_the_feed_waits_for_a_transaction_that_began_earlier_and_then_misses_nothing(fresh_server):
    """An event that is written earlier and committed later must not fall behind a reader's cursor."""
    server = fresh_server()
    late = server.database.connect()
    late.cursor().execute("SELECT pg_current_xact_id()")
    late.cursor().execute(
        "INSERT INTO payments (account_id, livemode, status, amount_minor, created_at, id, currency)"
        " VALUES (1, false, 1, 100, now(), 'pay_01kb0a6v0rj4t2c7m9x3w5y8ze', 'EUR');"
        "INSERT INTO events (created_at, epoch, account_id, n, step, status, livemode, amount_minor, captured_minor,"
        " refunded_minor, payment_id, actor, request_id)"
        " VALUES (now(), 1, 1, 1, 1, 1, false, 100, 0, 0, 'pay_01kb0a6v0rj4t2c7m9x3w5y8ze', 'test', 'test')")
    made = make(server, 3)
    events, cursor = follow(server, None)
    assert events == [], "they are younger than a transaction that still runs"
    late.commit()
    late.close()
    events, _ = follow(server, cursor)
    assert [event["payment_id"] for event in events] == ["pay_01kb0a6v0rj4t2c7m9x3w5y8ze", *made]


def test_a_restored_cluster_with_a_new_epoch_keeps_the_feeds_order(fresh_server):
    """After a restore from a dump transaction ids begin anew, lower; docs and runbooks raise the epoch."""
    server = fresh_server()
    old = make(server, 2)
    _, cursor = follow(server, None)
    server.sql("UPDATE events SET xid = (xid::text::bigint + 1000000)::text::xid8")  # as if they came from an older cluster
    server.sql("UPDATE feed_epoch SET epoch = epoch + 1")
    new = make(server, 2)
    assert [event["payment_id"] for event in follow(server, None)[0]] == old + new
    assert [event["payment_id"] for event in follow(server, cursor)[0]][-2:] == new


# --- two servers whose clocks differ ------------------------------------------------------------------------------------
# The sanitizers' runtimes want to be loaded first, so this is tested with the builds that have none.
if BUILD in ("dev", "cov"):

    @pytest.fixture(scope="module")
    def shim(folder) -> Path:
        library = folder.make("shim") / "clock_shim.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("clock_shim.c")], check=True)
        return library

    def test_a_list_keeps_its_promise_with_two_servers_whose_clocks_differ(fresh_server, shim):
        ahead = fresh_server(LD_PRELOAD=str(shim), CLOCK_SHIM_MS="90000")
        behind = fresh_server(database=ahead.database, LD_PRELOAD=str(shim), CLOCK_SHIM_MS="-90000")
        times = [server.call("GET", "/health").json()["timestamp"] for server in (ahead, behind)]
        assert times[0] > times[1], "the clocks do differ"
        servers = [ahead, behind]
        before = [make(servers[number % 2], 1)[0] for number in range(40)]
        for limit in (3, 10):
            seen: list[str] = []
            for page in pages(servers[limit % 2], limit=limit):
                seen += ids(page)
                for server in servers:  # with ids before and behind the page
                    make(server, 1)
            assert len(seen) == len(set(seen))
            assert set(before) <= set(seen)
            assert seen == sorted(seen, reverse=True)

    def test_a_step_on_a_server_that_is_behind_keeps_the_history_in_order(fresh_server, shim):
        ahead = fresh_server(LD_PRELOAD=str(shim), CLOCK_SHIM_MS="90000")
        behind = fresh_server(database=ahead.database, LD_PRELOAD=str(shim), CLOCK_SHIM_MS="-90000")
        payment = make(ahead, 1)[0]
        assert behind.call("POST", f"{PAYMENTS}/{payment}/capture").status == 200
        assert behind.call("POST", f"{PAYMENTS}/{payment}/refunds", {"amount": 1}).status == 201
        history = everything(behind, path=f"{PAYMENTS}/{payment}/events")
        assert [event["type"] for event in history] == ["payment.created", "payment.captured", "payment.refunded"]
        assert ids(follow(ahead, None)[0]) == ids(history)
        assert behind.command("verify").returncode == 0
