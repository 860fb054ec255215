"""The tea shop as fixtures: one that tests share, and one of their own for those that need other settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.shop import FILES, OpenShop, Shop, opener


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


@pytest.fixture(scope="session")
def open_shop(assistant_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> OpenShop:
    """Return a function that opens a shop of one's own, with other settings."""
    return opener(assistant_folder, lambda: tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
async def shop(open_shop: OpenShop) -> AsyncIterator[Shop]:
    """Open the shop that most tests share; each begins conversations of its own."""
    async with open_shop() as opened:
        yield opened
