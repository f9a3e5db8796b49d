"""Command blocks of Markdown pages, and the comment above each that says what runs it:

    <!-- run -->                     the suite that owns the page runs it: `alerts` the runbooks, `docs` the others; if a
                                     block without a language or of http or json follows, it is the output
    <!-- run by: tests/X.py -->      that test runs it, or the same commands; `.ci/run` and several names are allowed
    <!-- not run: why -->            nothing can run it here; its names are still checked

A page whose blocks are all run by one test says so once: <!-- all run by: tests/X.py -->.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
COMMANDS = ("sh", "bash", "console", "sql")
FENCE = re.compile(r"^([^\n]*)\n```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (run|run by: (?P<by>[\w./, -]+?)|not run: (?P<why>.{8,}?)) -->")
ALL_RUN = re.compile(r"^<!-- all run by: ([\w./-]+) -->$", re.MULTILINE)


@dataclass
class Block:
    page: Path
    number: int  # 1, 2, 3 … within the page, all languages counted
    mark: str
    language: str
    text: str
    output: str | None  # what the page shows below it

    def __str__(self) -> str:
        name = self.page.relative_to(TOP) if self.page.is_relative_to(TOP) else self.page.name
        return f"{name}-{self.number}"

    @property
    def is_run(self) -> bool:
        return self.mark == "<!-- run -->"

    @property
    def run_by(self) -> list[str]:
        match = MARK.fullmatch(self.mark)
        return [name.strip() for name in match["by"].split(",")] if match and match["by"] else []


def blocks(page: Path) -> Iterator[Block]:
    """The page's command blocks, in its order."""
    text = page.read_text()
    everywhere = ALL_RUN.search(text)
    found = FENCE.findall(text)
    for number, (mark, language, commands) in enumerate(found, start=1):
        if language not in COMMANDS:
            continue
        said = f"<!-- run by: {everywhere[1]} -->" if everywhere else mark.strip()
        following = found[number] if number < len(found) else ("", "none", "")
        output = following[2].strip() if following[1] in ("", "http", "json") else None
        yield Block(page, number, said, language, commands, output)


def trouble(block: Block) -> str | None:
    """What is wrong with the block's mark, or None."""
    if MARK.fullmatch(block.mark) is None:
        return f"{block}: neither run nor says why not: {block.mark!r}"
    missing = [name for name in block.run_by if not (TOP / name).is_file()]
    return f"{block}: is run by what is not there: {missing}" if missing else None


VOLATILE = (r"(?:pay|ref|key|evt)_[0-9a-z]{26}", r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"(?<=Date: )[^\n]+", r"(?<=X-Request-Id: )[0-9a-f]{32}")


def matches(expected: str, got: str) -> bool:
    """Ids, times and dates may differ, wherever they stand; an ellipsis stands for anything within a line."""
    for pattern in VOLATILE:
        expected, got = re.sub(pattern, "~", expected), re.sub(pattern, "~", got)
    return re.fullmatch(re.escape(expected).replace("…", '[^"\n]*'), got) is not None
