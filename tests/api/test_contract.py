"""openapi.yaml and the server say the same: every route, every status, every field and header.

conftest.py holds each answer of every test here against the contract; this brings about all that is documented."""
from __future__ import annotations

import re
from types import SimpleNamespace

import contract
import pytest
from servers import TOP, Reply, Server, wait_until

PAYMENTS = "/api/v1/payments"
NOWHERE = "pay_01kb0a6v0rj4t2c7m9x3w5y8ze"
BUSINESS = [key for key in contract.OPERATIONS if key[1].startswith("/api/")]


def schema(name: str) -> dict:
    return contract.DOCUMENT["components"]["schemas"][name]


# --- the document ---------------------------------------------------------------------------------------------------------


def test_the_server_gives_the_document_itself(server):
    reply = server.call("GET", "/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == contract.DOCUMENT


def references(node: object):
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from references(each)


def test_every_reference_leads_somewhere_and_every_component_is_used():
    used = set(references(contract.DOCUMENT))
    there = {f"#/components/{kind}/{name}" for kind, group in contract.DOCUMENT["components"].items() if kind != "securitySchemes"
             for name in group}
    assert used - there == set()
    assert there - used == set()


def test_every_operation_has_a_name_of_its_own_a_summary_and_a_place():
    names = [operation["operationId"] for operation in contract.OPERATIONS.values()]
    assert len(names) == len(set(names))
    places = {tag["name"] for tag in contract.DOCUMENT["tags"]}
    for operation in contract.OPERATIONS.values():
        assert operation["summary"] and set(operation["tags"]) <= places


def test_every_example_fits_its_schema():
    for (_, _), operation in contract.OPERATIONS.items():
        body = operation.get("requestBody")
        for media in body["content"].values() if body else []:
            for example in media.get("examples", {}).values():
                contract.validate(media["schema"], example["value"])
    for each in contract.DOCUMENT["components"]["schemas"].values():
        for example in each.get("examples", []):
            contract.validate(each, example)


# --- routes ---------------------------------------------------------------------------------------------------------------


def test_every_route_of_the_server_is_in_the_contract_and_the_other_way_round():
    source = (TOP / "src/api/routes.c").read_text()
    routes = {(method, path) for method, path in re.findall(r'\{(GET|POST) "([^"]+)"', source)}
    assert len(routes) > 10
    assert {route for route in routes if route[1] not in contract.OUTSIDE} == set(contract.OPERATIONS)


@pytest.mark.parametrize("path", contract.DOCUMENT["paths"])
def test_the_server_allows_the_contracts_methods_and_no_others(server, path):
    allowed = server.call("OPTIONS", path.replace("{id}", NOWHERE)).headers["allow"].split(", ")
    assert set(allowed) - {"OPTIONS", "HEAD"} == {method for method, template in contract.OPERATIONS if template == path}
    for method in ("PUT", "PATCH", "DELETE"):
        reply = server.call(method, path.replace("{id}", NOWHERE))
        assert (reply.status, reply.headers["allow"].split(", ")) == (405, allowed)


def test_what_needs_a_key_says_so():
    for (_, path), operation in contract.OPERATIONS.items():
        assert (operation.get("security") == []) == (not path.startswith("/api/"))
        assert ("401" in operation["responses"]) == path.startswith("/api/")


# --- statuses: every one that is documented can be had ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(folder, postgres, redis):
    """Servers on which every documented answer can be had."""
    database = postgres.database()
    made = SimpleNamespace()
    made.keyed = Server(folder, database, redis, PAYFLOW_AUTH="on", REQUEST_TIMEOUT_MS="1500", BODY_TIMEOUT_MS="300").migrate()
    made.key, made.reader, made.writer = made.keyed.new_key("shop"), made.keyed.new_key("shop", scope="payments:read"), made.keyed.new_key(
        "shop", scope="payments:write")
    made.keyed.start()
    made.limited = Server(folder, database, None, PAYFLOW_AUTH="on", RATE_LIMIT="1", RATE_BURST="1").start()
    made.alone = Server(folder, None, None).start(ready=False)
    yield made
    assert [each.stop() for each in (made.keyed, made.limited, made.alone)] == [0, 0, 0]


def body_for(path: str) -> dict:
    return {"amount": 10} if path == PAYMENTS else {}


def payment_for(world, path: str, fits: bool = True) -> str:
    """The path with a payment on which this step can be taken, or cannot."""
    made = world.keyed.call("POST", PAYMENTS, {"amount": 10}, token=world.key).headers["location"]
    if path.endswith("/refunds") == fits:
        assert world.keyed.call("POST", f"{made}/capture", token=world.key).status == 200
    return path.replace(f"{PAYMENTS}/{{id}}", made)


def good(world, method: str, path: str) -> Reply:
    return world.keyed.call(method, payment_for(world, path), body_for(path) if method == "POST" else None, token=world.key)


def bad_request(world, method: str, path: str) -> Reply:
    body = {"no such field": 1} if method == "POST" else None
    return world.keyed.call(method, payment_for(world, path) + ("" if body else "?limit=0"), body, token=world.key)


def conflict(world, method: str, path: str) -> Reply:
    if path != PAYMENTS:
        return world.keyed.call(method, payment_for(world, path, fits=False), {}, token=world.key)
    holder = world.keyed.database.connect()
    holder.cursor().execute(
        "INSERT INTO idempotency_keys (account_id, livemode, operation, target, key, object_id, fingerprint)"
        " SELECT account_id, true, 1, '', 'held', 'pay_x', hash FROM api_keys LIMIT 1")
    reply = world.keyed.call(method, path, body_for(path), token=world.key, key="held")
    holder.close()
    return reply


def limited(world, method: str, path: str) -> Reply:
    for _ in range(3):
        reply = world.limited.call(method, path.replace("{id}", NOWHERE), body_for(path) if method == "POST" else None, token=world.key)
        if reply.status == 429:
            break
    return reply


def half_a_body(world, method: str, path: str) -> Reply:
    return parse(world.keyed, f"{method} {payment_for(world, path)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.key}\r\n"
                              "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{", method, path)


def no_length(world, method: str, path: str) -> Reply:
    return parse(world.keyed, f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.key}\r\n"
                              "Content-Type: application/json\r\nConnection: close\r\n\r\n", method, path)


