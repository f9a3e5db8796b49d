#!/usr/bin/python3
"""Runs the suites of a goal, one process each, and adds up what they say.

  tests/run.py test        what `make test` runs
  tests/run.py rest        what `make test-all` runs besides
  tests/run.py test-all    both
  tests/run.py lint        the checks of `make lint`
  tests/run.py --list      every suite, with its goal
  tests/run.py NAME...     the suites of these names

Every suite's output goes to build/reports/NAME.log, its results to build/reports/NAME.xml (JUnit). The last line is
`N passed, N failed, N skipped`; the exit code is 1 if anything failed or a suite ran nothing.
"""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
REPORTS = TOP / "build" / "reports"
PYTHON = "/usr/bin/python3"
TOOLS = TOP / "build" / "tools" / "bin"
COVERAGE_MIN_PERCENT = 92
COVERAGE_MIN_BRANCHES_PERCENT = 80  # of all: gcc makes none in C for exceptions or the like, so nothing is excluded
PARSER_BRANCHES_MIN_PERCENT = 95
HEARTBEAT_S = 20

SANITIZERS = {
    "asan": {
        "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:log_path={log}",
        "UBSAN_OPTIONS": "print_stacktrace=1:log_path={log}",
    },
    "inject": {
        "ASAN_OPTIONS": "detect_leaks=1:log_path={log}",
        "UBSAN_OPTIONS": "print_stacktrace=1:log_path={log}",
    },
    "tsan": {"TSAN_OPTIONS": "second_deadlock_stack=1:history_size=4:log_path={log}"},
}


@dataclass
class Result:
    name: str
    outcome: str  # "passed", "failed" or "skipped"
    why: str = ""


@dataclass
class Suite:
    name: str
    goal: str  # "test", "lint" or "rest"
    command: list[str]
    kind: str  # where its results are: "junit" (its report), "tap" (Check's), "exit" (its exit code: one test)
    build: str = "dev"
    limit_s: int = 600
    before: Callable[[], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)


def binary(build: str) -> Path:
    return TOP / "build" / ("payflow" if build == "dev" else f"{build}/payflow")


def unit(build: str, goal: str = "test") -> Suite:
    return Suite(f"unit-{build}", goal, [str(TOP / "build" / build / "unit")], "tap", build)


def pytest(name: str, folders: str, build: str = "dev", goal: str = "test", limit_s: int = 600, **more: object) -> Suite:
    command = [PYTHON, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *folders.split()]
    return Suite(name, goal, command, "junit", build, limit_s, **more)  # type: ignore[arg-type]


def check(name: str, goal: str, *command: str, limit_s: int = 600) -> Suite:
    return Suite(name, goal, list(command), "exit", limit_s=limit_s)


def tracked(*patterns: str) -> list[str]:
    """Files of the repository, the new ones too."""
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=TOP, check=True,
                             capture_output=True, text=True).stdout.splitlines()
    return [name for name in listing if (TOP / name).is_file()]


def clear_coverage() -> None:
    for counters in (TOP / "build" / "cov").rglob("*.gcda"):
        counters.unlink()


def rehearsal_builds() -> None:
    """Builds with one migration more, for the rehearsal's releases."""
    subprocess.run(["make", "-s", *(f"build/rehearsal/{kind}/payflow" for kind in ("expand", "broken", "index"))], cwd=TOP, check=True)


