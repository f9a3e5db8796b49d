"""A stand-in for the Cloud Run Admin API (Knative v1) that the real gcloud speaks to.

It keeps what gcloud PUTs, starts real processes for new revisions (instances.py), moves traffic when every target is ready
(front.py), runs jobs, refuses what Cloud Run refuses, and shows the revisions' metrics to Prometheus, late by `delay_s`.
gcloud reaches it as its HTTP proxy, so the host names in its requests are resolved nowhere.
"""
from __future__ import annotations

import contextlib
import copy
import json
import re
import subprocess
import threading
import time
import urllib.parse
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from front import Front, pick
from instances import Image, Revision, environment, main_container
from listener import Handler, Listener
from servers import Folder

PROJECT, NUMBER, REGION = "acme-payflow", "1234567890", "europe-west1"
TOKEN = "token-of-the-rehearsal"
NAME = re.compile(r"[a-z]([-a-z0-9]{0,47}[a-z0-9])?")
REVISION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
TAG = re.compile(r"[a-z]([-a-z0-9]{0,44}[a-z0-9])?")
LABEL = re.compile(r"([a-z0-9_-]{0,63})")
SERVICES, JOBS = "/apis/serving.knative.dev/v1/namespaces/", "/apis/run.googleapis.com/v1/namespaces/"

Json = dict[str, Any]


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                     "message": message, "error": {"code": code, "message": message, "status": reason}}


def stamp() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    more = {"reason": reason, "message": message} if message else {}
    return {"type": kind, "status": status, "lastTransitionTime": stamp(), **more}


