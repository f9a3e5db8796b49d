#!/usr/bin/python3
"""Scans for what must not be released: secrets, known holes in what is linked in, unsafe infrastructure, unsafe C.

  scripts/security.py                         all scanners
  scripts/security.py --only NAME,...         some: secrets, dependencies, infrastructure, c
  scripts/security.py --sbom FILE             the SBOM for `dependencies` (else it is made from build/static)
  scripts/security.py --require all|NAME,...  a scanner that could not scan is a failure, not a skip

A finding of severity high or critical fails, as does one without a severity. security-exceptions.yaml names what is
accepted, by whom, why and until when; an expired exception fails by itself. A scanner that is not installed, or whose
database cannot be fetched, says that it did not scan and counts as skipped, never as passed. Reports: build/reports/security/,
JUnit in build/reports/security.xml. The last line is `N passed, N failed, N skipped`.
"""
from __future__ import annotations

import argparse
import datetime
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
REPORTS = TOP / "build" / "reports" / "security"
EXCEPTIONS = TOP / "security-exceptions.yaml"
LONGEST_EXCEPTION_DAYS = 180
HARMLESS = ("negligible", "low", "medium", "info")  # everything else fails, the unknown too
LIMIT_S = 1200


class DidNotScan(Exception):
    """Why a scanner could say nothing."""


@dataclass(frozen=True)
class Finding:
    scanner: str
    id: str
    where: str
    severity: str
    text: str

    @property
    def fails(self) -> bool:
        return self.severity.lower() not in HARMLESS

    def __str__(self) -> str:
        return f"{self.severity} {self.id} in {self.where}: {self.text}"


@dataclass
class ExceptionEntry:
    scanner: str
    id: str
    where: str
    used: bool = field(default=False)

    def covers(self, finding: Finding) -> bool:
        return (self.scanner, self.id) == (finding.scanner, finding.id) and fnmatch.fnmatch(finding.where, self.where)


# --- exceptions -------------------------------------------------------------------------------------------------------


def read_exceptions(path: Path, today: datetime.date) -> tuple[list[ExceptionEntry], list[str]]:
    """The exceptions in force, and what is wrong with the file."""
    content = yaml.safe_load(path.read_text()) if path.is_file() else {}
    entries, problems = [], []
    for number, raw in enumerate((content or {}).get("exceptions") or [], start=1):
        name = f"exception {number} ({raw.get('id', 'no id')})"
        missing = [key for key in ("scanner", "id", "where", "reason", "owner", "expires") if not raw.get(key)]
        expires = raw.get("expires")
        if missing:
            problems.append(f"{name} lacks {', '.join(missing)}")
        elif raw["scanner"] not in SCANNERS:
            problems.append(f"{name}: no scanner is named {raw['scanner']}")
        elif not isinstance(expires, datetime.date):
            problems.append(f"{name}: expires must be a date, YYYY-MM-DD")
        elif expires < today:
            problems.append(f"{name} expired on {expires}; mend it, or decide anew")
        elif (expires - today).days > LONGEST_EXCEPTION_DAYS:
            problems.append(f"{name} lasts longer than {LONGEST_EXCEPTION_DAYS} days")
        else:
            entries.append(ExceptionEntry(raw["scanner"], str(raw["id"]), str(raw["where"])))
    return entries, problems


# --- scanners ---------------------------------------------------------------------------------------------------------


