"""The stack of docker-compose.yml, as a caller from outside sees it, and when its containers die."""
from __future__ import annotations

import http.client
import json
import socket

import pytest
from servers import TOP, wait_until
from stack import Load, Stack, percentile, report

SERVICES = ("proxy-1", "payflow-1", "payflow-2", "postgres-1", "redis-1")


def test_a_payment_by_https_and_what_it_says(stack: Stack) -> None:
    made = stack.call("POST", "/api/v1/payments", {"amount": 49.99, "currency": "EUR"}, key="one")
    assert made.status == 201
    assert made.json()["amount"] == 49.99
    again = stack.call("POST", "/api/v1/payments", {"amount": 49.99, "currency": "EUR"}, key="one")
    assert (again.status, again.json()["id"], again.replayed) == (201, made.json()["id"], True)
    assert stack.call("GET", f"/api/v1/payments/{made.json()['id']}").json() == made.json()
    assert stack.call("GET", "/health").json()["status"] == "healthy"


def test_http_only_leads_to_https(stack: Stack) -> None:
    connection = http.client.HTTPConnection("localhost", stack.ports["HTTP_PORT"], timeout=10)
    connection.request("POST", "/api/v1/payments?x=1", b"{}")
    answer = connection.getresponse()
    assert answer.status == 308
    assert answer.headers["Location"] == f"https://localhost:{stack.ports['HTTPS_PORT']}/api/v1/payments?x=1"
    connection.close()


@pytest.mark.parametrize("path", ["/metrics", "/ready", "/metrics/", "//metrics", "/METRICS", "/api/v1/../../metrics",
                                  "/api/v1/%2e%2e/%2e%2e/metrics", "/api/v1/..%2f..%2fready", "/docs/../ready", "/nothing"])
def test_what_is_for_inside_is_not_seen_from_outside(stack: Stack, path: str) -> None:
    answer = stack.call("GET", path)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert b"http_requests_total" not in answer.body


