#!/usr/bin/env python3
"""Slow clients by slowhttptest (slow heads, slow bodies, slow reads), SLOW_CONNECTIONS (5000) at a time: `make slow-clients`.

First through nginx with the settings of deploy/local/nginx.conf: honest callers must see no error. Then on PayFlow itself: its
caps must hold, its memory stay bounded, and service be as before within its time-outs. Attackers, honest callers, nginx,
PayFlow and PostgreSQL share this machine, so how much slower honest callers get is printed and not judged.
"""
from __future__ import annotations

import http.client
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from servers import TOP, Folder, Postgres, Process, Server, Workers, free_port, unprivileged, wait_until

CONNECTIONS = int(os.environ.get("SLOW_CONNECTIONS") or 5000)
MEASURE_S = 15
CALLERS = 2
ATTACKERS = 6  # processes
PAUSE_S = 0.01
THROWN_OUT_S = 10  # nginx's client_header_timeout and send_timeout, PayFlow's HEAD_TIMEOUT_MS
BACK_S = 12       # that, and a little
GROWTH_MAX_KB = 64 * 1024  # 4,096 connections at the default caps
ATTACKS = {
    "heads": ["-H", "-i", "5", "-x", "24", "-t", "POST", "-u", "/api/v1/payments"],
    "bodies": ["-B", "-i", "3", "-x", "8", "-s", "60000", "-f", "application/json", "-u", "/api/v1/payments"],
    "reads": ["-X", "-w", "64", "-y", "512", "-n", "5", "-z", "16", "-k", "1", "-u", "/docs/swagger-ui.js"],
}


class Nginx(Process):
    """deploy/local/nginx.conf on loopback ports, without what only containers and newer releases have."""

    name = "nginx"

    def __init__(self, folder: Folder, target: int) -> None:
        self.user = unprivileged()
        super().__init__(folder.make("nginx", self.user))
        self.http_port = free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.home / "key.pem",
                        "-out", self.home / "certificate.pem"], check=True, capture_output=True)
        if self.user is not None:
            shutil.chown(self.home / "key.pem", self.user)
        (self.home / "redirect.conf").write_text("return 308 https://$host$request_uri;")
        text = (TOP / "deploy" / "local" / "nginx.conf").read_text()
        for pattern, instead in (("/run/secrets/tls|/tmp|/dev(?=/stderr)", str(self.home)),
                                 ("access_log /dev/stdout json", "access_log off"),
                                 (r"resolver [^;]*;|zone [^;]*;|http2 on;", ""), ("payflow:3000 resolve", f"127.0.0.1:{target}"),
                                 ("listen 8080", f"listen 127.0.0.1:{self.http_port}"), (r"127\.0\.0\.1:8081", f"127.0.0.1:{free_port()}"),
                                 ("listen 8443 ssl", f"listen 127.0.0.1:{self.port} ssl http2")):
            text = re.sub(pattern, instead, text)
        (self.home / "nginx.conf").write_text(text)

    def start(self) -> Nginx:
        self.launch([shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx", "-c", self.home / "nginx.conf", "-p", self.home,
                     "-e", self.home / "stderr", "-g", "daemon off;"])
        self.wait_up()
        return self

    def connect(self) -> http.client.HTTPConnection:
        tls = ssl.create_default_context(cafile=self.home / "certificate.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=tls)


class Honest(Workers):
    """Callers that pay one after the other on connections that they keep, and write down what comes."""

    def __init__(self, target: Nginx | Server) -> None:
        super().__init__(CALLERS)
        self.target = target
        self.seconds: list[float] = []
        self.problems: Counter[str] = Counter()

    def work(self, number: int) -> None:
        del number
        connection = connect(self.target)
        while not self.stopping.wait(PAUSE_S):
            begun = time.monotonic()
            problem = pay(connection)
            with self.lock:
                if problem:
                    self.problems[problem] += 1
                else:
                    self.seconds.append(time.monotonic() - begun)
        connection.close()

    def p99_ms(self) -> float:
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)] * 1000 if self.seconds else float("inf")

    def __str__(self) -> str:
        wrong = ", ".join(f"{count} {what}" for what, count in self.problems.items())
        return f"{len(self.seconds)} payments, p99 {self.p99_ms():.1f} ms, errors: {wrong or 0}"


def connect(target: Nginx | Server) -> http.client.HTTPConnection:
    return target.connect() if isinstance(target, Nginx) else http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)


