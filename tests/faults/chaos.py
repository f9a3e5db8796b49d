#!/usr/bin/env python3
"""Kills and cuts everything under load for CHAOS_SECONDS, then proves that nothing was lost or doubled.

The faults and the callers' wishes follow from CHAOS_SEED, which is printed; the same seed makes the same faults in the
same order. What callers intended and were told is in build/chaos/SEED.journal, the result in build/chaos/SEED.json.
"""
from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crowd import Crowd, FeedReader
from ledger import Journal, Story, compare, compare_feed, rows, verify
from servers import BINARY, TOP, Folder
from weather import World

CALLERS = 32
SHOWN = 20  # faults that are printed; the file has all


def run(seconds: float, seed: int, binary: Path, out: Path) -> dict:
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal(out / f"{seed}.journal", durable=True)
    with Folder() as folder:
        world = World(folder, seed, binary)
        ports = [proxy.port for proxy in world.to_servers]
        crowd = Crowd(journal, ports, CALLERS, seed)
        feed = FeedReader(ports, seed)
        try:
            crowd.start()
            feed.start()
            time.sleep(1)
            world.start()
            watch(world, crowd, seconds)
            world.calm()
            crowd.stop()
            resolved = crowd.resolve(60)
            journal.close()
            recorded = rows(world.database, "SELECT count(*) FROM events")[0][0]
            feed.finish(recorded, 30)
            story = Story.read(journal.path)
            differences = [*world.faults, *compare(story, world.database), *compare_feed(feed.events, world.database),
                           *verify(world.servers[0])]
        finally:
            world.ended.set()
            crowd.ended.set()
            feed.ended.set()
            world.stop()
            for server in world.servers:
                shutil.copy(server.log, out / f"{seed}.{server.home.name}.log")
    return report(seed, seconds, world, crowd, story, resolved, recorded, differences + world.faults[:0])


def watch(world: World, crowd: Crowd, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not world.faults:
        time.sleep(min(10, max(0.0, until - time.monotonic())))
        with world.lock:
            print(f"  {sum(world.counts.values())} faults, {sum(crowd.counts.values())} operations", flush=True)


def report(seed: int, seconds: float, world: World, crowd: Crowd, story: Story, resolved: int, recorded: int,
           differences: list[str]) -> dict:
    answers = Counter()
    for each in story.answers.values():
        for answer in each:
            answers[answer.error or (f"{answer.status} {answer.problem}".strip())] += 1
    acts = Counter()
    for proxy in world.proxies:
        acts.update(proxy.acts)
    return {"seed": seed, "seconds": seconds, "faults": dict(sorted(world.counts.items())), "acts at a COMMIT": dict(sorted(acts.items())),
            "missing faults": world.missing(), "operations": dict(sorted(crowd.counts.items())),
            "answers": dict(sorted(answers.items())), "resolved at the end": resolved, "events": recorded,
            "differences": differences}


def show(result: dict) -> None:
    for name in ("faults", "acts at a COMMIT", "operations", "answers"):
        figures = result[name]
        print(f"{name}: {sum(figures.values())}")
        for kind, count in figures.items():
            print(f"  {count:>8}  {kind}")
    for missing in result["missing faults"]:
        print(f"not done here: {missing}")
    print(f"resolved at the end: {result['resolved at the end']}; events in the feed: {result['events']}")
    for difference in result["differences"][:SHOWN]:
        print(f"FAULT {difference}")
    found = len(result["differences"])
    print(f"seed {result['seed']}: {'nothing lost, nothing doubled' if found == 0 else f'{found} FAULTS; CHAOS_SEED repeats it'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CHAOS_SECONDS") or 100))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6)))
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--out", type=Path, default=TOP / "build" / "chaos")
    chosen = parser.parse_args()
    print(f"chaos for {chosen.seconds:g} s with seed {chosen.seed}", flush=True)
    result = run(chosen.seconds, chosen.seed, chosen.binary.resolve(), chosen.out)
    (chosen.out / f"{chosen.seed}.json").write_text(json.dumps(result, indent=1) + "\n")
    show(result)
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
