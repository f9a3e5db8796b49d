"""Who has the traffic, and which revisions there are."""
from __future__ import annotations

import argparse
import sys
from typing import Any

from .gcloud import CANDIDATE, PREVIOUS, Gcloud, Service, main_container
from .rollout import project_of
from .settings import Failure, load

SHOWN = 10


def row(service: Service, revision: dict[str, Any]) -> str:
    name = revision["metadata"]["name"]
    percent = service.shares().get(name, 0)
    tags = ",".join(t.tag for t in service.traffic if t.revision == name and t.tag)
    ready = next((c.get("status") for c in revision.get("status", {}).get("conditions", []) if c.get("type") == "Ready"), "?")
    image = main_container(revision["spec"]).get("image", "")
    made = revision["metadata"].get("creationTimestamp", "")[:19]
    return (f"{percent:3} %  {name:28} {tags:10} {'ready' if ready == 'True' else 'NOT READY':9}  {made}  "
            f"{image.rpartition('@')[2][:19]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/status", description="Who has the traffic, and which revisions there are.")
    parser.add_argument("--environment", required=True)
    parser.add_argument("--project", help="default: CLOUDSDK_CORE_PROJECT")
    given = parser.parse_args()
    try:
        environment = load(given.environment)
        gcloud = Gcloud(environment, project_of(given.project), lambda _message: None)
        service = gcloud.service()
        if service is None:
            raise Failure(f"there is no service {environment.service} in {environment.region}")
        revisions = gcloud.revisions()
    except Failure as failure:
        print(f"status: {failure}", file=sys.stderr)
        return 1
    revisions.sort(key=lambda r: r["metadata"].get("creationTimestamp", ""), reverse=True)
    print(f"{environment.service} in {environment.region}: {service.url}")
    shown = revisions[:SHOWN] + [r for r in revisions[SHOWN:] if r["metadata"]["name"] in service.shares()]
    for revision in shown:
        print(row(service, revision))
    candidate, previous = service.tagged(CANDIDATE), service.tagged(PREVIOUS)
    if candidate is not None:
        print(f"A rollout of {candidate.revision} is going on, or was killed: the next one undoes it, and so does deploy/rollback.")
    if previous is not None:
        print(f"The way back: {previous.revision}")
    return 0
