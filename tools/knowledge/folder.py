"""Which files of a knowledge folder are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from policies.errors import ConfigError
from tools.knowledge import loaders
from tools.knowledge.documents import LoadedDocument, Unreadable


@dataclass(frozen=True, kw_only=True)
class Source:
    """A document before it is read."""

    path: str
    """Relative to the folder, with forward slashes."""
    content_hash: str
    data: bytes | None
    """None if the file could not be read, or is too large."""
    problem: str = ""

    def load(self) -> LoadedDocument:
        """Read the document; raises ``Unreadable``."""
        if self.data is None:
            raise Unreadable(self.problem)
        return loaders.load(self.path, self.data)


def sources(folder: Path) -> Iterator[Source]:
    """Yield the documents of a folder and the folders below, by path.

    Hidden files and folders are skipped, and so are links that lead out of the folder. Raises
    ``ConfigError`` if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no knowledge folder {folder}.", remedy="Create it or name another.")
    root = folder.resolve()
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            file = Path(directory, name)
            if name.startswith(".") or file.suffix.lower() not in loaders.SUFFIXES:
                continue
            if file.resolve().is_relative_to(root):
                yield _source(root, file)


def _source(root: Path, file: Path) -> Source:
    path = file.relative_to(root).as_posix()
    try:
        size = file.stat().st_size
        if size > loaders.MAX_BYTES:
            problem = f"It has {size:,} bytes, more than {loaders.MAX_BYTES:,}. Split the document."
            return Source(path=path, content_hash="", data=None, problem=problem)
        data = file.read_bytes()
    except OSError as error:
        return Source(path=path, content_hash="", data=None, problem=f"It cannot be read ({error.strerror}).")
    return Source(path=path, content_hash=hashlib.sha256(data).hexdigest(), data=data)
