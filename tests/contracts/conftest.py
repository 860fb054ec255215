"""Where rows are kept: every contract of storage holds for both kinds of database."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(name="where", params=["sqlite", "postgres"])
def where_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where an empty database is: a file, or a URL."""
    if request.param == "sqlite":
        return tmp_path / "store.db"
    url: str = request.getfixturevalue("new_postgres")()
    return url
