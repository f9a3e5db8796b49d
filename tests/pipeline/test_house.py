"""The papers of the house agree with what is in it."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "scripts"))
import sbom  # noqa: E402


@pytest.mark.parametrize("part", sbom.LICENCES)
def test_each_part_that_may_be_inside_has_its_notice(part: str) -> None:
    notice = (TOP / "NOTICE").read_text()
    name = {"postgresql": r"libpq"}.get(part, part)
    assert re.search(rf"^{name}\b.* {re.escape(sbom.LICENCES[part])}  ", notice, re.IGNORECASE | re.MULTILINE)


def test_the_newest_version_has_its_changes() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", (TOP / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == (TOP / "VERSION").read_text().strip()


def test_what_codeowners_names_is_there() -> None:
    paths = [line.split()[0] for line in (TOP / "CODEOWNERS").read_text().splitlines() if line.startswith("/")]
    assert [path for path in paths if not (TOP / path.strip("/")).exists()] == []


def test_what_security_md_cites_is_there() -> None:
    text = (TOP / "SECURITY.md").read_text()
    tests = "\n".join(path.read_text() for path in (TOP / "tests").rglob("test_*.py"))
    names = set(re.findall(r"`(test_[a-z_]+)`", text))
    assert len(names) >= 6
    assert [name for name in names if f"def {name}(" not in tests] == []
    paths = set(re.findall(r"`((?:tests|tf|scripts)/[\w./-]+)`", text))
    assert [path for path in paths if not (TOP / path).exists()] == []


def test_every_variable_of_the_scripts_is_in_the_docs() -> None:
    docs = (TOP / "docs" / "pipeline.md").read_text()
    needed = {"GCP_WIF_PROVIDER", "GCP_SERVICE_ACCOUNT", "GCP_PROJECT", "IMAGE_REPOSITORY", "COSIGN_KEY", "COSIGN_VERIFY_KEY",
              "SLACK_WEBHOOK_URL", "SMTP_HOST", "MAIL_FROM", "MAIL_TO", "TF_LOCK"}
    scripts = "\n".join(path.read_text() for path in (TOP / "scripts" / "ci").iterdir())
    assert [name for name in needed if name not in docs] == []
    assert [name for name in needed if name not in scripts] == []
