"""Whatever ends a rollout, the traffic ends where it was: by the rollout itself, or, after SIGKILL, by the next one."""
from __future__ import annotations

import os
import signal
import subprocess
import time

from world import Outcome, World


def follow(program: subprocess.Popen[str], until: str) -> list[str]:
    """Reads what it says up to the line with `until`."""
    assert program.stdout is not None
    said = []
    for line in program.stdout:
        said.append(line)
        if until in line:
            return said
    raise AssertionError(f"it never said {until}: {''.join(said)}")


def start(world: World, image: str, until: str, **changed: object) -> subprocess.Popen[str]:
    program = world.start_program("rollout", f"--image={image}", **changed)
    print("".join(follow(program, until)))
    return program


QUICK = {"bake_s": 1.0, "poll_s": 1.0, "limits": {"requests": 1}}
# What a rollout says when it is about to do its next thing: there it is killed.
MOMENTS = ["migrating the database", "gcloud run deploy", "smoke test", "5 % to", "25 % to", "50 % to", "100 % to",
           "--remove-tags=candidate"]


def test_one_that_is_killed_at_any_step_is_found_and_undone_by_the_next(world: World) -> None:
    """Each run finds what the one before left, undoes it, and is killed a step later; the last may finish."""
    found = []
    with world.load(40) as load:
        for moment in MOMENTS:
            program = world.start_program("rollout", f"--image={world.good}", **QUICK)
            said = "".join(follow(program, moment))
            time.sleep(0.8)  # into what it is doing
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
            found.append("was killed; undoing it first" in said)
            assert said.count("FAILED") == 0
            if found[-1]:
                assert f"--to-revisions={world.stable}=100" in said
            print(f"killed at '{moment}': {world.shares()}, {world.tags()}")
        done = world.rollout(world.good, **QUICK)
    print(load.seen)
    assert done.status == 0
    assert world.shares() == {done.record["candidate"]: 100} and world.tags() == {"previous": world.stable}
    # The first two leave nothing; what happens after the deployment does.
    assert found[0] is False and all(found[3:]), found
    assert load.seen.failures.total() == 0, str(load.seen)
    world.assert_all_there(load.seen)


def test_signals_undo_it(world: World) -> None:
    with world.load(40) as load:
        for number, moment in ((signal.SIGTERM, "25 % to"), (signal.SIGINT, "5 %: ")):
            program = start(world, world.good, moment, bake_s=3.0)
            program.send_signal(number)
            time.sleep(0.5)
            program.send_signal(signal.SIGTERM)  # impatience must not stop the way back
            done = Outcome(world, program)
            assert done.status == 1 and done.record["reason"].startswith(f"Interrupted: {number.name}")
            assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()
    assert load.seen.failures.total() == 0, str(load.seen)


def test_a_terminal_that_is_gone_does_not_stop_the_way_back(world: World) -> None:
    program = start(world, world.good, "5 %: ", bake_s=3.0)
    assert program.stdout is not None
    program.stdout.close()
    program.send_signal(signal.SIGHUP)
    assert program.wait(120) == 1
    assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()


def test_after_a_lost_connection_it_is_undone(world: World) -> None:
    with world.load(40) as load:
        program = start(world, world.good, "5 %: ", command_s=20.0)
        with world.run.unreachable():
            print("".join(follow(program, "FAILED")))
        done = Outcome(world, program)
    assert done.status == 1
    assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()
    assert load.seen.failures.total() == 0, str(load.seen)


def test_if_the_connection_does_not_come_back_a_person_is_called(world: World) -> None:
    program = start(world, world.good, "5 %: ", undo_s=3.0, command_s=20.0)
    with world.run.unreachable():
        done = Outcome(world, program)
    assert done.status == 3 and done.record["outcome"] == "lost"
    assert done.at("THE TRAFFIC COULD NOT BE TAKEN BACK")
    back = world.program("rollback", world.stable)  # the person
    assert back.status == 0
    assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()


def test_what_a_person_did_meanwhile_stays(world: World) -> None:
    """Somebody rolls back by the runbook's line while the rollout looks at metrics."""
    with world.load(40):
        program = start(world, world.good, "25 %: ", bake_s=8.0, poll_s=2.0)
        line = world.gcloud("run", "services", "update-traffic", "payflow", "--to-tags=previous=100")
        assert line.returncode == 0, line.stderr
        done = Outcome(world, program)
    assert done.status == 1 and done.at("somebody else moved the traffic")
    assert world.shares() == {world.stable: 100} and "candidate" not in world.tags()


def test_a_split_by_hand_is_not_touched(world: World) -> None:
    other = world.release(world.good)
    line = world.gcloud("run", "services", "update-traffic", "payflow", f"--to-revisions={other}=50,{world.stable}=50")
    assert line.returncode == 0, line.stderr
    before = world.shares()
    done = world.rollout(world.good)
    assert done.status == 1 and done.at("split by hand")
    assert world.shares() == before