class Service:
    """A configuration, which makes revisions, and a route, which is reconciled apart from it."""

    def __init__(self, run: CloudRun, body: Json) -> None:
        self.run = run
        self.name: str = body["metadata"]["name"]
        self.revisions: dict[str, Revision] = {}
        self.routed: list[Json] = []      # status.traffic
        self.ports: dict[str, int] = {}   # of the service (""), and of each tag
        self.meta: Json = {"uid": str(uuid.uuid4()), "creationTimestamp": stamp(), "generation": 0}
        self.spec: Json = {}
        self.created = self.ready = ""    # latest revision: made, ready
        self.observed = 0
        self.route_trouble = ""
        self.wake = threading.Condition(run.lock)
        self.ports[""] = run.front.listen(lambda: self.choose(""))

    # --- the data plane's view ----------------------------------------------------------------------------------------

    def choose(self, tag: str) -> Revision | None:
        routed = [e for e in self.routed if (e.get("tag") == tag if tag else e.get("percent"))]
        return pick([(self.revisions[e["revisionName"]], e.get("percent", 0) if not tag else 1) for e in routed])

    def url(self, tag: str = "") -> str:
        if tag not in self.ports:
            self.ports[tag] = self.run.front.listen(lambda: self.choose(tag))
        return f"http://127.0.0.1:{self.ports[tag]}"

    # --- what gcloud asks for -----------------------------------------------------------------------------------------

    def check(self, body: Json) -> None:
        template, traffic = body["spec"]["template"], body["spec"].get("traffic", [])
        if not NAME.fullmatch(self.name):
            raise Refusal(400, "INVALID_ARGUMENT", f"metadata.name: '{self.name}' is no valid service name")
        named = template.get("metadata", {}).get("name")
        if named and not (named.startswith(self.name + "-") and REVISION.fullmatch(named)):
            raise Refusal(400, "INVALID_ARGUMENT", f"spec.template.metadata.name: '{named}' must be a valid name that is "
                                                   f"prefixed by the service's")
        for key, value in {**body["metadata"].get("labels", {}), **template.get("metadata", {}).get("labels", {})}.items():
            if not LABEL.fullmatch(str(value)):
                raise Refusal(400, "INVALID_ARGUMENT", f"metadata.labels: '{value}' is no valid value of {key}")
        tags = [e["tag"] for e in traffic if e.get("tag")]
        for tag in tags:
            if not TAG.fullmatch(tag):
                raise Refusal(400, "INVALID_ARGUMENT", f"spec.traffic.tag: '{tag}' must consist of lower case alphanumeric "
                                                       "characters or '-'")
        if len(tags) != len(set(tags)):
            raise Refusal(400, "INVALID_ARGUMENT", "spec.traffic: a tag is used twice")
        if traffic and sum(e.get("percent", 0) for e in traffic) != 100:
            raise Refusal(400, "INVALID_ARGUMENT", "spec.traffic: the percentages must sum to 100")
        old = self.revisions.get(named or "")
        if old and old.template["spec"] != template["spec"]:
            raise Refusal(409, "ALREADY_EXISTS", f"Revision named '{named}' with different configuration already exists.")

    def put(self, body: Json) -> None:
        self.check(body)
        given = body["metadata"].get("resourceVersion")
        if given and self.meta["generation"] and given != self.meta["resourceVersion"]:
            raise Refusal(409, "ABORTED", f"Conflict for resource '{self.name}': version '{given}' was specified but current "
                                          f"version is '{self.meta['resourceVersion']}'.")
        self.meta["generation"] += 1
        self.meta |= {"name": self.name, "namespace": NUMBER, "resourceVersion": f"v{self.meta['generation']}",
                      "labels": body["metadata"].get("labels", {}) | {"cloud.googleapis.com/location": REGION},
                      "annotations": body["metadata"].get("annotations", {})}
        self.spec = {"traffic": [{"latestRevision": True, "percent": 100}]} | copy.deepcopy(body["spec"])
        self.wake.notify_all()

    def reconcile(self) -> None:
        """One pass, under the lock, which is let go while processes start."""
        generation, template = self.meta["generation"], self.spec["template"]
        newest = self.revisions.get(self.created)
        if newest is None or newest.template != template:
            name = template.get("metadata", {}).get("name") or \
                f"{self.name}-{len(self.revisions) + 1:05}-{uuid.uuid4().hex[:3]}"
            new = Revision(self.run.folder, name, self.name, template,
                           self.run.images.get(main_container(template["spec"])["image"]), self.run.secrets)
            self.revisions[name], self.created = new, name
            self.run.lock.release()
            try:
                new.prove()
            finally:
                self.run.lock.acquire()
            if new.state == "True":
                self.ready = name
        if self.meta["generation"] == generation:
            self.route()
            self.observed = generation

    def route(self) -> None:
        """All of the new traffic, or none of it."""
        wanted = []
        self.route_trouble = ""
        for entry in self.spec["traffic"]:
            name = self.ready if entry.get("latestRevision") else entry.get("revisionName", "")
            revision = self.revisions.get(name)
            if revision is None or revision.state != "True":
                self.route_trouble = f"Revision '{name}' is not {'ready' if revision else 'found'}."
                return
            tagged = {"tag": entry["tag"], "url": self.url(entry["tag"])} if entry.get("tag") else {}
            latest = {"latestRevision": True} if entry.get("latestRevision") else {}
            wanted.append({"revisionName": name} | tagged | latest
                          | ({"percent": entry["percent"]} if entry.get("percent") else {}))
        self.routed = wanted
        needed = {e["revisionName"] for e in wanted}
        for revision in self.revisions.values():
            if revision.name not in needed and revision.instance is not None:
                threading.Thread(target=revision.stop).start()

    def as_knative(self) -> Json:
        newest = self.revisions.get(self.created)
        state = newest.state if newest and self.observed == self.meta["generation"] else "Unknown"
        trouble = newest.message if newest and state == "False" else ""
        routes = "Unknown" if state == "Unknown" else ("False" if self.route_trouble else "True")
        both = "Unknown" if "Unknown" in (state, routes) else ("False" if "False" in (state, routes) else "True")
        reason = newest.reason if newest and trouble else "RevisionMissing"
        return {
            "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": self.meta, "spec": self.spec,
            "status": {
                "observedGeneration": self.observed, "url": self.url(), "address": {"url": self.url()},
                "latestCreatedRevisionName": self.created, "latestReadyRevisionName": self.ready, "traffic": self.routed,
                "conditions": [condition("Ready", both, reason, trouble or self.route_trouble),
                               condition("ConfigurationsReady", state, reason, trouble),
                               condition("RoutesReady", routes, "RevisionMissing", self.route_trouble)],
            },
        }


