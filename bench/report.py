#!/usr/bin/python3
"""Makes of build/reports/bench.json: bench.txt (ratios first), and with --docs the figures in docs/performance.md and its
picture, docs/performance.svg."""
from __future__ import annotations

import json
import math
import statistics
import sys
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
REPORTS = TOP / "build" / "reports"
PAGE = TOP / "docs" / "performance.md"
PRICES = TOP / "scripts" / "prices.json"
PEAK, FULL, USD_A_EURO = 10, 0.6, 1.1
BEGIN, END = "<!-- figures: make bench-docs -->", "<!-- end of figures -->"
COLORS = {"payflow": "#0b6e4f", "payflow+limits": "#6fb98f", "go": "#2f6fab", "express": "#c1666b", "pgbench-row": "#8d8d8d",
          "pgbench-same": "#bdbdbd"}

Key = tuple[str, str, int]


class Figures:
    def __init__(self, data: dict) -> None:
        self.data = data
        self.runs: dict[Key, list[dict]] = defaultdict(list)
        for each in data["results"]:
            if each["part"] not in ("start", "disk", "profile"):
                self.runs[each["part"], each["name"], each["connections"]].append(each)

    def median(self, part: str, name: str, connections: int, field: str = "rps") -> float | None:
        runs = self.runs.get((part, name, connections))
        return statistics.median(r[field] for r in runs) if runs else None

    def ratio(self, field: str, ours: Key, theirs: Key) -> float | None:
        a, b = self.median(*ours, field), self.median(*theirs, field)
        return a / b if a and b else None


def goals(figures: Figures) -> list[tuple[str, str, float | None, bool]]:
    """(what, goal, measured ratio, whether more is better)."""
    found: list[tuple[str, str, float | None, bool]] = []
    for n in (64, 256):
        us = ("create", "payflow", n)
        for name, goal in (("express", 10), ("go", 3.5), ("pgbench-row", 2), ("pgbench-same", 2)):
            theirs = min(n, 64) if name.startswith("pgbench") else n  # more sessions than 64 do it no good
            found.append((f"payments/s at {n} connections, of {name}'s", f">= {goal}",
                          figures.ratio("rps", us, ("create", name, theirs)), True))
        found.append((f"payments/s at {n} connections, keys and limits on, of off", ">= 0.85",
                      figures.ratio("rps", ("create", "payflow+limits", n), us), True))
    for name, goal in (("go", 0.333), ("express", 0.1)):
        found.append((f"p99 at 64 connections, of {name}'s", f"<= {goal}",
                      figures.ratio("p99_ms", ("create", "payflow", 64), ("create", name, 64)), False))
    for part, name, goal in (("get", "go", 1.5), ("health", "nginx", 0.8)):
        found.append((f"{part} at 64 connections, requests/s of {name}'s", f">= {goal}",
                      figures.ratio("rps", (part, "payflow", 64), (part, name, 64)), True))
    rates = [key for key in figures.runs if key[:2] == ("open", "go")]
    for part, name, rate in rates:
        found.append((f"p99 at a fixed {rate}/s (half of go's most), of go's", "<= 1",
                      figures.ratio("p99_ms", (part, "payflow", rate), (part, name, rate)), False))
    found.append(("payments/s at 1,000 connections, of those at 256", ">= 0.85",
                  figures.ratio("rps", ("create", "payflow", 1000), ("create", "payflow", 256)), True))
    big = [key for key in figures.runs if key[1].startswith("payflow on ") and key[1] != "payflow on 0 rows"]
    for part, name, n in big:
        found.append((f"payments/s, {name}, of an empty table's", ">= 0.9",
                      figures.ratio("rps", (part, name, n), (part, "payflow on 0 rows", n)), True))
    return found


