"""A server that asks for keys and looks each up, behind a proxy that can refuse statements in PostgreSQL's place."""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import Folder, Postgres, Redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "faults"))
from proxy import Proxy
from shop import Shop


@pytest.fixture(scope="module")
def shops(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[Callable[..., tuple[Shop, Proxy]]]:
    """Makes shops with a database of their own, each behind a proxy; at their end each must be sound and leak nothing."""
    made: list[tuple[Shop, Proxy]] = []

    def make(**settings: str) -> tuple[Shop, Proxy]:
        proxy = Proxy(postgres.port, postgres=True)
        shop = Shop(folder, postgres.database(), redis, DB_PORT=str(proxy.port), DB_SSLMODE="disable", PAYFLOW_AUTH="on",
                    KEY_CACHE_MS="0", DB_WRITERS="1", DB_READERS="1", RATE_LIMIT="1000000", RATE_BURST="100000", **settings)
        made.append((shop, proxy))
        shop.migrate()
        shop.token = shop.new_key("shop", "--test")
        shop.start()
        return shop, proxy

    yield make
    for shop, proxy in made:
        proxy.heal()
        verified = shop.command("verify")
        status = shop.stop()
        proxy.close()
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert status == 0, shop.log.read_text(errors="replace")[-3000:]
