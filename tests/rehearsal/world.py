"""One rehearsal's world: the stand-in with a service, its database, Prometheus, and the programs that a release runs."""
from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from instances import Image, main_container
from load import Load, Seen
from servers import BINARY, TOP, Database, Folder, Process, wait_until
from standin import PROJECT, REGION, TOKEN, CloudRun, Job, Service

REPOSITORY = f"{REGION}-docker.pkg.dev/acme/payflow/payflow"
HERE = Path(__file__).resolve().parent
STEPS = [5, 25, 50, 100]
# production's, with times that a test can wait for, and limits for the requests of so short a time.
SHORT: dict[str, Any] = {
    "service": "payflow", "migrate_job": "payflow-migrate", "smoke_job": "payflow-smoke", "other_jobs": [],
    "steps": STEPS, "bake_s": 5.0, "hold_s": 15.0, "poll_s": 1.0, "window_s": 5.0, "limit_s": 600.0, "command_s": 120.0,
    "job_s": 120.0, "undo_s": 60.0, "verify": ["test", "-n"],
}
LIMITS: dict[str, Any] = {"requests": 15, "errors": 3, "error_share": 0.02, "p99_ms": 800.0, "p99_ratio": 2.0}


class Prometheus(Process):
    """Answers queries on the path that Cloud Monitoring has."""

    name = "Prometheus"

    def __init__(self, folder: Folder, target: int) -> None:
        super().__init__(folder.make("prometheus"))
        self.path = f"/v1/projects/{PROJECT}/location/global/prometheus"
        (self.home / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "cloud-run", "honor_timestamps": True,
                                "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}]}))

    def start(self) -> Prometheus:
        self.launch(["prometheus", f"--config.file={self.home}/prometheus.yml", f"--storage.tsdb.path={self.home}/data",
                     f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=2h", "--log.level=warn",
                     f"--web.external-url=http://127.0.0.1:{self.port}{self.path}"], {"GOMAXPROCS": "1", "PATH": "/usr/bin"})
        self.wait_up()
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}/api/v1/query"


def toml(table: Mapping[str, Any]) -> str:
    """TOML writes these values as JSON does."""
    plain = [f"{name} = {json.dumps(value)}\n" for name, value in table.items() if not isinstance(value, Mapping)]
    return "".join(plain) + "".join(f"[{n}]\n{toml(v)}" for n, v in table.items() if isinstance(v, Mapping))


