#!/usr/bin/python3
"""What an environment costs a month, from its plan and the list prices in scripts/prices.json.

  scripts/cost.py NAME=PLAN.json...            prints a table; NAME is an environment or bootstrap
  scripts/cost.py --write NAME=PLAN.json...    puts it into docs/cost.md
  scripts/cost.py --check NAME=PLAN.json...    exit code 1 if docs/cost.md says something else

A plan: terraform plan -out=PLAN -var project_id=… && terraform show -json PLAN >PLAN.json
"""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BOOK = json.loads((TOP / "scripts" / "prices.json").read_text())
PAGE = TOP / "docs" / "cost.md"
HOURS = 730.0
BEGIN, END = "<!-- cost.py begins -->", "<!-- cost.py ends -->"


def price(name: str) -> float:
    return float(BOOK["prices"][name]["usd"])


class Plan:
    """What is asked of a plan: its resources by type."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.assumed = BOOK["assumed"][name]
        self.changes = [change for change in json.loads(Path(path).read_text())["resource_changes"] if change["mode"] == "managed"]

    def of(self, type_: str) -> list[dict]:
        return [change["change"]["after"] for change in self.changes if change["type"] == type_]

    def count(self, type_: str) -> int:
        return len(self.of(type_))


def number(limit: str) -> float:
    """CPUs of "500m", GiB of "512Mi"."""
    units = {"m": 1 / 1000, "Mi": 1 / 1024, "Gi": 1.0, "": 1.0}
    match = re.fullmatch(r"([0-9.]+)(m|Mi|Gi|)", limit)
    assert match, limit
    return float(match[1]) * units[match[2]]


def service(plan: Plan) -> float:
    total = 0.0
    for found in plan.of("google_cloud_run_v2_service"):
        limits = [container["resources"][0]["limits"] for container in found["template"][0]["containers"]]
        second = sum(number(each["cpu"]) * price("run_cpu") + number(each["memory"]) * price("run_memory") for each in limits)
        total += second * 3600 * HOURS * plan.assumed["instances"]
    return total


def database(plan: Plan) -> float:
    total = 0.0
    for found in plan.of("google_sql_database_instance"):
        settings = found["settings"][0]
        tier = settings["tier"]
        custom = re.fullmatch(r"db-custom-(\d+)-(\d+)", tier)
        hour = int(custom[1]) * price("sql_cpu") + int(custom[2]) / 1024 * price("sql_memory") if custom else price("sql_micro")
        twice = 2 if settings["availability_type"] == "REGIONAL" else 1
        disk = max(settings["disk_size"] or 10, plan.assumed["database_gb"])
        # Backups hold what changed: twice the data, whatever their number, is on the safe side for an append-mostly schema.
        total += (hour * HOURS + disk * price("sql_disk")) * twice + 2 * plan.assumed["database_gb"] * price("sql_backup")
    return total + plan.count("google_compute_forwarding_rule") * price("psc_endpoint") * HOURS


def cache(plan: Plan) -> float:
    return sum(price(f"valkey_{found['node_type']}") * HOURS * found["shard_count"] * (1 + (found["replica_count"] or 0))
               for found in plan.of("google_memorystore_instance"))


def edge(plan: Plan) -> float:
    rules = sum(len(found["rule"]) for found in plan.of("google_compute_security_policy"))
    policies = plan.count("google_compute_security_policy")
    doors = price("lb_rules") * HOURS if plan.count("google_compute_global_forwarding_rule") else 0.0
    asked = plan.assumed["million_requests"] * price("armor_requests") if policies else 0.0
    return doors + policies * price("armor_policy") + rules * price("armor_rule") + asked


def network(plan: Plan) -> float:
    nat = plan.count("google_compute_router_nat") * price("nat_address") + plan.assumed["instances"] * price("nat_instance")
    return nat * HOURS + plan.count("google_dns_managed_zone") * price("dns_zone")


def watching(plan: Plan) -> float:
    everywhere, gib = BOOK["assumed_everywhere"], plan.assumed["log_gib"]
    samples = everywhere["series_of_an_instance"] * everywhere["scrapes_a_minute"] * 60 * HOURS * plan.assumed["instances"] / 1e6
    days = [found["retention_days"] for found in plan.of("google_logging_project_bucket_config")]
    kept = sum(max(0, each - 30) / 30 * gib * price("log_month") for each in days)
    return samples * price("samples") + max(0, gib - everywhere["free_log_gib"]) * price("logs") + kept


def rest(plan: Plan) -> float:
    return (plan.count("google_secret_manager_secret_version") * price("secret_version")
            + plan.count("google_kms_crypto_key") * price("kms_version") + plan.count("google_cloud_scheduler_job") * price("schedule")
            + plan.count("google_artifact_registry_repository") * BOOK["assumed_everywhere"]["image_gb"] * price("registry"))


PARTS = {
    "Cloud Run, with the sidecar": service,
    "Cloud SQL, with its endpoint": database,
    "Memorystore for Valkey": cache,
    "Load balancer and Cloud Armor": edge,
    "NAT and DNS": network,
    "Logs and metrics": watching,
    "Secrets, keys, schedules, images": rest,
}


def table(plans: list[Plan]) -> str:
    rows = ["| USD a month | " + " | ".join(plan.name for plan in plans) + " |", "|---|" + "---:|" * len(plans)]
    for part, cost in PARTS.items():
        rows.append(f"| {part} | " + " | ".join(f"{cost(plan):.0f}" for plan in plans) + " |")
    totals = [sum(cost(plan) for cost in PARTS.values()) for plan in plans]
    rows.append("| **All** | " + " | ".join(f"**{total:.0f}**" for total in totals) + " |")
    return "\n".join(rows)


def prices() -> str:
    rows = ["| USD | Per | Source |", "|---:|---|---|"]
    for each in BOOK["prices"].values():
        usd = f"{each['usd']:.6f}".rstrip("0").rstrip(".")
        rows.append(f"| {usd} | {each['per']} | {each['source']} |")
    return "\n".join(rows)


def assumptions() -> str:
    names = [name for name in BOOK["assumed"] if name != "bootstrap"]
    keys = {"instances": "instances that run on average", "million_requests": "million requests a month", "log_gib": "GiB of logs a month",
            "database_gb": "GB in the database"}
    rows = ["| Assumed | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    rows += [f"| {text} | " + " | ".join(str(BOOK["assumed"][name][key]) for name in names) + " |" for key, text in keys.items()]
    return "\n".join(rows)


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    action = sys.argv[1] if sys.argv[1:2] in (["--write"], ["--check"]) else ""
    given = [argument.partition("=") for argument in sys.argv[2 if action else 1:]]
    if not given or any(name not in BOOK["assumed"] or not path for name, _, path in given):
        sys.exit(__doc__)
    costs = table([Plan(name, path) for name, _, path in given])
    if not action:
        print(costs)
        return 0
    dated = f"List prices for {BOOK['region']}, written down as of {BOOK['known']}:"
    text = f"{BEGIN}\n{costs}\n\n{assumptions()}\n\n{dated}\n\n{prices()}\n{END}"
    page = PAGE.read_text()
    new = page[:page.index(BEGIN)] + text + page[page.index(END) + len(END):]
    if action == "--check" and new != page:
        print("docs/cost.md is out of date: scripts/cost.py --write\n" + costs)
        return 1
    PAGE.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
