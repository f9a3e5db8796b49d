"""Every mermaid picture of every page is drawn, by mermaid itself in a browser, from a file: build/reports/pictures/*.svg."""
from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from browser import Browser, missing_programs
from servers import TOP, Folder
from test_pages import PAGES

PICTURE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PICTURES = {f"{page.relative_to(TOP).with_suffix('')}-{number}".replace("/", "-"): text
            for page in PAGES for number, text in enumerate(PICTURE.findall(page.read_text()), start=1)}
REPORTS = TOP / "build" / "reports" / "pictures"
DRAW = """
const [text, done] = arguments;
mermaid.render('picture' + Date.now(), text).then(made => done(made.svg), error => done('ERROR ' + error.message));
"""


@pytest.fixture(scope="module")
def browser(folder: Folder) -> Iterator[Browser]:
    if missing_programs():
        pytest.skip(f"{' and '.join(missing_programs())} not installed")
    got = subprocess.run([TOP / "scripts" / "mermaid.sh"], check=False, capture_output=True, text=True)
    if got.returncode == 69:
        pytest.skip(got.stderr.strip())
    assert got.returncode == 0, got.stderr
    home = folder.make("pictures")
    (home / "mermaid.min.js").write_bytes((TOP / "build/tools/npm/mermaid/mermaid.min.js").read_bytes())
    (home / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="mermaid.min.js"></script>')
    REPORTS.mkdir(parents=True, exist_ok=True)
    made = Browser(folder.make("browser"))
    try:
        made.start()
        made.open(f"file://{home}/index.html")
        made.requests()  # those of the first page
        made.script("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
        yield made
    finally:
        made.end()


def draw(browser: Browser, text: str) -> str:
    return str(browser.later(DRAW, text))


@pytest.mark.parametrize("name", PICTURES)
def test_it_is_drawn(browser: Browser, name: str) -> None:
    svg = draw(browser, PICTURES[name])
    assert svg.startswith("<svg"), svg
    (REPORTS / f"{name}.svg").write_text(svg)
    assert len(svg) > 2000  # more than its style sheet
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []


def test_a_picture_with_an_error_is_found(browser: Browser) -> None:
    assert draw(browser, "flowchart LR\n  a[unclosed --> b\n").startswith("ERROR ")
    assert draw(browser, "flowchrt LR\n  a --> b\n").startswith("ERROR ")


def test_readme_has_one() -> None:
    assert "README-1" in PICTURES
