#!/usr/bin/python3
"""Writes the C files that are made of other files.

  generate.py migrations OUT FILE...    the table that src/store/migrate.h declares, from NNNN_name.sql files
  generate.py assets OUT NAME=FILE...   the files that src/api/assets.h declares; YAML becomes JSON
  generate.py unit OUT FILE...          the unit tests' main(): test_money.c brings money_suite()
"""
from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path

SPECIAL = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\t"): "\\t", ord("?"): "\\?"}


def c_string(data: bytes) -> str:
    """A C string literal, one source line a line of the data; bytes beyond ASCII in octal."""
    if b"\0" in data:
        raise ValueError("a string can't hold a NUL")
    lines = data.splitlines(keepends=True) or [b""]
    return "\n".join(
        '    "' + "".join(SPECIAL.get(b) or (chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in line) + '"'
        for line in lines
    )


def migrations(paths: list[Path]) -> str:
    rows = []
    for number, path in enumerate(sorted(paths), start=1):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if match is None or int(match[1]) != number:
            raise ValueError(f"{path}: expected {number:04d}_name.sql, numbers without a gap")
        rows.append(f'    {{{number}, "{path.stem}",\n{c_string(path.read_bytes())}}},\n')
    return (
        '#include "store/migrate.h"\n\nconst struct migration migrations[] = {\n' + "".join(rows)
        + f"}};\nconst int migrations_count = {len(rows)};\n"
    )


def unit(paths: list[Path]) -> str:
    suites = [path.stem.removeprefix("test_") + "_suite" for path in sorted(paths)]
    return (
        "#include <check.h>\n\n"
        + "".join(f"Suite *{suite}(void);\n" for suite in suites)
        + "\nint main(void) {\n    SRunner *runner = srunner_create(NULL);\n"
        + "".join(f"    srunner_add_suite(runner, {suite}());\n" for suite in suites)
        + "    srunner_run_all(runner, CK_ENV);\n    int failed = srunner_ntests_failed(runner);\n"
        + "    srunner_free(runner);\n    return failed == 0 ? 0 : 1;\n}\n"
    )


def assets(arguments: list[Path]) -> str:
    """The assembler takes the files in as they are; their hashes make a changed file a changed source."""
    parts = ['#include "api/assets.h"\n']
    for argument in arguments:
        name, path = str(argument).split("=", 1)
        file = Path(path)
        if file.suffix == ".yaml":
            import yaml  # only here: python3-yaml

            text = json.dumps(yaml.safe_load(file.read_text()), ensure_ascii=False, separators=(",", ":"))
            file = Path("build/gen") / (file.stem + ".json")
            file.write_text(text)
        data = file.read_bytes()
        gz = "true" if file.suffix == ".gz" else "false"
        parts.append(
            f"\n/* SHA-256 {hashlib.sha256(data).hexdigest()} */\n"
            f'__asm__(".section .rodata\\n.global {name}_bytes\\n{name}_bytes:\\n"\n'
            f'        ".incbin \\"{file}\\"\\n.byte 0\\n.previous");\n'
            f"extern const char {name}_bytes[];\n"
            f"const struct asset asset_{name} = {{{name}_bytes, {len(data)}, {gz}}};\n"
        )
    return "".join(parts)


GENERATORS = {"assets": assets, "migrations": migrations, "unit": unit}


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    kind, out, *names = sys.argv[1:]
    if kind not in GENERATORS:
        sys.exit(__doc__)
    try:
        text = GENERATORS[kind]([Path(name) for name in names])
    except ValueError as error:
        sys.exit(f"generate: {error}")
    Path(out).write_text(text)


if __name__ == "__main__":
    main()
