"""Every page: links lead somewhere, anchors exist, paths that are named are there, pictures are mermaid that has a beginning."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / name for name in subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=TOP, check=True,
                                               capture_output=True, text=True).stdout.splitlines() if (TOP / name).exists()]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:src|tests|scripts|docs|deploy|tf|bench|alerts|runbooks|dashboards)/[A-Za-z0-9_./-]+)`")
TARGET = re.compile(r"`make ([a-z][a-z0-9-]*)[^`]*`")
MAKEFILE = (TOP / "Makefile").read_text()
DIAGRAMS = ("flowchart", "sequenceDiagram", "stateDiagram-v2", "graph", "erDiagram", "gantt")


def anchors(page: Path) -> set[str]:
    """As GitHub and GitLab make them of headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower().replace("`", "")).replace(" ", "-") for h in headings}


def ids(page: Path) -> str:
    return str(page.relative_to(TOP))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            broken.append(link)
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_what_is_named_is_there(page: Path) -> None:
    text = CODE.sub("", page.read_text())
    missing = [name for name in NAMED.findall(text) if "NAME" not in name and "ENV" not in name
               and not (TOP / name).exists() and not any(TOP.glob(name + "*"))]
    missing += [f"make {goal}" for goal in TARGET.findall(text) if not re.search(rf"^{goal}:", MAKEFILE, re.MULTILINE)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_code_blocks_are_closed_and_pictures_begin_as_such(page: Path) -> None:
    text = page.read_text()
    assert len(re.findall(r"^```", text, re.MULTILINE)) % 2 == 0
    for picture in re.findall(r"^```mermaid\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert picture.split(None, 1)[0] in DIAGRAMS


def test_there_are_pages() -> None:
    assert len(PAGES) > 40