def suites() -> list[Suite]:
    """All there is to run, in its order. A later part of the project adds its suites here."""
    gcovr = ["gcovr", "--root", ".", "--filter", "src/", "--object-directory", "build/cov/obj",
             "--fail-under-line", str(COVERAGE_MIN_PERCENT),
             "--fail-under-branch", str(COVERAGE_MIN_BRANCHES_PERCENT), "--sort-percentage",
             "--txt", "build/reports/coverage.txt", "--xml", "build/reports/coverage-lines.xml", "--print-summary"]
    parsers = ["gcovr", "--root", ".", "--object-directory", "build/cov/obj", "--filter", r"src/core/.*\.c",
               "--filter", r"src/http/(head|chunked|route)\.c", "--filter", r"src/(settings|obs/trace)\.c",
               "--branches", "--fail-under-branch", str(PARSER_BRANCHES_MIN_PERCENT), "--print-summary"]
    return [
        unit("dev"),
        unit("asan"),
        unit("tsan"),
        pytest("api-dev", "tests/api", "dev"),
        pytest("api-asan", "tests/api", "asan"),
        pytest("api-tsan", "tests/api", "tsan"),
        pytest("faults", "tests/faults", "dev"),
        pytest("inject", "tests/inject/test_allocations.py tests/inject/test_calls.py", "inject"),
        pytest("build", "tests/build", "static"),
        Suite("unit-cov", "test", [str(TOP / "build" / "cov" / "unit")], "tap", "cov", before=clear_coverage),
        pytest("api-cov", "tests/api", "cov"),
        pytest("statements", "tests/inject/test_statements.py", "cov"),
        check("coverage", "test", *gcovr),
        check("coverage-parsers", "test", *parsers),
        check("format", "lint", "make", "-s", "format-check"),
        check("tidy", "lint", "make", "-s", f"-j{os.cpu_count()}", "tidy", limit_s=1200),
        check("cppcheck", "lint", "make", "-s", "cppcheck"),
        check("shellcheck", "lint", "shellcheck", *shell_scripts()),
        check("ruff", "lint", str(TOOLS / "ruff"), "check", "--no-cache", *tracked("*.py")),
        check("yamllint", "lint", "yamllint", "--strict", *tracked("*.yml", "*.yaml")),
        check("hadolint", "lint", str(TOOLS / "hadolint"), *tracked("*Dockerfile")),
        check("circleci", "lint", "make", "-s", "circleci"),
        check("openapi", "lint", "make", "-s", "openapi"),
        check("secrets", "lint", "make", "-s", "secrets"),
        pytest("docs", "tests/docs", goal="rest"),
        pytest("cloud", "tests/cloud", goal="rest"),
        pytest("contract", "tests/contract", goal="rest"),
        pytest("pipeline", "tests/pipeline", goal="rest"),
        pytest("rehearsal", "tests/rehearsal", goal="rest", limit_s=1800, before=rehearsal_builds),
        pytest("alerts", "tests/ops", goal="rest", limit_s=900),
        check("drill", "rest", "make", "-s", "drill", limit_s=300),
        check("reproducible", "rest", "make", "reproducible"),
        check("arm64", "rest", "make", "arm64-check"),
        pytest("container", "tests/container", goal="rest", limit_s=1500),
        check("chaos", "rest", "make", "-s", "chaos"),
        Suite("fuzz", "rest", ["make", "-s", "fuzz"], "exit", environment={"FUZZ_SECONDS": "3"}),
        pytest("infra", "tests/infra", goal="rest", limit_s=900),
    ]


def shell_scripts() -> list[str]:
    first_lines = ((name, (TOP / name).open("rb").readline()) for name in tracked())
    return [name for name, line in first_lines if re.match(rb"#!.*\b(ba)?sh\b", line)]


# --- running one suite ------------------------------------------------------------------------------------------------


