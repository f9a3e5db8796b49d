"""docs/api.md as it stands: each sh block is run, and its output must be the json block that follows it."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str | None]]:
    """(commands, expected output or None) in the page's order."""
    found = BLOCK.findall(page.read_text())
    steps: list[tuple[str, str | None]] = []
    for language, text in found:
        if language == "sh":
            steps.append((text, None))
        elif language == "json":
            steps[-1] = (steps[-1][0], text.strip())
    return steps


def matches(expected: str, got: str) -> bool:
    """An ellipsis stands for anything within a string."""
    return re.fullmatch(re.escape(expected).replace("…", '[^"]*'), got) is not None


def test_every_example_of_the_api_page_gives_what_the_page_shows(fresh_server):
    server = fresh_server(PAYFLOW_AUTH="on")
    made = server.command("keys", "create", "--account", "shop", "--scope", "payments:read,payments:write", "--test")
    assert made.returncode == 0, made.stderr
    steps = blocks(TOP / "docs" / "api.md")
    assert len(steps) > 8
    script = [f"API=http://127.0.0.1:{server.port}/api/v1", f"KEY={made.stdout.strip()}"]
    for number, (commands, _) in enumerate(steps[1:]):  # the first one sets API and KEY, as above
        script += [commands, f"echo; echo '--- {number}'"]
    run = subprocess.run(["bash", "-c", "\n".join(script)], check=False, capture_output=True, text=True, timeout=60)
    outputs = re.split(r"^--- \d+$", run.stdout, flags=re.MULTILINE)
    for (commands, expected), got in zip(steps[1:], outputs, strict=False):
        if expected is not None:
            assert matches(expected, got.strip()), f"{commands}\ngave {got.strip()}\nbut the page says {expected}"