def pay(connection: http.client.HTTPConnection) -> str:
    """What went wrong, if anything."""
    try:
        connection.request("POST", "/api/v1/payments", '{"amount": 12.34}', {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return "" if answer.status == 201 else str(answer.status)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return type(error).__name__


class Watched(Workers):
    """The most connections that the attacked port and PayFlow had meanwhile, and the most memory that PayFlow had."""

    def __init__(self, port: int, server: Server) -> None:
        super().__init__(1)
        self.port, self.server = port, server
        self.attacked = self.connections = self.memory_kb = 0

    def work(self, number: int) -> None:
        del number
        while not self.stopping.wait(0.5):
            open_now = established()
            self.attacked = max(self.attacked, open_now[self.port])
            self.connections = max(self.connections, open_now[self.server.port])
            self.memory_kb = max(self.memory_kb, self.server.resident_kb())


def established() -> Counter[int]:
    """Connections by the port at this end that was connected to."""
    counts: Counter[int] = Counter()
    for name in ("tcp", "tcp6"):
        fields = [line.split() for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
        counts.update(int(field[1].rsplit(":", 1)[1], 16) for field in fields if field[3] == "01")
    return counts


class Attack:
    """slowhttptest, several times, because one alone is slow at TLS. It does not come again where it was thrown out, so where all
    are, after ten seconds, it goes on with others: as many a second as keep CONNECTIONS of them there, and half as many more.
    """

    def __init__(self, kind: str, target: Nginx | Server, home: Path) -> None:
        *arguments, path = ATTACKS[kind]
        scheme, self.port = "http", target.port
        if isinstance(target, Nginx):  # a head needs no TLS to be slow
            scheme, self.port = ("http", target.http_port) if kind == "heads" else ("https", target.port)
        # nginx throws out nobody whose body comes on.
        count = CONNECTIONS if kind == "bodies" and scheme == "https" else 10 * CONNECTIONS
        command = ["setpriv", "--pdeathsig", "KILL", "slowhttptest", "-c", str(count // ATTACKERS),
                   "-r", str(CONNECTIONS * 3 // 2 // THROWN_OUT_S // ATTACKERS), "-l", "120", "-p", "5",
                   *arguments, f"{scheme}://127.0.0.1:{self.port}{path}"]
        with (home / f"{kind}.log").open("wb") as log:
            self.processes = [subprocess.Popen(command, cwd=home, stdout=log, stderr=log) for _ in range(ATTACKERS)]

    def __enter__(self) -> Attack:
        """When CONNECTIONS are there, or as many as come in a while."""
        until = time.monotonic() + 3 * THROWN_OUT_S
        while established()[self.port] < CONNECTIONS and time.monotonic() < until:
            time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def measured(target: Nginx | Server) -> Honest:
    with Honest(target) as honest:
        time.sleep(MEASURE_S)
    return honest


def back_after_s(target: Nginx | Server) -> float:
    """How long until ten payments in a row, each on a new connection, went well."""
    begun = time.monotonic()
    good = [0]

    def well() -> bool:
        connection = connect(target)
        good[0] = 0 if pay(connection) else good[0] + 1
        connection.close()
        return good[0] >= 10
    wait_until("service is as before", well, 60, 0.05)
    return time.monotonic() - begun


def judge(name: str, target: Nginx | Server, server: Server, home: Path) -> list[str]:
    faults = []
    home.mkdir()
    quiet = measured(target)
    print(f"{name}, quiet: {quiet}", flush=True)
    for kind in ATTACKS:
        before_kb = server.resident_kb()
        attack = Attack(kind, target, home)
        with Watched(attack.port, server) as watched:
            with attack:
                honest = measured(target)
            back = back_after_s(target)
        print(f"{name}, slow {kind}: {watched.attacked} connections at a time; {honest} ({honest.p99_ms() / quiet.p99_ms():.1f} times); "
              f"PayFlow: {watched.connections} connections at most, {before_kb} kB before, {watched.memory_kb} kB at most; "
              f"as before after {back:.1f} s", flush=True)
        cap = int(server.environment.get("MAX_CONNECTIONS", "4096"))
        faults += [f"{name}, {kind}: {what}" for what, wrong in (
            ("honest callers saw errors", name == "proxy" and honest.problems),
            ("more connections than MAX_CONNECTIONS", watched.connections > cap),
            (f"memory grew by more than {GROWTH_MAX_KB} kB", watched.memory_kb - before_kb > GROWTH_MAX_KB),
            (f"not as before within {BACK_S} s", back > BACK_S),
            ("PayFlow ended", not server.is_running())) if wrong]
    after = measured(target)
    print(f"{name}, afterwards: {after}", flush=True)
    return faults + ([f"{name}, afterwards: errors"] if after.problems else [])


def main() -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"{CONNECTIONS} slow clients at a time, for {MEASURE_S} s each; {CALLERS} honest callers", flush=True)
    with Folder() as folder:
        postgres = Postgres(folder).start()
        server = Server(folder, postgres.database(), LOG_LEVEL="error").migrate().start()
        nginx = Nginx(folder, server.port).start()
        try:
            faults = judge("proxy", nginx, server, folder.path / "proxy")
            faults += judge("direct", server, server, folder.path / "direct")
        finally:
            status = [each.stop() for each in (nginx, server, postgres)]
    faults += ["PayFlow did not end well"] if status[1] != 0 else []
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