class World:
    def __init__(self, folder: Folder, database: Database) -> None:
        self.folder = folder
        self.home = folder.make("world")
        self.database = database
        self.run = CloudRun(folder)
        self.prometheus = Prometheus(folder, self.run.port)
        self.good = self.image("good", [str(BINARY)])
        self.programs: list[subprocess.Popen[str]] = []

    def start(self) -> World:
        self.prometheus.start()
        self.payflow("migrate")
        self.key = self.payflow("keys", "create", "--account", "callers", "--scope", "payments:read,payments:write")
        self.run.secrets["smoke-key"] = self.payflow("keys", "create", "--account", "smoke", "--scope",
                                                     "payments:read,payments:write", "--test")
        for job in ("migrate", "smoke", "prune", "verify"):
            self.run.jobs[f"payflow-{job}"] = Job(self.run, self.job(job))
        return self

    def stop(self) -> None:
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
        self.prometheus.stop()
        self.run.stop()

    # --- what Terraform makes -----------------------------------------------------------------------------------------

    def environment(self) -> list[dict[str, Any]]:
        mine = self.database.environment() | {"PAYFLOW_AUTH": "on", "LOG_FORMAT": "json", "MAX_CONCURRENCY": "16",
                                              "DRAIN_MS": "200", "DB_READERS": "2"}
        return [{"name": name, "value": value} for name, value in mine.items()]

    def job(self, name: str) -> dict[str, Any]:
        variables = [*self.environment(), {"name": "SMOKE_LIMIT_S", "value": "4"},
                     {"name": "SMOKE_KEY", "valueFrom": {"secretKeyRef": {"name": "smoke-key", "key": "latest"}}}]
        container = {"image": self.good, "args": [name], "env": variables}
        return {"apiVersion": "run.googleapis.com/v1", "kind": "Job", "metadata": {"name": f"payflow-{name}"},
                "spec": {"template": {"metadata": {"labels": {}}, "spec": {
                    "taskCount": 1, "template": {"spec": {"containers": [container]}}}}}}

    def service(self, image: str) -> str:
        """A service whose only revision has all traffic; the revision."""
        collector = {"name": "collector", "image": "collector:1", "env": [{"name": "X", "value": "1"}]}
        container = {"name": "payflow", "image": image, "env": self.environment(), "ports": [{"containerPort": 8080}],
                     "startupProbe": {"httpGet": {"path": "/health"}, "periodSeconds": 1, "failureThreshold": 10}}
        body = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "payflow"},
                "spec": {"template": {"metadata": {"labels": {}}, "spec": {"containers": [collector, container]}}}}
        with self.run.lock:
            made = Service(self.run, body)
            made.put(body)
            self.run.services["payflow"] = made
        wait_until("the first revision is decided", lambda: made.observed)
        return made.created

    def release(self, image: str, name: str = "payflow-newer") -> str:
        """What a good rollout leaves, without one: a newer revision that has all traffic, and the way back."""
        service = self.run.services["payflow"]
        spec = copy.deepcopy(service.spec)
        previous = service.ready
        main_container(spec["template"]["spec"])["image"] = image
        spec["template"]["metadata"] = {"name": name}
        spec["traffic"] = [{"revisionName": name, "percent": 100}, {"revisionName": previous, "tag": "previous"}]
        with self.run.lock:
            service.put({"metadata": {}, "spec": spec})
        wait_until("the newer revision has all traffic", lambda: self.shares() == {name: 100})
        return name

    def apply(self) -> None:
        """What Terraform does where a setting changed: sends the template back as it stands, with the change."""
        service = self.run.services["payflow"]
        spec = copy.deepcopy(service.spec)
        main_container(spec["template"]["spec"])["env"].append({"name": "LOG_LEVEL", "value": "warning"})
        before = service.created
        with self.run.lock:
            service.put({"metadata": {}, "spec": spec})
        wait_until("there is a revision with the change", lambda: service.created != before)

    def image(self, name: str, command: list[str]) -> str:
        reference = f"{REPOSITORY}@sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        self.run.images[reference] = Image(command)
        return reference

    def faulty(self, kind: str, amount: object) -> str:
        return self.image(f"{kind} {amount}", [sys.executable, str(HERE / "faulty.py"), kind, str(amount), str(BINARY)])

    # --- who does what ------------------------------------------------------------------------------------------------

    def payflow(self, *arguments: str) -> str:
        variables = {e["name"]: e["value"] for e in self.environment()}
        return subprocess.run([BINARY, *arguments], env=variables, check=True, capture_output=True, text=True).stdout.strip()

    def variables(self) -> dict[str, str]:
        """gcloud's. PYTHONDONTWRITEBYTECODE would make it compile itself at each call."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("CLOUDSDK_") and n != "PYTHONDONTWRITEBYTECODE"}
        return kept | {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.rehearsal/", "CLOUDSDK_PROXY_TYPE": "http",
            "CLOUDSDK_PROXY_ADDRESS": "127.0.0.1", "CLOUDSDK_PROXY_PORT": str(self.run.port),
            "CLOUDSDK_AUTH_ACCESS_TOKEN": TOKEN, "CLOUDSDK_CORE_PROJECT": PROJECT, "CLOUDSDK_RUN_REGION": REGION,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true", "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
            "CLOUDSDK_CONFIG": str(self.home / "gcloud"),
        }

    def gcloud(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["gcloud", *arguments], env=self.variables() | variables, check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=180)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line of a runbook, with what runbooks/env.sh sets."""
        names = {"SERVICE": "payflow", "PROJECT": PROJECT, "REGION": REGION}
        return subprocess.run(["bash", "-euc", line], env=self.variables() | names, check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=180)

    def settings(self, **changed: Any) -> str:
        """production's settings with short times, and with what is changed."""
        with (TOP / "deploy" / "environments" / "production.toml").open("rb") as file:
            table = tomllib.load(file)
        limits = table["limits"] | LIMITS | changed.pop("limits", {})
        path = self.home / "rehearsal.toml"
        path.write_text(toml(table | SHORT | {"prometheus": self.prometheus.url} | changed | {"limits": limits}))
        return str(path)

    def start_program(self, name: str, *arguments: str, **changed: Any) -> subprocess.Popen[str]:
        program = subprocess.Popen([TOP / "deploy" / name, f"--environment={self.settings(**changed)}", *arguments],
                                   env=self.variables(), cwd=self.home, stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.programs.append(program)
        return program

    def rollout(self, image: str, **changed: Any) -> Outcome:
        return Outcome(self, self.start_program("rollout", f"--image={image}", **changed))

    def program(self, name: str, *arguments: str, **changed: Any) -> Outcome:
        return Outcome(self, self.start_program(name, *arguments, **changed))

    # --- what is so ---------------------------------------------------------------------------------------------------

    def shares(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.run.service_now()["status"]["traffic"]:
            found[entry["revisionName"]] = found.get(entry["revisionName"], 0) + entry.get("percent", 0)
        return {name: percent for name, percent in found.items() if percent}

    def tags(self) -> dict[str, str]:
        """Of what is asked for, where a dead candidate's would still be."""
        return {e["tag"]: e["revisionName"] for e in self.run.service_now()["spec"]["traffic"] if e.get("tag")}

    def load(self, rate: float = 120) -> Load:
        return Load(self.run.services["payflow"].ports[""], self.key, rate)

    def assert_all_there(self, seen: Seen) -> None:
        """Every payment that was acknowledged is in the database."""
        rows = self.database.sql("SELECT id FROM payments WHERE livemode AND id = ANY(%s)", seen.acknowledged)
        assert len(seen.acknowledged) == len(set(seen.acknowledged)) == len(rows)
        assert seen.acknowledged, "nobody was served"


class Outcome:
    """A program's end: waits for it, shows what it said where a test fails."""

    def __init__(self, world: World, program: subprocess.Popen[str], limit_s: float = 240) -> None:
        begun = time.monotonic()
        self.output, _ = program.communicate(timeout=limit_s)
        self.seconds = time.monotonic() - begun
        self.status = program.returncode
        print(self.output)
        files = sorted((world.home / "build" / "deploy").glob("*.json"), key=lambda p: p.stat().st_mtime)
        self.record: dict[str, Any] = json.loads(files[-1].read_text()) if files else {}

    def at(self, text: str) -> bool:
        return re.search(text, self.output) is not None
