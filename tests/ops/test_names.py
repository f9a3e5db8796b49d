"""Every metric that an alert or a panel asks for is there: our own at the running binary, Google's in its documentation.
Every query of the local dashboard returns data from a Prometheus that watched a load."""
from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rules import TOP, rules, selectors, shrunk
from servers import Folder, Postgres, Redis, Server
from watchers import Prometheus

# Cloud Run's, Cloud SQL's and the uptime checks' as their documentation lists them, and our log-based one.
GOOGLES = {
    "run_googleapis_com:request_count", "run_googleapis_com:container_instance_count",
    "run_googleapis_com:container_completed_probe_count", "run_googleapis_com:job_completed_execution_count",
    "cloudsql_googleapis_com:database_disk_utilization", "cloudsql_googleapis_com:database_cpu_utilization",
    "monitoring_googleapis_com:uptime_check_time_until_ssl_cert_expires", "monitoring_googleapis_com:uptime_check_check_passed",
    "logging_googleapis_com:user_payflow_backups",
}
FACTOR = 30


def panel_queries() -> list[tuple[str, str]]:
    board = json.loads((TOP / "dashboards/grafana/payflow.json").read_text())
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel.get("targets", [])]


def asked() -> dict[str, str]:
    """Each metric that is asked for, and where."""
    found = {metric: rule.key for rule in rules() for metric, _ in selectors(rule.body["expr"])}
    for section in yaml.safe_load((TOP / "dashboards/panels.yml").read_text())["sections"]:
        for panel in section["panels"]:
            found |= {metric: panel["title"] for query in panel["queries"] for metric, _ in selectors(query["expr"])}
    return found


@pytest.fixture(scope="module")
def watched(folder: Folder) -> Iterator[tuple[Server, Prometheus]]:
    postgres, redis = Postgres(folder, fsync="off").start(), Redis(folder).start()
    server = Server(folder, postgres.database(), redis).migrate().start()
    prometheus = Prometheus(folder, server.port).start()
    begun = time.monotonic()
    with server.client() as client:
        while time.monotonic() - begun < 6:
            client.call("POST", "/api/v1/payments", {"amount": 5, "currency": "EUR"})
            client.call("GET", "/api/v1/payments?limit=1")
    yield server, prometheus
    for each in (prometheus, server, redis, postgres):
        each.stop()


def unknown(names: dict[str, str], server: Server) -> list[str]:
    """A histogram shows its _bucket, _sum and _count; a series that only begins with an event has its TYPE line."""
    page = server.call("GET", "/metrics").body.decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    ours = set(types) | {f"{name}_{part}" for name, kind in types.items() if kind == "histogram" for part in ("bucket", "sum", "count")}
    return [f"{where}: {name}" for name, where in names.items() if name not in ours and name not in GOOGLES]


def test_every_metric_exists(watched: tuple[Server, Prometheus]) -> None:
    server, _ = watched
    names = asked()
    assert len(names) > 20
    assert unknown(names, server) == []
    assert unknown({"payflow_db_upp": "a planted fault"}, server) == ["a planted fault: payflow_db_upp"]


def test_every_label_value_exists(watched: tuple[Server, Prometheus]) -> None:
    """The bucket of 500 ms is one of the histogram's, so the objective is counted and not interpolated."""
    server, _ = watched
    assert any('http_request_duration_seconds_bucket' in name and 'le="0.5"' in name for name in server.metrics())


def test_every_panel_has_data(watched: tuple[Server, Prometheus]) -> None:
    _, prometheus = watched
    empty = [(title, expr) for title, expr in panel_queries() if not prometheus.query(shrunk(expr, FACTOR))]
    assert empty == []


def test_both_dashboards_ask_the_same(tmp_path: Path) -> None:
    cloud = json.loads((TOP / "dashboards/cloud-monitoring/payflow.json").read_text())
    queries = [data["timeSeriesQuery"]["prometheusQuery"] for tile in cloud["mosaicLayout"]["tiles"]
               for data in tile["widget"].get("xyChart", {}).get("dataSets", [])]
    assert [expr for _, expr in panel_queries()] == [query for query in queries if "googleapis_com:" not in query]
    # And PromQL understands all of them, Google's names too.
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": [
        {"alert": f"Panel{number}", "expr": query} for number, query in enumerate(queries)]}]}))
    assert subprocess.run(["promtool", "check", "rules", tmp_path / "queries.yml"], check=False).returncode == 0
