"""The verdict and the step's decision: pure, so every case is written down here."""
from __future__ import annotations

import re
from dataclasses import replace

import pytest
from payflow_deploy.judge import Action, Opinion, Sample, Step, Verdict, judge
from payflow_deploy.settings import FOLDER, Environment, Failure, Limits, load
from servers import TOP

LIMITS = Limits(requests=100, errors=5, error_share=0.01, error_ratio=2.0, p99_ms=500, p99_ratio=1.5)
FAST = Sample(1000, 0, 50)


@pytest.mark.parametrize(("candidate", "stable", "opinion"), [
    (Sample(1000, 0, 60), FAST, Opinion.GOOD),
    (Sample(100, 0, 60), FAST, Opinion.GOOD),
    (None, FAST, Opinion.UNKNOWN),
    (Sample(0, 0, None), FAST, Opinion.TOO_FEW),
    (Sample(99, 0, 60), FAST, Opinion.TOO_FEW),
    (Sample(1000, 0, None), FAST, Opinion.UNKNOWN),
    # errors
    (Sample(1000, 10, 60), FAST, Opinion.GOOD),                      # exactly what is allowed
    (Sample(1000, 11, 60), FAST, Opinion.BAD),
    (Sample(1000, 11, 60), Sample(1000, 6, 50), Opinion.GOOD),       # the stable revision fares no better
    (Sample(1000, 13, 60), Sample(1000, 6, 50), Opinion.BAD),
    (Sample(1000, 11, 60), Sample(99, 50, 50), Opinion.BAD),         # too few to compare with
    (Sample(1000, 11, 60), None, Opinion.BAD),
    (Sample(100, 4, 60), FAST, Opinion.TOO_FEW),                     # a handful condemns nobody, nor does it pass
    (Sample(500, 4, 60), FAST, Opinion.GOOD),
    (Sample(5, 5, None), FAST, Opinion.BAD),                         # but if all fail, one need not wait for 100
    # slowness
    (Sample(1000, 0, 500), FAST, Opinion.GOOD),
    (Sample(1000, 0, 501), FAST, Opinion.BAD),
    (Sample(1000, 0, 700), Sample(1000, 0, 500), Opinion.GOOD),
    (Sample(1000, 0, 751), Sample(1000, 0, 500), Opinion.BAD),
    (Sample(1000, 0, 501), Sample(1000, 0, None), Opinion.BAD),
    (Sample(50, 0, 5000), FAST, Opinion.TOO_FEW),                    # a p99 of 50 is one request
])
def test_verdict(candidate: Sample | None, stable: Sample | None, opinion: Opinion) -> None:
    assert judge(candidate, stable, LIMITS).opinion is opinion


PRODUCTION = replace(load("production"), bake_s=100, hold_s=50, limits=LIMITS)


@pytest.mark.parametrize(("at_s", "opinion", "action"), [
    (1, Opinion.BAD, Action.UNDO),            # at once
    (149, Opinion.BAD, Action.UNDO),
    (1, Opinion.GOOD, Action.WAIT),
    (99, Opinion.GOOD, Action.WAIT),
    (100, Opinion.GOOD, Action.NEXT),
    (149, Opinion.GOOD, Action.NEXT),
    (1000, Opinion.GOOD, Action.NEXT),        # however late: it was judged
    (1, Opinion.TOO_FEW, Action.WAIT),
    (50, Opinion.TOO_FEW, Action.SYNTHESIZE),
    (149, Opinion.TOO_FEW, Action.SYNTHESIZE),
    (150, Opinion.TOO_FEW, Action.UNDO),
    (50, Opinion.UNKNOWN, Action.WAIT),       # more requests would not make the metrics readable
    (149, Opinion.UNKNOWN, Action.WAIT),
    (150, Opinion.UNKNOWN, Action.UNDO),
])
def test_decision(at_s: float, opinion: Opinion, action: Action) -> None:
    assert Step(5, 1000).decide(1000 + at_s, Verdict(opinion, ""), PRODUCTION) is action


def test_requests_of_our_own_are_sent_once_a_step() -> None:
    step = Step(5, 0)
    few = Verdict(Opinion.TOO_FEW, "")
    assert [step.decide(at_s, few, PRODUCTION) for at_s in (50, 60, 120)] == [Action.SYNTHESIZE, Action.WAIT, Action.WAIT]


def test_every_walk_ends() -> None:
    """Whatever the verdicts are, a step ends at its limit."""
    for opinion in Opinion:
        step = Step(5, 0)
        actions = [step.decide(at_s, Verdict(opinion, ""), PRODUCTION) for at_s in range(0, 151, 10)]
        assert actions[-1] in (Action.NEXT, Action.UNDO)


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.toml")))
def test_each_environments_settings_are_whole(name: str) -> None:
    environment = load(name)
    assert environment.bake_s > 240, "Cloud Run's metrics are that late"
    assert environment.verify, "signatures are checked everywhere"
    assert environment.prometheus.startswith("https://")


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.toml")))
def test_the_names_are_those_that_terraform_gives(name: str) -> None:
    environment = load(name)
    assert 'name = "payflow-${var.environment}"' in (TOP / "tf" / "environments" / name / "main.tf").read_text()
    assert environment.service == f"payflow-{name}"
    jobs = re.findall(r"^ {4}(\w+) += \{ account", (TOP / "tf" / "modules" / "service" / "jobs.tf").read_text(), re.MULTILINE)
    ours = [environment.migrate_job, environment.smoke_job, *environment.other_jobs]
    assert sorted(ours) == sorted(f"{environment.service}-{job}" for job in jobs)


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.toml")))
def test_a_good_release_has_time_to_get_all_traffic(name: str) -> None:
    environment = load(name)
    assert len(environment.steps) * environment.bake_s + environment.hold_s < environment.limit_s
    assert environment.limit_s + environment.undo_s <= 3600, "the pipeline's identity is good for an hour"


def test_production_is_the_most_careful() -> None:
    production, staging = load("production"), load("staging")
    assert production.steps == [5, 25, 50, 100]
    assert production.bake_s >= staging.bake_s and production.limits.requests >= staging.limits.requests


@pytest.mark.parametrize(("changed", "says"), [
    ({"steps": [5, 25, 50]}, "steps"),
    ({"steps": [25, 5, 100]}, "steps"),
    ({"steps": [0, 100]}, "steps"),
    ({"poll_s": 0}, "poll_s"),
])
def test_wrong_settings_are_refused(changed: dict[str, object], says: str) -> None:
    known = {name: getattr(PRODUCTION, name) for name in PRODUCTION.__dataclass_fields__}
    with pytest.raises(Failure, match=says):
        Environment(**(known | changed))


def test_a_misspelt_setting_is_refused(tmp_path) -> None:
    text = (FOLDER / "staging.toml").read_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("bake_s", "backe_s"))
    with pytest.raises(Failure, match="backe_s, bake_s"):
        load(str(wrong))
