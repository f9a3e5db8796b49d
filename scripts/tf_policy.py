#!/usr/bin/env python3
"""Judges plans by tf/policies, where neither opa nor conftest is there: needs the module regopy.

  build/tools/infra/bin/python scripts/tf_policy.py PLAN.json...     (terraform show -json PLAN)

Prints what is refused, a line each; exit code 1 if anything is. With --json, one JSON object: file to messages.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

POLICIES = Path(__file__).resolve().parent.parent / "tf" / "policies"


def seen(plan: dict) -> dict:
    """The parts that the policies look at; the rest only costs time. regopy prints a quote in a string as it is, which is
    no JSON, so this["a"] becomes this['a']."""
    parts = {
        "variables": plan.get("variables", {}),
        "resource_changes": [
            {key: change[key] for key in ("address", "mode", "type")}
            | {"change": {key: change["change"].get(key) for key in ("actions", "after", "after_unknown")}}
            for change in plan["resource_changes"]
        ],
    }
    return json.loads(json.dumps(shortened(parts)).replace('\\"', "'"))


def shortened(value: object) -> object:
    """Without the runbooks and dashboards that a plan carries: no rule reads them, and they take most of the time."""
    if isinstance(value, dict):
        return {key: shortened(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    return value[:200] if isinstance(value, str) else value


def judge(plan: dict) -> list[str]:
    from regopy import Interpreter  # not above: --help works without it

    rego = Interpreter()
    for path in sorted(POLICIES.glob("*.rego")):
        rego.add_module(path.stem, path.read_text())
    rego.set_input(seen(plan))
    answer = rego.query("data.main.deny")
    if not answer.ok():
        sys.exit(f"tf_policy: the policies can't be judged: {answer}")
    return sorted(json.loads(str(answer))["expressions"][0])


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    as_json = "--json" in sys.argv
    files = [name for name in sys.argv[1:] if name != "--json"]
    if not files:
        sys.exit(__doc__)
    refused = {name: judge(json.loads(Path(name).read_text())) for name in files}
    if as_json:
        print(json.dumps(refused))
        return 0
    for name, messages in refused.items():
        print("".join(f"{name}: {message}\n" for message in messages) or f"{name}: nothing is refused\n", end="")
    return 1 if any(refused.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
