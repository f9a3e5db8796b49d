"""The alerts, their tests, runbooks, routes and dashboards agree; and each check finds a fault that was put in."""
from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import checks
import pytest
from rules import TOP

CHECKS = [checks.check_rules, checks.check_pages, checks.check_tested, checks.check_promtool, checks.check_prometheus,
          checks.check_routes, checks.check_dashboards]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("alerts", "runbooks", "dashboards", "deploy/local", "docs", "scripts/dashboards.py"):
        source, target = TOP / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    (tmp_path / "tf").mkdir()
    return tmp_path


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_repository(check: Callable[[Path], list[str]], copy: Path) -> None:
    assert check(copy) == []


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(top: Path) -> None:
        text = (top / file).read_text()
        assert old in text, f"{old} is not in {file}: the fault cannot be planted"
        (top / file).write_text(text.replace(old, new, 1))
    return change


def promtool(tests: str) -> Callable[[Path], list[str]]:
    return lambda top: checks.check_promtool(top, tests)


FAULTS = {
    "a severity that nobody hears": (checks.check_rules, "severity must be",
        replaced("alerts/service.yml", "severity: warning", "severity: info")),
    "the brief's threshold": (checks.check_rules, "not as the brief", replaced("alerts/service.yml", "> 0.05", "> 0.5")),
    "no runbook": (checks.check_rules, "the runbook must be",
        replaced("alerts/payments.yml", "runbook: runbooks/FeedDelayed.md", "runbook: ''")),
    "a rule that sees every environment": (checks.check_rules, "payflow_db_up is not limited",
        replaced("alerts/payments.yml", 'payflow_db_up{namespace="payflow"}', "payflow_db_up")),
    "a recording rule": (checks.check_rules, "a recording rule",
        replaced("alerts/payments.yml", "- alert: FeedDelayed", "- record: feed_delayed")),
    "a page that nobody links to": (checks.check_pages, "no alert has this name",
        lambda top: shutil.copy(top / "runbooks/HighLatency.md", top / "runbooks/OldAlert.md")),
    "an alert without a page": (checks.check_pages, "no page in", lambda top: (top / "runbooks/FeedDelayed.md").unlink()),
    "a page without mitigation": (checks.check_pages, "its sections must be",
        replaced("runbooks/HighLatency.md", "## Mitigation", "## Notes")),
    "a link to nowhere": (checks.check_pages, "leads nowhere",
        replaced("runbooks/HighLatency.md", "(rollback.md)", "(roll-back.md)")),
    "a page too long for a policy": (checks.check_pages, "longer than",
        lambda top: (top / "runbooks/HighLatency.md").write_text((TOP / "runbooks/HighLatency.md").read_text() + "x" * 8000)),
    "an alert without a test": (checks.check_tested, "no unit test",
        replaced("alerts/payments.yml", "- alert: FeedDelayed", "- alert: FeedLate")),
    "a threshold that the tests don't expect": (promtool("service*"), "HighErrorRate",
        replaced("alerts/service.yml", "> 0.05", "> 0.06")),
    "a lower threshold": (promtool("service*"), "HighLatency", replaced("alerts/service.yml", "> 0.5\n", "> 0.4\n")),
    "a window that is too long": (promtool("service*"), "PodCrashLooping",
        lambda top: (top / "alerts/service.yml").write_text((TOP / "alerts/service.yml").read_text().replace("[10m]", "[30m]"))),
    "a rule that is no PromQL": (promtool("service*"), "error",
        replaced("alerts/service.yml", "sum by (le)", "sum by le")),
    "a rule file that is not loaded": (checks.check_prometheus, "does not load",
        replaced("deploy/local/prometheus.yml", "  - alerts/slo.yml\n", "")),
    "critical goes to the ticket": (checks.check_routes, "ticket",
        replaced("deploy/local/alertmanager.yml", "receiver: page", "receiver: ticket")),
    "an inhibition of nothing": (checks.check_routes, "no alert is named",
        replaced("deploy/local/alertmanager.yml", '"LatencyBudgetBurn"', '"LatencyBurn"')),
    "a dashboard edited by hand": (checks.check_dashboards, "is not what",
        replaced("dashboards/grafana/payflow.json", '"p99"', '"p98"')),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_found(name: str, copy: Path) -> None:
    check, words, plant = FAULTS[name]
    plant(copy)
    found = check(copy)
    assert any(re.search(re.escape(words), complaint) for complaint in found), found
