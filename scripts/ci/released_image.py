#!/usr/bin/env python3
"""Prints the image, by digest, that has most of an environment's traffic: scripts/ci/released_image.py ENVIRONMENT

Needs gcloud, logged in, and CLOUDSDK_CORE_PROJECT.
"""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "deploy"))
from payflow_deploy.gcloud import Gcloud
from payflow_deploy.settings import Failure, load


def released(environment: str) -> str:
    gcloud = Gcloud(load(environment), os.environ.get("CLOUDSDK_CORE_PROJECT", ""), lambda _message: None)
    service = gcloud.service()
    shares = service.shares() if service else {}
    if not shares:
        raise Failure(f"{environment} serves nothing")
    name = max(shares, key=lambda revision: shares[revision])
    for revision in gcloud.revisions():
        for container in revision["spec"]["containers"] if revision["metadata"]["name"] == name else []:
            if "/payflow@sha256:" in container["image"]:  # the metrics' collector stands beside it
                return str(container["image"])
    raise Failure(f"{name} has no image of PayFlow that is named by its digest")


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] == ["--help"] else 64
    try:
        print(released(sys.argv[1]))
    except Failure as failure:
        print(f"released_image: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
