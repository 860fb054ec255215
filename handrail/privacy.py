"""What the commands do with the data of people: export, erase, take consent back.

They go to the server that owns the data folder, or open the rows themselves where none does.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import orjson
from rich.console import Console

from handrail.client import JSON, Client
from policies.consent import SCOPES
from policies.errors import ConfigError, InputError
from policies.types import Principal

if TYPE_CHECKING:
    from graphs.privacy import Privacy
    from graphs.settings import Settings

_NOTHING = "Nothing is kept of this subject."


class _Desk(Protocol):
    """What the commands ask for, whichever way in they take."""

    async def export(self, subject: str) -> JSON: ...

    async def erase(self, subject: str, reason: str | None) -> JSON: ...

    async def withdraw(self, subject: str, scopes: Sequence[str]) -> int: ...


@dataclass(frozen=True)
class _Server:
    """Asks a running server, which refuses another workspace than its own."""

    client: Client
    workspace: str

    async def export(self, subject: str) -> JSON:
        return await self.client.export_subject(subject, workspace=self.workspace)

    async def erase(self, subject: str, reason: str | None) -> JSON:
        return await self.client.erase_subject(subject, reason=reason, workspace=self.workspace)

    async def withdraw(self, subject: str, scopes: Sequence[str]) -> int:
        given = dict.fromkeys(scopes, False)
        done = await self.client.set_subject_consent(subject, workspace=self.workspace, **given)
        return int(done["conversations"])


@dataclass(frozen=True)
class _Rows:
    """Works on the rows in this process."""

    privacy: Privacy
    admin: Principal

    async def export(self, subject: str) -> JSON:
        return await self.privacy.export(self.admin, subject)

    async def erase(self, subject: str, reason: str | None) -> JSON:
        return asdict(await self.privacy.erase(self.admin, subject, reason=reason))

    async def withdraw(self, subject: str, scopes: Sequence[str]) -> int:
        return await self.privacy.set_consent_everywhere(self.admin, subject, dict.fromkeys(scopes, False))


@asynccontextmanager
async def _desk(settings: Settings) -> AsyncIterator[_Desk]:
    from tools.storage.lock import running_server

    url = running_server(settings.data) if settings.database_url is None else None
    if url is not None:
        async with Client.open(url) as client:
            yield _Server(client, settings.workspace)
        return
    from graphs.privacy_offline import open_privacy

    admin = Principal(workspace_id=settings.workspace, id="local-admin", role="admin")
    async with open_privacy(settings) as privacy:
        yield _Rows(privacy, admin)


async def export_subject(settings: Settings, err: Console, subject: str, path: Path | None) -> None:
    """Write all that is kept of a subject to a file, whole or not at all, or to standard output."""
    async with _desk(settings) as desk:
        found = await desk.export(_named(subject))
    text = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if path is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    else:
        _write(path, text)
    count, about = len(found["conversations"]), len(found["workflow_runs"])
    runs = f" and {_many(about, 'workflow run')}" if about else ""
    err.print(f"{_many(count, 'conversation')}{runs}." if count or about else _NOTHING, markup=False)


def _write(path: Path, text: bytes) -> None:
    scratch = path.with_name(f".{path.name}.part")
    try:
        # Readable by its owner alone: it is full of personal data.
        scratch.touch(mode=0o600)
        scratch.write_bytes(text)
        scratch.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}.", remedy="Name another file.") from error
    finally:
        scratch.unlink(missing_ok=True)


async def erase_subject(settings: Settings, out: Console, subject: str, reason: str | None) -> None:
    """Erase all that is kept of a subject, and say what that was."""
    async with _desk(settings) as desk:
        done = await desk.erase(_named(subject), reason)
    if not done["conversations"]:
        out.print(_NOTHING, markup=False)
        return
    out.print(
        f"Erased: {_many(done['conversations'], 'conversation')} with {_many(done['runs'], 'run')}. In the ledger "
        f"the subject is {done['digest']}.",
        markup=False,
        soft_wrap=True,
    )
    if not done["scrubbed"]:
        out.print("Files may hold traces for some time: design/privacy.md says which.", markup=False)


async def withdraw_consent(settings: Settings, out: Console, subject: str, scopes: Sequence[str]) -> None:
    """Note that a subject takes consent back; raises ``InputError`` for a scope that there is not."""
    if unknown := [each for each in scopes if each not in SCOPES]:
        raise InputError(f"There is no scope {unknown[0]!r}.", remedy=f"There are {' and '.join(SCOPES)}.")
    async with _desk(settings) as desk:
        count = await desk.withdraw(_named(subject), scopes or SCOPES)
    out.print(f"Noted in {_many(count, 'conversation')}." if count else _NOTHING, markup=False)


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _named(subject: str) -> str:
    if not subject.strip():
        raise InputError("--subject is empty.", remedy="Give the customer's id, as the app does.")
    return subject
