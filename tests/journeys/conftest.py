"""The tea shop as fixtures: one that tests share, and one of their own for those that need other settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.shop import FILES, NewPlace, OpenShop, Shop, opener


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Let one shop serve many tests: it lives on the loop of the session."""
    return "asyncio"


@pytest.fixture(scope="session")
def assistant_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tea shop's folder."""
    folder = tmp_path_factory.mktemp("tea-shop")
    (folder / "knowledge").mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewPlace:
    """Return a function that makes an empty place for data, as settings: every journey is made over both kinds."""
    if request.param == "sqlite":
        return lambda: {"data": tmp_path_factory.mktemp("data")}
    new_postgres = request.getfixturevalue("new_postgres")
    return lambda: {"data": tmp_path_factory.mktemp("data"), "database_url": new_postgres()}


@pytest.fixture(scope="session")
def open_shop(assistant_folder: Path, new_place: NewPlace) -> OpenShop:
    """Return a function that opens a shop of one's own, with other settings."""
    return opener(assistant_folder, new_place)


@pytest.fixture(scope="session")
async def shop(open_shop: OpenShop) -> AsyncIterator[Shop]:
    """Open the shop that most tests share; each begins conversations of its own."""
    async with open_shop() as opened:
        yield opened
