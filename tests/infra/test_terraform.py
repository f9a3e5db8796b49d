"""Format, validity, the modules' own tests, and a plan of each environment from nothing, without a network."""
from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workspace import ENVIRONMENTS, PROJECT, TOKEN, TOP, Terraform, note

TF = TOP / "tf"
MODULES = sorted(path.parent.name for path in TF.glob("modules/*/main.tf"))
EXAMPLES = sorted(str(path.parent.relative_to(TOP)) for path in TF.glob("modules/*/examples/*/main.tf"))
ROOTS = ["tf/bootstrap", *(f"tf/environments/{name}" for name in ENVIRONMENTS)]
FOLDERS = [f"tf/modules/{name}" for name in MODULES] + EXAMPLES + ROOTS


def runs() -> Iterator[tuple[str, str, str]]:
    """Every `run` of every test file: folder, file, name."""
    for path in sorted([*TF.glob("modules/*/tests/*.tftest.hcl"), *TF.glob("bootstrap/tests/*.tftest.hcl")]):
        for name in re.findall(r'^run "(\w+)"', path.read_text(), re.MULTILINE):
            yield str(path.parent.parent.relative_to(TOP)), path.name, name


@pytest.fixture(scope="session")
def outcomes(terraform: Terraform) -> Callable[[str], dict[tuple[str, str], str]]:
    """outcomes(FOLDER): how each of its runs ended, with what went wrong."""
    found: dict[str, dict[tuple[str, str], str]] = {}

    def of(folder: str) -> dict[tuple[str, str], str]:
        if folder not in found:
            terraform.init(folder)
            done = terraform.run(folder, "test", "-json")
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            problems = "\n".join(f"{line['diagnostic']['summary']}: {line['diagnostic']['detail']}"
                                 for line in lines if line.get("type") == "diagnostic")
            found[folder] = {
                (Path(line["test_run"]["path"]).name, line["test_run"]["run"]): f"{line['test_run']['status']}\n{problems}"
                for line in lines if line.get("type") == "test_run" and line["test_run"].get("progress", "complete") == "complete"
            }
            found[folder][("", "")] = f"{done.returncode}\n{problems}{done.stderr}"
        return found[folder]

    return of


def test_format(terraform: Terraform) -> None:
    done = terraform.run("tf", "fmt", "-check", "-recursive", "-diff")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS)
def test_valid(terraform: Terraform, folder: str) -> None:
    terraform.init(folder)
    done = terraform.run(folder, "validate", "-json")
    said = json.loads(done.stdout)
    assert said["valid"] and said["warning_count"] == 0, said["diagnostics"]


@pytest.mark.parametrize(("folder", "file", "name"), runs())
def test_run(outcomes: Callable[[str], dict[tuple[str, str], str]], folder: str, file: str, name: str) -> None:
    said = outcomes(folder)
    status = said.get((file, name), f"did not run: {said[('', '')]}")
    assert status.startswith("pass"), status


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_complete(module: str) -> None:
    folder = TF / "modules" / module
    parts = ["main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "examples/basic/main.tf"]
    assert [part for part in parts if not (folder / part).is_file()] == []
    assert list(folder.glob("tests/*.tftest.hcl")), "no tests"


@pytest.mark.parametrize("path", [str(path.relative_to(TOP)) for path in sorted(TF.rglob("variables.tf")) + sorted(TF.rglob("outputs.tf"))
                                  if not path.is_symlink()])
def test_typed_and_described(path: str) -> None:
    for kind, name, body in re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}$', (TOP / path).read_text(), re.MULTILINE | re.DOTALL):
        assert re.search(r"^  description += ", body, re.MULTILINE), f"{name} has no description"
        assert kind == "output" or re.search(r"^  type +=", body, re.MULTILINE), f"{name} has no type"
        assert "type        = any" not in body, f"{name} may be anything"


