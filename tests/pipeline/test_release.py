"""Building once, and rolling out what was built. The container engine and deploy/rollout have suites of their own; here they
only write down how they were called."""
from __future__ import annotations

import json

import pytest
from conftest import House

DIGEST = "sha256:" + "ab" * 32
REPOSITORY = "europe-west1-docker.pkg.dev/acme/payflow/payflow"
JOB = {"IMAGE_REPOSITORY": REPOSITORY, "PIPELINE_NUMBER": "42"}
# An engine that knows the image once it was pushed.
DOCKER = """
echo "docker $*" >>calls
case "$1 $2" in
    "buildx imagetools") [ -f pushed ] && echo DIGEST ;;
    "buildx build") touch pushed; mkdir -p build/image; echo '{"containerimage.digest": "DIGEST"}' >build/image/metadata.json ;;
    "image inspect") case "$*" in *version*) echo 1.0.0-build.42 ;; *) echo 7000000 ;; esac ;;
    "create "*) echo c1 ;;
    "cp "*) echo '{"bomFormat": "CycloneDX"}' >build/image/sbom.cdx.json ;;
esac
""".replace("DIGEST", DIGEST)


def test_an_image_is_built_once(house: House) -> None:
    house.program("docker", DOCKER)
    first = house.run("scripts/ci/build.sh", **JOB)
    assert first.returncode == 0
    revision = house.run("git", "rev-parse", "HEAD").stdout.strip()
    [build] = [line for line in (house.folder / "calls").read_text().splitlines() if line.startswith("docker buildx build")]
    assert f"--tag {REPOSITORY}:{revision} " in build
    assert f"--tag {REPOSITORY}:1.0.0-build.42 " in build
    assert "--push" in build
    assert "RELEASE=1" in build
    assert (house.folder / "build/image/name").read_text() == f"{REPOSITORY}@{DIGEST}\n"
    assert (house.folder / "build/image/version").read_text() == "1.0.0-build.42\n"

    again = house.run("scripts/ci/build.sh", **JOB | {"PIPELINE_NUMBER": "43"})
    assert again.returncode == 0
    assert "is there already" in again.stdout
    assert (house.folder / "calls").read_text().count("docker buildx build") == 1
    assert (house.folder / "build/image/version").read_text() == "1.0.0-build.42\n"
    assert json.loads((house.folder / "build/image/sbom.cdx.json").read_text())["bomFormat"] == "CycloneDX"


def test_a_push_without_a_digest_is_a_failure(house: House) -> None:
    house.program("docker", DOCKER.replace(DIGEST, "latest"))
    assert house.run("scripts/ci/build.sh", **JOB).returncode == 1
    assert not (house.folder / "build/image/name").exists()


def test_the_repository_must_be_named(house: House) -> None:
    done = house.run("scripts/ci/build.sh", "--dry-run")
    assert done.returncode != 0
    assert "IMAGE_REPOSITORY" in done.stderr


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
def test_what_was_built_is_rolled_out(house: House, environment: str) -> None:
    house.write("build/image/name", f"{REPOSITORY}@{DIGEST}\n")
    house.write("build/image/version", "1.0.0-build.42\n")
    house.write("deploy/rollout", '#!/bin/sh\necho "$@" >called\nexit 3\n').chmod(0o755)
    done = house.run("scripts/ci/deploy.sh", environment)
    assert done.returncode == 3  # a rollout's failure is the job's
    assert (house.folder / "called").read_text() == \
        f"--environment {environment} --image {REPOSITORY}@{DIGEST} --version 1.0.0-build.42\n"


def test_the_token_is_kept_fresh_while_the_rollout_lives(house: House) -> None:
    house.write("build/login/token", "first")
    house.program("circleci", f'[ "$*" = \'run oidc get --claims {{"aud": "org-1"}}\' ] && echo second; echo x >>{house.folder}/asked')
    done = house.run("bash", "-c", "sleep 4 & scripts/ci/refresh_token.sh $! 1", CIRCLE_ORGANIZATION_ID="org-1")
    assert done.returncode == 0
    assert (house.folder / "build/login/token").read_text() == "second\n"
    assert (house.folder / "build/login/token").stat().st_mode & 0o077 == 0


def test_a_token_that_does_not_come_leaves_the_old_one(house: House) -> None:
    house.write("build/login/token", "first")
    house.program("circleci", "exit 1")
    done = house.run("bash", "-c", "sleep 3 & scripts/ci/refresh_token.sh $! 1")
    assert "gave no new token" in done.stderr
    assert (house.folder / "build/login/token").read_text() == "first"


@pytest.mark.parametrize("arguments", [[], ["prod"]])
def test_an_environment_must_be_one_of_three(house: House, arguments: list[str]) -> None:
    assert house.run("scripts/ci/deploy.sh", *arguments).returncode == 64


def test_pinned_programs_come_from_their_images(house: House) -> None:
    house.program("docker", 'echo "docker $*" >>calls; case "$1" in create) echo c1;; cp) touch "$4"; chmod +x "$4";; esac')
    house.program("gcloud", "echo Google Cloud SDK 1.0.0")
    house.program("terraform", "echo Terraform v1.0.0")
    done = house.run("scripts/ci/install.sh", "terraform", "gcloud", BASH_ENV=str(house.folder / "bash_env"))
    assert done.returncode == 0
    calls = (house.folder / "calls").read_text()
    assert "docker create hashicorp/terraform:1.11.4\n" in calls
    assert "docker create google/cloud-sdk:528.0.0-slim\n" in calls
    assert f"{house.folder}/build/tools/bin" in (house.folder / "bash_env").read_text()


def test_what_is_there_in_the_pinned_version_stays(house: House) -> None:
    house.program("docker", "echo called >>calls")
    house.program("terraform", "echo Terraform v1.11.4")
    assert house.run("scripts/ci/install.sh", "terraform").returncode == 0
    assert not (house.folder / "calls").exists()


@pytest.mark.parametrize("script", [
    "build.sh", "deploy.sh", "install.sh", "login.sh", "notify.py", "refresh_token.sh", "scan.sh", "sign.sh", "terraform.sh", "verify.sh"])
def test_each_says_what_it_is_for(house: House, script: str) -> None:
    done = house.run(f"scripts/ci/{script}", "--help")
    assert done.returncode == 0
    assert script in done.stdout
