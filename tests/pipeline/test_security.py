"""The security step: what fails it, what is accepted and for how long, and that no scan is not a pass."""
from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
from conftest import TOP, House

TODAY = datetime.datetime.now(datetime.UTC).date()
ENTRY = {"scanner": "dependencies", "id": "CVE-2026-0001", "where": "openssl", "reason": "not called", "owner": "ops",
         "expires": TODAY + datetime.timedelta(days=30)}


def match(severity: str, cve: str = "CVE-2026-0001") -> dict[str, object]:
    return {"vulnerability": {"id": cve, "severity": severity, "fix": {"versions": ["3.5.6"]}},
            "artifact": {"name": "openssl", "version": "3.5.5"}}


def grype(house: House, *matches: dict[str, object], database: bool = True) -> None:
    """Stands in for grype, whose database is only to be had on the open internet; the shape of its report is grype's."""
    report = house.write("report.json", json.dumps({"matches": matches}))
    house.program("grype", f'case "$1" in db) {"exit 0" if database else "echo no route >&2; exit 1"};; *) cat {report};; esac')
    house.write("sbom.json", "{}")


def exceptions(house: House, *entries: dict[str, object]) -> None:
    lines = ["exceptions:"]
    for entry in entries:
        lines += [f"  {'- ' if number == 0 else '  '}{key}: {value}" for number, (key, value) in enumerate(entry.items())]
    house.write("security-exceptions.yaml", "\n".join(lines) + "\n")


def scan(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return house.run("scripts/security.py", "--only", "dependencies", "--sbom", "sbom.json", *arguments)


@pytest.mark.parametrize(("severity", "fails"), [("Critical", True), ("High", True), ("Unknown", True), ("Medium", False), ("Low", False)])
def test_high_findings_fail(house: House, severity: str, fails: bool) -> None:
    grype(house, match(severity))
    done = scan(house)
    assert done.returncode == int(fails)
    assert ("FAILED  dependencies" in done.stdout) == fails
    assert (f"{severity} CVE-2026-0001 in openssl: 3.5.5; fixed in ['3.5.6']" in done.stdout) == fails


def test_an_exception_covers_one_finding_and_no_other(house: House) -> None:
    grype(house, match("High"), match("High", "CVE-2026-0002"))
    exceptions(house, ENTRY)
    done = scan(house)
    assert done.returncode == 1
    assert "accepted: High CVE-2026-0001" in done.stdout
    assert "2 findings, 1 open" in done.stdout
    grype(house, match("High"))
    assert scan(house).returncode == 0


@pytest.mark.parametrize(("change", "says"), [
    ({"expires": TODAY - datetime.timedelta(days=1)}, "expired on"),
    ({"expires": TODAY + datetime.timedelta(days=181)}, "lasts longer than 180 days"),
    ({"expires": "soon"}, "expires must be a date"),
    ({"reason": ""}, "lacks reason"),
    ({"owner": ""}, "lacks owner"),
    ({"scanner": "grip"}, "no scanner is named grip"),
])
def test_a_bad_exception_fails_by_itself(house: House, change: dict[str, object], says: str) -> None:
    grype(house)
    exceptions(house, ENTRY | change)
    done = scan(house)
    assert done.returncode == 1
    assert says in done.stdout


def test_an_exception_ends_with_its_last_day(house: House) -> None:
    grype(house, match("High"))
    exceptions(house, ENTRY | {"expires": TODAY})
    assert scan(house).returncode == 0


def test_an_exception_that_covers_nothing_is_named(house: House) -> None:
    grype(house)
    exceptions(house, ENTRY)
    assert "CVE-2026-0001 for openssl covers nothing any more" in scan(house).stdout


def test_no_database_is_no_pass(house: House) -> None:
    grype(house, database=False)
    done = scan(house)
    assert done.returncode == 0
    assert "SKIPPED dependencies\n        did not scan: grype has no database" in done.stdout
    assert done.stdout.endswith("1 passed, 0 failed, 1 skipped\n")
    [case] = ET.parse(house.folder / "build/reports/security.xml").findall("testcase[@name='dependencies']")
    assert case.find("skipped") is not None


@pytest.mark.parametrize("required", ["all", "dependencies"])
def test_a_release_insists_on_a_scan(house: House, required: str) -> None:
    grype(house, database=False)
    done = scan(house, "--require", required)
    assert done.returncode == 1
    assert "FAILED  dependencies" in done.stdout


def test_a_scanner_that_breaks_did_not_scan(house: House) -> None:
    grype(house)
    house.program("grype", 'case "$1" in db) exit 0;; *) echo "panic: nil map" >&2; exit 2;; esac')
    done = scan(house)
    assert "did not scan: grype wrote no report, exit 2: panic: nil map" in done.stdout


def test_an_unknown_scanner_is_an_error(house: House) -> None:
    assert house.run("scripts/security.py", "--only", "everything").returncode == 2


def test_the_repository_s_own_exceptions_are_in_force(house: House) -> None:
    shutil.copy(TOP / "security-exceptions.yaml", house.folder)
    grype(house)
    assert "PASSED  exceptions" in scan(house).stdout


# --- secrets ----------------------------------------------------------------------------------------------------------
PLANTED = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA " + "PRIVATE KEY-----\n",
    "a cloud's key": "aws_access_key_id = AKIA" + "QYLPMN5HFIQR7BBB\n",
    "a Slack token": "slack = xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx\n",
    "a password": 'db_password = "' + 'correcthorse9"\n',
    "a password in an address": "url: postgres://me:" + "correcthorse9@db.internal/x\n",
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_is_found(house: House, name: str) -> None:
    house.write("settings.conf", PLANTED[name])
    subprocess.run(["git", "add", "settings.conf"], cwd=house.folder, check=True)
    house.write("build/tools/bin/detect-secrets", f'#!/bin/sh\nexec {TOP}/build/tools/bin/detect-secrets "$@"\n').chmod(0o755)
    done = house.run("scripts/secrets.sh")
    assert done.returncode == 1
    assert "settings.conf:1: " in done.stdout


def test_gitleaks_looks_into_the_past(house: House) -> None:
    tool = TOP / "build" / "tools" / "go" / "gitleaks"
    if not tool.is_file():
        pytest.skip("gitleaks is not installed (make security-tools)")
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.com"]
    house.write("settings.conf", PLANTED["a Slack token"])
    for arguments in ("add settings.conf", "commit -q -m oops", "rm -q settings.conf", "commit -q -m gone"):
        subprocess.run([*git, *arguments.split()], cwd=house.folder, check=True)
    house.program("gitleaks", f'exec {tool} "$@"')
    done = house.run("scripts/security.py", "--only", "secrets")
    assert done.returncode == 1
    assert "in settings.conf" in done.stdout
    assert "AbCdEfGh" not in done.stdout + (house.folder / "build/reports/security/gitleaks.json").read_text()