def test_readmes_are_up_to_date() -> None:
    done = subprocess.run([TOP / "scripts" / "tf_docs.py", "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# --- the environments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ENVIRONMENTS, "bootstrap"])
def test_plan_from_nothing(plan: Callable[[str], dict], name: str) -> None:
    made = [change for change in plan(name)["resource_changes"] if change["change"]["actions"] == ["create"]]
    note(f"plan of {name}: {len(made)} resources")
    assert len(made) >= 40
    assert len(made) == len(plan(name)["resource_changes"]), "nothing is read, changed or deleted"


def test_environments_are_the_same_code() -> None:
    for name in ENVIRONMENTS:
        folder = TF / "environments" / name
        own = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.is_symlink())
        assert own == ["README.md", "backend.tf", "terraform.tfvars"], f"{name} has code of its own"
        assert len((folder / "terraform.tfvars").read_text().splitlines()) < 30
        backend = (folder / "backend.tf").read_text()
        assert 'backend "gcs"' in backend and f'prefix = "{name}"' in backend


def test_nothing_reads_an_api() -> None:
    for path in TF.rglob("*.tf"):
        assert not re.search(r'^data "', path.read_text(), re.MULTILINE), f"{path}: a data source"


def test_versions_are_pinned() -> None:
    for path in TF.rglob("versions.tf"):
        text = path.read_text()
        assert 'required_version = "~> 1.11"' in text and 'version = "= 7.45.0"' in text, path


def test_a_lock_file_is_the_registrys() -> None:
    """Hashes of a provider built here would be wrong for everybody else."""
    tracked = subprocess.run(["git", "ls-files", "*.terraform.lock.hcl"], cwd=TOP, check=True, capture_output=True, text=True)
    for name in tracked.stdout.split():
        assert (TOP / name).read_text().count('"zh:') >= 4, f"{name}: hashes of several platforms come from make tf-lock only"


def flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from flat(inner, f"{path}[{place}]")
    else:
        yield path, value


# What may tell production from staging: sizes, and nothing else.
SIZES = {
    "database availability_type", "database tier", "database disk_autoresize_limit", "database retained_backups",
    "database max_connections", "cache node_type", "service min_instance_count", "service max_instance_count",
    "service MAX_INSTANCES", "network ip_cidr_range", "network destination_ranges", "observability retention_days",
}


def test_production_is_staging_but_for_sizes(plan: Callable[[str], dict]) -> None:
    def named(name: str) -> dict[tuple[str, str], object]:
        found = {}
        for change in plan(name)["resource_changes"]:
            text = json.dumps(change["change"]["after"]).replace("api.staging.example", "api.example")
            for each in ("staging", "production"):  # runbooks speak of both
                text = text.replace(each, "ENV").replace(each.capitalize(), "Env")
            after = json.loads(text)
            for field in ("env", "database_flags"):  # sets: by name, not by place
                after = by_name(after, field)
            for path, value in flat(after):
                found[(change["address"].replace(name, "ENV"), path)] = value
        return found

    staging, production = named("staging"), named("production")
    differences = set()
    for key in staging.keys() | production.keys():
        if staging.get(key) != production.get(key):
            address, path = key
            differences.add(f"{address.split('.')[1].split('[')[0]} {re.sub(r'[^A-Za-z_]', ' ', path).split()[-1]}")
    hashed = {"edge name", "edge domains"}  # a certificate's name holds a hash of its domain
    assert differences - hashed <= SIZES, differences - SIZES
    assert differences & SIZES, "the test compares nothing"


def by_name(value: object, field: str) -> object:
    if isinstance(value, list):
        return [by_name(inner, field) for inner in value]
    if isinstance(value, dict):
        return {key: {entry["name"]: {entry["name"]: entry.get("value")} for entry in inner}
                if key == field and isinstance(inner, list) else by_name(inner, field) for key, inner in value.items()}
    return value


# --- secrets ----------------------------------------------------------------------------------------------------------

SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|xox[abp]-|hooks\.slack\.com/services/T|ya29\.|AKIA[0-9A-Z]{16}|_live_[0-9a-zA-Z]{16}")


@pytest.mark.parametrize("name", [*ENVIRONMENTS, "bootstrap"])
def test_no_secret_in_a_plan(terraform: Terraform, plan: Callable[[str], dict], name: str) -> None:
    folder = "tf/bootstrap" if name == "bootstrap" else f"tf/environments/{name}"
    text = json.dumps(plan(name))
    with zipfile.ZipFile(terraform.top / folder / "PLAN") as archive:
        text += "".join(archive.read(part).decode(errors="replace") for part in archive.namelist())
    assert TOKEN not in text
    assert not SECRETS.search(text)


def test_a_marked_value_is_in_no_plan_and_no_state(terraform: Terraform) -> None:
    """Values go to Secret Manager by write-only arguments: they are in no part of a plan, and in no state."""
    mark, folder = "marked-value-0815", "marked"
    (terraform.top / folder).mkdir()
    (terraform.top / folder / "value").write_text(mark)
    (terraform.top / folder / "main.tf").write_text("""
module "secrets" {
  source              = "../tf/modules/secrets"
  name                = "payflow-test"
  region              = "europe-west1"
  deletion_protection = false
  labels              = {}
  files               = { a = { content = file("${path.module}/value"), readers = [] } }
}
""")
    shown = terraform.plan(folder)
    versions = [change for change in shown["resource_changes"] if change["type"] == "google_secret_manager_secret_version"]
    assert len(versions) == 1 and versions[0]["change"]["after"]["secret_data_wo_version"]
    assert mark not in json.dumps(shown)
    with zipfile.ZipFile(terraform.top / folder / "PLAN") as archive:
        assert all(mark.encode() not in archive.read(part) for part in archive.namelist())


def test_no_secret_in_the_sources() -> None:
    for path in [*TF.rglob("*.tf"), *TF.rglob("*.tfvars"), *TF.rglob("*.hcl")]:
        assert not SECRETS.search(path.read_text()), path
    assert PROJECT not in "".join(path.read_text() for path in TF.glob("environments/*/terraform.tfvars")), "the project is a variable"


# --- the bill ---------------------------------------------------------------------------------------------------------


def test_the_page_on_cost_says_what_the_plans_cost(terraform: Terraform, plan: Callable[[str], dict]) -> None:
    files = []
    for name in ENVIRONMENTS:
        plan(name)
        files.append(f"{name}={terraform.top / 'tf' / 'environments' / name / 'PLAN.json'}")
    done = subprocess.run([TOP / "scripts" / "cost.py", "--check", *files], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
