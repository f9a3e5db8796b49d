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


def test_terraform_may_change_the_service_after_a_rollout(world: World) -> None:
    """A revision's name in the template would be sent back with the change, and Cloud Run refuses a name twice."""
    done = world.rollout(world.good, steps=[100], bake_s=1.0, poll_s=1.0, limits={"requests": 1})
    assert done.status == 0
    world.apply()
    assert world.shares() == {done.record["candidate"]: 100}, "and the traffic is the pipeline's"


def test_a_quiet_service_is_released_by_requests_of_our_own(world: World) -> None:
    done = world.rollout(world.good, steps=[50, 100], bake_s=4.0)
    assert done.status == 0 and done.at("requests of our own")
    assert world.shares() == {done.record["candidate"]: 100}


def test_where_there_is_no_service_yet_it_makes_one(empty: World) -> None:
    done = empty.rollout(empty.image("first", ["env", *(f"{e['name']}={e['value']}" for e in empty.environment()),
                                               *empty.run.images[empty.good].command]))
    assert done.status == 0 and done.at("a first deployment")
    assert empty.shares() == {done.record["candidate"]: 100}
    assert "candidate" not in empty.tags()


def test_where_no_revision_ever_was_ready_it_is_a_first_deployment_too(empty: World) -> None:
    dead = empty.service(empty.image("dead", ["false"]))
    assert empty.shares() == {}
    done = empty.rollout(empty.good)
    assert done.status == 0 and done.at("a first deployment")
    assert empty.shares() == {done.record["candidate"]: 100} and done.record["candidate"] != dead


def test_late_metrics_only_make_it_wait(world: World) -> None:
    world.run.delay_s = 4
    with world.load() as load:
        done = world.rollout(world.good, steps=[50, 100], bake_s=8.0)
    assert done.status == 0
    assert load.seen.failures.total() == 0


def test_status_shows_who_has_the_traffic(world: World) -> None:
    done = world.program("status")
    assert done.status == 0 and done.at(rf"100 %  {world.stable}\s+ready")
