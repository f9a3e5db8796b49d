"""docker-compose.yml, brought up under a name and on ports of its own, and callers that reach it by HTTPS."""
from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from engine import Engine, send
from images import PAYFLOW, Images
from servers import TOP, Folder, Reply, Workers, free_port, wait_until

PROJECT = f"payflow-test-{os.getpid()}"
RETRY_LIMIT_S = 60


@dataclass
class Container:
    name: str
    service: str
    state: str
    health: str
    pid: int


class Stack:
    def __init__(self, engine: Engine, images: Images, folder: Folder) -> None:
        self.engine = engine
        self.images = images
        self.home = folder.make("stack")
        names = ("HTTPS_PORT", "HTTP_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "GRAFANA_PORT")
        self.ports = {name: free_port() for name in names}
        # Not the checkout's own .env: an empty one, as of a fresh clone.
        self.env_file = self.home / "env"
        self.env_file.touch()
        self.environment = {"IMAGE": PAYFLOW, "BIND": "127.0.0.1"} | {n: str(p) for n, p in self.ports.items()}
        self.first_payment_s = 0.0
        self.tls: ssl.SSLContext | None = None

    def compose(self, *arguments: str, check: bool = True) -> str:
        done = self.engine.run("compose", "--project-name", PROJECT, "--env-file", self.env_file, "--file", TOP / "docker-compose.yml",
                               *arguments, check=check, env=self.environment)
        return str(done.stdout)

    def up(self, *services: str, profile: str | None = None) -> None:
        self.compose(*(["--profile", profile] if profile else []), "up", "--detach", "--no-build", *services)

    def down(self, volumes: bool = False) -> None:
        self.compose("--profile", "*", "down", "--timeout", "20", *(["--volumes"] if volumes else []))

    def containers(self) -> dict[str, Container]:
        ids = self.compose("ps", "--all", "--quiet").split()
        found = {}
        for one in json.loads(self.engine.tell("inspect", *ids)) if ids else []:
            state = one["State"]
            name = one["Name"].removeprefix(f"/{PROJECT}-")
            found[name] = Container(name, one["Config"]["Labels"]["com.docker.compose.service"], state["Status"],
                                    state.get("Health", {}).get("Status", ""), state["Pid"])
        return found

    def inspect(self, name: str) -> dict:
        return dict(json.loads(self.engine.tell("inspect", f"{PROJECT}-{name}"))[0])

    def kill(self, name: str) -> None:
        """SIGKILL from outside, as the kernel would out of memory; the restart policy brings it back."""
        send(self.containers()[name].pid, signal.SIGKILL)

    def wait_healthy(self, *names: str, limit_s: float = 120) -> None:
        def healthy() -> bool:
            now = self.containers()
            return all(now[name].health == "healthy" for name in names)
        wait_until(f"{', '.join(names)} healthy", healthy, limit_s, 0.5)

    def killed_and_back(self, name: str) -> float:
        """Kills it and waits until another process of it is healthy; how long that took."""
        before = self.containers()[name].pid
        begun = time.monotonic()
        self.kill(name)

        def back() -> bool:
            now = self.containers()[name]
            return now.pid not in (0, before) and now.health == "healthy"
        wait_until(f"{name} is back", back, 120, 0.5)
        return time.monotonic() - begun

    def trust(self) -> ssl.SSLContext:
        """The certificate that was made at the first start is the only one that is believed."""
        if self.tls is None:
            certificate = self.compose("exec", "-T", "proxy", "cat", "/run/secrets/tls/certificate.pem")
            self.tls = ssl.create_default_context(cadata=certificate)
        return self.tls

    def client(self) -> Client:
        return Client(self.ports["HTTPS_PORT"], self.trust())

    def call(self, method: str, path: str, body: object = None, key: str | None = None, **headers: str) -> Reply:
        client = self.client()
        try:
            return client.call(method, path, body, key, headers)
        finally:
            client.close()

    def psql(self, statement: str) -> str:
        return self.compose("exec", "-T", "postgres", "psql", "-X", "-A", "-t", "-U", "payflow", "-d", "payflow", "-c", statement).strip()

    def first_payment(self) -> Reply:
        """The first answer to a payment, asked again until there is one."""
        answer: list[Reply] = []

        def paid() -> bool:
            try:
                answer[:] = [self.call("POST", "/api/v1/payments", {"amount": 49.99, "currency": "EUR"})]
            except (OSError, RuntimeError, http.client.HTTPException):
                return False
            return answer[0].status == 201
        wait_until("a payment by HTTPS", paid, 120, 0.2)
        return answer[0]


class Client:
    """One keep-alive connection by HTTPS. Nothing is ever sent twice by itself."""

    def __init__(self, port: int, tls: ssl.SSLContext, timeout_s: float = 20) -> None:
        self.connection = http.client.HTTPSConnection("localhost", port, timeout=timeout_s, context=tls)

    def call(self, method: str, path: str, body: object = None, key: str | None = None,
             headers: dict[str, str] | None = None) -> Reply:
        fields = dict(headers or {}) | ({"Idempotency-Key": key} if key else {})
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            fields.setdefault("Content-Type", "application/json")
        try:
            self.connection.request(method, path, data, fields)
            answer = self.connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        self.connection.close()


class Load(Workers):
    """Callers that pay, and after any failure send the same request with the same key until it is answered."""

    def __init__(self, stack: Stack, callers: int = 4, pause_s: float = 0.01) -> None:
        super().__init__(callers)
        self.stack = stack
        self.pause_s = pause_s
        self.paid: dict[str, str] = {}  # Idempotency-Key -> payment id
        self.failures: list[str] = []  # what was answered by a retry
        self.lost: list[str] = []  # what was never answered, or wrongly
        self.seconds: list[float] = []  # of each request that went well at once

    def work(self, _: int) -> None:
        client = self.stack.client()
        while not self.stopping.is_set():
            key = str(uuid.uuid4())
            amount = 1 + len(self.paid) % 1000
            begun = time.monotonic()
            for attempt in range(1000):
                try:
                    answer = client.call("POST", "/api/v1/payments", {"amount": amount}, key)
                    problem = "" if answer.status == 201 else f"{answer.status} {answer.body[:200]!r}"
                except (OSError, http.client.HTTPException) as error:
                    problem = type(error).__name__
                if not problem:
                    self.seconds += [time.monotonic() - begun] if attempt == 0 else []
                    self.note(key, answer.json(), amount)
                    break
                self.failures.append(problem)
                if not problem.startswith(("503", "409")) and problem[0].isdigit() or time.monotonic() - begun > RETRY_LIMIT_S:
                    self.lost.append(f"{key}: {problem}")
                    break
                time.sleep(0.1)
            time.sleep(self.pause_s)
        client.close()

    def note(self, key: str, payment: dict, amount: int) -> None:
        if payment["amount"] != amount:
            self.lost.append(f"{key}: another amount")
        self.paid[key] = payment["id"]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def report(name: str, line: str) -> None:
    """A measured figure, for the log and for build/reports/container.txt."""
    print(f"{name}: {line}", flush=True)
    path = Path(TOP / "build" / "reports" / "container.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as out:
        out.write(f"{name}: {line}\n")
