"""One process owns a data folder: two would not see each other's events, nor can they share an embedded index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import portalocker

from policies.errors import ConfigError

LOCK = "lock"
SERVER = "server.json"


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What a server says of itself beside the lock that it holds."""

    url: str
    assistant: str | None = None
    """The name of the assistant that it serves."""
    folder: Path | None = None
    """The assistant's folder."""


@contextmanager
def owned(data: Path) -> Iterator[None]:
    """Own a data folder, making it if need be; raises ``ConfigError`` when another process does."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(data)
        lock.acquire()
    except portalocker.LockException as error:
        raise _taken(data) from error
    except OSError as error:
        raise ConfigError(
            f"The data folder {data} can't be used: {error.strerror or error}.",
            remedy="Set HANDRAIL_DATA to a folder that you may write to.",
        ) from error
    try:
        # Whatever a crashed server left says nothing true any more.
        (data / SERVER).unlink(missing_ok=True)
        yield
    finally:
        lock.release()


@contextmanager
def announced(data: Path, url: str, *, assistant: str | None = None, folder: Path | None = None) -> Iterator[None]:
    """Leave word, beside the lock that this process holds, of where it serves, and which assistant."""
    path = data / SERVER
    scratch = data / f"{SERVER}.new"
    word = {"pid": os.getpid(), "url": url, "assistant": assistant, "folder": folder and str(folder.resolve())}
    scratch.write_bytes(orjson.dumps(word))
    scratch.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running_server(data: Path) -> str | None:
    """Return the address of the server that owns a data folder, or None when none does."""
    found = serving(data)
    return found.url if found else None


def serving(data: Path) -> Serving | None:
    """Return what the server that owns a data folder says of itself, or None when none does."""
    word = _left_word(data)
    if word is None:
        return None
    try:
        with _lock(data):
            # It went without taking its word back.
            return None
    except portalocker.LockException:
        folder = word.get("folder")
        return Serving(url=word["url"], assistant=word.get("assistant"), folder=Path(folder) if folder else None)


def _lock(data: Path) -> portalocker.Lock:
    return portalocker.Lock(data / LOCK, timeout=0, fail_when_locked=True)


def _left_word(data: Path) -> dict[str, Any] | None:
    try:
        found = orjson.loads((data / SERVER).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("url"), str) else None


def _taken(data: Path) -> ConfigError:
    word = _left_word(data)
    if word is None:
        remedy = "Wait until it is done, or set HANDRAIL_DATA to another folder."
        return ConfigError(f"Another process uses the data folder {data}.", remedy=remedy, code="data.locked")
    return ConfigError(
        f"A server (process {word.get('pid')}) uses the data folder {data}.",
        remedy=f"Ask it at {word['url']}, or stop it first.",
        code="data.locked",
        url=word["url"],
    )
