"""What must hold between rules, their tests, runbooks, routes and dashboards. Each check takes the repository's top (or a
copy of it with a fault in it) and returns complaints."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml
from rules import Rule, rules, selectors

SEVERITIES = {"critical": "page", "warning": "ticket"}  # and who hears of them
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation", "Escalation"]
NOT_RULES = {"Budget", "README"}  # a budget is Cloud Billing's
BRIEF = {  # the brief's five: what the expression compares with, and the severity
    "HighErrorRate": (r"\[5m\].*> 0\.05$", "critical"), "HighLatency": (r"0\.99,.*\[5m\].*> 0\.5$", "warning"),
    "PodCrashLooping": (r"\[10m\].*> 3$", "critical"), "DiskSpaceLow": (r"> 0\.85$", "warning"),
    "CertificateExpiring": (r"< 14$", "warning"),
}
SERVICE = re.compile(r'namespace="payflow"|service_name="payflow"|database_id="project:payflow"|host="payflow\.example"|'
                     r'job_name=~?"payflow-')
DOCUMENTATION_MAX = 8192  # characters that a Cloud Monitoring policy carries


def rule_complaints(rule: Rule) -> list[str]:
    if "record" in rule.body:
        return [f"{rule.name}: a recording rule; Cloud Monitoring's policies don't evaluate them"]
    labels, notes = rule.body.get("labels", {}), rule.body.get("annotations", {})
    found = [] if labels.get("severity") in SEVERITIES else [f"{rule.key}: severity must be one of {', '.join(SEVERITIES)}"]
    found += [f"{rule.key}: no {note}" for note in ("summary", "description", "runbook") if not notes.get(note)]
    if notes.get("runbook") != f"runbooks/{rule.name}.md":
        found.append(f"{rule.key}: the runbook must be runbooks/{rule.name}.md")
    if any("{{" in notes.get(note, "") for note in ("summary", "description")):
        found.append(f"{rule.key}: templates belong in `value`; Cloud Monitoring does not know them")
    for metric, braces in selectors(rule.body["expr"]):
        if not SERVICE.search(braces):
            found.append(f"{rule.key}: {metric} is not limited to the service")
        if ("googleapis_com:" in metric) and rule.file != "google.yml":
            found.append(f"{rule.key}: {metric} is Google's and belongs in google.yml")
    return found


def check_rules(top: Path) -> list[str]:
    every = list(rules(top))
    found = [complaint for rule in every for complaint in rule_complaints(rule)]
    for name, (pattern, severity) in BRIEF.items():
        rule = next((r for r in every if r.name == name), None)
        if rule is None or rule.body["labels"].get("severity") != severity \
                or not re.search(pattern, " ".join(rule.body["expr"].split())):
            found.append(f"{name}: not as the brief has it")
    return found


def check_pages(top: Path) -> list[str]:
    folder = top / "runbooks"
    by_name = {rule.name: rule for rule in rules(top)}
    pages = {path.stem for path in folder.glob("[A-Z]*.md")} - NOT_RULES
    found = [f"{name}: no page in runbooks/" for name in sorted(by_name.keys() - pages)]
    found += [f"runbooks/{name}.md: no alert has this name" for name in sorted(pages - by_name.keys())]
    index = (folder / "README.md").read_text()
    for name in sorted(pages & by_name.keys()):
        text = (folder / f"{name}.md").read_text()
        if re.findall(r"^## (.*)$", text, re.MULTILINE) != SECTIONS:
            found.append(f"runbooks/{name}.md: its sections must be {', '.join(SECTIONS)}")
        head = re.search(r"^\*\*(.*?)\*\*", text, re.MULTILINE)
        severities = {rule.body["labels"]["severity"] for rule in rules(top) if rule.name == name}
        if head is None or not all(severity in head[1] for severity in severities):
            found.append(f"runbooks/{name}.md: does not begin with the rule's severity")
        if len(text) + len(by_name[name].body["annotations"]["description"]) + 2 > DOCUMENTATION_MAX:
            found.append(f"runbooks/{name}.md: longer than a policy carries")
        if f"]({name}.md)" not in index:
            found.append(f"runbooks/README.md: does not list {name}")
    return found + dead_links(top)


def dead_links(top: Path) -> list[str]:
    found = []
    for page in sorted((top / "runbooks").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                found.append(f"{page.name}: the link {target} leads nowhere")
    return found


def firing(samples: list[dict[str, str]]) -> set[str]:
    keys = set()
    for sample in samples:
        labels = dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"]))
        keys.add(f"{labels['alertname']} {labels.get('window', '')}".strip())
    return keys


def check_tested(top: Path) -> list[str]:
    """Every alert has a test in which it does not fire, then fires, then does not."""
    proven = set()
    for path in sorted((top / "alerts" / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            looks = [firing(look.get("exp_samples", [])) for look in test["promql_expr_test"]]
            for i in range(1, len(looks) - 1):
                proven |= looks[i] - set().union(*looks[:i]) - looks[-1]
            proven |= {key for key in looks[0] if len(looks) > 2 and key not in looks[1] and key in looks[-2]}
    return [f"{rule.key}: no unit test shows it quiet, firing and resolved" for rule in rules(top) if rule.key not in proven]


def output_of(command: list[str | Path], top: Path) -> list[str]:
    done = subprocess.run([str(word) for word in command], cwd=top, check=False, capture_output=True, text=True)
    return [] if done.returncode == 0 else [(done.stdout + done.stderr).strip() or f"exit code {done.returncode}"]


def check_promtool(top: Path, tests: str = "*.yml") -> list[str]:
    found = output_of(["promtool", "check", "rules", *sorted((top / "alerts").glob("*.yml"))], top)
    return found + output_of(["promtool", "test", "rules", *sorted((top / "alerts" / "tests").glob(tests))], top)


def check_prometheus(top: Path) -> list[str]:
    """Its configuration with the rules where compose mounts them."""
    link = top / "deploy" / "local" / "alerts"
    link.symlink_to(top / "alerts")
    try:
        found = output_of(["promtool", "check", "config", top / "deploy" / "local" / "prometheus.yml"], top)
    finally:
        link.unlink()
    loaded = yaml.safe_load((top / "deploy" / "local" / "prometheus.yml").read_text())["rule_files"]
    if sorted(loaded) != sorted(f"alerts/{p.name}" for p in (top / "alerts").glob("*.yml") if p.name != "google.yml"):
        found.append("deploy/local/prometheus.yml does not load every rule file but google.yml")
    return found


def check_routes(top: Path) -> list[str]:
    config = top / "deploy" / "local" / "alertmanager.yml"
    found = output_of(["amtool", "check-config", config], top)
    for severity, receiver in SEVERITIES.items():
        found += output_of(["amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}",
                            f"severity={severity}", "alertname=Any"], top)
    names = {rule.name for rule in rules(top)}
    for inhibit in yaml.safe_load(config.read_text()).get("inhibit_rules", []):
        for matcher in inhibit["source_matchers"] + inhibit["target_matchers"]:
            pattern = re.fullmatch(r'alertname=~?"(.*)"', matcher.strip())
            if pattern and not any(re.fullmatch(pattern[1], name) for name in names):
                found.append(f"alertmanager.yml: no alert is named {pattern[1]}")
    return found


def check_dashboards(top: Path) -> list[str]:
    found = output_of([sys.executable, top / "scripts" / "dashboards.py", "--check"], top)
    for section in yaml.safe_load((top / "dashboards" / "panels.yml").read_text())["sections"]:
        for panel in section["panels"]:
            for query in panel["queries"]:
                found += [f"panel {panel['title']}: {metric} is not limited to the service"
                          for metric, braces in selectors(query["expr"]) if not SERVICE.search(braces)]
    return found
