#!/usr/bin/python3
"""Tells people what the pipeline did, in Slack and by e-mail.

  scripts/ci/notify.py failed [--environment ENV]    a step failed; says so too if a rollout was undone
  scripts/ci/notify.py waiting --environment ENV     a rollout waits for approval
  scripts/ci/notify.py … --dry-run                   prints the message and sends nothing

Settings, from the context payflow-notify: SLACK_WEBHOOK_URL; SMTP_HOST, SMTP_PORT (587), SMTP_USER, SMTP_PASSWORD, MAIL_FROM,
MAIL_TO (comma-separated), SMTP_TLS (starttls; implicit for port 465, off for a relay on this machine). A channel without
settings is left out, and said so. No secret gets into a message: values of settings that look secret are blanked.
Exit code: 0 sent or nothing to send to, 1 a channel could not be reached, 64 bad arguments.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import smtplib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
RECORDS = TOP / "build" / "deploy"
ATTEMPTS = 3
TIMEOUT_S = 15
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|WEBHOOK|CREDENTIAL", re.IGNORECASE)
SHORTEST_SECRET = 6  # shorter values would blank ordinary words


def setting(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def without_secrets(text: str) -> str:
    values = (value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= SHORTEST_SECRET)
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "[hidden]")
    return re.sub(r"(://[^/\s:@]+:)[^/\s@]+@", r"\1[hidden]@", text)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, text=True, check=False).stdout.strip()


def rollout(environment: str) -> dict[str, object]:
    """The newest record that a rollout to this environment left (deploy/payflow_deploy/record.py), if any."""
    newest: dict[str, object] = {}
    for path in sorted(RECORDS.glob("*.json"), key=lambda p: p.stat().st_mtime):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("environment") == environment:
            newest = record
    return newest


def describe(event: str, environment: str) -> tuple[str, list[str]]:
    """The headline and the lines below it."""
    job = setting("CIRCLE_JOB", "a job on a laptop")
    record = rollout(environment) if environment and event == "failed" else {}
    outcome = str(record.get("outcome", ""))
    if event == "waiting":
        headline = f"PayFlow: {environment} waits for approval"
    elif outcome == "lost":
        headline = f"PayFlow: {environment}: THE TRAFFIC COULD NOT BE TAKEN BACK; use deploy/rollback now"
    elif outcome == "rolled back":
        headline = f"PayFlow: {environment} was rolled back"
    else:
        headline = f"PayFlow: {job} failed"
    lines = [
        f"Branch: {setting('CIRCLE_BRANCH', git('rev-parse', '--abbrev-ref', 'HEAD') or 'unknown')}",
        f"Commit: {setting('CIRCLE_SHA1', git('rev-parse', 'HEAD'))[:12]} {git('log', '-1', '--format=%s')[:100]}",
    ]
    lines += [f"{name.capitalize()}: {str(record[name])[:300]}" for name in ("outcome", "reason", "image", "version")
              if record.get(name)]
    workflow = setting("CIRCLE_WORKFLOW_ID")
    url = f"https://app.circleci.com/pipelines/workflows/{workflow}" if event == "waiting" and workflow else ""
    if url or setting("CIRCLE_BUILD_URL"):
        lines.append(f"Look: {url or setting('CIRCLE_BUILD_URL')}")
    return headline, lines


def slack(headline: str, lines: list[str]) -> None:
    escaped = "\n".join([f"*{headline}*", *lines]).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    request = urllib.request.Request(setting("SLACK_WEBHOOK_URL"), json.dumps({"text": escaped}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        answer.read()


def mail(headline: str, lines: list[str]) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = headline, setting("MAIL_FROM"), setting("MAIL_TO")
    message.set_content("\n".join([headline, "", *lines]))
    port = int(setting("SMTP_PORT", "587"))
    tls = setting("SMTP_TLS", "implicit" if port == 465 else "starttls")
    trust = ssl.create_default_context()
    if tls == "implicit":
        server: smtplib.SMTP = smtplib.SMTP_SSL(setting("SMTP_HOST"), port, timeout=TIMEOUT_S, context=trust)
    else:
        server = smtplib.SMTP(setting("SMTP_HOST"), port, timeout=TIMEOUT_S)
    with server:
        if tls == "starttls":
            server.starttls(context=trust)
        if setting("SMTP_USER"):
            server.login(setting("SMTP_USER"), setting("SMTP_PASSWORD"))
        server.send_message(message)


def send(channel: str, deliver: Callable[[str, list[str]], None], headline: str, lines: list[str]) -> bool:
    for attempt in range(ATTEMPTS):
        try:
            deliver(headline, lines)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            # The error's own text may hold the webhook's address.
            why = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else without_secrets(str(error))
            print(f"notify: {channel}, attempt {attempt + 1} of {ATTEMPTS}: {why}", file=sys.stderr)
            time.sleep(float(setting("NOTIFY_PAUSE_S", "2")) * (attempt + 1))
        else:
            print(f"notify: told {channel}")
            return True
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("event", choices=["failed", "waiting"])
    parser.add_argument("--environment", default="")
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    headline, lines = describe(arguments.event, arguments.environment)
    headline, lines = without_secrets(headline), [without_secrets(line) for line in lines]
    if arguments.dry_run:
        print("\n".join([headline, *lines]))
        return 0
    well = True
    for channel, deliver, needs in (("Slack", slack, ["SLACK_WEBHOOK_URL"]), ("e-mail", mail, ["SMTP_HOST", "MAIL_FROM", "MAIL_TO"])):
        missing = [name for name in needs if not setting(name)]
        if missing:
            print(f"notify: {channel} is not set up ({', '.join(missing)}); not told")
        else:
            well &= send(channel, deliver, headline, lines)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
