"""Is the candidate good? Pure: samples and times in, a verdict and an action out."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .settings import Environment, Limits


@dataclass(frozen=True)
class Sample:
    """What one revision answered in the window."""

    requests: float = 0
    errors: float = 0            # 5xx
    p99_ms: float | None = None  # None: not enough to say

    @property
    def error_share(self) -> float:
        return self.errors / self.requests if self.requests > 0 else 0.0


class Opinion(Enum):
    GOOD = "good"
    BAD = "bad"
    TOO_FEW = "too few requests"  # more requests would help
    UNKNOWN = "unknown"           # the metrics could not be read


@dataclass(frozen=True)
class Verdict:
    opinion: Opinion
    why: str


def judge(candidate: Sample | None, stable: Sample | None, limits: Limits) -> Verdict:
    """None: no metrics at all. A stable revision with too few requests to compare with counts as perfect."""
    if candidate is None:
        return Verdict(Opinion.UNKNOWN, "the metrics can't be read")
    compare = stable is not None and stable.requests >= limits.requests
    allowed = limits.error_share
    if compare and stable is not None:
        allowed = max(allowed, stable.error_share * limits.error_ratio)
    share = candidate.error_share
    seen = f"{candidate.requests:.0f} requests, {share:.2%} 5xx"
    if share > allowed:
        enough = candidate.errors >= limits.errors
        return Verdict(Opinion.BAD if enough else Opinion.TOO_FEW, f"{seen}; allowed are {allowed:.2%}")
    if candidate.requests < limits.requests:
        return Verdict(Opinion.TOO_FEW, f"{seen}; needed are {limits.requests} requests")
    if candidate.p99_ms is None:
        return Verdict(Opinion.UNKNOWN, f"{seen}; no latencies")
    slowest = limits.p99_ms
    if compare and stable is not None and stable.p99_ms is not None:
        slowest = max(slowest, stable.p99_ms * limits.p99_ratio)
    seen += f", p99 {candidate.p99_ms:.0f} ms"
    if candidate.p99_ms > slowest:
        return Verdict(Opinion.BAD, f"{seen}; allowed are {slowest:.0f} ms")
    return Verdict(Opinion.GOOD, seen)


class Action(Enum):
    WAIT = "wait"
    SYNTHESIZE = "send requests of our own"
    NEXT = "next step"
    UNDO = "undo"


@dataclass
class Step:
    """One share of the traffic, from when it was given."""

    percent: int
    begun_s: float
    synthesized: bool = False

    def decide(self, now_s: float, verdict: Verdict, environment: Environment) -> Action:
        """Bad ends it at once; good goes on when the step has baked; what can't be judged waits, and in the end is undone."""
        elapsed_s = now_s - self.begun_s
        if verdict.opinion is Opinion.BAD:
            return Action.UNDO
        if verdict.opinion is Opinion.GOOD:
            return Action.NEXT if elapsed_s >= environment.bake_s else Action.WAIT
        if elapsed_s >= environment.bake_s + environment.hold_s:
            return Action.UNDO
        if verdict.opinion is Opinion.TOO_FEW and not self.synthesized and elapsed_s >= environment.bake_s / 2:
            self.synthesized = True
            return Action.SYNTHESIZE
        return Action.WAIT
