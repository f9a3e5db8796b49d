"""The log-in to Google, with the real gcloud against a token service of our own."""
from __future__ import annotations

import json
import shutil
import stat
import urllib.parse

import pytest
from conftest import House, Receiver

PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/payflow-circleci/providers/staging"
ACCOUNT = "payflow-staging-deploy@acme-staging.iam.gserviceaccount.com"
OIDC_TOKEN = "oidc-" + "token-of-this-job"
SETTINGS = {"CIRCLE_OIDC_TOKEN_V2": OIDC_TOKEN, "GCP_WIF_PROVIDER": PROVIDER, "GCP_SERVICE_ACCOUNT": ACCOUNT, "GCP_PROJECT": "acme-staging"}

needs_gcloud = pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")


def settings_with(receiver: Receiver, house: House) -> dict[str, str]:
    receiver.answers = {
        "/v1/token": (200, {"access_token": "federated", "token_type": "Bearer", "expires_in": 3600,
                            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}),
        f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken":
            (200, {"accessToken": "impersonated", "expireTime": "2099-01-01T00:00:00Z"}),
    }
    return SETTINGS | {"STS_URL": f"{receiver.url}/v1/token", "IAMCREDENTIALS_URL": receiver.url,
                       "CLOUDSDK_CONFIG": str(house.folder / "gcloud"), "BASH_ENV": str(house.folder / "bash_env")}


@needs_gcloud
def test_log_in(house: House, receiver: Receiver) -> None:
    settings = settings_with(receiver, house)
    done = house.run("scripts/ci/login.sh", **settings)
    assert done.returncode == 0
    assert OIDC_TOKEN not in done.stdout + done.stderr

    # What later steps have: an access token for gcloud, a file for Terraform and cosign.
    token = house.run("gcloud", "auth", "print-access-token", **settings)
    assert token.stdout.strip() == "impersonated"
    exported = (house.folder / "bash_env").read_text().strip()
    assert exported == f"export GOOGLE_APPLICATION_CREDENTIALS={house.folder}/build/login/google.json CLOUDSDK_CORE_PROJECT=acme-staging"

    path, _, body = next(request for request in receiver.requests if request[0] == "/v1/token")
    form = urllib.parse.parse_qs(body)
    assert form["subject_token"] == [OIDC_TOKEN]
    assert form["audience"] == [f"//iam.googleapis.com/{PROVIDER}"]
    assert form["subject_token_type"] == ["urn:ietf:params:oauth:token-type:jwt"]
    headers = next(request[1] for request in receiver.requests if request[0].endswith(":generateAccessToken"))
    assert headers.get("Authorization", headers.get("authorization")) == "Bearer federated"


@needs_gcloud
def test_a_job_that_google_refuses_fails(house: House, receiver: Receiver) -> None:
    settings = settings_with(receiver, house)
    receiver.answers["/v1/token"] = (403, {"error": "unauthorized_client", "error_description": "The given credential is rejected"})
    done = house.run("scripts/ci/login.sh", **settings)
    assert done.returncode != 0
    assert not (house.folder / "bash_env").exists()


@needs_gcloud
def test_a_dry_run_writes_the_configuration_and_no_key(house: House) -> None:
    done = house.run("scripts/ci/login.sh", "--dry-run", CLOUDSDK_CONFIG=str(house.folder / "gcloud"), **SETTINGS)
    assert done.returncode == 0
    config = json.loads((house.folder / "build/login/google.json").read_text())
    assert config["type"] == "external_account"
    assert config["token_url"].startswith("https://sts.googleapis.com/")
    assert ACCOUNT in config["service_account_impersonation_url"]
    assert "private_key" not in config
    assert stat.S_IMODE((house.folder / "build/login/token").stat().st_mode) == 0o600


@pytest.mark.parametrize("missing", ["CIRCLE_OIDC_TOKEN_V2", "GCP_WIF_PROVIDER", "GCP_SERVICE_ACCOUNT"])
def test_what_is_missing_is_named(house: House, missing: str) -> None:
    done = house.run("scripts/ci/login.sh", **{k: v for k, v in SETTINGS.items() if k != missing})
    assert done.returncode == 78
    assert missing in done.stderr
