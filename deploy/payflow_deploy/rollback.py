"""All traffic to the previous revision, or to the one that is named, at once."""
from __future__ import annotations

import argparse
import sys
import time

from .gcloud import CANDIDATE, PREVIOUS, Gcloud, Service, settle
from .record import Record
from .rollout import project_of
from .settings import Failure, load


def choose(service: Service, named: str | None) -> str:
    if named:
        return named
    previous = service.tagged(PREVIOUS)
    if previous is None:
        raise Failure(f"no revision is tagged `{PREVIOUS}`; name one (deploy/status lists them)")
    if service.sole() == previous.revision:
        raise Failure(f"{previous.revision}, tagged `{PREVIOUS}`, has all traffic already; to go elsewhere name a revision "
                      "(deploy/status lists them)")
    return previous.revision


def roll_back(gcloud: Gcloud, named: str | None, limit_s: float) -> str:
    service = gcloud.service()
    if service is None:
        raise Failure("there is no such service")
    revision = choose(service, named)
    remove = [CANDIDATE] if service.tagged(CANDIDATE) else None
    settle(gcloud, lambda: gcloud.traffic({revision: 100}, remove=remove), lambda s: s.sole() == revision, min(limit_s, 120))
    return revision


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/rollback", description="All traffic to the previous revision, at once. Exit 0: "
                                     "the service says that it is so.")
    parser.add_argument("--environment", required=True)
    parser.add_argument("--project", help="default: CLOUDSDK_CORE_PROJECT")
    parser.add_argument("revision", nargs="?", help="another revision than the one tagged `previous`")
    given = parser.parse_args()
    try:
        environment = load(given.environment)
        project = project_of(given.project)
    except Failure as failure:
        print(f"rollback: {failure}", file=sys.stderr)
        return 2
    record = Record("rollback", environment.name, service=environment.service)
    begun = time.monotonic()
    try:
        revision = roll_back(Gcloud(environment, project, record.say), given.revision, environment.undo_s)
    except Failure as failure:
        record.end("failed", f"FAILED: {failure}")
        return 1
    record.set(stable=revision)
    record.end("rolled back", f"{revision} has all traffic, after {time.monotonic() - begun:.1f} s")
    return 0
