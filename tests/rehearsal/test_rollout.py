"""Good revisions get all traffic, and nobody notices."""
from __future__ import annotations

from world import STEPS, World


def test_a_good_revision_goes_to_100_and_callers_see_no_failure(world: World) -> None:
    with world.load() as load:
        done = world.rollout(world.image("better", world.run.images[world.good].command))
    print(f"promoted in {done.seconds:.0f} s; {load.seen}")
    assert done.status == 0
    candidate = done.record["candidate"]
    assert world.shares() == {candidate: 100}
    assert world.tags() == {"previous": world.stable}
    assert done.record["outcome"] == "promoted" and done.record["stable"] == world.stable
    for percent in STEPS:
        assert done.at(rf"{percent} %: good: \d+ requests.*next step")
    assert load.seen.failures.total() == 0
    assert load.seen.requests[candidate] > 0
    world.assert_all_there(load.seen)
