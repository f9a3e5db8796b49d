"""A small stand-in for the Google APIs that the runbooks' gcloud commands speak to: Cloud SQL, Logging, Memorystore,
Certificate Manager, and of Cloud Run what is looked at or set. Moving traffic for real is tests/rehearsal's."""
from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

from listener import Handler, Listener

PROJECT, REGION, SERVICE = "acme-payflow", "europe-west1", "payflow-production"
Json = dict[str, Any]


def ready(kind: str) -> Json:
    return {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}


class Google:
    def __init__(self, url_of_service: str) -> None:
        self.asked: list[str] = []  # METHOD PATH
        self.refused: list[str] = []
        self.lock = threading.Lock()
        self.databases = {SERVICE: self.database(SERVICE)}
        self.operations: list[Json] = []
        self.backups = [{"kind": "sql#backupRun", "id": "1764036000000", "instance": SERVICE, "status": "SUCCESSFUL",
                         "type": "AUTOMATED", "windowStartTime": "2026-01-01T02:00:00Z", "endTime": "2026-01-01T02:04:00Z"}]
        self.databases[f"{SERVICE}-elsewhere"] = self.database(f"{SERVICE}-elsewhere")
        routed: list[Json] = [{"revisionName": f"{SERVICE}-2", "percent": 100}, {"revisionName": f"{SERVICE}-1", "tag": "previous"}]
        traffic = [target | {"url": url_of_service} for target in routed]
        self.service: Json = {
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": PROJECT, "generation": 1, "resourceVersion": "1", "selfLink": "",
                         "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}, "annotations": {}},
            "spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/maxScale": "10"}},
                                  "spec": {"containers": [{"image": "payflow@sha256:" + "0" * 64, "name": "payflow"}]}},
                     "traffic": routed},
            "status": {"observedGeneration": 1, "url": url_of_service, "address": {"url": url_of_service},
                       "latestCreatedRevisionName": f"{SERVICE}-2", "latestReadyRevisionName": f"{SERVICE}-2",
                       "traffic": traffic, "conditions": [ready("Ready"), ready("ConfigurationsReady"), ready("RoutesReady")]}}
        google = self

        class Api(Handler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.split("?")[0]
                with google.lock:
                    google.asked.append(f"{self.command} {path}")
                    found = google.route(self.command, path, json.loads(body or b"{}"))
                    if found is None:
                        google.refused.append(f"{self.command} {path}")
                text = json.dumps(found if found is not None else {"error": {"code": 404, "message": f"no {path}"}}).encode()
                self.send_response(200 if found is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            do_GET = do_POST = do_PUT = do_PATCH = answer

        self.listener = Listener(Api)
        self.port = self.listener.port
        self.stop = self.listener.stop

    def environment(self) -> dict[str, str]:
        # gcloud puts the region before Cloud Run's host; *.localhost is this machine only where the resolver says so.
        root = f"http://127.0.0.1:{self.port}/"
        kinds = ("SQL", "LOGGING", "MEMORYSTORE", "CERTIFICATEMANAGER")
        return {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{kind}": root for kind in kinds} | {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.invalid/", "http_proxy": root, "no_proxy": "127.0.0.1,localhost",
            "CLOUDSDK_AUTH_ACCESS_TOKEN": "token", "CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API": "false", "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "1"}

    # --- answers ------------------------------------------------------------------------------------------------------

    def route(self, method: str, path: str, body: Json) -> Json | None:
        path = re.sub(r"^http://[^/]+", "", path)
        sql = re.fullmatch(rf"/(?:sql/)?v1(?:beta4)?/projects/{PROJECT}/(.*)", path)
        if path == "/v2/entries:list":
            return self.entries(body)
        if "/apis/" in path:
            return self.run(method, path, body)
        if sql and sql[1].split("/")[0] in ("instances", "operations"):
            return self.sql(method, sql[1], body)
        if re.fullmatch(rf"/v\w+/projects/{PROJECT}/locations/{REGION}/instances/{SERVICE}", path):
            return {"name": path, "state": "ACTIVE"}
        if path.endswith("/certificates"):
            return {"certificates": [{"name": path + "/payflow", "managed": {"state": "ACTIVE"}}]}
        return None

    def entries(self, body: Json) -> Json | None:
        # What Logging would refuse: an unbalanced filter, or one that names no resource.
        text = body.get("filter", "")
        if text.count('"') % 2 or text.count("(") != text.count(")") or "resource." not in text:
            return None
        return {"entries": [{"timestamp": "2026-01-01T00:00:00Z", "severity": "ERROR", "logName": f"projects/{PROJECT}/logs/stderr",
                             "jsonPayload": {"message": "a line of the stand-in"}, "insertId": "1",
                             "resource": {"type": "cloud_run_revision", "labels": {"service_name": SERVICE}}}]}

    def database(self, name: str) -> Json:
        return {"kind": "sql#instance", "name": name, "project": PROJECT, "region": REGION, "state": "RUNNABLE",
                "databaseVersion": "POSTGRES_17", "instanceType": "CLOUD_SQL_INSTANCE", "gceZone": f"{REGION}-b",
                "backendType": "SECOND_GEN", "secondaryGceZone": f"{REGION}-c",
                "settings": {"tier": "db-custom-1-3840", "availabilityType": "REGIONAL",
                "dataDiskSizeGb": "10", "storageAutoResizeLimit": "100", "settingsVersion": "1"}}

    def operation(self, kind: str, target: str) -> Json:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        made = {"kind": "sql#operation", "name": f"operation-{len(self.operations)}", "operationType": kind, "status": "DONE",
                "targetId": target, "targetProject": PROJECT, "insertTime": stamp, "startTime": stamp, "endTime": stamp}
        self.operations.append(made)
        return made

    def sql(self, method: str, path: str, body: Json) -> Json | None:
        kind, _, rest = path.partition("/")
        if kind == "operations":
            return next((o for o in self.operations if o["name"] == rest), None) if rest else {"items": self.operations}
        if not rest:
            return {"items": list(self.databases.values())}
        name, _, action = rest.partition("/")
        if name not in self.databases:
            return None
        if action == "":
            if method == "GET":
                return self.databases[name]
            self.databases[name]["settings"] |= body.get("settings", {})
            return self.operation("UPDATE", name)
        if action == "backupRuns":
            return {"items": self.backups} if method == "GET" else self.operation("BACKUP_VOLUME", name)
        if action == "clone":
            context = body["cloneContext"]
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", context.get("pointInTime", "")):
                return None
            self.databases[context["destinationInstanceName"]] = self.database(context["destinationInstanceName"])
            return self.operation("CLONE", name)
        if action == "restoreBackup":
            known = str(body["restoreBackupContext"]["backupRunId"]) in [backup["id"] for backup in self.backups]
            return self.operation("RESTORE_VOLUME", name) if known else None
        return self.operation(action.upper(), name) if action in ("failover", "export") else None

    def run(self, method: str, path: str, body: Json) -> Json | None:
        kind, _, rest = path.split(f"/namespaces/{PROJECT}/", 1)[-1].partition("/")
        if kind == "services" and rest == SERVICE:
            if method == "PUT":
                self.put(body)
            return self.service
        if kind == "revisions":
            made = [self.revision(number) for number in (2, 1)]
            return {"items": made, "metadata": {}} if not rest else next((r for r in made if r["metadata"]["name"] == rest), None)
        if kind == "executions":
            return {"items": [self.execution()], "metadata": {}} if not rest else self.execution()
        if kind == "jobs" and rest.endswith(":run"):
            return self.execution()
        return None

    def put(self, body: Json) -> None:
        number = self.service["metadata"]["generation"] + 1
        status = self.service["status"] | {"observedGeneration": number}
        status["traffic"] = [target | {"url": status["url"]} for target in body["spec"]["traffic"]]
        self.service = body | {"status": status}
        self.service["metadata"] |= {"generation": number, "resourceVersion": str(number)}

    def revision(self, number: int) -> Json:
        return {"apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": {"name": f"{SERVICE}-{number}", "namespace": PROJECT, "creationTimestamp": f"2026-01-0{number}T00:00:00Z",
                             "labels": {"serving.knative.dev/service": SERVICE}, "annotations": {}},
                "spec": {"containers": [{"image": "payflow"}]}, "status": {"conditions": [ready("Ready"), ready("Active")]}}

    def execution(self) -> Json:
        return {"apiVersion": "run.googleapis.com/v1", "kind": "Execution",
                "metadata": {"name": f"{SERVICE}-migrate-1", "namespace": PROJECT, "generation": 1, "labels":
                             {"run.googleapis.com/job": f"{SERVICE}-migrate"}, "creationTimestamp": "2026-01-01T00:00:00Z",
                             "annotations": {}},
                "spec": {"taskCount": 1, "template": {"spec": {"containers": [{"image": "payflow"}]}}},
                "status": {"observedGeneration": 1, "succeededCount": 1, "completionTime": "2026-01-01T00:01:00Z", "startTime":
                           "2026-01-01T00:00:00Z", "conditions": [ready("Completed"), ready("ResourcesAvailable"), ready("Started")]}}
