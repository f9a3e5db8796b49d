#!/usr/bin/env python3
"""Kills and cuts everything under load, then proves that nothing was lost or doubled.

It goes on for CHAOS_SECONDS, or, if CHAOS_FAULTS or CHAOS_OPERATIONS is set, until every kind of fault has happened so often
and so many operations were made. CHAOS_STACKS stacks run side by side; each is judged by itself and has a seed of its own,
the first CHAOS_SEED, the second one more. The figures are those of all stacks together.

A stack's faults and its callers' wishes follow from its seed, which is printed; the same seed makes the same faults in the
same order. What callers intended and were told is in build/chaos/SEED.journal, the result in build/chaos/SEED.json, that of
several stacks in build/chaos/all.json. A signal to end (Ctrl-C) ends the load early; what happened until then is judged.
"""
from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crowd import Crowd, FeedReader
from ledger import Journal, Story, compare, compare_feed, rows, verify
from servers import BINARY, TOP, Folder
from weather import World

CALLERS = 32
SHOWN = 20      # differences that are printed; the file has all
TELL_S = 20.0   # between two lines on how far it is

enough = threading.Event()


class Goal:
    """When the load has lasted long enough."""

    def __init__(self, seconds: float, faults: int, operations: int) -> None:
        self.seconds, self.faults, self.operations = seconds, faults, operations

    def __str__(self) -> str:
        if self.faults or self.operations:
            return f"until {self.faults} faults of every kind and {self.operations} operations"
        return f"for {self.seconds:g} s"

    def is_met(self, seconds: float, world: World, crowd: Crowd) -> bool:
        if self.faults or self.operations:
            return world.least() >= self.faults and sum(crowd.counts.values()) >= self.operations
        return seconds >= self.seconds


def run(goal: Goal, seed: int, binary: Path, out: Path) -> dict:
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
            seconds = watch(world, crowd, goal)
            world.calm()
            crowd.stop()
            resolved = crowd.resolve(60)
            journal.close()
            recorded = rows(world.database, "SELECT count(*) FROM events")[0][0]
            feed.finish(recorded, 60)
            story = Story.read(journal.path)
            differences = [*compare(story, world.database), *compare_feed(feed.events, world.database), *verify(world.servers[0])]
        finally:
            world.ended.set()
            crowd.ended.set()
            feed.ended.set()
            world.stop()
            for server in world.servers:
                shutil.copy(server.log, out / f"{seed}.{server.home.name}.log")
    return report(seed, seconds, world, crowd, story, resolved, recorded, world.faults + differences)


def watch(world: World, crowd: Crowd, goal: Goal) -> float:
    """Until the goal is met, or something went wrong by itself; how long that was."""
    begun = told = time.monotonic()
    while not goal.is_met(time.monotonic() - begun, world, crowd) and not world.faults and not enough.wait(0.5):
        if time.monotonic() - told >= TELL_S:
            told = time.monotonic()
            print(f"  seed {world.seed}, {told - begun:.0f} s: {sum(world.counts.values())} faults, {world.least()} of each kind at "
                  f"least, {sum(crowd.counts.values())} operations", flush=True)
    return time.monotonic() - begun


def report(seed: int, seconds: float, world: World, crowd: Crowd, story: Story, resolved: int, recorded: int,
           differences: list[str]) -> dict:
    answers = Counter()
    for each in story.answers.values():
        for answer in each:
            answers[answer.error or (f"{answer.status} {answer.problem}".strip())] += 1
    acts = Counter()
    for proxy in world.proxies:
        acts.update(proxy.acts)
    races = {f"several {kind}s of one payment": sum(times > 1 for times in Counter(i.payment for i in story.of_kind(kind)).values())
             for kind in ("capture", "refund")}
    return {"seeds": [seed], "seconds": round(seconds), "faults": dict(world.counts), "acts at a COMMIT": dict(acts),
            "missing faults": world.missing(), "operations": dict(crowd.counts), "races": races, "answers": dict(answers),
            "resolved at the end": resolved, "events in the feed": recorded,
            "differences": [f"seed {seed}: {difference}" for difference in differences]}


