"""gcloud, and what it says of a Cloud Run service."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .settings import Environment, Failure

CANDIDATE = "candidate"  # tag of the revision that a rollout is giving traffic to
PREVIOUS = "previous"    # tag of the revision to go back to


@dataclass(frozen=True)
class Target:
    revision: str
    percent: int
    tag: str
    url: str


def targets(entries: list[dict[str, Any]], latest: str) -> list[Target]:
    return [Target(e.get("revisionName") or latest, e.get("percent", 0), e.get("tag", ""), e.get("url", "")) for e in entries]


def main_container(spec: dict[str, Any]) -> dict[str, Any]:
    """The container that takes the requests; others stand beside it (the metrics' collector)."""
    containers: list[dict[str, Any]] = spec["containers"]
    return next((c for c in containers if c.get("ports")), containers[0])


class Service:
    """One reading of the service. `traffic` is what is (status), `wanted` what was asked for (spec); after a revision that
    never became ready the two differ."""

    def __init__(self, answer: dict[str, Any]) -> None:
        status = answer.get("status", {})
        self.generation: int = answer["metadata"].get("generation", 0)
        self.settled = status.get("observedGeneration") == self.generation
        self.url: str = status.get("url", "")
        self.latest_ready: str = status.get("latestReadyRevisionName", "")
        self.latest_created: str = status.get("latestCreatedRevisionName", "")
        self.traffic = targets(status.get("traffic", []), self.latest_ready)
        self.wanted = targets(answer.get("spec", {}).get("traffic", []), self.latest_ready)

    def shares(self) -> dict[str, int]:
        """Percent by revision, without those that have none."""
        found: dict[str, int] = {}
        for target in self.traffic:
            if target.percent:
                found[target.revision] = found.get(target.revision, 0) + target.percent
        return found

    def sole(self) -> str | None:
        """The revision that has all the traffic."""
        return next((revision for revision, percent in self.shares().items() if percent == 100), None)

    def tagged(self, tag: str) -> Target | None:
        return next((t for t in [*self.traffic, *self.wanted] if t.tag == tag), None)

    def url_of(self, tag: str, revision: str) -> str:
        """Where the tagged revision answers; "" while the tag is not there, or on another one."""
        return next((t.url for t in self.traffic if t.tag == tag and t.revision == revision), "")

    def describe(self) -> str:
        return ", ".join(f"{revision} {percent} %" for revision, percent in self.shares().items()) or "nothing"


class Gcloud:
    def __init__(self, environment: Environment, project: str, say: Callable[[str], None]) -> None:
        self.environment = environment
        self.say = say
        self.variables = os.environ | {
            "CLOUDSDK_CORE_PROJECT": project, "CLOUDSDK_RUN_REGION": environment.region,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false",
        }
        self.token, self.token_until = "", 0.0

    def run(self, *arguments: str, limit_s: float | None = None, quiet: bool = False) -> str:
        """Its standard output. A signal to us does not reach it by itself; whatever ends us ends it."""
        if not quiet:
            self.say("gcloud " + " ".join(arguments))
        # A session of its own: a terminal's Ctrl-C must not kill the command that takes the traffic back.
        with subprocess.Popen(["gcloud", *arguments], env=self.variables, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
            try:
                out, err = process.communicate(timeout=limit_s or self.environment.command_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Failure(f"gcloud {' '.join(arguments[:4])} took more than "
                              f"{limit_s or self.environment.command_s:g} s") from None
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode != 0:
            error = err[max(err.find("ERROR: "), 0):].removeprefix("ERROR: ").split()  # the rest is its progress bar
            raise Failure(f"gcloud {' '.join(arguments[:4])}: {' '.join(error) or 'no message'}")
        return out

    def service(self) -> Service | None:
        """None if there is no such service."""
        try:
            return Service(json.loads(self.run("run", "services", "describe", self.environment.service, "--format=json",
                                               quiet=True)))
        except Failure as failure:
            if "Cannot find service" in str(failure):
                return None
            raise

    def revisions(self) -> list[dict[str, Any]]:
        found = json.loads(self.run("run", "revisions", "list", "--service", self.environment.service, "--format=json",
                                    quiet=True))
        return found if isinstance(found, list) else []

    def traffic(self, shares: dict[str, int], tags: dict[str, str] | None = None, remove: list[str] | None = None) -> None:
        """Asks for these shares and changes of tags. Returning says that it was accepted, not that it is so."""
        flags = ["--to-revisions=" + ",".join(f"{r}={p}" for r, p in shares.items())] if shares else []
        flags += ["--update-tags=" + ",".join(f"{t}={r}" for t, r in tags.items())] if tags else []
        flags += ["--remove-tags=" + ",".join(remove)] if remove else []
        self.run("run", "services", "update-traffic", self.environment.service, *flags)

    def job_image(self, job: str, image: str) -> None:
        self.run("run", "jobs", "update", job, f"--image={image}")

    def execute(self, job: str, **variables: str) -> None:
        """Runs the job and waits for its end."""
        given = ["--update-env-vars=" + ",".join(f"{n}={v}" for n, v in variables.items())] if variables else []
        self.run("run", "jobs", "execute", job, "--wait", *given, limit_s=self.environment.job_s)

    def access_token(self) -> str:
        if time.monotonic() > self.token_until:
            self.token = self.run("auth", "print-access-token", quiet=True).strip()
            self.token_until = time.monotonic() + 300
        return self.token


def settle(gcloud: Gcloud, change: Callable[[], None], done: Callable[[Service], bool], limit_s: float) -> Service:
    """Makes the change, again and again, until the service says that it is so. A command's exit code decides nothing: after a
    revision that never became ready it is 1 though the traffic moved, and a broken connection leaves open what was done."""
    deadline = time.monotonic() + limit_s
    while True:
        trouble = "the service does not say that it is so"
        try:
            change()
        except Failure as failure:
            trouble = str(failure)
            gcloud.say(trouble)
        try:
            service = gcloud.service()
            if service is not None and service.settled and done(service):
                return service
        except Failure as failure:
            trouble = str(failure)
        if time.monotonic() > deadline:
            raise Failure(f"gave up after {limit_s:g} s: {trouble}")
        time.sleep(min(2.0, limit_s / 20))
