"""Gives a new image its traffic, step by step, or takes it back.

What is going on can be read from the service alone, so that a rollout that was killed is found by the next one: the tag
`candidate` is on the revision that is getting traffic, the tag `previous` on the one to go back to.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from .gcloud import CANDIDATE, PREVIOUS, Gcloud, Service, settle
from .judge import Action, Sample, Step, Verdict, judge
from .metrics import Metrics
from .record import Record
from .settings import Environment, Failure, load

TOP = Path(__file__).resolve().parent.parent.parent
REQUESTS_A_ROUND = 3  # of `payflow smoke`
EXIT_FAILED = 1       # the release failed; the traffic is where it was
EXIT_USAGE = 2
EXIT_LOST = 3         # the release failed, and nobody knows where the traffic is: a person must look


class Interrupted(Exception):
    """A signal came."""


class HandsOff(Failure):
    """Somebody else moved the traffic meanwhile; what they did stays."""


class Rollout:
    def __init__(self, environment: Environment, project: str, image: str, version: str | None) -> None:
        self.environment = environment
        self.image = image
        self.version = version
        self.record = Record("rollout", environment.name, image=image, version=version, service=environment.service)
        self.say = self.record.say
        self.gcloud = Gcloud(environment, project, self.say)
        self.metrics = Metrics(environment, project, self.gcloud.access_token)
        self.begun_s = time.monotonic()
        self.stable: str | None = None      # where the traffic was, and goes back to
        self.former: str | None = None      # what `previous` was on before
        self.candidate: str | None = None
        self.candidate_url = ""
        self.expected: list[dict[str, int]] = []  # the shares that we asked for last, and those before
        self.baseline: Sample | None = None       # the stable revision's last sample that is worth comparing with

    # --- the way forward ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.verify()
        service = self.recover(self.gcloud.service())
        self.stable = service.sole() if service is not None else None
        self.record.set(stable=self.stable)
        if service is not None and self.stable is not None:
            previous = service.tagged(PREVIOUS)
            self.former = previous.revision if previous else None
            self.expected = [service.shares()]
        self.migrate()
        self.deploy()
        self.smoke(rounds=1)
        if self.stable is None:
            self.shift(100)
        else:
            for percent in self.environment.steps:
                self.shift(percent)
                self.bake(percent)
        self.finish()

    def verify(self) -> None:
        if not self.environment.verify:
            self.say(f"the signature is not checked: {self.environment.name} names no command for it")
            return
        self.say("checking the signature")
        try:
            done = subprocess.run([*self.environment.verify, self.image], cwd=TOP, stdin=subprocess.DEVNULL, check=False,
                                  timeout=self.environment.command_s)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(f"the signature could not be checked: {error}") from None
        if done.returncode != 0:
            raise Failure("the image's signature does not hold")

    def recover(self, service: Service | None) -> Service | None:
        """Undoes what an earlier rollout left when it was killed."""
        candidate = service.tagged(CANDIDATE) if service else None
        if service is None or (candidate is None and (service.sole() or not service.shares())):
            return service
        if candidate is None:
            raise Failure(f"the traffic is split by hand ({service.describe()}): end that with deploy/rollback REVISION")
        previous = service.tagged(PREVIOUS)
        stable = service.sole()
        if stable in (None, candidate.revision):
            stable = previous.revision if previous and previous.revision != candidate.revision else None
        if stable is None and service.sole() is None and service.shares():
            raise Failure(f"an earlier rollout was killed, and no revision is tagged `{PREVIOUS}` to go back to")
        self.say(f"an earlier rollout of {candidate.revision} was killed; undoing it first", found=service.describe())
        if stable is None:  # the first deployment was killed: there is nothing to go back to
            return settle(self.gcloud, lambda: self.gcloud.traffic({}, remove=[CANDIDATE]),
                          lambda s: s.tagged(CANDIDATE) is None, self.environment.undo_s)
        return self.back_to(stable, None)

    def migrate(self) -> None:
        """By the new image, before it gets traffic; the schema of both works for both (docs/adr)."""
        job = self.environment.migrate_job
        self.say("migrating the database")
        self.gcloud.job_image(job, self.image)
        self.gcloud.execute(job)

    def deploy(self) -> None:
        # The tag comes afterwards: with --tag gcloud writes a revision's name into the template. Terraform would send that name
        # back with its next change, and Cloud Run takes no second revision of one name.
        flags = [f"--image={self.image}"]
        # Where nothing serves, gcloud has no revision to leave the traffic with, and refuses to deploy without it.
        flags += ["--no-traffic"] if self.stable is not None else []
        self.say("a first deployment" if self.stable is None else f"deploying beside {self.stable}")
        service = Service(json.loads(self.gcloud.run("run", "deploy", self.environment.service, "--format=json", *flags)))
        candidate = service.latest_created
        if not candidate or candidate == self.stable:
            raise Failure("there is no new revision")
        self.candidate = candidate
        self.record.set(candidate=candidate)
        service = settle(self.gcloud, lambda: self.gcloud.traffic({}, {CANDIDATE: candidate}),
                         lambda s: s.url_of(CANDIDATE, candidate) != "", self.environment.command_s)
        self.candidate_url = service.url_of(CANDIDATE, candidate)
        if self.stable is None:
            self.expected = [service.shares()]

    def smoke(self, rounds: int) -> None:
        job = self.environment.smoke_job
        self.say(f"{'smoke test' if rounds == 1 else 'requests of our own'} on {self.candidate}")
        if rounds == 1:
            self.gcloud.job_image(job, self.image)
        more = {"APP_VERSION": self.version} if self.version else {}
        self.gcloud.execute(job, SMOKE_URL=self.candidate_url, SMOKE_ROUNDS=str(rounds), **more)

    def shift(self, percent: int) -> None:
        assert self.candidate is not None
        shares = {self.candidate: percent}
        tags = None
        if self.stable is not None:
            shares |= {self.stable: 100 - percent} if percent < 100 else {}
            tags = {PREVIOUS: self.stable}
        self.check_hands(self.gcloud.service())
        self.expected = [self.expected[-1] if self.expected else {}, shares]
        self.say(f"{percent} % to {self.candidate}")
        self.gcloud.traffic(shares, tags)
        self.expected = [shares]  # the next step, or the end, looks whether it is so

    def bake(self, percent: int) -> None:
        step = Step(percent, time.monotonic())
        while True:
            time.sleep(self.environment.poll_s)
            verdict = self.look(time.monotonic() - step.begun_s)
            action = step.decide(time.monotonic(), verdict, self.environment)
            self.say(f"{percent} %: {verdict.opinion.value}: {verdict.why}; {action.value}", opinion=verdict.opinion.name)
            if action is Action.NEXT:
                return
            if action is Action.UNDO:
                raise Failure(f"at {percent} %: {verdict.opinion.value}: {verdict.why}")
            if time.monotonic() - self.begun_s > self.environment.limit_s:
                raise Failure(f"at {percent} % after {self.environment.limit_s:g} s, the limit for a whole rollout")
            if action is Action.SYNTHESIZE:
                self.synthesize(step)

    def synthesize(self, step: Step) -> None:
        """Requests of our own. The metrics judge their answers with all others; one that failed ends the job too early."""
        try:
            self.smoke(math.ceil(self.environment.limits.requests / REQUESTS_A_ROUND))
        except Failure as failure:
            self.say(f"not all of our own requests went well: {failure}")
            step.synthesized = False

    def look(self, elapsed_s: float) -> Verdict:
        assert self.candidate is not None and self.stable is not None
        window_s = max(elapsed_s, self.environment.window_s)
        samples = self.metrics.samples([self.candidate, self.stable], window_s)
        stable = samples.get(self.stable) if samples else None
        if stable is not None and stable.requests >= self.environment.limits.requests:
            self.baseline = stable
        candidate = None if samples is None else samples.get(self.candidate, Sample())
        return judge(candidate, self.baseline, self.environment.limits)

    def finish(self) -> None:
        """The candidate has everything and was good: the tag goes, and with it what the next run would undo."""
        candidate = self.candidate
        settle(self.gcloud, lambda: self.gcloud.traffic({}, remove=[CANDIDATE]),
               lambda s: s.sole() == candidate and s.tagged(CANDIDATE) is None, self.environment.undo_s)
        for job in self.environment.other_jobs:
            try:
                self.gcloud.job_image(job, self.image)
            except Failure as failure:
                self.say(f"the release is good, but {job} still has its old image: {failure}")

    # --- the way back -------------------------------------------------------------------------------------------------

    def check_hands(self, service: Service | None) -> None:
        """Whoever moved the traffic while we looked at metrics had a reason (a roll-back by the runbook's line)."""
        if service is None or (self.expected and service.shares() not in self.expected):
            raise HandsOff(f"somebody else moved the traffic to {service.describe() if service else 'nothing'}; it stays so")

    def undo(self, hands_off: bool) -> str:
        """Returns, with who has the traffic, when the service says that it is where it was; raises Failure if it never does."""
        if self.stable is None:
            return "nothing was moved" if self.candidate is None else "there was no revision to go back to"
        try:
            service = self.gcloud.service()
        except Failure:
            service = None  # no connection: back_to goes on trying
        if service is not None and service.shares() not in self.expected and \
                (hands_off or not service.shares().get(self.candidate or "")):
            if service.tagged(CANDIDATE) is not None:
                settle(self.gcloud, lambda: self.gcloud.traffic({}, remove=[CANDIDATE]),
                       lambda s: s.tagged(CANDIDATE) is None, self.environment.undo_s)
            return f"somebody else gave the traffic to {service.describe()}"
        if service is None or not service.settled or not is_back(service, self.stable):
            self.back_to(self.stable, self.former)
        return f"{self.stable} has all traffic"

    def back_to(self, stable: str, former: str | None) -> Service:
        """All traffic to `stable`, no candidate; and `previous` where it was, if that still can be."""
        def change() -> None:
            now = self.gcloud.service()
            self.gcloud.traffic({stable: 100}, remove=[CANDIDATE] if now is None or now.tagged(CANDIDATE) else None)
        service = settle(self.gcloud, change, lambda s: is_back(s, stable), self.environment.undo_s)
        previous = service.tagged(PREVIOUS)
        if former and (previous is None or previous.revision != former):
            try:
                self.gcloud.traffic({}, {PREVIOUS: former})
            except Failure as failure:
                self.say(f"the traffic is back, but the tag `{PREVIOUS}` is not: {failure}")
        return service


def is_back(service: Service, stable: str) -> bool:
    return service.sole() == stable and service.tagged(CANDIDATE) is None


def interrupt(number: int, _frame: FrameType | None) -> None:
    on_signals(signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def on_signals(handler: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)  # type: ignore[arg-type]


def execute(rollout: Rollout) -> int:
    record = rollout.record
    try:
        on_signals(interrupt)
        rollout.run()
        on_signals(signal.SIG_IGN)
    except Exception as error:  # whatever it was, the traffic goes back
        on_signals(signal.SIG_IGN)  # nothing stops the way back but SIGKILL, and the next run finds that
        why = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
        record.set(reason=why)
        record.say(f"FAILED: {why}")
        try:
            state = rollout.undo(isinstance(error, HandsOff))
        except Failure as lost:
            record.end("lost", f"THE TRAFFIC COULD NOT BE TAKEN BACK: {lost}. Look at deploy/status and use deploy/rollback.")
            return EXIT_LOST
        record.end("rolled back" if rollout.candidate else "failed",
                   f"undone after {time.monotonic() - rollout.begun_s:.0f} s, {state}: {why}")
        return EXIT_FAILED
    record.end("promoted", f"{rollout.candidate} has all traffic after {time.monotonic() - rollout.begun_s:.0f} s; "
                           f"the way back: {rollout.stable}")
    return 0


def project_of(given: str | None) -> str:
    found = given or os.environ.get("CLOUDSDK_CORE_PROJECT") or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not found:
        raise Failure("which project? Give --project or set CLOUDSDK_CORE_PROJECT")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/rollout", description="Gives a new image its traffic, step by step, or takes "
                                     "it back. Exit 0: it has all traffic; 1: it failed, and the traffic is where it was; 3: it "
                                     "failed, and a person must look.")
    parser.add_argument("--environment", required=True, help="its settings are deploy/environments/NAME.toml")
    parser.add_argument("--image", required=True, help="REPOSITORY@sha256:DIGEST")
    parser.add_argument("--version", help="what the revision must say it is; default: the version of the image's binary")
    parser.add_argument("--project", help="Google Cloud project; default: CLOUDSDK_CORE_PROJECT")
    given = parser.parse_args()
    try:
        if not re.fullmatch(r"[a-z0-9./_:-]+@sha256:[0-9a-f]{64}", given.image):
            raise Failure("--image must name a digest: REPOSITORY@sha256:DIGEST")
        if given.version and not re.fullmatch(r"[0-9A-Za-z.+_-]{1,60}", given.version):
            raise Failure("--version has characters that no version has")
        rollout = Rollout(load(given.environment), project_of(given.project), given.image, given.version)
    except Failure as failure:
        print(f"rollout: {failure}", file=sys.stderr)
        return EXIT_USAGE
    return execute(rollout)
