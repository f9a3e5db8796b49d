"""The way back under load, and two schemas side by side."""
from __future__ import annotations

import os
import threading
import time

from servers import TOP, wait_until
from world import World

# The line itself, as a person would paste it.
LINE = next(line for line in (TOP / "runbooks" / "rollback.md").read_text().splitlines() if line.startswith("gcloud run services up"))
QUICK = {"bake_s": 2.0, "limits": {"requests": 5}}


def test_the_runbooks_line_brings_the_previous_revision_back_within_ten_seconds(world: World) -> None:
    newer = world.release(world.image("newer", world.run.images[world.good].command))
    reached: list[float] = []
    with world.load() as load:
        time.sleep(2)
        begun = time.monotonic()

        def watch() -> None:
            wait_until("all traffic is back", lambda: world.shares() == {world.stable: 100}, 60)
            reached.append(time.monotonic() - begun)
        watcher = threading.Thread(target=watch)
        watcher.start()
        line = world.shell(LINE)
        watcher.join()
        time.sleep(2)
    print(f"the previous revision had all traffic after {reached[0]:.1f} s; {load.seen}")
    assert line.returncode == 0, line.stderr
    assert load.seen.failures.total() == 0, str(load.seen)
    assert load.seen.requests[newer] and load.seen.requests[world.stable]
    world.assert_all_there(load.seen)
    if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):  # on a machine that does something else this says nothing
        assert reached[0] < 10


def test_rollback_needs_no_argument_and_knows_when_there_is_nowhere_to_go(world: World) -> None:
    newer = world.release(world.good)
    back = world.program("rollback")
    assert back.status == 0 and world.shares() == {world.stable: 100}
    assert back.record["outcome"] == "rolled back" and back.record["stable"] == world.stable
    again = world.program("rollback")
    assert again.status == 1 and again.at("has all traffic already") and world.shares() == {world.stable: 100}
    named = world.program("rollback", newer)
    assert named.status == 0 and world.shares() == {newer: 100}
    # A roll-back pins the traffic; the next release must get it all the same.
    next_one = world.rollout(world.good, steps=[100], **QUICK)
    assert next_one.status == 0 and world.shares() == {next_one.record["candidate"]: 100}
    assert world.tags() == {"previous": newer}


def test_rollback_ends_a_rollout_that_was_killed(world: World) -> None:
    program = world.start_program("rollout", f"--image={world.good}")
    assert program.stdout is not None
    wait_until("it is at 25 %", lambda: 25 in world.shares().values(), 120)
    program.kill()
    back = world.program("rollback")
    assert back.status == 0
    assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()


def columns(world: World) -> set[str]:
    return {row[0] for row in world.database.sql("SELECT column_name FROM information_schema.columns "
                                                 "WHERE table_name = 'payments'")}


def test_old_and_new_schema_serve_side_by_side_both_ways(world: World) -> None:
    """The migration runs while only the old revision serves; then both serve; then the way back, on the new schema."""
    expanded = world.image("expanded", [str(TOP / "build" / "rehearsal" / "expand" / "payflow")])
    assert "channel" not in columns(world)
    with world.load() as load:
        forth = world.rollout(expanded, steps=[50, 100], bake_s=4.0)
        assert forth.status == 0 and "channel" in columns(world)
        newer = forth.record["candidate"]
        assert world.shell(LINE).returncode == 0
        assert world.shares() == {world.stable: 100}
        # Both at once, the other way round; and the old image's migrate job has nothing to say against the new schema.
        assert world.rollout(world.good, steps=[50, 100], bake_s=4.0).status == 0
        line = world.gcloud("run", "services", "update-traffic", "payflow", f"--to-revisions={newer}=50,{world.stable}=50")
        assert line.returncode == 0, line.stderr
        time.sleep(3)
    print(load.seen)
    assert load.seen.failures.total() == 0, str(load.seen)
    assert load.seen.requests[newer] and load.seen.requests[world.stable]
    world.assert_all_there(load.seen)


def test_the_new_revision_waits_for_its_migration(world: World) -> None:
    """Were the migrate job forgotten, the new revision would say so and get no traffic."""
    expanded = world.image("expanded", [str(TOP / "build" / "rehearsal" / "expand" / "payflow")])
    done = world.rollout(expanded, migrate_job="payflow-verify")  # a job that migrates nothing
    assert done.status == 1 and world.shares() == {world.stable: 100}
    assert "migrations pending" in list(world.run.jobs["payflow-smoke"].outputs.values())[-1]
