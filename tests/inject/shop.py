"""What the tests here share that is no fixture."""
from __future__ import annotations

import os

from servers import Client, Server

EXHAUSTIVE = os.environ.get("INJECT", "") == "all"  # every case, instead of those that CI has the time for


class Shop(Server):
    """A server whose clients have a key."""

    token: str | None = None

    def client(self, token: str | None = None) -> Client:
        return super().client(token or self.token)
