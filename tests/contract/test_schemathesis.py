"""Schemathesis against a running server: thousands of requests made from openapi.yaml, right and wrong, with all its checks.

The report of each is build/reports/schemathesis-NAME.log."""
from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from servers import TOP, Folder, Server

PROGRAM = TOP / "build" / "tools" / "contract" / "bin" / "schemathesis"
REPORTS = TOP / "build" / "reports"
REFUSED_ALL_THE_SAME = {
    # What the contract can say only in words: the currency's decimals and its largest amount, that a code is active, that a
    # time exists, that a cursor was given by this list.
    "whole": ["2xx", "400", "401", "403", "404", "409", "422"],
    # Made narrower (see `narrow`), so that nothing is left but an amount that is more than the payment has, and a reused key.
    "narrow": ["2xx", "401", "403", "404", "409", "422"],
}
CURRENCIES = ["EUR", "JPY", "KWD", "CLF"]


@pytest.fixture(scope="module")
def shop(folder, postgres, redis):
    server = Server(folder, postgres.database(), redis, PAYFLOW_AUTH="on").migrate()
    server.token = server.new_key("schemathesis", "--test")
    server.start()
    yield server
    assert server.stop() == 0


def narrow(document: dict) -> dict:
    """The contract with only such values as the server must take."""
    schemas = document["components"]["schemas"]
    for name in ("PaymentRequest", "CaptureRequest", "RefundRequest"):
        schemas[name]["properties"]["amount"] = {"type": "integer", "minimum": 1, "maximum": 1000}
    schemas["PaymentRequest"]["properties"]["currency"] = {"enum": CURRENCIES}
    lists = [document["paths"][path]["get"]["parameters"] for path in document["paths"]
             if "get" in document["paths"][path] and "parameters" in document["paths"][path]["get"]]
    for parameters in lists:
        parameters[:] = [each for each in parameters if each.get("$ref") != "#/components/parameters/Cursor"]
        for each in parameters:
            if each.get("name") == "currency":
                each["schema"] = {"enum": CURRENCIES}
            if each.get("name", "").startswith("created_"):
                each["schema"] = {"enum": ["2026-11-24T08:00:00Z", "2026-11-25", "2026-02-28T23:59:59.999-05:00"]}
    return document


def run(folder: Folder, server: Server, name: str, schema: object, kind: str, examples: int, *more: str) -> str:
    """One run; what it printed. Fails if any check did."""
    home: Path = folder.make("schemathesis")
    settings = home / "schemathesis.toml"
    settings.write_text(f"[checks]\npositive_data_acceptance.expected-statuses = {json.dumps(REFUSED_ALL_THE_SAME[kind])}\n")
    done = subprocess.run(
        [PROGRAM, "--config-file", settings, "--no-color", "run", str(schema), "--url", f"http://127.0.0.1:{server.port}",
         "--checks", "all", "--max-examples", str(examples), "--seed", "20261125", "--continue-on-failure", *more],
        cwd=home, capture_output=True, text=True, timeout=240, check=False)
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"schemathesis-{name}.log").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def cases(output: str) -> int:
    return int(re.search(r"(\d+) generated", output)[1])


def test_the_whole_contract_with_a_key(folder, shop):
    output = run(folder, shop, "key", f"http://127.0.0.1:{shop.port}/openapi.json", "whole", 25,
                 "-H", f"Authorization: Bearer {shop.token}")
    assert cases(output) > 500
    assert re.search(r"Tested: 13\b", output)
    assert shop.token not in output


def test_the_whole_contract_without_a_key(folder, shop):
    before = shop.sql("SELECT count(*) FROM payments")
    assert cases(run(folder, shop, "no-key", f"http://127.0.0.1:{shop.port}/openapi.json", "whole", 8)) > 300
    assert shop.sql("SELECT count(*) FROM payments") == before, "nobody without a key makes a payment"


def test_all_that_the_contract_says_is_right_is_taken(folder, shop):
    schema = folder.make("narrow") / "openapi.json"
    schema.write_text(json.dumps(narrow(shop.call("GET", "/openapi.json").json())))
    output = run(folder, shop, "narrow", schema, "narrow", 25, "--mode", "positive", "-H", f"Authorization: Bearer {shop.token}")
    assert cases(output) > 200


def test_after_all_that_everything_still_agrees(shop):
    verify = shop.command("verify")
    assert verify.returncode == 0, verify.stdout
    found = shop.metrics()
    errors = {name: value for name, value in found.items() if name.startswith("http_requests_total") and value > 0
              and re.search(r'status="5\d\d"', name) and 'path="/ready"' not in name}  # which is asked until it is ready
    assert errors == {}
