"""The moments around a COMMIT: what the caller is told is what happened, once (decision 1)."""
from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from ledger import verify
from proxy import BOTH, CUT, Act, Proxy, nth
from servers import Reply, Server, wait_until

Proxied = Callable[..., tuple[Server, Proxy]]

# What is done at the first COMMIT, before or after it. All is over before the request's five seconds are.
MOMENTS = {
    "cut before": ("before", CUT),
    "cut after": ("after", CUT),
    "the old backend commits later": ("before", Act("late", 1.0)),
    "slow before": ("before", Act("hold", 0.7)),
    "slow after": ("after", Act("hold", 0.7)),
    "half-open before": ("before", Act("mute", 1.0)),
    "half-open after": ("after", Act("mute", 1.0)),
}


def break_next(proxy: Proxy, moment: str, act: Act) -> None:
    if moment == "before":
        proxy.before_commit = nth(proxy.commits_before + 1, act)
    else:
        proxy.after_commit = nth(proxy.commits_after + 1, act)


def create(server: Server, key: str | None = None) -> Reply:
    return server.call("POST", "/api/v1/payments", {"amount": 12.5, "currency": "EUR"}, key=key)


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_payment_whatever_happens_at_its_commit(proxied: Proxied, moment: str) -> None:
    server, proxy = proxied(DB_WRITERS="1")
    for key in (None, "once"):
        break_next(proxy, *MOMENTS[moment])
        reply = create(server, key)
        assert reply.status == 201, reply
        assert not reply.replayed
        assert server.sql("SELECT count(*) FROM payments WHERE id = %s", reply.json()["id"]) == [(1,)]
    assert server.sql("SELECT count(*) FROM payments") == [(2,)]
    assert sum(proxy.acts.values()) == 2, proxy.acts
    again = create(server, "once")
    assert (again.status, again.replayed, again.json()["id"]) == (201, True, reply.json()["id"])
    assert verify(server) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_one_refund_whatever_happens_at_its_commit(proxied: Proxied, moment: str) -> None:
    server, proxy = proxied(DB_WRITERS="1")
    payment = f"/api/v1/payments/{create(server).json()['id']}"
    for path, body, status in ((f"{payment}/capture", {"amount": 10}, 200), (f"{payment}/refunds", {"amount": 4}, 201),
                               (f"{payment}/refunds", {"amount": 6}, 201)):
        break_next(proxy, *MOMENTS[moment])
        reply = server.call("POST", path, body, key="k" if body["amount"] == 4 else None)
        assert reply.status == status, reply
    assert sum(proxy.acts.values()) == 3, proxy.acts
    told = server.call("GET", payment).json()
    assert (told["amount_captured"], told["amount_refunded"], told["status"]) == (10, 10, "refunded")
    assert server.sql("SELECT amount_minor FROM refunds ORDER BY 1") == [(400,), (600,)]
    assert verify(server) == []


def test_silence_after_the_commit_is_ended_by_our_side(proxied: Proxied) -> None:
    server, proxy = proxied(DB_WRITERS="1")
    break_next(proxy, "after", Act("mute", 20))
    assert create(server).status == 201
    assert server.sql("SELECT count(*) FROM payments") == [(1,)]


def test_an_outcome_that_stays_unknown_is_named_and_resolves(proxied: Proxied) -> None:
    """The COMMIT reaches PostgreSQL long after the deadline."""
    server, proxy = proxied(REQUEST_TIMEOUT_MS="1000", DB_WRITERS="1")
    for key in (None, "late"):
        break_next(proxy, "before", Act("late", 2.0))
        reply = create(server, key)
        problem = reply.json()
        assert (reply.status, problem["type"]) == (503, "urn:payflow:problem:outcome-unknown"), problem
        assert reply.headers["retry-after"].isdigit()
        time.sleep(2)
        assert server.sql("SELECT count(*) FROM payments WHERE id = %s", problem["id"]) == [(1,)]
    again = create(server, "late")
    assert (again.status, again.replayed, again.json()["id"]) == (201, True, problem["id"])
    assert server.sql("SELECT count(*) FROM payments") == [(2,)]


def test_a_database_that_is_away_is_no_unknown_outcome(proxied: Proxied) -> None:
    server, proxy = proxied(REQUEST_TIMEOUT_MS="1000")
    assert create(server).status == 201
    proxy.refusing = True
    proxy.cut()
    time.sleep(0.2)  # the server looks at a connection that was idle before it sends anything on it
    reply = create(server)
    assert (reply.status, reply.json()["type"]) == (503, "urn:payflow:problem:unavailable"), reply
    assert server.sql("SELECT count(*) FROM payments") == [(1,)]


def test_a_server_that_drops_every_connection_is_not_asked_without_pause(proxied: Proxied) -> None:
    server, proxy = proxied(REQUEST_TIMEOUT_MS="3000", DB_WRITERS="1")
    before = proxy.commits_before
    proxy.before_commit = lambda _: CUT
    reply = create(server)
    assert reply.json()["type"] == "urn:payflow:problem:outcome-unknown", reply
    assert proxy.commits_before - before < 30
    proxy.heal()
    assert create(server).status == 201


def test_silence_makes_it_unready_and_not_unhealthy(proxied: Proxied) -> None:
    server, proxy = proxied(REQUEST_TIMEOUT_MS="1000")
    proxy.muted = BOTH
    time.sleep(3)
    assert server.call("GET", "/ready").status == 503
    assert server.call("GET", "/health").status == 200
    reply = create(server, "silent")
    assert reply.status == 503
    proxy.heal()
    time.sleep(2.5)
    assert server.call("GET", "/ready").status == 200
    assert create(server, "silent").status == 201
    assert server.sql("SELECT count(*) FROM payments") == [(1,)]


def test_a_database_that_is_away_is_told_of_soon_where_nothing_was_sent(proxied: Proxied) -> None:
    """Whoever is in a thread's hands or waits for one is answered as those who come later: after a second or so."""
    server, proxy = proxied(REQUEST_TIMEOUT_MS="30000", DB_WRITERS="1")

    def go_away(statement: str) -> str:
        proxy.refusing = proxy.refusing or statement == "prepare create"
        return "57P01" if statement == "prepare create" else ""

    for in_hand in (True, False):
        proxy.refuse = go_away if in_hand else None
        proxy.refusing = not in_hand
        if not in_hand:
            proxy.cut()
            time.sleep(0.2)  # as above
        begun = time.monotonic()
        reply = create(server, "soon")
        assert (reply.status, reply.json()["type"]) == (503, "urn:payflow:problem:unavailable"), reply
        assert time.monotonic() - begun < 15
        proxy.heal()
        wait_until("it writes again", lambda key=f"again-{in_hand}": create(server, key).status == 201)
    assert create(server, "soon").status == 201
    assert server.sql("SELECT count(*) FROM payments") == [(3,)]
