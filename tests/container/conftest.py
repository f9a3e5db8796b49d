"""One engine, one set of images and one stack for the whole suite. Where no engine can run, all that needs it is skipped."""
from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from engine import Engine, NoEngine
from images import Images
from servers import TOP, Folder
from stack import Stack, report


@pytest.fixture(scope="session")
def engine(folder: Folder) -> Iterator[Engine]:
    (TOP / "build" / "reports" / "container.txt").unlink(missing_ok=True)
    try:
        made = Engine(folder)
    except NoEngine as reason:
        pytest.skip(str(reason))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def images(engine: Engine) -> Images:
    begun = time.monotonic()
    try:
        made = Images(engine)
    except NoEngine as reason:
        pytest.skip(str(reason))
    report("images", f"{time.monotonic() - begun:.0f} s to get them all, {'stand-ins' if made.stand_in else 'the public ones'}")
    return made


@pytest.fixture(scope="session")
def stack(engine: Engine, images: Images, folder: Folder) -> Iterator[Stack]:
    made = Stack(engine, images, folder)
    try:
        begun = time.monotonic()
        made.up()
        made.first_payment()
        made.first_payment_s = time.monotonic() - begun
        report("compose", f"{made.first_payment_s:.1f} s from `docker compose up` on built images to the first payment")
        yield made
    finally:
        made.down(volumes=True)
