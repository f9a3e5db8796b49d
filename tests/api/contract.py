"""openapi.yaml as a judge: what may be answered to a request."""
from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache

import jsonschema
import yaml
from servers import TOP, Reply

DOCUMENT = yaml.safe_load((TOP / "openapi.yaml").read_text())
OPERATIONS = {(method.upper(), path): operation for path, item in DOCUMENT["paths"].items()
              for method, operation in item.items() if method != "parameters"}
OUTSIDE = {"/docs", "/docs/swagger-ui.js", "/docs/swagger-ui.css", "/docs/start.js", "/openapi.json"}  # the contract's own pages
OF_HTTP = {404, 405, 413, 414, 417, 431, 500, 501, 505}  # what the `default` answer stands for
PLAIN_HEADERS = {"date", "content-type", "content-length", "cache-control", "x-content-type-options", "x-request-id", "connection", "allow",
                 "ratelimit", "ratelimit-policy", "retry-after"}
LOOKED_AT_MOST = 20  # times for each operation and status: checking is slow and thousands are alike

RESOLVER = jsonschema.RefResolver.from_schema(DOCUMENT)
seen: Counter[tuple[str, str, int]] = Counter()


def resolve(node: dict) -> dict:
    while "$ref" in node:
        node = RESOLVER.resolve(node["$ref"])[1]
    return node


@cache
def template_of(path: str) -> str | None:
    """The contract's path that a request's path fits, without its query."""
    plain = re.sub(r"^https?://[^/]*", "", path).partition("?")[0]
    for template in DOCUMENT["paths"]:
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), plain):
            return template
    return None


def validate(schema: dict, value: object) -> None:
    jsonschema.Draft202012Validator(schema, resolver=RESOLVER, format_checker=jsonschema.FormatChecker()).validate(value)


def answer_for(method: str, template: str | None, status: int) -> dict:
    operation = OPERATIONS.get((method, template)) if template else None
    if operation is not None and str(status) in operation["responses"]:
        return resolve(operation["responses"][str(status)])
    assert status in OF_HTTP, f"{method} {template} is documented with {sorted(operation['responses']) if operation else 'nothing'}"
    return resolve(DOCUMENT["components"]["responses"]["Other"])


def check(method: str, path: str, reply: Reply) -> None:
    """Fails if the contract does not have this answer."""
    template = template_of(path)
    if path.partition("?")[0] in OUTSIDE or method in ("HEAD", "OPTIONS"):
        return
    key = (method, template or "other", reply.status)
    seen[key] += 1
    if seen[key] > LOOKED_AT_MOST:
        return
    answer = answer_for(method, template, reply.status)
    media = reply.headers.get("content-type", "").partition(";")[0]
    assert media in answer["content"], f"{key}: {media} instead of {list(answer['content'])}"
    if media != "text/plain":
        validate(answer["content"][media]["schema"], json.loads(reply.body))
    documented = {name.lower(): resolve(header) for name, header in answer.get("headers", {}).items()}
    unknown = set(reply.headers) - set(documented) - PLAIN_HEADERS
    assert not unknown, f"{key}: the contract has no {unknown}"
    for name, header in documented.items():
        assert name in reply.headers or not header.get("required"), f"{key}: {name} is missing"
        if name in reply.headers:
            value = reply.headers[name]
            validate(header["schema"], int(value) if header["schema"].get("type") == "integer" else value)
