"""Which files of a knowledge folder are read."""

from __future__ import annotations

import hashlib
import os
import stat
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
    for file in _visible(root):
        if _is_read(file) and file.resolve().is_relative_to(root):
            yield _source(root, file)


def count_skipped(folder: Path) -> int:
    """Return how many files of a folder are of a kind that is not read; hidden ones don't count."""
    return sum(not _is_read(file) for file in _visible(folder.resolve()))


def _visible(root: Path) -> Iterator[Path]:
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(directory, name) for name in sorted(files) if not name.startswith("."))


def _is_read(file: Path) -> bool:
    return file.suffix.lower() in loaders.SUFFIXES


def _source(root: Path, file: Path) -> Source:
    path = file.relative_to(root).as_posix()
    try:
        problem = _problem(file.stat())
        if problem:
            return Source(path=path, content_hash="", data=None, problem=problem)
        data = file.read_bytes()
    except OSError as error:
        return Source(path=path, content_hash="", data=None, problem=f"It cannot be read ({error.strerror}).")
    return Source(path=path, content_hash=hashlib.sha256(data).hexdigest(), data=data)


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "It is a pipe, a socket or a device, not a file. Remove it from the folder."
    if status.st_size > loaders.MAX_BYTES:
        return f"It has {status.st_size:,} bytes, more than {loaders.MAX_BYTES:,}. Split the document."
    return ""
