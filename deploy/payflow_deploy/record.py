"""What happened, for people as it happens and as a file for those who come later."""
from __future__ import annotations

import contextlib
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("build/deploy")


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Record:
    """One deployment. The file is whole at any moment, also if this process is killed."""

    def __init__(self, command: str, environment: str, **known: Any) -> None:
        self.data: dict[str, Any] = {"command": command, "environment": environment, "begun": now(), "ended": None,
                                     "outcome": "unfinished", **known, "events": []}
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.path = FOLDER / f"{environment}-{command}-{self.data['begun'].replace(':', '')}.json"
        self.write()

    def write(self) -> None:
        """A full disk must not keep the traffic from going back, nor must a terminal that is gone."""
        new = self.path.with_suffix(".new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(self.data, indent=2) + "\n")
            os.replace(new, self.path)

    def say(self, message: str, **facts: Any) -> None:
        at = now()
        try:
            print(f"{at[11:19]} {self.data['command']}: {message}", flush=True)
        except OSError:
            sys.stdout = open(os.devnull, "w")
        self.data["events"].append({"at": at, "message": message, **facts})
        self.write()

    def set(self, **known: Any) -> None:
        self.data |= known
        self.write()

    def end(self, outcome: str, message: str) -> None:
        self.data |= {"ended": now(), "outcome": outcome}
        self.say(message)
