"""Cloud Run's own metrics of two revisions, by PromQL."""
from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from .judge import Sample
from .settings import Environment, Failure

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Metrics:
    def __init__(self, environment: Environment, project: str, token: Callable[[], str]) -> None:
        self.url = environment.prometheus.format(project=project)
        self.token = token
        self.labels = (f'monitored_resource="cloud_run_revision",service_name="{environment.service}",'
                       f'location="{environment.region}"')
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise Failure(f"{environment.name}: the token goes to no PromQL endpoint without https")

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and value of each series. Raises OSError or ValueError if there is no answer."""
        request = urllib.request.Request(self.url, urllib.parse.urlencode({"query": expression}).encode(),
                                         {"Authorization": f"Bearer {self.token()}"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            answer: dict[str, Any] = json.load(reply)
        if answer.get("status") != "success":
            raise ValueError(str(answer.get("error")))
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def samples(self, revisions: list[str], window_s: float) -> dict[str, Sample] | None:
        """What each revision answered in the last window_s; None if the metrics can't be read or know none of them."""
        wanted = f'{self.labels},revision_name=~"{"|".join(revisions)}"'
        window = f"[{math.ceil(window_s)}s]"
        counts = (f"sum by (revision_name, response_code_class) "
                  f"(increase(run_googleapis_com:request_count{{{wanted}}}{window}))")
        slowest = (f"histogram_quantile(0.99, sum by (revision_name, le) "
                   f"(increase(run_googleapis_com:request_latencies_bucket{{{wanted}}}{window})))")
        try:
            counted, latencies = self.query(counts), self.query(slowest)
        except (OSError, ValueError, KeyError, Failure):
            return None
        p99 = {labels.get("revision_name"): value for labels, value in latencies if math.isfinite(value)}
        found: dict[str, Sample] = {}
        for revision in revisions:
            mine = [(labels, value) for labels, value in counted if labels.get("revision_name") == revision]
            if mine:
                errors = sum(v for labels, v in mine if labels.get("response_code_class") == "5xx")
                found[revision] = Sample(sum(v for _, v in mine), errors, p99.get(revision))
        return found or None
