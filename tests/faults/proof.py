#!/usr/bin/env python3
"""Proves that chaos finds what it looks for: builds PayFlow with one planted bug (bugs/*.patch) after the other and runs
chaos against each. Fails if a bug is not found within TRIES seeds.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
BUGS = Path(__file__).resolve().parent / "bugs"
OUT = TOP / "build" / "chaos-proof"
SECONDS = os.environ.get("CHAOS_SECONDS") or "30"
TRIES = 5


def build(bug: Path) -> Path:
    """The binary with that bug."""
    copy = OUT / bug.stem
    shutil.rmtree(copy, ignore_errors=True)
    (copy / "build").mkdir(parents=True)
    for name in ("src", "scripts", "Makefile", "VERSION", "versions.lock", "openapi.yaml"):
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, copy / name)
        else:
            shutil.copy2(source, copy / name)
    for name in ("deps", "tools"):  # what was fetched serves all
        (copy / "build" / name).symlink_to(TOP / "build" / name)
    subprocess.run(["patch", "-s", "-p1", "-i", bug], cwd=copy, check=True)
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "build/payflow"], cwd=copy, check=True, stdout=subprocess.DEVNULL,
                   env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))})
    return copy / "build" / "payflow"


def find(bug: Path) -> str | None:
    """What chaos says of it, or None."""
    binary = build(bug)
    for seed in range(1, TRIES + 1):
        done = subprocess.run([sys.executable, TOP / "tests" / "faults" / "chaos.py", "--seconds", SECONDS, "--seed", str(seed),
                               "--binary", binary, "--out", OUT / bug.stem], check=False, capture_output=True, text=True)
        faults = [line for line in done.stdout.splitlines() if line.startswith("FAULT ")]
        if done.returncode == 1 and faults:
            return f"seed {seed}: {done.stdout.splitlines()[-1].split(': ')[-1].split(';')[0]}, the first: {faults[0][6:]}"
        if done.returncode != 0:
            sys.exit(f"{bug.stem}: chaos failed: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return None


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    missed = 0
    for bug in sorted(BUGS.glob("*.patch")):
        print(f"{bug.stem}: {bug.read_text().splitlines()[0]}", flush=True)
        found = find(bug)
        print(f"  found with {found}" if found else f"  NOT FOUND with {TRIES} seeds of {SECONDS} s", flush=True)
        missed += found is None
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