class Job:
    def __init__(self, run: CloudRun, body: Json) -> None:
        self.run = run
        self.executions: dict[str, Json] = {}
        self.outputs: dict[str, str] = {}
        self.meta = {"uid": str(uuid.uuid4()), "creationTimestamp": stamp(), "generation": 0, "resourceVersion": "v0"}
        self.put(body)

    def put(self, body: Json) -> None:
        given = body["metadata"].get("resourceVersion")
        if given and given != self.meta["resourceVersion"]:
            raise Refusal(409, "ABORTED", "Conflict: the job was changed meanwhile")
        generation = self.meta["generation"] + 1
        self.meta |= {"name": body["metadata"]["name"], "namespace": NUMBER, "generation": generation,
                      "resourceVersion": f"v{generation}", "labels": body["metadata"].get("labels", {}),
                      "annotations": body["metadata"].get("annotations", {})}
        self.spec = body["spec"]

    def container(self) -> Json:
        found: Json = self.spec["template"]["spec"]["template"]["spec"]["containers"][0]
        return found

    def start(self, overrides: Json) -> Json:
        container = copy.deepcopy(self.container())
        for changed in overrides.get("containerOverrides", []):
            names = {e["name"] for e in changed.get("env", [])}
            container["env"] = [e for e in container.get("env", []) if e["name"] not in names] + changed.get("env", [])
            container["args"] = changed.get("args") or container.get("args", [])
        name = f"{self.meta['name']}-{uuid.uuid4().hex[:5]}"
        execution = {
            "apiVersion": "run.googleapis.com/v1", "kind": "Execution",
            "metadata": {"name": name, "namespace": NUMBER, "creationTimestamp": stamp(), "generation": 1,
                         "labels": {"run.googleapis.com/job": self.meta["name"], "cloud.googleapis.com/location": REGION}},
            "spec": self.spec["template"]["spec"],
            "status": {"observedGeneration": 1, "conditions": [condition("Completed", "Unknown")], "logUri": "about:blank"},
        }
        self.executions[name] = execution
        threading.Thread(target=self.work, args=(name, container)).start()
        return execution

    def work(self, name: str, container: Json) -> None:
        image = self.run.images.get(container["image"])
        with self.run.lock:
            self.run.log.append(f"job {self.meta['name']}")
        if image is None:
            status, self.outputs[name] = -1, f"Image '{container['image']}' not found."
        else:
            done = subprocess.run([*image.command, *container.get("args", [])], check=False, capture_output=True, text=True,
                                  timeout=300, env=environment(container, self.run.secrets, CLOUD_RUN_EXECUTION=name))
            status, self.outputs[name] = done.returncode, done.stdout + done.stderr
        kinds = ("ResourcesAvailable", "Started")
        end = condition("Completed", "True") if status == 0 else condition(
            "Completed", "False", "NonZeroExitCode", f"Task {name}-task0 failed with message: The container exited with an "
                                                     f"error ({status}): {self.outputs[name][-300:]}")
        with self.run.lock:
            self.executions[name]["status"] |= {
                "conditions": [end, *(condition(kind, "True") for kind in kinds)], "completionTime": stamp(),
                "succeededCount": int(status == 0), "failedCount": int(status != 0)}

    def as_knative(self) -> Json:
        return {"apiVersion": "run.googleapis.com/v1", "kind": "Job", "metadata": self.meta, "spec": self.spec,
                "status": {"observedGeneration": self.meta["generation"], "conditions": [condition("Ready", "True")],
                           "executionCount": len(self.executions)}}