def parse(server: Server, request: str, method: str, path: str) -> Reply:
    head, _, body = server.raw(request.encode()).partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    reply = Reply(int(line.split(" ")[1]), {n.lower(): v for n, v in (each.split(": ", 1) for each in lines)}, body)
    contract.check(method, path, reply)
    return reply


def reused(world, method: str, path: str) -> Reply:
    target = payment_for(world, path)
    world.keyed.call(method, target, {"amount": 1}, token=world.key, key=f"reused-{path}")
    return world.keyed.call(method, target, {"amount": 2}, token=world.key, key=f"reused-{path}")


RECIPES = {
    200: good, 201: good, 400: bad_request, 408: half_a_body, 409: conflict, 411: no_length, 422: reused, 429: limited,
    401: lambda world, method, path: world.keyed.call(method, path.replace("{id}", NOWHERE), body_for(path) if method == "POST" else None),
    403: lambda world, method, path: world.keyed.call(method, path.replace("{id}", NOWHERE), body_for(path) if method == "POST" else None,
                                                      token=world.reader if method == "POST" else world.writer),
    404: lambda world, method, path: world.keyed.call(method, path.replace("{id}", NOWHERE), {} if method == "POST" else None,
                                                      token=world.key),
    413: lambda world, method, path: world.keyed.call(method, path.replace("{id}", NOWHERE), " " * 65537, token=world.key),
    415: lambda world, method, path: world.keyed.call(method, path.replace("{id}", NOWHERE), "x", token=world.key,
                                                      headers={"Content-Type": "text/plain"}),
    503: lambda world, method, path: world.alone.call(method, path.replace("{id}", NOWHERE), body_for(path) if method == "POST" else None),
}
DOCUMENTED = [(method, path, int(status)) for method, path in BUSINESS for status in contract.OPERATIONS[method, path]["responses"]
              if status != "default"]


