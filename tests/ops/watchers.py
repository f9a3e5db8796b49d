"""Prometheus and Alertmanager as processes of a test, with the repository's own configuration, and a receiver."""
from __future__ import annotations

import contextlib
import json
import time
import urllib.parse
import urllib.request
from typing import Any

import yaml
from listener import Handler, Listener
from rules import LOCAL, TOP, shrunk_file
from servers import Folder, Process


class Receiver:
    """Takes Alertmanager's webhooks: (receiver, status, alert's name) in their order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str]] = []
        receiver = self

        class Hook(Handler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got += [(self.path.strip("/"), alert["status"], alert["labels"]["alertname"])
                                 for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

        self.listener = Listener(Hook)
        self.port = self.listener.port
        self.stop = self.listener.stop

    def names(self, status: str) -> set[tuple[str, str]]:
        return {(to, name) for to, was, name in self.got if was == status}


class Alertmanager(Process):
    """deploy/local/alertmanager.yml, with a webhook for each receiver and shorter waits."""

    name = "Alertmanager"

    def __init__(self, folder: Folder, receiver: Receiver, group_wait: str) -> None:
        super().__init__(folder.make("alertmanager"))
        config = yaml.safe_load((TOP / "deploy/local/alertmanager.yml").read_text())
        config["route"] |= {"group_wait": group_wait, "group_interval": "1s"}
        for each in config["receivers"]:
            each["webhook_configs"] = [{"url": f"http://127.0.0.1:{receiver.port}/{each['name']}", "send_resolved": True}]
        (self.home / "alertmanager.yml").write_text(yaml.safe_dump(config))

    def start(self) -> Alertmanager:
        self.launch(["prometheus-alertmanager", f"--config.file={self.home}/alertmanager.yml", f"--storage.path={self.home}/data",
                     f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="])
        self.wait_up()
        return self


class Prometheus(Process):
    """deploy/local/prometheus.yml against this target. With `factor`, the rules' times are divided by it."""

    name = "Prometheus"

    def __init__(self, folder: Folder, target: int, alertmanager: Alertmanager | None = None, factor: int | None = None,
                 interval: str = "500ms", namespace: str = "payflow", prefix: str = "") -> None:
        super().__init__(folder.make("prometheus"))
        self.prefix = prefix
        config = yaml.safe_load((TOP / "deploy/local/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": interval, "evaluation_interval": interval}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target}"], "labels": {"namespace": namespace}}]
        config["rule_files"] = [f"alerts/{name}" for name in LOCAL] if factor else []
        if alertmanager is None:
            del config["alerting"]
        else:
            config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]
        (self.home / "prometheus.yml").write_text(yaml.safe_dump(config))
        (self.home / "alerts").mkdir()
        for name in LOCAL if factor else ():
            (self.home / "alerts" / name).write_text(shrunk_file(TOP / "alerts" / name, factor or 1, longest_s=3600))

    def start(self) -> Prometheus:
        self.launch(["prometheus", f"--config.file={self.home}/prometheus.yml", f"--storage.tsdb.path={self.home}/data",
                     f"--web.listen-address=127.0.0.1:{self.port}", f"--web.external-url=http://127.0.0.1:{self.port}{self.prefix}",
                     "--rules.alert.resend-delay=1s", "--log.level=warn"])
        self.wait_up()
        return self

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.prefix}/-/ready", timeout=2).close()
            return True
        return False

    def ask(self, path: str, **parameters: object) -> Any:
        url = f"http://127.0.0.1:{self.port}{self.prefix}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        return self.ask("query", query=expr)["result"]

    def over(self, expr: str, begin_s: float, step_s: float = 1) -> list[dict[str, Any]]:
        return self.ask("query_range", query=expr, start=begin_s, end=time.time(), step=step_s)["result"]

