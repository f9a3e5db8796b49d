"""The stand-in's revisions: real processes of real binaries, with Cloud Run's probes, limits of life, and metrics."""
from __future__ import annotations

import asyncio
import bisect
import contextlib
import http.client
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from servers import Folder, Process

BUCKETS_MS = [1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000, 10000]


@dataclass(frozen=True)
class Image:
    """What a digest holds: the command that its container runs, before the arguments."""

    command: list[str]


@dataclass
class Counts:
    """A revision's metrics, by the response's class."""

    requests: Counter[str] = field(default_factory=lambda: Counter({f"{n}xx": 0 for n in range(2, 6)}))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_MS) + 1))
    total_ms: float = 0

    def add(self, status: int, duration_ms: float) -> None:
        self.requests[f"{status // 100}xx"] += 1
        self.buckets[bisect.bisect_left(BUCKETS_MS, duration_ms)] += 1
        self.total_ms += duration_ms

    def lines(self, labels: str) -> list[str]:
        """In Prometheus' text format, under the names and labels that Cloud Monitoring's PromQL has."""
        found = [f'run_googleapis_com:request_count{{{labels},response_code="{c[0]}00",response_code_class="{c}"}} {n}'
                 for c, n in self.requests.items()]
        name = "run_googleapis_com:request_latencies"
        below = list(itertools.accumulate(self.buckets))
        bounds = [*map(str, BUCKETS_MS), "+Inf"]
        found += [f'{name}_bucket{{{labels},le="{b}"}} {n}' for b, n in zip(bounds, below, strict=True)]
        return [*found, f"{name}_sum{{{labels}}} {self.total_ms}", f"{name}_count{{{labels}}} {below[-1]}"]


def environment(container: Mapping[str, Any], secrets: Mapping[str, str], **more: str) -> dict[str, str]:
    """The container's variables, and no other of this machine's."""
    found = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    for entry in container.get("env", []):
        if "valueFrom" in entry:
            found[entry["name"]] = secrets[entry["valueFrom"]["secretKeyRef"]["name"]]
        else:
            found[entry["name"]] = entry.get("value", "")
    return found | more


def main_container(spec: dict[str, Any]) -> dict[str, Any]:
    """The one that takes the requests. Those beside it are not run here."""
    found: dict[str, Any] = next((c for c in spec["containers"] if c.get("ports")), spec["containers"][0])
    return found


class Instance(Process):
    """One container."""

    def __init__(self, folder: Folder, name: str) -> None:
        super().__init__(folder.make("instance"))
        self.name = name
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []  # connections to it, kept

    def probe(self, probe: Mapping[str, Any]) -> bool:
        if "httpGet" not in probe:
            return self.is_up()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=probe.get("timeoutSeconds", 1))
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", probe["httpGet"]["path"])
            return connection.getresponse().status < 400
        return False


class Revision:
    """One revision. It has an instance while it has traffic or a tag, and whenever it is asked."""

    def __init__(self, folder: Folder, name: str, service: str, template: dict[str, Any], image: Image | None,
                 secrets: Mapping[str, str]) -> None:
        self.folder = folder
        self.name = name
        self.service = service
        self.template = template
        self.image = image
        self.secrets = secrets
        self.made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.state = "Unknown"
        self.reason = self.message = ""
        self.counts = Counts()
        self.inflight = 0
        self.starts = 0
        self.instance: Instance | None = None
        self.lock = threading.Lock()

    @property
    def container(self) -> dict[str, Any]:
        return main_container(self.template["spec"])

    def prove(self) -> None:
        """The first start decides whether the revision is ready."""
        if self.image is None:
            self.state, self.reason = "False", "ContainerMissing"
            self.message = f"Image '{self.container['image']}' not found."
        elif self.start():
            self.state = "True"
        else:
            self.state, self.reason = "False", "HealthCheckContainerError"
            self.message = (f"Revision '{self.name}' is not ready and cannot serve traffic. The user-provided container failed "
                            "to start and listen on the port defined provided by the PORT=8080 environment variable within "
                            "the allocated timeout.")

    def start(self) -> bool:
        """A new instance, if there is none; True when its startup probe passes."""
        assert self.image is not None
        with self.lock:
            if self.instance is not None and self.instance.is_running():
                return True
            instance = Instance(self.folder, self.name)
            variables = environment(self.container, self.secrets, PORT=str(instance.port), K_SERVICE=self.service,
                                    K_REVISION=self.name, K_CONFIGURATION=self.service)
            instance.launch([*self.image.command, *self.container.get("args", [])], variables)
            self.starts += 1
            probe = self.container.get("startupProbe", {})
            for _ in range(probe.get("failureThreshold", 3) * 10 * probe.get("periodSeconds", 10)):
                if not instance.is_running():
                    break
                if instance.probe(probe):
                    self.instance = instance
                    return True
                time.sleep(0.1)  # Cloud Run's period is at least a second; nobody here needs that patience
            instance.stop()
            return False

    def stop(self) -> None:
        """After what is in flight; Cloud Run sends no more, then SIGTERM."""
        with self.lock:
            instance, self.instance = self.instance, None
        if instance is not None:
            deadline = time.monotonic() + 10
            while self.inflight and time.monotonic() < deadline:
                time.sleep(0.02)
            instance.stop(limit_s=10)

    def metric_lines(self, location: str) -> list[str]:
        return self.counts.lines(f'monitored_resource="cloud_run_revision",location="{location}",'
                                 f'service_name="{self.service}",revision_name="{self.name}"')

    def condition(self) -> dict[str, str]:
        return {"type": "Ready", "status": self.state, "reason": self.reason, "message": self.message}

    def as_knative(self, namespace: str) -> dict[str, Any]:
        template = self.template.get("metadata", {})
        return {
            "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
            "metadata": {"name": self.name, "namespace": namespace, "creationTimestamp": self.made, "generation": 1,
                         "labels": template.get("labels", {}) | {"serving.knative.dev/service": self.service},
                         "annotations": template.get("annotations", {})},
            "spec": self.template["spec"],
            "status": {"observedGeneration": 1, "conditions": [self.condition()], "imageDigest": self.container["image"]},
        }
