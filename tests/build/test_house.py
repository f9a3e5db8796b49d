"""The house's rules that a look at the sources can hold: sizes, one place for a thing, comments on headers, nothing unused."""
from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 80
PAGE_LINES = 60
SAME_LINES_MAX = 8  # lines that say something; with the blank ones and the braces between them about ten
LANGUAGES = {".c", ".go", ".h", ".hcl", ".js", ".lua", ".mjs", ".py", ".rego", ".sh", ".sql", ".tf"}
TRACKED = [name for name in subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, check=True, capture_output=True,
                                           text=True).stdout.splitlines() if (TOP / name).is_file()]

# Longer than the rule, and why.
LONG = {
    "scripts/ci/terraform.sh": "five verbs that share their beginning; each by itself is a few lines",
    "scripts/packages.sh": "runs before there is a Python; a third of it is the table of packages",
}
# Used by tests alone, and why they are not static.
FOR_TESTS = {
    "client_address": "a rule of its own, which is tested by itself",
    "metadata_read": "read from bytes that no server would send",
    "metric_get": "what the tests of others count with",
    "response_has": "a rule of its own, which is tested by itself",
}
# What is found by where it lies, not by a name that somebody writes down; by whom.
ROOTS = re.compile(r"""
      [^/]+ | \.circleci/config\.yml | \.github/.*                      # people and services
    | src/(\w+/)?\w+\.c | src/store/migrations/.* | tests/(unit|fuzz)/\w+\.c   # make
    | tests/\w+/(test_\w+|conftest)\.py | tests/conftest\.py             # pytest
    | tests/fuzz/corpus/.* | tests/fuzz/\w+\.dict                         # tests/fuzz/run.py
    | tests/faults/bugs/.* | tests/rehearsal/migrations/.*                # tests/faults/proof.py, tests/run.py
    | alerts/\w+\.yml | alerts/tests/.* | runbooks/\w+\.md                # tests/ops/rules.py; a runbook for each rule
    | tf/.*\.(tf|tfvars|tftest\.hcl) | tf/.*/README\.md | tf/\.tflint\.hcl # Terraform, scripts/tf_docs.py, tflint
    | deploy/environments/.* | deploy/local/grafana/.*                    # payflow_deploy/settings.py, docker-compose.yml
    | scripts/tools-\w+\.txt | bench/twins/\w+/.*                         # scripts/tools.sh, bench/run.py
    | .*/__init__\.py
""", re.VERBOSE)


def text(name: str) -> str:
    return (TOP / name).read_text()


def language(name: str) -> str:
    """The suffix; for a program without one, what its first line asks for."""
    if Path(name).suffix or (TOP / name).is_symlink():
        return Path(name).suffix
    first = (TOP / name).open("rb").readline()
    return ".py" if first.startswith(b"#!") and b"python" in first else ".sh" if first.startswith(b"#!") else ""


SOURCES = {name: language(name) for name in TRACKED if language(name) in LANGUAGES and not (TOP / name).is_symlink()}


# --- sizes ---


def c_functions(source: str) -> Iterator[tuple[str, int]]:
    """Each function's name and lines, as clang-format and gofmt lay them out: from the margin to a brace at the margin."""
    start, name = 0, ""
    for number, line in enumerate(source.splitlines(), start=1):
        if re.match(r"\w", line):
            found = re.match(r"(?!struct \w+ \{|enum)[\w *]*?(\w+) ?\(", line)
            start, name = number, found[1] if found else ""
        elif line.startswith("}"):
            if name:
                yield name, number - start + 1
            name = ""


def functions(name: str, source: str) -> Iterator[tuple[str, int]]:
    if SOURCES.get(name) in (".c", ".h", ".go"):
        yield from c_functions(source)
    elif SOURCES.get(name) == ".py":
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                yield node.name, node.end_lineno - node.lineno + 1
    elif SOURCES.get(name) == ".sh":
        yield "the script", len(source.splitlines()) + FUNCTION_LINES_MAX - PAGE_LINES


def too_long(name: str, source: str) -> list[str]:
    found = [f"{name}: {function}" for function, lines in functions(name, source) if lines > FUNCTION_LINES_MAX]
    return found + ([name] if len(source.splitlines()) > FILE_LINES_MAX else [])


def test_no_file_and_no_function_is_too_long_without_a_reason() -> None:
    found = {each for name in SOURCES for each in too_long(name, text(name))}
    assert {each.split(":")[0] for each in found} == set(LONG), found


def test_what_is_too_long_is_seen() -> None:
    body = "    i++;\n" * FUNCTION_LINES_MAX
    assert too_long("src/main.c", f"static int f(int i,\n  int j) {{\n{body}}}\n") == ["src/main.c: f"]
    assert too_long("src/main.c", f"static int f(int i) {{\n{body[9 * 2:]}}}\n") == []
    assert too_long("tests/run.py", "def f():\n" + "    pass\n" * FUNCTION_LINES_MAX) == ["tests/run.py: f"]
    assert too_long("tests/run.py", "pass\n" * (FILE_LINES_MAX + 1)) == ["tests/run.py"]
    assert too_long("scripts/tools.sh", "true\n" * (PAGE_LINES + 1)) == ["scripts/tools.sh: the script"]


# --- one place for a thing ---


def without_comments(source: str) -> str:
    return re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), source, flags=re.DOTALL)


def saying(source: str) -> list[tuple[int, str]]:
    """The lines that say something, with their numbers: no comments, no imports, no lone braces; spaces don't count."""
    lines = [" ".join(re.sub(r"(^|\s)(#|//|--) .*", "", line).split()) for line in without_comments(source).splitlines()]
    return [(number, line) for number, line in enumerate(lines, start=1)
            if re.search(r"\w", line) and not re.match(r"(import |from \S+ import|#\s*include|#!)", line)]


