"""The stand-in refuses what Cloud Run refuses, and moves traffic only to what is ready. All by the real gcloud."""
from __future__ import annotations

import time

import pytest
from world import World


@pytest.mark.parametrize(("arguments", "says"), [
    (["--tag=Canary_1", "--no-traffic"], "spec.traffic.tag"),
    (["--revision-suffix=1.2", "--no-traffic"], "metadata.name"),
    (["--update-labels=team=A.B"], "metadata.labels"),
])
def test_bad_names_are_refused(world: World, arguments: list[str], says: str) -> None:
    done = world.gcloud("run", "deploy", "payflow", f"--image={world.good}", *arguments)
    assert done.returncode != 0 and says in done.stderr
    assert world.shares() == {world.stable: 100}


def test_an_image_that_is_not_there_and_a_revision_that_is_not_there(world: World) -> None:
    missing = world.gcloud("run", "deploy", "payflow", f"--image={world.good[:-4]}0000", "--no-traffic", "--tag=candidate")
    assert missing.returncode == 1 and "not found" in missing.stderr
    nobody = world.gcloud("run", "services", "update-traffic", "payflow", "--to-revisions=payflow-00009-abc=100")
    assert nobody.returncode == 1
    assert world.shares() == {world.stable: 100}


def test_a_stale_version_and_a_wrong_token_are_refused(world: World) -> None:
    service = world.run.services["payflow"]
    real = service.put
    changed = []

    def meanwhile(body: dict) -> None:
        if not changed:  # somebody else was faster
            changed.append(True)
            real({"metadata": {}, "spec": service.spec})
        real(body)
    service.put = meanwhile  # type: ignore[method-assign]
    stale = world.gcloud("run", "services", "update-traffic", "payflow", f"--to-revisions={world.stable}=100")
    assert stale.returncode == 1 and "Conflict" in stale.stderr
    stranger = world.gcloud("run", "services", "describe", "payflow", CLOUDSDK_AUTH_ACCESS_TOKEN="stolen")
    assert stranger.returncode != 0


def test_the_metrics_are_those_of_the_requests(world: World) -> None:
    with world.load(60) as load:
        time.sleep(1)
    lines = world.run.services["payflow"].revisions[world.stable].metric_lines("europe-west1")
    counted = sum(float(line.split()[-1]) for line in lines if line.startswith("run_googleapis_com:request_count"))
    assert counted == load.seen.requests[world.stable] > 0
