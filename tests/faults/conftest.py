"""Servers whose way to PostgreSQL leads through a proxy that breaks it."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from proxy import Proxy
from servers import Folder, Postgres, Redis, Server


@pytest.fixture
def proxied(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[Callable[..., tuple[Server, Proxy]]]:
    """Makes a server with a database of its own and the proxy between the two; `server.sql` goes past it."""
    made: list[tuple[Server, Proxy]] = []

    def make(**settings: str) -> tuple[Server, Proxy]:
        proxy = Proxy(postgres.port, postgres=True)
        server = Server(folder, postgres.database(), redis, DB_PORT=str(proxy.port), DB_SSLMODE="disable", **settings)
        made.append((server, proxy))
        server.migrate().start()
        return server, proxy

    yield make
    for server, proxy in made:
        proxy.heal()
        status = server.stop()
        proxy.close()
        assert status == 0, server.log.read_text(errors="replace")[-3000:]
