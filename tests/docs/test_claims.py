"""What pages say that holds something is there: tests, Terraform's runs, policies, suites, make targets; and decisions have their parts."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from named import targets
from servers import TOP
from test_pages import PAGES, ids

TESTS = "\n".join(path.read_text(errors="replace") for path in (TOP / "tests").rglob("*.py"))
RUNS = set(re.findall(r'^run "(\w+)"', "\n".join(p.read_text() for p in (TOP / "tf").rglob("*.tftest.hcl")), re.MULTILINE))
POLICIES = set(re.findall(r'"\[([a-z-]+)\]', (TOP / "tf" / "policies" / "payflow.rego").read_text()))
SUITES = set(subprocess.run([TOP / "tests" / "run.py", "--list"], check=True, capture_output=True, text=True).stdout.split()[1::2])
NAMES = r"((?:`[\w-]+`(?:, | and )?)+)"


def said(kind: str, text: str) -> list[str]:
    """The names after a word: policy `a`, `b`."""
    return [name for group in re.findall(rf"\b{kind} {NAMES}", text) for name in re.findall(r"`([\w-]+)`", group)]


def claims_without_ground(text: str) -> list[str]:
    wrong = [name for name in re.findall(r"`(test_\w+)`", text)
             if f"def {name}(" not in TESTS and not list((TOP / "tests").rglob(f"{name}.py"))]
    wrong += [f"run {name}" for name in said("run", text) if name not in RUNS and not name.startswith("test_")]
    wrong += [f"policy {name}" for name in said("polic(?:y|ies)", text) if name not in POLICIES]
    return wrong + [f"suite {name}" for name in said("suites?", text) if name not in SUITES]


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_what_is_said_to_hold_something_is_there(page: Path) -> None:
    assert claims_without_ground(re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)) == []


@pytest.mark.parametrize("claim", ["`test_no_such_thing`", "run `no_such_run`", "policy `probes`, `no-such`", "suite `no-such`"])
def test_a_wrong_claim_is_found(claim: str) -> None:
    assert claims_without_ground(claim) != []


DECISIONS = sorted((TOP / "docs" / "adr").glob("*.md"))


@pytest.mark.parametrize("page", DECISIONS, ids=ids)
def test_a_decision_has_its_parts_and_a_ground(page: Path) -> None:
    text = page.read_text()
    parts = [text.find(f"**{part}.**") for part in ("Context", "Options", "Decision", "Consequences")]
    assert -1 not in parts and parts == sorted(parts)
    assert re.search(r"`(?:make |tests/|SELECT |grep |wrk )", text[parts[-1]:]), "its consequences name nothing that measured them"
    assert len(text.splitlines()) < 60


def test_the_readme_names_every_decision() -> None:
    readme = (TOP / "README.md").read_text()
    assert [page.name for page in DECISIONS if f"docs/adr/{page.name}" not in readme] == []


COMPLIANCE = (TOP / "docs" / "compliance.md").read_text()


def rows() -> list[list[str]]:
    """The cells of each row, without the tables' heads."""
    lines = re.findall(r"^\|(.*)\|$", COMPLIANCE, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return [row for number, row in enumerate(cells) if not set("".join(row)) <= set("-| ")
            and not (number + 1 < len(cells) and set("".join(cells[number + 1])) <= set("-| "))]


def test_each_row_of_the_briefs_tables_has_its_command() -> None:
    wrong = []
    for row in rows():
        shown = re.findall(r"`([^`]+)`", row[-1])
        known = [name for name in shown if (name.startswith("make ") and name.split()[1] in targets()) or (TOP / name).exists()]
        if not known and "not built" not in row[-2] + row[-1]:
            wrong.append(row)
        wrong += [[name] for name in shown if name.startswith("make ") and name.split()[1] not in targets()]
    assert wrong == []
    assert len(rows()) > 45


def test_the_points_of_the_categories_are_the_briefs() -> None:
    points = {row[0]: int(row[1]) for row in rows() if len(row) == 5 and row[1].isdigit()}
    assert sum(points.values()) == 100 and len(points) == 7