@pytest.mark.parametrize("method,path,status", DOCUMENTED)
def test_every_documented_answer_can_be_had_and_is_as_documented(world, method, path, status):
    reply = RECIPES[status](world, method, path)
    assert reply.status == status, reply.body
    must = {401: ["www-authenticate"], 403: ["www-authenticate"], 429: ["retry-after", "ratelimit", "ratelimit-policy"],
            503: ["retry-after"]}.get(status, [])
    assert set(must) <= set(reply.headers)
    if (path, status) == (PAYMENTS, 201):
        assert "location" in reply.headers
    if status >= 400:
        assert set(schema("Problem")["required"]) <= set(reply.json())


def test_probes_answer_as_documented(world):
    for path in ("/health", "/ready", "/metrics"):
        assert world.keyed.call("GET", path).status == 200
    assert world.alone.call("GET", "/ready").status == 503
    wait_until("no Redis there", lambda: world.keyed.call("GET", "/ready").status == 200)


# --- fields: the limits that the contract states are the server's ----------------------------------------------------------------

TEXTS = [(name, each["maxLength"]) for name, each in schema("PaymentRequest")["properties"].items() if "maxLength" in each]


@pytest.mark.parametrize("field,most", TEXTS)
def test_a_text_may_have_the_length_that_the_contract_says_and_not_one_more(server, field, most):
    assert server.call("POST", PAYMENTS, {"amount": 1, field: "é" * most}).status == 201
    assert server.call("POST", PAYMENTS, {"amount": 1, field: "é" * (most + 1)}).status == 400


def test_metadata_has_the_limits_that_the_contract_says(server):
    limits = schema("Metadata")
    keys, name, value = limits["maxProperties"], limits["propertyNames"]["maxLength"], limits["additionalProperties"]["maxLength"]
    for number, name_length, value_length, status in [(keys, 5, 1, 201), (keys + 1, 5, 1, 400), (1, name, 1, 201), (1, name + 1, 1, 400),
                                                      (1, 5, value, 201), (1, 5, value + 1, 400)]:
        metadata = {str(each).rjust(name_length, "k"): "v" * value_length for each in range(number)}
        assert server.call("POST", PAYMENTS, {"amount": 1, "metadata": metadata}).status == status


def test_the_fields_of_the_contract_are_all_that_there_are(server):
    for name in schema("PaymentRequest")["properties"]:
        assert server.call("POST", PAYMENTS, {"amount": 1} | {name: 1 if name == "amount" else None}).status == 201
    full = {"amount": 2, "currency": "EUR", "description": "d", "reference": "r", "metadata": {"a": "b"}}
    made = server.call("POST", PAYMENTS, full).headers["location"]
    server.call("POST", f"{made}/capture")
    refund = server.call("POST", f"{made}/refunds", {"amount": 1, "reason": "x"}).json()
    assert set(server.call("GET", made).json()) == set(schema("Payment")["properties"])
    assert set(refund) == set(schema("Refund")["properties"])
    events = server.call("GET", f"{made}/events").json()["data"]
    assert set(events[-1]) == set(schema("Event")["properties"])
    assert set(schema("Event")["properties"]["type"]["enum"]) > {event["type"] for event in events}


def test_the_states_of_the_contract_are_the_servers(server):
    for status in schema("Status")["enum"]:
        assert server.call("GET", f"{PAYMENTS}?status={status}").status == 200


def test_the_key_of_idempotency_is_as_the_contract_says(server):
    pattern = re.compile(contract.DOCUMENT["components"]["parameters"]["IdempotencyKey"]["schema"]["pattern"])
    for code in range(33, 127):
        character = chr(code)
        taken = server.call("POST", PAYMENTS, {"amount": 1}, key=f"k{character}k").status == 201
        assert taken == bool(pattern.fullmatch(f"k{character}k")), character
