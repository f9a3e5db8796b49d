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


def beyond(module: str, source: str) -> set[str]:
    """The modules that a source of `module` includes and may not."""
    included = {module_of(name) for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', source, re.MULTILINE)}
    return included - ALLOWED[module] - {module}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SRC)))
def test_includes_only_what_lies_below(path: Path) -> None:
    module = module_of(str(path.relative_to(SRC)))
    assert module in ALLOWED, f"src/{module} is new: say in this test what it may include"
    assert beyond(module, path.read_text()) == set()


def test_a_call_upwards_is_seen() -> None:
    assert beyond("core", '#include "core/text.h"\n# include  "store/pg.h"\n#include <stdio.h>\n') == {"store"}
    assert beyond("api", '#include "store/store.h"\n#include "http/http.h"\n') == set()
    assert beyond("http", '#include "api/api.h"\n#include "store/store.h"\n') == {"api", "store"}