class CloudRun:
    """The API's server and all that it keeps. `log` holds what was done, for tests; `broken` makes it unreachable."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.services: dict[str, Service] = {}
        self.jobs: dict[str, Job] = {}
        self.images: dict[str, Image] = {}
        self.secrets: dict[str, str] = {}
        self.log: list[str] = []
        self.delay_s = 0.0
        self.snapshots: deque[tuple[float, str]] = deque(maxlen=600)
        self.broken: Callable[[str, str], bool] = lambda _method, _path: False
        self.front = Front()
        self.stopping = threading.Event()
        self.listener = Listener(handler(self))
        self.port = self.listener.port
        self.observer = threading.Thread(target=self.observe, daemon=True)
        self.observer.start()

    def stop(self) -> None:
        self.stopping.set()
        self.listener.stop()
        for service in self.services.values():
            for revision in service.revisions.values():
                revision.stop()
        self.observer.join(10)
        self.front.stop()

    def observe(self) -> None:
        """Reconciles what changed, and takes the metrics' snapshots."""
        taken = 0.0
        while not self.stopping.wait(0.05):
            with self.lock:
                for service in list(self.services.values()):
                    if service.observed != service.meta["generation"]:
                        service.reconcile()
                if time.monotonic() - taken >= 0.5:
                    taken = time.monotonic()
                    lines = [line for s in self.services.values() for r in s.revisions.values() if r.state == "True"
                             for line in r.metric_lines(REGION)]
                    self.snapshots.append((taken, "\n".join(lines) + "\n"))

    def metrics(self) -> str:
        until = time.monotonic() - self.delay_s
        return next((text for taken, text in reversed(self.snapshots) if taken <= until), "")

    # --- the API ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Json:
        if path.endswith(":testIamPermissions"):
            return {"permissions": body.get("permissions", [])}
        for prefix, find in ((SERVICES, self.serving), (JOBS, self.running)):
            if path.startswith(prefix):
                project, *parts = path.removeprefix(prefix).split("/")
                if project not in (PROJECT, NUMBER):
                    raise Refusal(403, "PERMISSION_DENIED", f"Permission denied on resource project {project}.")
                return find(method, parts, query, body)
        raise Refusal(404, "NOT_FOUND", f"{method} {path} is not part of the stand-in")

    def serving(self, method: str, parts: list[str], query: dict[str, str], body: Json) -> Json:
        kind, name = parts[0], parts[1] if len(parts) > 1 else ""
        if kind == "revisions":
            return self.revisions(name, query)
        if method == "POST" and not name:
            name = body["metadata"]["name"]
            if name in self.services:
                raise Refusal(409, "ALREADY_EXISTS", f"Resource '{name}' already exists.")
            service = Service(self, body)
            service.put(body)
            self.services[name] = service
            return service.as_knative()
        service_or_none = self.services.get(name)
        if service_or_none is None:
            raise Refusal(404, "NOT_FOUND", f"Resource '{name}' of kind 'SERVICE' in region '{REGION}' in project "
                                            f"'{PROJECT}' does not exist.")
        if method == "PUT":
            service_or_none.put(body)
            self.log.append("traffic " + " ".join(f"{e.get('tag', '')}={e.get('percent', 0)}" for e in body["spec"]["traffic"]))
        return service_or_none.as_knative()

    def revisions(self, name: str, query: dict[str, str]) -> Json:
        every = {r.name: r for s in self.services.values() for r in s.revisions.values()}
        if name:
            if name not in every:
                raise Refusal(404, "NOT_FOUND", f"Revision '{name}' does not exist.")
            return every[name].as_knative(NUMBER)
        wanted = dict(part.split("=", 1) for part in query.get("labelSelector", "").replace(" ", "").split(",") if "=" in part)
        items = [r.as_knative(NUMBER) for r in every.values()]
        items = [i for i in items if all(i["metadata"]["labels"].get(k) == v for k, v in wanted.items())]
        return {"apiVersion": "serving.knative.dev/v1", "kind": "RevisionList", "metadata": {}, "items": items}

    def running(self, method: str, parts: list[str], _query: dict[str, str], body: Json) -> Json:
        kind, name = parts[0], parts[1] if len(parts) > 1 else ""
        if kind == "executions":
            for job in self.jobs.values():
                if name in job.executions:
                    return job.executions[name]
            raise Refusal(404, "NOT_FOUND", f"Execution '{name}' does not exist.")
        if method == "POST" and not name:
            name = body["metadata"]["name"]
            self.jobs[name] = Job(self, body)
            return self.jobs[name].as_knative()
        name, _, verb = name.partition(":")
        if name not in self.jobs:
            raise Refusal(404, "NOT_FOUND", f"Resource '{name}' of kind 'JOB' in region '{REGION}' in project "
                                            f"'{PROJECT}' does not exist.")
        if verb == "run":
            return self.jobs[name].start(body.get("overrides", {}))
        if method == "PUT":
            self.jobs[name].put(body)
        return self.jobs[name].as_knative()

    def service_now(self, name: str = "payflow") -> Json:
        with self.lock:
            return copy.deepcopy(self.services[name].as_knative())

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        self.broken = lambda _method, _path: True
        try:
            yield
        finally:
            self.broken = lambda _method, _path: False


def handler(run: CloudRun) -> type[Handler]:
    class Api(Handler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            url = urllib.parse.urlsplit(self.path)  # gcloud sends it whole, as to a proxy
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") if length else {}
            if url.path == "/metrics":
                return self.reply(200, run.metrics().encode(), "text/plain; version=0.0.4")
            if run.broken(self.command, url.path):
                self.close_connection = True
                return self.connection.close()
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
                with run.lock:
                    answer = run.answer(self.command, url.path, dict(urllib.parse.parse_qsl(url.query)), body)
                    data = json.dumps(answer).encode()
                self.reply(200, data)
            except Refusal as refusal:
                self.reply(refusal.code, json.dumps(refusal.body).encode())
            return None

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def reply(self, code: int, data: bytes, kind: str = "application/json") -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Api
