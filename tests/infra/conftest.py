"""The fixtures of the infrastructure's tests: a copy of the sources, and each root's plan, made once."""
from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from workspace import COPIED, NOTES, PROJECT, TOP, Terraform


@pytest.fixture(scope="session", autouse=True)
def no_old_notes() -> None:
    NOTES.parent.mkdir(parents=True, exist_ok=True)
    NOTES.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("terraform is not installed")
    top = tmp_path_factory.mktemp("infra")
    for name in COPIED:
        if (TOP / name).is_dir():
            shutil.copytree(TOP / name, top / name, symlinks=True,
                            ignore=shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*"))
    yield Terraform(top, program)
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="session")
def plan(terraform: Terraform) -> Callable[[str], dict[str, object]]:
    """plan(ENVIRONMENT) or plan("bootstrap"): made once."""
    made: dict[str, dict[str, object]] = {}

    def make(name: str) -> dict[str, object]:
        if name not in made:
            folder = "tf/bootstrap" if name == "bootstrap" else f"tf/environments/{name}"
            made[name] = terraform.plan(folder, f"-var=project_id={PROJECT}")
        return made[name]

    return make
