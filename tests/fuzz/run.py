#!/usr/bin/env python3
"""Runs fuzzers: first on what is in their corpora, then for FUZZ_SECONDS each. With --grow, what they found on the way is
merged and kept.

A corpus is tests/fuzz/corpus/NAME/, written by hand, and tests/fuzz/corpus/NAME.tar.xz, the smallest set of inputs that
reaches all that was ever reached. An input that stops a fuzzer is left in build/fuzz/found.
"""
from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
HERE = TOP / "tests" / "fuzz"
BUILD = TOP / "build" / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS") or 30)
BYTES_MAX = {"head": 20000, "wire": 24000, "payment": 8192, "json": 8192, "chunked": 8192}


def unpack(name: str) -> Path:
    folder = BUILD / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    packed = HERE / "corpus" / f"{name}.tar.xz"
    if packed.is_file():
        with tarfile.open(packed) as tar:
            for member in tar.getmembers():
                content = tar.extractfile(member)
                if content is not None:
                    (folder / Path(member.name).name).write_bytes(content.read())
    return folder


def fuzz(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    dictionary = HERE / f"{'head' if name == 'wire' else name}.dict"
    return subprocess.run(
        [BUILD / "bin" / name, f"-artifact_prefix={BUILD}/found/{name}-", f"-max_len={BYTES_MAX.get(name, 1024)}", "-timeout=10",
         "-rss_limit_mb=2048", "-print_final_stats=1", *([f"-dict={dictionary}"] if dictionary.is_file() else []), *map(str, arguments)],
        check=False, capture_output=True, text=True, errors="replace", cwd=BUILD)


def executions(output: str) -> int:
    found = re.search(r"stat::number_of_executed_units:\s+(\d+)", output)
    return int(found[1]) if found else 0


def grow(name: str, folder: Path) -> int:
    """Packs the smallest set of inputs that reaches the same; how many those are."""
    small = BUILD / "small" / name
    small.mkdir(parents=True, exist_ok=True)
    for old in small.iterdir():
        old.unlink()
    done = fuzz(name, "-merge=1", small, HERE / "corpus" / name, folder)
    if done.returncode != 0:
        sys.exit(f"{name}: merging failed: {done.stderr[-2000:]}")
    with tarfile.open(HERE / "corpus" / f"{name}.tar.xz", "w:xz") as tar:
        for path in sorted(small.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            tar.addfile(entry, io.BytesIO(path.read_bytes()))
    return sum(1 for _ in small.iterdir())


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    names = [argument for argument in sys.argv[1:] if argument != "--grow"]
    failed = total = 0
    (BUILD / "found").mkdir(parents=True, exist_ok=True)
    for name in names:
        folder = unpack(name)
        hand_written = HERE / "corpus" / name
        known = [path for place in (hand_written, folder) for path in place.iterdir()]
        regression = fuzz(name, "-runs=0", hand_written, folder)
        done = regression if regression.returncode else fuzz(name, f"-max_total_time={SECONDS}", folder, hand_written)
        total += executions(done.stderr)
        coverage = re.findall(r"cov: (\d+)", done.stderr)
        print(f"{name}: {len(known)} known inputs, {executions(done.stderr)} executions, coverage {coverage[-1] if coverage else 0}",
              flush=True)
        if done.returncode != 0:
            failed += 1
            print("\n".join(f"  | {line}" for line in done.stderr.splitlines()[-40:]))
        elif "--grow" in sys.argv:
            print(f"  {grow(name, folder)} inputs kept")
    print(f"{len(names)} fuzzers, {total} executions, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
