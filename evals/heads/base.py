"""What every training gives: a head, and what it was worth where it had not learned."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from policies.types import JSON
from tools.encoder.ports import Encoder
from tools.guards.head import FOLDER, Head

Announce = Callable[[str], None]
COMMAND = "make heads DATA=DIR"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A head with its figures."""

    name: str
    """Under which it is kept."""
    head: Head
    """Trained on all of the data."""
    report: str
    """Markdown: what was trained, and tables of figures with their 95 % intervals, each cross-validated."""
    folder: Path = FOLDER
    """Where it is kept unless another folder is asked for."""


Train = Callable[[Path, Encoder, Announce], Awaitable[Trained]]
"""Trains a head on a data folder; tells what takes long."""


def source_of(data: Path, file: str, licence: str, rows: int) -> JSON:
    """Return what a head's ``about`` says of a file that it learned from; ``file`` is relative to ``data``."""
    with (data / file).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": file, "sha256": digest, "licence": licence, "rows": rows}
