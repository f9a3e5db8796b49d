"""Bad revisions undo themselves: the traffic is back, and only the canary's share of the callers saw it."""
from __future__ import annotations

import pytest
from load import Seen
from servers import TOP
from world import HERE, Outcome, World


def assert_undone(world: World, done: Outcome, reason: str) -> None:
    assert done.status == 1
    assert world.shares() == {world.stable: 100}, "status.traffic"
    assert "candidate" not in world.tags()
    assert world.tags().get("previous", world.stable) == world.stable
    assert done.at(f"FAILED: .*{reason}"), reason
    assert done.at(f"undone after .*{world.stable} has all traffic")
    assert done.record["reason"]


def assert_only_the_canarys_callers(world: World, seen: Seen, most: float) -> None:
    """`most`: the largest share of all requests that may have failed."""
    assert seen.failures[world.stable] == 0 and seen.failures["?"] == 0, str(seen)
    assert seen.failures.total() <= most * seen.requests.total(), str(seen)
    world.assert_all_there(seen)


@pytest.mark.parametrize(("kind", "amount", "reason"), [
    ("errors", 0.1, "bad: .*5xx; allowed"),
    ("slow", 0.08, r"bad: .*p99 \d+ ms; allowed"),
    ("dies", 15, "bad: .*5xx; allowed"),
])
def test_a_fault_under_load_is_judged_bad(world: World, kind: str, amount: float, reason: str) -> None:
    with world.load() as load:
        done = world.rollout(world.faulty(kind, amount))
    print(f"{kind}: {done.seconds:.0f} s; {load.seen}")
    assert_undone(world, done, reason)
    assert done.record["outcome"] == "rolled back"
    assert_only_the_canarys_callers(world, load.seen, 0.05)


def test_a_crash_at_start_never_gets_traffic(world: World) -> None:
    with world.load(40) as load:
        done = world.rollout(world.faulty("setting", "MAX_CONNECTIONS=many"))
        assert_undone(world, done, "failed to start and listen")
        # The dead revision must not stand in the way of the next good one.
        again = world.rollout(world.image("better", world.run.images[world.good].command), steps=[100])
    assert again.status == 0
    assert world.shares() == {again.record["candidate"]: 100}
    assert load.seen.failures.total() == 0, str(load.seen)


def test_a_revision_without_its_database_passes_its_probes_but_not_the_smoke_test(world: World) -> None:
    with world.load(40) as load:
        done = world.rollout(world.faulty("setting", "DB_PORT=9"))
    assert_undone(world, done, "payflow-smoke|smoke")
    executions = world.run.jobs["payflow-smoke"].outputs
    assert "database unreachable" in list(executions.values())[-1]
    assert load.seen.failures.total() == 0, str(load.seen)


def test_a_migration_that_fails_stops_it_before_anything_is_deployed(world: World) -> None:
    with world.load(40) as load:
        done = world.rollout(world.image("broken", [str(TOP / "build" / "rehearsal" / "broken" / "payflow")]))
    assert_undone(world, done, "jobs execute")
    assert len(world.run.services["payflow"].revisions) == 1
    assert 'column "channels" does not exist' in list(world.run.jobs["payflow-migrate"].outputs.values())[-1]
    assert load.seen.failures.total() == 0, str(load.seen)


def test_what_cannot_be_judged_is_undone_at_the_limit(world: World) -> None:
    world.run.delay_s = 3600
    with world.load(40) as load:
        done = world.rollout(world.good, bake_s=2.0, hold_s=4.0)
    assert_undone(world, done, "at 5 %: unknown: the metrics can't be read")
    assert load.seen.failures.total() == 0, str(load.seen)


def test_a_bad_signature_stops_it_before_anything(world: World) -> None:
    before = list(world.run.log)
    done = world.rollout(world.good, verify=["false"])
    assert done.status == 1 and done.at("signature does not hold") and done.record["outcome"] == "failed"
    assert world.run.log == before


def test_the_faults_are_real() -> None:
    """What makes these revisions bad is around the product, not in it."""
    for source in (TOP / "src").rglob("*.[ch]"):
        assert "rehearsal" not in source.read_text(), source
    assert (HERE / "faulty.py").is_file()