def test_request_id_and_trace_reach_payflow(stack: Stack) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = stack.call("POST", "/api/v1/payments", {"amount": 1}, **{
        "X-Request-Id": "from-outside-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.headers["x-request-id"] == "from-outside-1"
    logs = [line for line in stack.compose("logs", "--no-log-prefix", "payflow").splitlines() if "from-outside-1" in line]
    assert len(logs) == 1
    assert trace in logs[0]
    made = stack.call("GET", "/api/v1/payments/pay_none", **{"X-Request-Id": "not harmless\t"})
    assert made.headers["x-request-id"] not in ("", "not harmless\t")
    assert made.json()["request_id"] == made.headers["x-request-id"]


def test_the_proxy_limits_head_and_body(stack: Stack) -> None:
    assert stack.call("POST", "/api/v1/payments", b"x" * 65537).status == 413
    assert stack.call("GET", "/health", **{"X-Long": "x" * 9000}).status == 400
    kept = stack.call("POST", "/api/v1/payments", {"amount": 1, "metadata": {"a": "x" * 400}})
    assert kept.status == 201


def test_only_the_proxy_is_published_and_the_data_services_reach_nothing_outside(stack: Stack) -> None:
    published = {name for name in stack.containers() if any(stack.inspect(name)["NetworkSettings"]["Ports"].values())}
    assert published == {"proxy-1"}
    for name in ("payflow-1", "postgres-1", "redis-1"):
        for network in stack.inspect(name)["NetworkSettings"]["Networks"]:
            assert json.loads(stack.engine.tell("network", "inspect", network))[0]["Internal"], (name, network)


def test_every_container_is_confined(stack: Stack) -> None:
    for name in SERVICES:
        found = stack.inspect(name)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0 and host["NanoCpus"] > 0 and host["PidsLimit"] > 0, name
        assert found["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert host["LogConfig"]["Config"]["max-size"], name


def test_a_secret_is_nowhere_but_in_its_file(stack: Stack) -> None:
    secret = stack.compose("exec", "-T", "postgres", "cat", "/run/secrets/db/password").strip()
    assert len(secret) == 48
    for name in stack.containers():
        assert secret not in json.dumps(stack.inspect(name)), name
    assert secret not in stack.compose("logs")
    hidden = stack.compose("run", "--rm", "--no-deps", "-T", "migrate", "config")
    assert "DB_PASSWORD=(set)" in hidden and secret not in hidden
    blind = stack.engine.run("exec", stack.inspect("proxy-1")["Id"], "ls", "/run/secrets/db", check=False)
    assert blind.returncode != 0, "the proxy sees the database's password"


def test_each_container_dies_in_turn_under_load_and_nothing_is_lost_or_doubled(stack: Stack) -> None:
    before = int(stack.psql("SELECT count(*) FROM payments"))
    with Load(stack) as load:
        for name in ("redis-1", "payflow-1", "payflow-2", "proxy-1", "postgres-1"):
            back_s = stack.killed_and_back(name)
            report("killed", f"{name} was healthy again after {back_s:.1f} s")
    assert not load.lost, load.lost[:5]
    assert len(load.paid) > 100
    report("killed", f"{len(load.paid)} payments, {len(load.failures)} requests repeated with the same key, 0 lost, 0 doubled; "
                     f"p50 {percentile(load.seconds, 0.5) * 1000:.1f} ms")
    assert int(stack.psql("SELECT count(*) FROM payments")) - before == len(load.paid)
    assert sorted(load.paid.values()) == sorted(set(load.paid.values()) & set(every_id(stack)))
    client = stack.client()
    for key, payment in list(load.paid.items())[-20:]:
        amount = client.call("GET", f"/api/v1/payments/{payment}").json()["amount"]
        again = client.call("POST", "/api/v1/payments", {"amount": amount}, key)
        assert (again.status, again.json()["id"], again.replayed) == (201, payment, True)
    client.close()
    assert "FAILED" not in stack.compose("run", "--rm", "--no-deps", "-T", "migrate", "verify")


def every_id(stack: Stack) -> list[str]:
    """All payments that the list names, page by page."""
    client, found, page = stack.client(), [], "/api/v1/payments?limit=100"
    while page:
        answer = client.call("GET", page).json()
        found += [payment["id"] for payment in answer["data"]]
        page = f"/api/v1/payments?limit=100&cursor={answer['next_cursor']}" if answer.get("next_cursor") else ""
    client.close()
    return found


def test_volumes_survive_down_and_up(stack: Stack) -> None:
    made = stack.call("POST", "/api/v1/payments", {"amount": 7.5}, key="before-down").json()
    secret = stack.compose("exec", "-T", "postgres", "cat", "/run/secrets/db/password")
    stack.down()
    assert not stack.containers()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", stack.ports["HTTPS_PORT"])) != 0
    stack.up()
    stack.first_payment()  # the certificate is the old one too: it is the only one that is believed
    assert stack.call("GET", f"/api/v1/payments/{made['id']}").json() == made
    assert stack.call("POST", "/api/v1/payments", {"amount": 7.5}, key="before-down").replayed
    assert stack.compose("exec", "-T", "postgres", "cat", "/run/secrets/db/password") == secret


@pytest.fixture(scope="module")
def watched(stack: Stack) -> list[str]:
    """The watchers that can be had here, up."""
    wanted = [name for name in ("prometheus", "alertmanager", "grafana") if stack.images.public[name] not in stack.images.missing]
    stack.up(*wanted, profile="observability")
    stack.wait_healthy(*(f"{name}-1" for name in wanted))
    return wanted


def ask(stack: Stack, port: str, path: str) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", stack.ports[port], timeout=10)
    connection.request("GET", path)
    answer = dict(json.loads(connection.getresponse().read()))
    connection.close()
    return answer


def test_prometheus_sees_both_instances_and_has_the_rules(stack: Stack, watched: list[str]) -> None:
    def targets() -> list[str]:
        return [t["health"] for t in ask(stack, "PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]]
    wait_until("both instances are scraped", lambda: targets() == ["up", "up"], 60, 1)
    groups = ask(stack, "PROMETHEUS_PORT", "/api/v1/rules")["data"]["groups"]
    named = [line.split("alert:")[1].strip() for path in sorted((TOP / "alerts").glob("*.yml")) if path.name != "google.yml"
             for line in path.read_text().splitlines() if "- alert:" in line]
    assert sorted(rule["name"] for group in groups for rule in group["rules"]) == sorted(named)
    assert ask(stack, "PROMETHEUS_PORT", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    assert "alertmanager" in watched


def test_grafana_has_the_dashboard(stack: Stack, watched: list[str]) -> None:
    if "grafana" not in watched:
        pytest.skip("Grafana's image can't be had here: no image registry answers, and Debian has no package of it")
    found = stack.engine.tell("exec", stack.inspect("grafana-1")["Id"], "wget", "-q", "-O", "-", "http://127.0.0.1:3000/api/search")
    assert "PayFlow" in found


def test_compose_finds_nothing_to_warn_of(stack: Stack) -> None:
    for more in ((), ("--file", "docker-compose.override.yml.example")):
        done = stack.engine.run("compose", "--project-name", "payflow-config", "--env-file", TOP / ".env.example", "--profile", "*",
                                "--file", TOP / "docker-compose.yml", *more, "config", "--quiet")
        assert done.stdout + done.stderr == ""