def side_by_side(chosen: argparse.Namespace) -> dict:
    """A process for each stack, with its share of the counts; their results together."""
    seeds = range(chosen.seed, chosen.seed + chosen.stacks)
    share = [str(-(-count // chosen.stacks)) for count in (chosen.faults, chosen.operations)]
    parts = [subprocess.Popen(["setpriv", "--pdeathsig", "TERM", sys.executable, __file__, "--part", "--stacks", "1", "--seed", str(seed),
                               "--seconds", str(chosen.seconds), "--faults", share[0], "--operations", share[1],
                               "--binary", chosen.binary, "--out", chosen.out]) for seed in seeds]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: [part.terminate() for part in parts])
    if failed := [f"seed {seed}" for seed, part in zip(seeds, parts, strict=True) if part.wait() not in (0, 1)]:
        sys.exit(f"chaos failed: {failed}")
    result = together([json.loads((chosen.out / f"{seed}.json").read_text()) for seed in seeds])
    (chosen.out / "all.json").write_text(json.dumps(result, indent=1) + "\n")
    return result


def together(results: list[dict]) -> dict:
    """Figures are added up, the stacks' seconds apart: they ran at the same time."""
    whole = results[0]
    for result in results[1:]:
        for name, value in result.items():
            if isinstance(value, dict):
                whole[name] = dict(Counter(whole[name]) + Counter(value))
            elif name == "seconds":
                whole[name] = max(whole[name], value)
            elif name != "missing faults":
                whole[name] += value
    return whole


def show(result: dict) -> None:
    for name in ("faults", "acts at a COMMIT", "operations", "races", "answers"):
        figures = result[name]
        print(f"{name}: {sum(figures.values())}")
        for kind, count in sorted(figures.items()):
            print(f"  {count:>8}  {kind}")
    for missing in result["missing faults"]:
        print(f"not done here: {missing}")
    print("; ".join(f"{name}: {result[name]}" for name in ("resolved at the end", "events in the feed", "seconds")))
    for difference in result["differences"][:SHOWN]:
        print(f"FAULT {difference}")
    found = len(result["differences"])
    seeds = ", ".join(map(str, result["seeds"]))
    print(f"seed {seeds}: {'nothing lost, nothing doubled' if found == 0 else f'{found} FAULTS; CHAOS_SEED repeats it'}")


def main() -> int:
    def number(name: str, otherwise: int) -> int:
        return int(os.environ.get(name) or otherwise)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=number("CHAOS_SECONDS", 100))
    parser.add_argument("--faults", type=int, default=number("CHAOS_FAULTS", 0))
    parser.add_argument("--operations", type=int, default=number("CHAOS_OPERATIONS", 0))
    parser.add_argument("--stacks", type=int, default=number("CHAOS_STACKS", 1))
    parser.add_argument("--seed", type=int, default=number("CHAOS_SEED", secrets.randbelow(10**6)))
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--out", type=Path, default=TOP / "build" / "chaos")
    parser.add_argument("--part", action="store_true", help="of several stacks: the whole is shown by another")
    chosen = parser.parse_args()
    chosen.binary = chosen.binary.resolve()
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.stacks > 1:
        result = side_by_side(chosen)
    else:
        for end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(end, lambda *_: enough.set())
        goal = Goal(chosen.seconds, chosen.faults, chosen.operations)
        print(f"chaos {goal} with seed {chosen.seed}", flush=True)
        result = run(goal, chosen.seed, chosen.binary, chosen.out)
        (chosen.out / f"{chosen.seed}.json").write_text(json.dumps(result, indent=1) + "\n")
    if not chosen.part:
        show(result)
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
