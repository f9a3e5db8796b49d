"""/metrics: a form that Prometheus takes, and values that are right while hundreds of requests run."""
from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import threading
import time

import pytest
from servers import Server, scaled, together, wait_until

PAYMENTS = "/api/v1/payments"
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.e+-]+|NaN|[+-]Inf)')


def text(server) -> str:
    reply = server.call("GET", "/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return reply.body.decode()


@pytest.fixture
def busy(server):
    """The shared server after a bit of everything."""
    made = server.call("POST", PAYMENTS, {"amount": 1}).headers["location"]
    for method, path in [("POST", f"{made}/capture"), ("POST", f"{made}/refunds"), ("GET", made), ("GET", "/nope"), ("PUT", PAYMENTS),
                         ("GET", PAYMENTS), ("OPTIONS", PAYMENTS), ("POST", PAYMENTS), ("GET", f"{PAYMENTS}/x/events")]:
        server.call(method, path)
    return server


def test_every_line_is_prometheus_text_and_every_family_is_declared_once(busy):
    types: dict[str, str] = {}
    seen: set[str] = set()
    for line in text(busy).splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in types and len(line.split(" ", 3)) == 4
            types[name] = ""
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert types.get(name) == "", f"HELP before TYPE, and once: {name}"
            assert kind in ("counter", "gauge", "histogram")
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            family = match[1] if match[1] in types else re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert types[family], f"declared before its samples: {line}"
            assert (types[family] == "counter") == family.endswith("_total")
            key = match[1] + (match[2] or "")
            assert key not in seen, f"twice: {key}"
            seen.add(key)


def test_promtool_finds_nothing_to_say(busy):
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run([tool, "check", "metrics"], input=text(busy), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_all_that_the_alerts_and_boards_need_is_there(busy):
    names = {re.sub(r"[{ ].*", "", line) for line in text(busy).splitlines() if not line.startswith("#")}
    assert names >= {
        "http_requests_total", "http_request_duration_seconds_bucket", "app_info", "http_requests_in_flight", "http_connections",
        "payflow_queue_depth", "payflow_queue_capacity", "payflow_batch_rows_bucket", "payflow_commit_seconds_bucket",
        "payflow_db_up", "payflow_db_connections", "payflow_db_connections_max", "payflow_db_reconnects_total", "payflow_redis_up",
        "payflow_redis_errors_total", "payflow_payments_total", "payflow_feed_lag_seconds", "process_start_time_seconds",
        "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_cpu_seconds_total", "payflow_log_dropped_total"}


def test_without_redis_nothing_says_that_it_is_down(folder, postgres):
    server = Server(folder, postgres.database()).migrate().start()
    try:
        assert "payflow_redis_up" not in server.metrics()
    finally:
        assert server.stop() == 0


def test_histograms_only_rise_and_end_at_their_count(busy):
    found = busy.metrics()
    groups: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, value in found.items():
        match = re.fullmatch(r'(\w+)_bucket\{(.*?),?le="([^"]+)"\}', name)
        if match:
            groups.setdefault((match[1], match[2]), []).append((float(match[3]), value))
    assert len(groups) > 5
    for (name, labels), buckets in groups.items():
        assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
        suffix = f"{{{labels}}}" if labels else ""
        assert buckets[-1] == (float("inf"), found[f"{name}_count{suffix}"])
        assert found[f"{name}_sum{suffix}"] >= 0


def test_a_path_is_its_routes_template_and_one_other_for_all_that_is_none(busy):
    made = {name for name in busy.metrics() if name.startswith("http_requests_total")}
    paths = {re.search(r'path="([^"]*)"', name)[1] for name in made}
    assert "/api/v1/payments/{id}/capture" in paths and "other" in paths
    assert not any("pay_" in path or "nope" in path for path in paths)
    methods = {re.search(r'method="([^"]*)"', name)[1] for name in made}
    assert methods <= {"GET", "POST", "HEAD", "OPTIONS", "other"}


def test_a_flood_of_names_makes_no_new_series(server):
    before = len(server.metrics())
    for number in range(50):
        server.call(f"X{number}", f"/{number}")
        server.call("GET", f"{PAYMENTS}/{number}?{number}={number}")
        server.call("POST", PAYMENTS, {"amount": 1, "currency": f"X{number}"})
    assert len(server.metrics()) - before < 45  # a few routes' first requests; a series a name would be hundreds


def test_values_are_right_after_many_requests_at_once(fresh_server):
    server = fresh_server(APP_VERSION='7.1.0-"q\\')
    rounds = scaled(15, 5)
    before = server.metrics()

    def work(number: int) -> None:
        with server.client() as client:
            for turn in range(rounds):
                made = client.call("POST", PAYMENTS, {"amount": 1, "currency": "JPY"}, key=f"{number}-{turn}")
                client.call("POST", PAYMENTS, {"amount": 1, "currency": "JPY"}, key=f"{number}-{turn}")
                client.call("POST", PAYMENTS, {"amount": -1})
                client.call("GET", made.headers["location"])

    clients = 20
    together(clients, work)
    after = server.metrics()
    each = clients * rounds

    def rise(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert rise(f'http_requests_total{{method="POST",path="{PAYMENTS}",status="201"}}') == 2 * each
    assert rise(f'http_requests_total{{method="POST",path="{PAYMENTS}",status="400"}}') == each
    assert rise(f'http_requests_total{{method="GET",path="{PAYMENTS}/{{id}}",status="200"}}') == each
    assert rise(f'http_request_duration_seconds_count{{method="POST",path="{PAYMENTS}"}}') == 3 * each
    assert rise('payflow_payments_total{outcome="created",currency="JPY",livemode="false"}') == each
    assert rise('payflow_payments_total{outcome="replayed",currency="JPY",livemode="false"}') == each
    assert rise("payflow_batch_rows_sum") >= each  # replays that were no duplicates in flight are rows of a batch, too
    assert rise("payflow_commit_seconds_count") == rise("payflow_batch_rows_count") <= 2 * each
    wait_until("nothing is under way", lambda: {server.metrics()[name] for name in (
        "payflow_queue_depth", "http_requests_in_flight")} == {0})  # /metrics, /health and /ready themselves are not counted
    assert after['app_info{version="7.1.0-\\"q\\\\"}'] == 1


def test_scrapes_while_requests_run_only_rise_and_each_is_whole(fresh_server):
    server = fresh_server()
    stop = threading.Event()

    def write() -> None:
        with server.client() as client:
            while not stop.is_set():
                client.call("POST", PAYMENTS, {"amount": 1})

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    scrapes = [server.metrics() for _ in range(scaled(20, 5))]
    stop.set()
    for writer in writers:
        writer.join()
    rising = [name for name in scrapes[-1] if re.search(r"_(total|bucket|count|sum)(\{|$)", name)]
    for earlier, later in itertools.pairwise(scrapes):
        for name in rising:
            assert later.get(name, 0) >= earlier.get(name, 0), name
        name = f'http_request_duration_seconds%s{{method="POST",path="{PAYMENTS}"%s}}'
        if name % ("_count", "") in later:
            assert later[name % ("_count", "")] == later[name % ("_bucket", ',le="+Inf"')]


def test_what_the_process_says_of_itself_is_so(fresh_server):
    began = time.time()
    server = fresh_server()
    found = server.metrics()
    assert began - 2 < found["process_start_time_seconds"] < time.time()
    assert abs(found["process_resident_memory_bytes"] / 1024 - server.resident_kb()) < 0.2 * server.resident_kb() + 1024
    assert 5 < found["process_open_fds"] < 100
    assert found["payflow_db_connections_max"] == 7  # 2 writers, 4 readers, 1 quarantine
    wait_until("all connections are open", lambda: server.metrics()["payflow_db_connections"] == 7)
    wait_until("PostgreSQL sees as many", lambda: server.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") == [(7,)])
    wait_until("Redis is there", lambda: server.metrics()["payflow_redis_up"] == 1)


def test_the_feeds_lag_is_how_long_a_transaction_has_held_it_back(fresh_server):
    server = fresh_server()
    assert server.metrics()["payflow_feed_lag_seconds"] < 2
    late = server.database.connect()
    late.cursor().execute("SELECT pg_current_xact_id()")
    server.call("POST", PAYMENTS, {"amount": 1})  # something later, so that it does hold back
    wait_until("the lag is seen", lambda: server.metrics()["payflow_feed_lag_seconds"] > 1)
    late.rollback()
    late.close()
    wait_until("it is gone", lambda: server.metrics()["payflow_feed_lag_seconds"] < 1)
