#!/usr/bin/python3
"""`make dashboard-picture`: draws the local dashboard as docs/dashboard.svg, out of what a real Prometheus says that watched the
real binary under a load of 75 seconds, with a second of a dead Redis and a few seconds without PostgreSQL in it.

The queries are the dashboard's own; their ranges are divided by 30, as the time of the picture is.
"""
from __future__ import annotations

import html
import json
import math
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests" / "ops")]
from rules import shrunk  # noqa: E402
from servers import Folder, Postgres, Redis, Server  # noqa: E402
from watchers import Prometheus  # noqa: E402

OUT = TOP / "docs" / "dashboard.svg"
FACTOR, LOAD_S, CALLERS = 30, 75, 6
WIDTH, HEIGHT, HEAD, GAP = 360, 170, 30, 12
COLORS = ("#2563eb", "#dc2626", "#16a34a", "#d97706", "#7c3aed", "#0891b2", "#64748b")
CURRENCIES = ("EUR", "EUR", "EUR", "USD", "JPY")


def load(server: Server, postgres: Postgres, redis: Redis) -> None:
    stopping = threading.Event()

    def caller(number: int) -> None:
        dice = random.Random(number)
        with server.client() as client:
            while not stopping.wait(dice.uniform(0.005, 0.03)):
                try:
                    made = client.call("POST", "/api/v1/payments", {"amount": dice.randint(1, 999), "currency": dice.choice(CURRENCIES)},
                                       key=str(dice.randint(1, 4000)) if dice.random() < 0.1 else None)
                    if made.status == 201 and dice.random() < 0.3:
                        client.call("POST", f"/api/v1/payments/{made.json()['id']}/capture", {})
                    client.call("GET", "/api/v1/payments?limit=5")
                except OSError:
                    time.sleep(0.1)
    threads = [threading.Thread(target=caller, args=(n,), daemon=True) for n in range(CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(LOAD_S * 0.5)
    redis.kill()
    time.sleep(LOAD_S * 0.1)
    redis.start()
    postgres.kill()
    time.sleep(3)
    postgres.start()
    time.sleep(LOAD_S * 0.4 - 3)
    stopping.set()
    for thread in threads:
        thread.join(10)


def shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms"
    if unit == "bytes":
        return f"{value / 1e6:.3g} MB"
    return f"{value:.3g}" + ("/s" if unit == "reqps" else "")


def name_of(series: dict[str, Any], legend: str) -> str:
    for label, value in series["metric"].items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


def draw_panel(title: str, unit: str, lines: list[tuple[str, list[tuple[float, float]]]], x: int, y: int) -> str:
    out = [f'<g transform="translate({x},{y})"><rect width="{WIDTH}" height="{HEIGHT}" rx="4" fill="#fff" stroke="#cbd5e1"/>',
           f'<text x="8" y="16" font-weight="bold">{html.escape(title)}</text>']
    points = [point for _, series in lines for point in series]
    begin, end = min(t for t, _ in points), max(t for t, _ in points)
    low, high = min(0.0, *(v for _, v in points)), max(v for _, v in points) or 1.0
    left, top, right, bottom = 8, 36, WIDTH - 8, HEIGHT - 28
    out.append(f'<text x="8" y="31" fill="#64748b">{shown(high, unit)}</text>'
               f'<path d="M{left} {bottom}H{right}" stroke="#cbd5e1"/>')
    offset = left
    for number, (name, series) in enumerate(lines[:len(COLORS)]):
        color = COLORS[number]
        path = " ".join(f"{left + (t - begin) / max(1, end - begin) * (right - left):.1f},"
                        f"{bottom - (v - low) / ((high - low) or 1) * (bottom - top):.1f}" for t, v in series)
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        label = f"{name} {shown(series[-1][1], unit)}"
        out.append(f'<text x="{offset}" y="{HEIGHT - 10}" fill="{color}" font-size="10">{html.escape(label)}</text>')
        offset += int(len(label) * 5.3) + 10
    return "\n".join([*out, "</g>"])


def answers(prometheus: Prometheus, panel: dict[str, Any], begin_s: float) -> list[tuple[str, list[tuple[float, float]]]]:
    lines = []
    for target in panel["targets"]:
        for series in prometheus.over(shrunk(target["expr"], FACTOR), begin_s):
            points = [(t, float(v)) for t, v in series["values"] if math.isfinite(float(v))]
            if points:
                lines.append((name_of(series, target["legendFormat"]), points))
    return lines


def draw(prometheus: Prometheus, begin_s: float) -> str:
    board = json.loads((TOP / "dashboards/grafana/payflow.json").read_text())
    parts, y, column = [], GAP, 0
    for panel in board["panels"]:
        if panel["type"] == "row":
            y += (HEIGHT + GAP) * (column > 0)
            column = 0
            parts.append(f'<text x="{GAP}" y="{y + 18}" font-size="14" font-weight="bold">{html.escape(panel["title"])}</text>')
            y += HEAD
            continue
        lines = answers(prometheus, panel, begin_s)
        if not lines:
            sys.exit(f"dashboard-picture: no data for the panel {panel['title']}")
        if column == 3:
            y, column = y + HEIGHT + GAP, 0
        parts.append(draw_panel(panel["title"], panel["fieldConfig"]["defaults"]["unit"], lines, GAP + column * (WIDTH + GAP), y))
        column += 1
    width, height = GAP + 3 * (WIDTH + GAP), y + HEIGHT + GAP
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">\n'
            f'<rect width="{width}" height="{height}" fill="#f1f5f9"/>\n' + "\n".join(parts) + "\n</svg>\n")


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    with Folder() as folder:
        postgres, redis = Postgres(folder).start(), Redis(folder).start()
        server = Server(folder, postgres.database(), redis, APP_VERSION="1.0.0").migrate().start()
        prometheus = Prometheus(folder, server.port, interval="1s").start()
        begin_s = time.time() + 3
        try:
            load(server, postgres, redis)
            OUT.write_text(draw(prometheus, begin_s))
        finally:
            for each in (prometheus, server, redis, postgres):
                each.stop()
    print(f"dashboard-picture: {OUT.relative_to(TOP)}, {OUT.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
