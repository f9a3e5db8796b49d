"""The settings of one environment: deploy/environments/NAME.toml."""
from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "environments"


class Failure(Exception):
    """What went wrong, in one sentence for the person who reads the log."""


@dataclass(frozen=True)
class Limits:
    """When a candidate is bad, and how much must be seen before it is good."""

    requests: int       # fewer than this in a step's window: not judged
    errors: int         # fewer 5xx than this condemn nobody; with too large a share they wait for more requests
    error_share: float  # a share of 5xx that is always allowed
    error_ratio: float  # as is this many times the stable revision's share
    p99_ms: float       # a p99 that is always allowed
    p99_ratio: float    # as is this many times the stable revision's


@dataclass(frozen=True)
class Environment:
    name: str
    service: str
    region: str
    migrate_job: str
    smoke_job: str
    other_jobs: list[str]  # get the new image after the rollout
    verify: list[str]      # command that checks the image's signature; the image is appended. Empty: not checked
    prometheus: str        # PromQL endpoint; {project} is replaced
    steps: list[int]       # percent of the traffic, ending with 100
    bake_s: float          # time at each step before going on; longer than metrics are late
    hold_s: float          # how long after it a step may remain unjudged
    poll_s: float          # between two looks at the metrics
    window_s: float        # the metrics' window is the step so far, but at least this
    command_s: float       # one gcloud command
    job_s: float           # one execution of a job
    undo_s: float          # how long taking the traffic back is tried
    limit_s: float         # the whole rollout; what has not got all traffic by then is undone
    limits: Limits

    def __post_init__(self) -> None:
        if not self.steps or self.steps != sorted(set(self.steps)) or self.steps[0] < 1 or self.steps[-1] != 100:
            raise Failure(f"{self.name}: steps must rise from 1 or more to 100")
        if not 0 < self.poll_s <= max(self.bake_s, 1):
            raise Failure(f"{self.name}: poll_s must be above 0 and not above bake_s")


def build(kind: type, table: dict[str, Any], where: str) -> Any:
    names = {field.name for field in fields(kind)}
    if names != table.keys():
        odd = ", ".join(sorted(names ^ table.keys()))
        raise Failure(f"{where}: settings missing or unknown: {odd}")
    return kind(**table)


def load(name: str) -> Environment:
    """`name` is an environment, or the path of a settings file (it ends in .toml)."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        with path.open("rb") as file:
            table: dict[str, Any] = tomllib.load(file)
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise Failure(f"no environment is named {name}; there are: {known}") from None
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{path}: {error}") from None
    limits = build(Limits, table.pop("limits", {}), f"{path} [limits]")
    return build(Environment, {"name": path.stem, "limits": limits} | table, str(path))  # type: ignore[no-any-return]