def program(name: str, hint: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise DidNotScan(f"{name} is not installed ({hint})")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False, timeout=LIMIT_S,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise DidNotScan(f"{Path(command[0]).name} did not end within {LIMIT_S} s") from None


def last_line(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m|^\[\d+\]\s+|ERROR ", "", (text.strip().splitlines() or ["it said nothing"])[-1])
    return plain[:200]


def report_of(done: subprocess.CompletedProcess[str], text: str, name: str) -> Any:
    """A scanner's JSON, kept as an artifact. No JSON, or an exit code it does not use for findings, is no scan."""
    try:
        parsed = json.loads(text)
    except ValueError:
        raise DidNotScan(f"{name} wrote no report, exit {done.returncode}: {last_line(done.stderr)}") from None
    (REPORTS / f"{name}.json").write_text(json.dumps(parsed, indent=1))
    return parsed


def scan_secrets(_: argparse.Namespace) -> list[Finding]:
    """gitleaks over the whole history; what it finds is written without the secret."""
    tool = program("gitleaks", "make security-tools")
    report = REPORTS / "gitleaks.json"
    done = run(tool, "git", "--no-banner", "--redact", "--exit-code=0", "--report-format=json", f"--report-path={report}", ".")
    if done.returncode != 0:
        raise DidNotScan(f"gitleaks ended with {done.returncode}: {last_line(done.stderr)}")
    leaks = report_of(done, report.read_text(), "gitleaks")
    return [Finding("secrets", leak["RuleID"], leak["File"], "high", f"{leak['Description']} (commit {leak['Commit'][:12]}, "
                    f"line {leak['StartLine']})") for leak in leaks]


def scan_dependencies(arguments: argparse.Namespace) -> list[Finding]:
    """grype on the SBOM, since a scanner sees nothing in a stripped static binary."""
    tool = program("grype", "make security-tools")
    sbom = arguments.sbom or make_sbom()
    if not sbom.is_file():
        raise DidNotScan(f"there is no SBOM at {sbom}")
    update = run(tool, "db", "update")
    if run(tool, "db", "status").returncode != 0:
        raise DidNotScan(f"grype has no database of vulnerabilities and could not fetch one: {last_line(update.stderr)}")
    done = run(tool, f"sbom:{sbom}", "--by-cve", "--output=json", "--quiet")
    matches = report_of(done, done.stdout, "grype").get("matches", [])
    return [Finding("dependencies", match["vulnerability"]["id"], match["artifact"]["name"],
                    match["vulnerability"].get("severity", "unknown"),
                    f"{match['artifact']['version']}; fixed in {match['vulnerability'].get('fix', {}).get('versions') or 'none yet'}")
            for match in matches]


def make_sbom() -> Path:
    path = REPORTS / "sbom.cdx.json"
    done = run(str(TOP / "scripts" / "sbom.py"))
    if done.returncode != 0:
        raise DidNotScan(f"the SBOM could not be made (make static first): {last_line(done.stderr)}")
    path.write_text(done.stdout)
    return path


def scan_infrastructure(_: argparse.Namespace) -> list[Finding]:
    """checkov on Terraform, the Dockerfile, the pipeline and the API. Its free rules carry no severity, so all count."""
    tool = program("checkov", "make tools-infra")
    with tempfile.TemporaryDirectory() as name:
        # checkov follows no links, which the environments' files are; a copy has none.
        shutil.copytree(TOP / "tf", Path(name, "tf"), ignore=shutil.ignore_patterns(".terraform", "tests", "examples"))
        shutil.copytree(TOP / ".circleci", Path(name, ".circleci"))
        for file in ("Dockerfile", "openapi.yaml"):
            shutil.copy(TOP / file, name)
        done = run(tool, "--directory", name, "--quiet", "--compact", "--skip-download", "--output", "json",
                   "--framework", "terraform", "dockerfile", "circleci_pipelines", "openapi")
    parsed = report_of(done, done.stdout, "checkov")
    results = parsed if isinstance(parsed, list) else [parsed]
    if not any(result.get("summary", {}).get("passed") for result in results):
        raise DidNotScan("checkov looked at nothing")
    return [Finding("infrastructure", check["check_id"], check["file_path"].lstrip("/"), check.get("severity") or "unrated",
                    f"{check['check_name']} ({check.get('resource', '')})")
            for result in results for check in result.get("results", {}).get("failed_checks", [])]


def scan_c(_: argparse.Namespace) -> list[Finding]:
    """clang-tidy and cppcheck; what make has checked already and is unchanged is not checked again."""
    findings = []
    for target, tool in (("tidy", "make"), ("cppcheck", "cppcheck")):
        program(tool, "make packages-lint")
        done = run("make", "-s", target)
        (REPORTS / f"{target}.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            findings.append(Finding("c", target, "src", "high", f"see build/reports/security/{target}.log: {last_line(done.stderr)}"))
    return findings


SCANNERS: dict[str, Callable[[argparse.Namespace], list[Finding]]] = {
    "secrets": scan_secrets, "dependencies": scan_dependencies, "infrastructure": scan_infrastructure, "c": scan_c,
}

# --- the verdict ------------------------------------------------------------------------------------------------------


@dataclass
class Verdict:
    name: str
    outcome: str  # passed, failed, skipped
    lines: list[str]


def judge(name: str, arguments: argparse.Namespace, exceptions: list[ExceptionEntry], required: bool) -> Verdict:
    try:
        findings = SCANNERS[name](arguments)
    except DidNotScan as reason:
        return Verdict(name, "failed" if required else "skipped", [f"did not scan: {reason}"])
    open_findings, lines = [], []
    for finding in findings:
        covering = [entry for entry in exceptions if entry.covers(finding)]
        for entry in covering:
            entry.used = True
        if covering:
            lines.append(f"accepted: {finding}")
        elif finding.fails:
            open_findings.append(finding)
    lines += [str(finding) for finding in open_findings]
    lines += [f"exception {entry.id} for {entry.where} covers nothing any more; take it out"
              for entry in exceptions if entry.scanner == name and not entry.used]
    harmless = sum(not finding.fails for finding in findings)
    lines.append(f"{len(findings)} findings, {len(open_findings)} open, {harmless} below high")
    return Verdict(name, "failed" if open_findings else "passed", lines)


def write_junit(verdicts: list[Verdict]) -> None:
    root = ET.Element("testsuite", name="security", tests=str(len(verdicts)))
    for verdict in verdicts:
        case = ET.SubElement(root, "testcase", classname="security", name=verdict.name)
        if verdict.outcome != "passed":
            ET.SubElement(case, "failure" if verdict.outcome == "failed" else "skipped", message="\n".join(verdict.lines))
    ET.ElementTree(root).write(REPORTS.parent / "security.xml", encoding="utf-8", xml_declaration=True)


def names_of(parser: argparse.ArgumentParser, text: str) -> list[str]:
    names = list(SCANNERS) if text == "all" else [name for name in text.split(",") if name]
    if unknown := set(names) - set(SCANNERS):
        parser.error(f"no scanner is named {', '.join(sorted(unknown))}; there are {', '.join(SCANNERS)}")
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="all")
    parser.add_argument("--sbom", type=Path)
    parser.add_argument("--require", default=os.environ.get("SECURITY_REQUIRE", ""))
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS)
    arguments = parser.parse_args()
    chosen, required = names_of(parser, arguments.only), names_of(parser, arguments.require)
    REPORTS.mkdir(parents=True, exist_ok=True)
    tools = TOP / "build" / "tools"
    os.environ["PATH"] = f"{tools / 'go'}:{tools / 'bin'}:{os.environ['PATH']}"

    exceptions, problems = read_exceptions(arguments.exceptions, datetime.datetime.now(datetime.UTC).date())
    verdicts = [Verdict("exceptions", "failed" if problems else "passed", problems or [f"{len(exceptions)} in force"])]
    for name in chosen:
        print(f"security: {name} ...", flush=True)
        verdicts.append(judge(name, arguments, exceptions, name in required))
    write_junit(verdicts)
    for verdict in verdicts:
        print(f"{verdict.outcome.upper():8}{verdict.name}")
        print("".join(f"        {line}\n" for line in verdict.lines), end="")
    print(", ".join(f"{sum(v.outcome == o for v in verdicts)} {o}" for o in ("passed", "failed", "skipped")))
    return 1 if any(v.outcome == "failed" for v in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