def duplicates(sources: dict[str, str], most: int = SAME_LINES_MAX) -> list[str]:
    """Runs of more than `most` lines that stand in two places."""
    lines = {name: saying(source) for name, source in sources.items()}
    places = defaultdict(list)
    for name, said in lines.items():
        for i in range(len(said) - most):
            places[tuple(line for _, line in said[i:i + most + 1])].append((name, i))
    found = []
    for same in places.values():
        for (a, i), (b, j) in combinations(same, 2):
            overlaps = a == b and abs(i - j) <= most
            goes_on = i and j and lines[a][i - 1][1] == lines[b][j - 1][1]
            if not overlaps and not goes_on:
                found.append(f"{a}:{lines[a][i][0]} ~ {b}:{lines[b][j][0]}")
    return found


def test_nothing_stands_in_two_places() -> None:
    parts = ("src/", "tests/", "scripts/", "deploy/", "tf/", "bench/")
    assert duplicates({name: text(name) for name in SOURCES if name.startswith(parts)}) == []


def test_a_copy_is_seen() -> None:
    block = "".join(f"call({i});\n" for i in range(SAME_LINES_MAX + 1))
    changed = "/* another comment\n   of two lines */\n\n" + block.replace("call", "  call").replace(";\n", ";  // so\n\n")
    assert duplicates({"a.c": "int a;\n" + block, "b.c": changed}) == ["a.c:2 ~ b.c:4"]
    assert duplicates({"a.c": block + "other();\n" + block}) == [f"a.c:1 ~ a.c:{SAME_LINES_MAX + 3}"]
    assert duplicates({"a.c": block, "b.c": block.replace("call(4)", "call(44)")}) == []


# --- headers ---


def declared(header: str) -> Iterator[tuple[int, str]]:
    """Line and name of each function that a header declares."""
    plain = without_comments(header)
    for found in re.finditer(r"^(?!static|typedef|extern|#|enum|struct \w+ \{)\w[\w *]*?\b(\w+)\(", plain, re.MULTILINE):
        yield plain.count("\n", 0, found.start()), found[1]


def uncommented(header: str) -> list[str]:
    """Functions with no comment above them, nor above the declarations that they follow without a gap."""
    lines, found = header.splitlines(), []
    for number, name in declared(header):
        above = number - 1
        while lines[above] and not lines[above].endswith("*/"):
            above -= 1
        if not lines[above] and "/*" not in lines[number]:
            found.append(name)
    return found


HEADERS = [name for name in SOURCES if name.startswith("src/") and name.endswith(".h")]


@pytest.mark.parametrize("name", HEADERS)
def test_each_function_of_a_header_is_explained(name: str) -> None:
    assert text(name).startswith("/* "), "a header begins with what it is for"
    assert uncommented(text(name)) == []


def test_a_function_without_a_comment_is_seen() -> None:
    assert uncommented("/* A. */\n\n/* Does. */\nint f(int a,\n      int b);\nvoid g(void);\n\nMUST_CHECK bool h(void);\n") == ["h"]


def test_each_function_of_a_header_is_needed_outside() -> None:
    code = {name: without_comments(text(name)) for name in SOURCES if name.endswith((".c", ".h"))}
    names = {function for header in HEADERS for _, function in declared(text(header))}
    users = defaultdict(set)
    for name, source in code.items():
        for word in set(re.findall(r"\w+", source)) & names:
            defines = re.search(rf"^\w[\w *]*\b{word}\([^;{{]*\)\s*\{{", source, re.MULTILINE)
            if not defines and not (name.endswith(".h") and word in {function for _, function in declared(text(name))}):
                users[word].add(name)
    in_src = {word for word, files in users.items() if any(name.startswith("src/") for name in files)}
    assert names - in_src == set(FOR_TESTS)
    assert [word for word in FOR_TESTS if not users[word]] == []


# --- settings ---


def test_each_setting_is_read() -> None:
    fields = set(re.findall(r"\bAT\((\w+)\)", text("src/settings.c")))
    code = "".join(text(name) for name in SOURCES if name.startswith("src/") and name.endswith(".c") and name != "src/settings.c")
    unread = {field for field in fields if not re.search(rf"(->|\.){field}\b", code)}
    assert len(fields) > 40 and unread == {"environment"}, "the table itself reads only the environment: for what production refuses"


# --- files ---


def unnamed(files: list[str], sources: dict[str, str]) -> list[str]:
    """Files that no other file names: by path, by name, or (a Python module) by its import."""
    found = []
    for name in files:
        path = Path(name)
        word = rf"\bfrom [\w.]*\b{path.stem} import\b|\bimport .*\b{path.stem}\b" if path.suffix == ".py" else r"(?!)"
        wanted = re.compile(rf"{word}|(?<![\w-]){re.escape(path.name)}(?![\w-])", re.MULTILINE)
        part = path.stem if path.suffix == ".py" else path.name
        if not any(other != name and part in source and wanted.search(source) for other, source in sources.items()):
            found.append(name)
    return found


def test_no_file_is_there_for_nobody() -> None:
    readable = {name: (TOP / name).read_text(errors="replace") for name in TRACKED
                if not name.startswith("tests/fuzz/corpus/") and name != "CHANGELOG.md"}
    assert unnamed([name for name in TRACKED if not ROOTS.fullmatch(name)], readable) == []


def test_a_file_that_nobody_names_is_seen() -> None:
    sources = {"scripts/a.sh": "scripts/b.py", "scripts/b.py": "import c", "scripts/c.py": "", "scripts/d.py": "d.py"}
    assert unnamed(list(sources), sources) == ["scripts/a.sh", "scripts/d.py"]
    assert not ROOTS.fullmatch("scripts/a.sh")
