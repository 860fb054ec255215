"""What is typed is read without a thread, and what is shown fits a pipe."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from rich.console import Console

from handrail.door import Door
from handrail.terminal import show_ingest, typed_lines

pytestmark = pytest.mark.anyio


async def test_lines_come_as_they_are_typed_and_the_last_needs_no_end() -> None:
    source, keyboard = os.pipe()
    lines = typed_lines(source)
    os.write(keyboard, "héllo\nand".encode())
    assert await anext(lines) == "héllo"
    os.write(keyboard, b" more")
    os.close(keyboard)
    assert [line async for line in lines] == ["and more"]
    os.close(source)


async def test_waiting_for_a_line_can_be_cancelled() -> None:
    source, keyboard = os.pipe()
    with anyio.move_on_after(0.01) as waited:
        await anext(typed_lines(source))
    assert waited.cancelled_caught
    os.close(source)
    os.close(keyboard)


async def test_lines_come_from_a_plain_file_too(tmp_path: Path) -> None:
    (tmp_path / "typed").write_text("one\ntwo\n")
    with (tmp_path / "typed").open() as file:
        assert [line async for line in typed_lines(file.fileno())] == ["one", "two"]


class Ingesting:
    """Tells one ingest."""

    async def ingest(self, _folder: Path) -> AsyncIterator[dict[str, Any]]:
        """Yield progress and a report."""
        yield {"type": "progress", "done": 1, "total": 1}
        yield {
            "type": "report",
            "added": ["a.md"],
            "changed": [],
            "removed": [],
            "unchanged": 0,
            "skipped": 2,
            "failed": [("b.md", "It is empty.")],
            "chunks": 1,
            "seconds": 0.1,
            "index_version": "idx_1",
        }


async def test_an_ingest_shows_no_bar_in_a_pipe_and_counts_what_it_skipped() -> None:
    written = StringIO()
    await show_ingest(cast(Door, Ingesting()), Console(file=written), Path("folder"))
    assert written.getvalue().splitlines() == [
        "Knowledge: 1 added, 0 changed, 0 removed, 0 unchanged; 1 chunks in 0.1 s (index idx_1).",
        "  skipped 2 of a kind that is not read (Markdown, HTML, PDF and text are)",
        "  left out b.md: It is empty.",
    ]