def environment_of(suite: Suite, sanitizer_log: Path) -> dict[str, str]:
    options = {name: value.format(log=sanitizer_log) for name, value in SANITIZERS.get(suite.build, {}).items()}
    return os.environ | options | suite.environment | {
        "PAYFLOW_BINARY": str(binary(suite.build)),
        "PAYFLOW_BUILD": suite.build,
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def without_address_randomization() -> list[str]:
    """TSan of older compilers can't live with much of it."""
    prefix = ["setarch", os.uname().machine, "-R"]
    works = subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0
    return prefix if works else []


def execute(suite: Suite, log: Path, sanitizer_log: Path) -> tuple[int, str]:
    """Runs the suite's command; returns its exit code and, if it had to be ended, why."""
    environment = environment_of(suite, sanitizer_log)
    command = list(suite.command)
    if suite.kind == "junit":
        command.append(f"--junitxml={REPORTS / suite.name}.xml")
    if suite.kind == "tap":
        environment["CK_TAP_LOG_FILE_NAME"] = str(REPORTS / f"{suite.name}.tap")
        environment["CK_DEFAULT_TIMEOUT"] = "60"
    if suite.build == "tsan":
        command = without_address_randomization() + command
    if suite.before is not None:
        suite.before()
    begun = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=TOP, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while True:
                try:
                    return process.wait(HEARTBEAT_S), ""
                except subprocess.TimeoutExpired:
                    elapsed = time.monotonic() - begun
                    print(f"      {suite.name}: {elapsed:.0f} s  {last_line(log)[:90]}", flush=True)
                    if elapsed > suite.limit_s:
                        return end(process), f"did not end within {suite.limit_s} s"
        except BaseException:
            end(process)
            raise


def end(process: subprocess.Popen[bytes]) -> int:
    """Ends the suite with all its children; first politely, so that fixtures stop their servers."""
    for number, limit_s in ((signal.SIGINT, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pass
        except ProcessLookupError:
            break
    return process.wait()


def last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def run_suite(suite: Suite) -> list[Result]:
    log = REPORTS / f"{suite.name}.log"
    sanitizer_log = REPORTS / f"{suite.name}.sanitizer"
    for old in REPORTS.glob(f"{suite.name}.*"):
        old.unlink()
    if shutil.which(suite.command[0]) is None:
        return [Result(suite.name, "failed", f"{suite.command[0]} is not there")]
    status, ended = execute(suite, log, sanitizer_log)
    if suite.kind == "exit":
        results = [Result(suite.name, "passed" if status == 0 and not ended else "failed", ended or last_line(log))]
    elif suite.kind == "tap":
        results = read_tap(REPORTS / f"{suite.name}.tap")
    else:
        results = read_junit(REPORTS / f"{suite.name}.xml")
    for report in filter(is_finding, sorted(REPORTS.glob(f"{suite.name}.sanitizer.*"))):
        results.append(Result(f"sanitizer report {report.name}", "failed", first_finding(report)))
    if ended and suite.kind != "exit":
        results.append(Result(suite.name, "failed", ended))
    if not any(r.outcome != "skipped" for r in results):
        results.append(Result(suite.name, "failed", f"ran nothing: {last_line(log)}"))
    elif status != 0 and not any(r.outcome == "failed" for r in results):
        results.append(Result(suite.name, "failed", f"exit code {status}, though no test failed: {last_line(log)}"))
    if suite.kind != "junit":
        write_junit(suite, results)
    return results


# --- results ----------------------------------------------------------------------------------------------------------


def read_tap(path: Path) -> list[Result]:
    results = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
        match = re.match(r"(not ok|ok) \d+ - (.*)", line)
        if match:
            results.append(Result(match[2], "passed" if match[1] == "ok" else "failed", match[2]))
    return results


def read_junit(path: Path) -> list[Result]:
    results = []
    try:
        cases: Iterable[ET.Element] = ET.parse(path).iter("testcase")
    except (OSError, ET.ParseError):
        return []
    for case in cases:
        name = f"{case.get('classname', '')}.{case.get('name', '')}"
        found = {child.tag: child for child in case}
        if "failure" in found or "error" in found:
            problem = found["failure"] if "failure" in found else found["error"]
            results.append(Result(name, "failed", problem.get("message", "").splitlines()[0][:200]
                                  if problem.get("message") else ""))
        elif "skipped" in found:
            results.append(Result(name, "skipped", found["skipped"].get("message", "")))
        else:
            results.append(Result(name, "passed"))
    return results


def write_junit(suite: Suite, results: list[Result]) -> None:
    root = ET.Element("testsuite", name=suite.name, tests=str(len(results)),
                      failures=str(count(results, "failed")), skipped=str(count(results, "skipped")))
    for result in results:
        case = ET.SubElement(root, "testcase", classname=suite.name, name=result.name)
        if result.outcome != "passed":
            ET.SubElement(case, "failure" if result.outcome == "failed" else "skipped", message=result.why)
    ET.ElementTree(root).write(REPORTS / f"{suite.name}.xml", encoding="utf-8", xml_declaration=True)


def is_finding(report: Path) -> bool:
    """False for what a test asked for: an allocation that can't be had, refused as malloc would refuse it."""
    asked = "WARNING: AddressSanitizer failed to allocate"
    return any(asked not in line for line in report.read_text(errors="replace").splitlines())


def first_finding(report: Path) -> str:
    for line in report.read_text(errors="replace").splitlines():
        if "ERROR:" in line or "WARNING:" in line or "runtime error:" in line:
            return line.strip("= ")
    return "see the file"


def count(results: Iterable[Result], outcome: str) -> int:
    return sum(r.outcome == outcome for r in results)


def report(suite: Suite, results: list[Result], seconds: float) -> None:
    print(f"      {count(results, 'passed')} passed, {count(results, 'failed')} failed, "
          f"{count(results, 'skipped')} skipped in {seconds:.0f} s", flush=True)
    failed = [r for r in results if r.outcome == "failed"]
    for result in failed[:20]:
        print(f"      FAILED {result.name}: {result.why}")
    if failed:
        print(f"      the last lines of build/reports/{suite.name}.log:")
        lines = (REPORTS / f"{suite.name}.log").read_text(errors="replace").splitlines() \
            if (REPORTS / f"{suite.name}.log").is_file() else []
        print("".join(f"      | {line}\n" for line in lines[-40:]), end="", flush=True)


def choose(arguments: list[str]) -> list[Suite]:
    every = suites()
    goals = {"test": ["test"], "lint": ["lint"], "rest": ["lint", "rest"], "test-all": ["test", "lint", "rest"]}
    if len(arguments) == 1 and arguments[0] in goals:
        return [s for s in every if s.goal in goals[arguments[0]]]
    unknown = set(arguments) - {s.name for s in every}
    if unknown or not arguments:
        sys.exit(f"{__doc__}\nNo suite is named {', '.join(sorted(unknown))}." if unknown else __doc__)
    return [s for s in every if s.name in arguments]


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    if sys.argv[1:] == ["--list"]:
        for suite in suites():
            print(f"{suite.goal:5} {suite.name}")
        return 0
    chosen = choose(sys.argv[1:])
    REPORTS.mkdir(parents=True, exist_ok=True)
    everything: list[Result] = []
    for number, suite in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {suite.name}", flush=True)
        begun = time.monotonic()
        results = run_suite(suite)
        everything += results
        report(suite, results, time.monotonic() - begun)
    reasons: dict[str, int] = {}
    for result in everything:
        if result.outcome == "skipped":
            reasons[result.why] = reasons.get(result.why, 0) + 1
    if reasons:
        print("Skipped, and why:")
        print("".join(f"  {n} × {why}\n" for why, n in sorted(reasons.items())), end="")
    summary = TOP / "build" / "reports" / "coverage.log"
    if summary.is_file() and any(s.name == "coverage" for s in chosen):
        print("Coverage of src/: " + next((x for x in summary.read_text().splitlines() if x.startswith("lines")), "none"))
    print(f"{count(everything, 'passed')} passed, {count(everything, 'failed')} failed, "
          f"{count(everything, 'skipped')} skipped")
    return 1 if count(everything, "failed") else 0


if __name__ == "__main__":
    sys.exit(main())