def absolute(figures: Figures) -> list[tuple[str, str, float | None, bool]]:
    starts = [r for r in figures.data["results"] if r["part"] == "start"]
    found: list[tuple[str, str, float | None, bool]] = []
    for field, what, goal in (("answer_ms", "exec to the first answer, ms", 15),
                              ("payment_ms", "exec to the first durable payment, ms", 60),
                              ("idle_mb", "resident memory idle, MB", 12)):
        if starts:
            found.append((what, f"<= {goal}", statistics.median(s[field] for s in starts), False))
    found.append(("resident memory at 1,000 connections under load, MB", "<= 60",
                  figures.median("create", "payflow", 1000, "resident_mb"), False))
    return found


def met(goal: str, value: float) -> bool:
    limit = float(goal.split()[1])
    return value >= limit if goal.startswith(">") else value <= limit


def text(figures: Figures) -> str:
    data = figures.data
    lines = [f"On {data['cores']} cores, shared by the load, the server and PostgreSQL; medians of {data['rounds']} rounds of "
             f"{data['seconds']:g} s, alternating.", "", "| What | Goal | Measured | |", "|---|---|---|---|"]
    for what, goal, value, _ in goals(figures) + absolute(figures):
        if value is not None:
            lines.append(f"| {what} | {goal} | {value:.2f} | {'met' if met(goal, value) else '**missed**'} |")
    lines += ["", "| | Connections | Who | Requests/s (spread) | p50 ms | p99 ms | CPU us: server + PostgreSQL | MB |",
              "|---|---|---|---|---|---|---|---|"]
    for (part, name, connections), runs in sorted(figures.runs.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        rates = [r["rps"] for r in runs]
        p99 = statistics.median(r["p99_ms"] for r in runs)
        lines.append(
            f"| {part} | {connections} | {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | "
            f"{statistics.median(r['p50_ms'] for r in runs):.2f} | {f'{p99:.2f}' if p99 else ''} | "
            f"{statistics.median(r['server_us'] for r in runs):.0f} + {statistics.median(r['postgres_us'] for r in runs):.0f} | "
            f"{statistics.median(r['resident_mb'] for r in runs):.0f} |")
    pools = "; ".join(f"{name}: " + ", ".join(f"{size} → {done:,}" for size, done in sizes.items())
                      for name, sizes in data["pools"].items())
    return "\n".join([*lines, "", f"Pool sizes tried, with the payments stored in the time of one try: {pools}." if pools else ""])


WHO = {"postgres": "PostgreSQL", "civetweb-worker": "payflow's workers: read, check, queue", "payflow": "payflow's lanes: commit, answer",
       "log": "payflow's log", "wrk": "the load", "swapper": "nobody: idle"}


def profile(figures: Figures) -> list[str]:
    """Where the processors' time goes, a payment."""
    rows: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each in figures.data["results"]:
        if each["part"] == "profile":
            rows[WHO.get(each["name"], "others")][each["kernel"]] += each["us"]
    if not rows:
        return []
    lines = ["## Where the time goes", "", "Of all processors' time at 64 connections, by perf's samples, in microseconds a "
             "payment. Sampling itself slows it down a little.", "", "| Who | In all | In the kernel |", "|---|---:|---:|"]
    lines += [f"| {who} | {sum(us):.1f} | {us[1]:.1f} |" for who, us in sorted(rows.items(), key=lambda row: -sum(row[1]))]
    return [*lines, f"| **together** | **{sum(map(sum, rows.values())):.1f}** | |", ""]


def cost(figures: Figures) -> list[str]:
    """What a payment takes, and what many a day take then, at the prices of docs/cost.md."""
    server, database = (figures.median("create", "payflow+limits", 64, f"{who}_us") for who in ("server", "postgres"))
    memory = figures.median("create", "payflow", 64, "resident_mb")
    disk = [each["bytes"] for each in figures.data["results"] if each["part"] == "disk"]
    if not (server and database and memory and disk):
        return []
    price = {name: each["usd"] for name, each in json.loads(PRICES.read_text())["prices"].items()}
    month_s = 730 * 3600
    lines = ["## What a payment costs", "",
             f"With keys and limits on, at 64 connections: {server:.0f} us of the server's CPU and {database:.0f} us of "
             f"PostgreSQL's a payment, {memory:.0f} MB of the server's memory however many, and {disk[0]:,.0f} bytes on the "
             "database's disk, indexes included.", "",
             f"The table takes these as they are for Google's vCPUs, peaks of {PEAK} times the average, instances of one vCPU filled to "
             f"{FULL:.0%} at the peak and never fewer than two, a month of 730 hours, and {USD_A_EURO:.2f} dollars a euro.", "",
             "| Payments a day | A second, at the peak | Server: vCPUs at the peak | Instances | PostgreSQL: vCPUs at the peak "
             "| GB on disk a year | Euros a month: instances, disk after a year |",
             "|---:|---:|---:|---:|---:|---:|---:|"]
    for a_day in (1_000_000, 10_000_000, 100_000_000):
        peak = a_day / 86400 * PEAK
        instances = max(2, math.ceil(peak * server / 1e6 / FULL))
        gigabytes = a_day * 365 * disk[0] / 1e9
        run = instances * month_s * (price["run_cpu"] + 0.5 * price["run_memory"]) / USD_A_EURO
        stored = gigabytes * price["sql_disk"] / USD_A_EURO
        lines.append(f"| {a_day:,} | {peak:,.0f} | {peak * server / 1e6:.3f} | {instances} | {peak * database / 1e6:.3f} | "
                     f"{gigabytes:,.0f} | {run:,.0f} + {stored:,.0f} |")
    return [*lines, "", "So a million payments a day are no load: the smallest environment that is highly available serves them, and what "
            "it costs is what it costs idle ([docs/cost.md](cost.md)). CPU grows with the payments and stays small; the disk grows "
            "with all that were ever made, and becomes the largest part. The sidecar is not in these figures.", ""]


def picture(figures: Figures) -> str:
    """Payments a second by connections: a line a contestant."""
    names = [n for n in COLORS if any(key[:2] == ("create", n) for key in figures.runs)]
    xs = sorted({key[2] for key in figures.runs if key[0] == "create" and key[1] in ("payflow", "go", "express")})
    top = max((figures.median("create", n, x) or 0 for n in names for x in xs), default=1) * 1.08
    width, height, left, bottom = 760, 380, 80, 50

    def at(index: int, value: float) -> str:
        x = left + index * (width - left - 150) / max(1, len(xs) - 1)
        return f"{x:.0f},{height - bottom - value / top * (height - bottom - 30):.0f}"

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="18" font-size="14">Durable payments a second, by open connections</text>']
    for tick in range(5):
        y = at(0, top * tick / 4).split(",")[1]
        out.append(f'<line x1="{left}" x2="{width - 150}" y1="{y}" y2="{y}" stroke="#e5e5e5"/>'
                   f'<text x="{left - 8}" y="{y}" text-anchor="end">{top * tick / 4:,.0f}</text>')
    for index, x in enumerate(xs):
        out.append(f'<text x="{at(index, 0).split(",")[0]}" y="{height - bottom + 20}" text-anchor="middle">{x}</text>')
    for row, name in enumerate(names):
        points = [at(i, value) for i, x in enumerate(xs) if (value := figures.median("create", name, x)) is not None]
        out.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
        out += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{COLORS[name]}"/>' for p in points]
        out.append(f'<text x="{width - 140}" y="{50 + 20 * row}" fill="{COLORS[name]}">{name}</text>')
    return "\n".join([*out, "</svg>", ""])


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    figures = Figures(json.loads((REPORTS / "bench.json").read_text()))
    page = "\n".join([text(figures), *profile(figures), *cost(figures)])
    (REPORTS / "bench.txt").write_text(page + "\n")
    (REPORTS / "bench.svg").write_text(picture(figures))
    print("\n" + page)
    if "--docs" in sys.argv[1:]:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        shown = "![Payments a second by connections](performance.svg)"
        PAGE.write_text(f"{before}{BEGIN}\n{shown}\n\n{page}\n{END}{rest.partition(END)[2]}")
        (TOP / "docs" / "performance.svg").write_text(picture(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
