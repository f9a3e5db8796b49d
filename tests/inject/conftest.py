"""Servers that ask for keys and look each up, behind proxies that can refuse statements in PostgreSQL's place."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers import Folder, Postgres, Redis

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "faults"))
from control import Control
from proxy import Proxy
from shop import SHOPS, Shop


def open_shop(folder: Folder, postgres: Postgres, redis: Redis, settings: dict[str, str]) -> Shop:
    proxy = Proxy(postgres.port, postgres=True)
    control = Control(folder.path / f"control-{proxy.port}")
    shop = Shop(folder, postgres.database(), redis, DB_PORT=str(proxy.port), DB_SSLMODE="disable", PAYFLOW_AUTH="on",
                KEY_CACHE_MS="0", DB_WRITERS="1", DB_READERS="1", RATE_LIMIT="1000000", RATE_BURST="100000",
                INJECT_CONTROL=str(control.path), **settings)
    shop.proxy, shop.control = proxy, control
    control.ports(shop.port, proxy.port, redis.port)
    shop.migrate()
    shop.token = shop.new_key("shop", "--test")
    shop.start()
    return shop


def close_shop(shop: Shop) -> None:
    """It must be sound and must have lost no memory."""
    shop.proxy.heal()
    verified = shop.command("verify")
    status = shop.stop()
    shop.proxy.close()
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert status == 0, shop.log.read_text(errors="replace")[-3000:]


def some_shops(folder: Folder, postgres: Postgres, redis: Redis, **settings: str) -> Iterator[list[Shop]]:
    shops = [open_shop(folder, postgres, redis, settings) for _ in range(SHOPS)]
    yield shops
    with ThreadPoolExecutor(SHOPS) as pool:
        for closed in [pool.submit(close_shop, shop) for shop in shops]:
            closed.result()


@pytest.fixture(scope="session")
def patient(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[list[Shop]]:
    """A request has the usual five seconds."""
    yield from some_shops(folder, postgres, redis)


@pytest.fixture(scope="session")
def impatient(folder: Folder, postgres: Postgres, redis: Redis) -> Iterator[list[Shop]]:
    yield from some_shops(folder, postgres, redis, REQUEST_TIMEOUT_MS="300")
