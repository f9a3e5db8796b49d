"""Calls go one way: which module may include which (design, "The house")."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"

# module -> what it may include besides itself. "settings", "version" and "healthcheck" are files in src/ itself.
ALLOWED = {
    "core": set(),
    "sys": {"core"},
    "obs": {"core", "sys"},
    "settings": {"core", "sys", "obs", "version"},
    "version": set(),
    "healthcheck": {"core", "sys"},
    "http": {"core", "sys", "obs"},
    "cloud": {"core", "sys", "obs", "settings"},
    "cache": {"core", "sys", "obs", "cloud", "settings"},
    "store": {"core", "sys", "obs", "cloud", "settings"},
    "api": {"core", "sys", "obs", "cloud", "settings", "version", "http", "cache", "store"},
    "smoke": {"core", "sys", "settings"},
    "main": {"core", "sys", "obs", "cloud", "settings", "version", "http", "cache", "store", "api", "healthcheck", "smoke"},
}
FILES = sorted([*SRC.glob("**/*.c"), *SRC.glob("**/*.h")])


def module_of(path: str) -> str:
    """"store/pg.h" is of store, "settings.h" of settings."""
    return path.split("/")[0].split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_includes_only_what_lies_below(path: Path) -> None:
    module = module_of(str(path.relative_to(SRC)))
    assert module in ALLOWED, f"src/{module} is new: say in this test what it may include"
    included = {module_of(name) for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE)}
    beyond = included - ALLOWED[module] - {module}
    assert not beyond, f"{module} must not include {', '.join(sorted(beyond))}"
