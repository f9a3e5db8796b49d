#!/usr/bin/python3
"""Writes the README of every Terraform module and root from its sources.

  scripts/tf_docs.py           writes tf/**/README.md
  scripts/tf_docs.py --check   says which are out of date; exit code 1 if any is

What a module is for is main.tf's first comment; its inputs and outputs are variables.tf and outputs.tf. Reads files as
`terraform fmt` lays them out, so fmt comes first.
"""
from __future__ import annotations

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
NOTE = "<!-- Written by scripts/tf_docs.py (make tf-docs): change the .tf files instead. -->"


def blocks(text: str, kind: str) -> list[tuple[str, list[str]]]:
    """Top-level blocks of a kind: their labels and the lines of their bodies."""
    found = []
    for match in re.finditer(rf'^{kind} ("[^\n]*") \{{\n(.*?)^\}}$', text, re.MULTILINE | re.DOTALL):
        found.append((" ".join(re.findall(r'"([^"]+)"', match[1])), match[2].splitlines()))
    return found


def argument(body: list[str], name: str) -> str | None:
    """The value of an argument at a block's own level, with its further lines."""
    for place, line in enumerate(body):
        match = re.match(rf"  {name} +?= (.*)$", re.sub(r"^(  \w+) +=", r"\1 =", line))
        if match:
            value = [match[1]]
            for further in body[place + 1:]:
                if value[0][-1] not in "{([" or not further.startswith(("    ", "  }", "  ]", "  )")):
                    break
                value.append(further)
                if not further.startswith("    "):
                    break
            return "\n".join(value)
    return None


def words(value: str | None) -> str:
    """A string's text, fit for a table's cell."""
    text = re.sub(r'\\(["\\])', r"\1", (value or "").strip('"'))
    return text.replace("|", "\\|")


def code(value: str | None) -> str:
    """A value on one line."""
    if value is None:
        return ""
    lines = [line.strip() for line in value.splitlines()]
    joined = lines[0]
    for last, line in zip(lines, lines[1:], strict=False):
        joined += ("" if last[-1] in "([" or line[0] in ")]" else ", " if last[-1] not in "{([," and line[0] not in "})]" else " ") + line
    return "`" + re.sub(r" +", " ", joined).replace("|", "\\|") + "`"


def purpose(folder: Path) -> str:
    lines = (folder / "main.tf").read_text().splitlines()
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line[1:].strip())
    return "\n".join(comment)


def inputs(folder: Path) -> list[str]:
    rows = ["| Name | Type | Default | Means |", "|---|---|---|---|"]
    for name, body in blocks((folder / "variables.tf").read_text(), "variable"):
        default = argument(body, "default")
        rows.append(f"| `{name}` | {code(argument(body, 'type'))} | {code(default) if default is not None else 'required'} "
                    f"| {words(argument(body, 'description'))} |")
    return rows


def outputs(folder: Path) -> list[str]:
    rows = ["| Name | Means |", "|---|---|"]
    for name, body in blocks((folder / "outputs.tf").read_text(), "output"):
        secret = " (sensitive)" if argument(body, "sensitive") == "true" else ""
        rows.append(f"| `{name}` | {words(argument(body, 'description'))}{secret} |")
    return rows


def resources(folder: Path) -> list[str]:
    """Resource types with the number of their blocks, and the modules that are called."""
    types: dict[str, int] = {}
    called = []
    for path in sorted(folder.glob("*.tf")):
        text = path.read_text()
        for labels, _ in blocks(text, "resource"):
            types[labels.split()[0]] = types.get(labels.split()[0], 0) + 1
        called += [labels for labels, _ in blocks(text, "module")]
    parts = [f"`{name}`" + (f" × {count}" if count > 1 else "") for name, count in sorted(types.items())]
    return [", ".join(parts + [f"module `{name}`" for name in called]) + "."]


def readme(folder: Path) -> str:
    lines = [f"# {folder.name}", "", NOTE, "", purpose(folder), ""]
    example = folder / "examples" / "basic" / "main.tf"
    if example.is_file():
        lines += ["## Example", "", "```hcl", example.read_text().strip(), "```", ""]
    settings = folder / "terraform.tfvars"
    if settings.is_file():
        lines += ["## terraform.tfvars", "", "```hcl", settings.read_text().strip(), "```", ""]
    lines += ["## Makes", "", *resources(folder), "", "## Inputs", "", *inputs(folder), "", "## Outputs", "", *outputs(folder)]
    return "\n".join(lines) + "\n"


def folders() -> list[Path]:
    tf = TOP / "tf"
    found = [tf / "bootstrap", *sorted(tf.glob("modules/*")), *sorted(tf.glob("environments/[a-z]*/"))]
    return [folder for folder in found if all((folder / f"{name}.tf").is_file() for name in ("main", "variables", "outputs"))]


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    stale = 0
    for folder in folders():
        path, text = folder / "README.md", readme(folder)
        if not path.is_file() or path.read_text() != text:
            stale += 1
            print(f"{path.relative_to(TOP)} {'is out of date: make tf-docs' if check else 'written'}")
            if not check:
                path.write_text(text)
    if check:
        print(f"{len(folders()) - stale} of {len(folders())} READMEs are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
