"""Which files of a knowledge folder are read, and what is told of those that are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.knowledge.documents import Unreadable
from tools.knowledge.folder import sources


def test_a_pipe_is_told_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    os.mkfifo(tmp_path / "b.md")
    first, second = sources(tmp_path)
    assert (first.path, first.data, first.problem) == ("a.md", b"# A", "")
    assert (second.path, second.data) == ("b.md", None)
    with pytest.raises(Unreadable, match="a pipe, a socket or a device"):
        second.load()
