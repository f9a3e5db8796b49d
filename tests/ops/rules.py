"""The alert rules as data, and the copy of them with shorter windows."""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parents[2]
LOCAL = ("service.yml", "payments.yml", "slo.yml")  # loaded by the local Prometheus; google.yml is Google's only
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(\d+)(ms|[smhd])")
# Words of PromQL that are no metrics.
WORDS = set("""sum rate increase max min avg count by on without group_left group_right unless and or vector time changes absent
    histogram_quantile max_over_time last_over_time min_over_time avg_over_time bool offset le inf ignoring""".split())


@dataclass
class Rule:
    file: str
    group: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body.get("alert", self.body.get("record")))

    @property
    def key(self) -> str:
        """As Terraform names it: alerts of one name are told apart by their window."""
        return f"{self.name} {self.body.get('labels', {}).get('window', '')}".strip()


def rules(top: Path = TOP) -> Iterator[Rule]:
    for path in sorted((top / "alerts").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for body in group["rules"]:
                yield Rule(path.name, group["name"], body)


def selectors(expr: str) -> list[tuple[str, str]]:
    """(metric, what stands in its braces) of an expression; "" for a metric without braces."""
    found = re.findall(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}", expr)
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|group_left|ignoring)\s*\([^)]*\)", " ", expr)
    named = {metric for metric, _ in found}
    bare = [word for word in re.findall(r"[a-zA-Z_:][\w:]*", rest) if word not in WORDS and word not in named]
    return found + [(word, "") for word in bare]


def seconds(text: str) -> float:
    return sum(int(number) * SECONDS[unit] for number, unit in DURATION.findall(text))


def shrunk(text: str, factor: int) -> str:
    """A rule file's text with every time in it divided by `factor`: ranges, `for`, `keep_firing_for`, and `time() - N`."""
    def shorter(match: re.Match[str]) -> str:
        return f"{match[1]}{max(1, round(seconds(match[2]) * 1000 / factor))}ms{match[3]}"
    text = re.sub(r"(\[)(\d+[smhd])(\])", shorter, text)
    text = re.sub(r"((?:for|interval): )(\d+[smhd])($)", shorter, text, flags=re.MULTILINE)
    return re.sub(r"time\(\) - (\d+)", lambda m: f"time() - {int(m[1]) / factor:g}", text)


def shrunk_file(path: Path, factor: int, longest_s: float) -> str:
    """The same without the rules that look back further than `longest_s`: a test of minutes has no such past."""
    document = yaml.safe_load(path.read_text())
    for group in document["groups"]:
        group["rules"] = [rule for rule in group["rules"]
                          if all(seconds(window) <= longest_s for window in re.findall(r"\[(\w+)\]", rule["expr"]))]
    return shrunk(yaml.safe_dump(document, sort_keys=False, width=1000), factor)
