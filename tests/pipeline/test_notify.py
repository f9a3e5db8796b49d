"""What people are told, in Slack and by e-mail; and what is never in it."""
from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator

import pytest
from conftest import House, Receiver

JOB = {"CIRCLE_JOB": "deploy-production", "CIRCLE_BRANCH": "main", "CIRCLE_SHA1": "0123456789abcdef0123456789abcdef01234567",
       "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/payflow/17", "CIRCLE_WORKFLOW_ID": "6f2c", "NOTIFY_PAUSE_S": "0"}
RECORD = {"environment": "production", "outcome": "rolled back", "reason": "share of 5xx 9.8 % against 0.1 %", "version": "1.0.0-build.7"}


class Mailbox(socketserver.ThreadingTCPServer):
    """As much SMTP as taking a message needs."""
    allow_reuse_address = True

    def __init__(self) -> None:
        self.messages: list[str] = []
        mailbox = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline():
                    word = line[:4].upper()
                    if word == b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        text = b""
                        while (line := self.rfile.readline()) != b".\r\n":
                            text += line
                        mailbox.messages.append(text.decode())
                    self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                    if word == b"QUIT":
                        return

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as made:
        yield made
        made.shutdown()


def test_a_failure_goes_to_slack_and_by_mail(house: House, receiver: Receiver, mailbox: Mailbox) -> None:
    done = house.run("scripts/ci/notify.py", "failed", SLACK_WEBHOOK_URL=f"{receiver.url}/services/T/B/hook", SMTP_HOST="127.0.0.1",
                     SMTP_PORT=str(mailbox.server_address[1]), SMTP_TLS="off", MAIL_FROM="ci@example.com",
                     MAIL_TO="one@example.com, two@example.com", **JOB)
    assert done.returncode == 0
    [(path, _, body)] = receiver.requests
    assert path == "/services/T/B/hook"
    text = json.loads(body)["text"]
    assert text.startswith("*PayFlow: deploy-production failed*")
    assert "0123456789ab A &lt;subject&gt; &amp; more" in text
    assert JOB["CIRCLE_BUILD_URL"] in text
    [message] = mailbox.messages
    assert "Subject: PayFlow: deploy-production failed" in message
    assert "two@example.com" in message


def test_a_roll_back_is_called_one(house: House, receiver: Receiver) -> None:
    house.write("build/deploy/1.json", json.dumps(RECORD | {"outcome": "promoted"}))
    house.write("build/deploy/2.json", json.dumps(RECORD))
    house.run("scripts/ci/notify.py", "failed", "--environment", "production", SLACK_WEBHOOK_URL=receiver.url, **JOB)
    text = json.loads(receiver.requests[0][2])["text"]
    assert text.startswith("*PayFlow: production was rolled back*")
    assert RECORD["reason"] in text


def test_traffic_that_could_not_be_taken_back_is_shouted(house: House) -> None:
    house.write("build/deploy/1.json", json.dumps(RECORD | {"outcome": "lost"}))
    done = house.run("scripts/ci/notify.py", "failed", "--environment", "production", "--dry-run", **JOB)
    assert "production: THE TRAFFIC COULD NOT BE TAKEN BACK; use deploy/rollback now" in done.stdout


def test_a_failure_of_another_environment_is_no_roll_back(house: House) -> None:
    house.write("build/deploy/1.json", json.dumps(RECORD))
    done = house.run("scripts/ci/notify.py", "failed", "--environment", "staging", "--dry-run", **JOB)
    assert "rolled back" not in done.stdout


def test_approval_is_asked_for_with_the_workflow(house: House) -> None:
    done = house.run("scripts/ci/notify.py", "waiting", "--environment", "production", "--dry-run", **JOB)
    assert done.stdout.startswith("PayFlow: production waits for approval\n")
    assert "https://app.circleci.com/pipelines/workflows/6f2c" in done.stdout


def test_no_secret_gets_into_a_message(house: House, receiver: Receiver) -> None:
    reason = "DB_PASSWORD was s3cr3t-value, see postgres://me:other-pass@db/x"
    house.write("build/deploy/1.json", json.dumps(RECORD | {"reason": reason}))
    done = house.run("scripts/ci/notify.py", "failed", "--environment", "production", SLACK_WEBHOOK_URL=f"{receiver.url}/hook-7",
                     DB_PASSWORD="s3cr3t-value", **JOB)
    told = receiver.requests[0][2] + done.stdout + done.stderr
    assert "[hidden]" in told
    assert "s3cr3t-value" not in told
    assert "other-pass" not in told


def test_a_webhook_that_refuses_is_said_without_its_address(house: House, receiver: Receiver) -> None:
    receiver.answers["/services/T/B/hook"] = (403, {})
    done = house.run("scripts/ci/notify.py", "failed", SLACK_WEBHOOK_URL=f"{receiver.url}/services/T/B/hook", **JOB)
    assert done.returncode == 1
    assert len(receiver.requests) == 3
    assert "HTTP 403" in done.stderr
    assert "/services/T/B/hook" not in done.stdout + done.stderr


def test_nothing_set_up_is_said(house: House) -> None:
    done = house.run("scripts/ci/notify.py", "failed", **JOB)
    assert done.returncode == 0
    assert "Slack is not set up (SLACK_WEBHOOK_URL); not told" in done.stdout
    assert "e-mail is not set up (SMTP_HOST, MAIL_FROM, MAIL_TO); not told" in done.stdout
