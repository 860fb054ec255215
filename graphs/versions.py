"""Versions of an assistant: a change is a decision, and a run that waits ends on the version it began with."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from graphs.team import Team
from policies.bindings import KnownGuards
from policies.errors import ConfigError
from policies.types import JSON, Principal
from tools.assistants import Assistant, assistant_of
from tools.encoder.ports import Forgetful
from tools.guards.registry import KNOWN
from tools.storage import ledger, versions
from tools.storage.ledger import Decision
from tools.storage.store import Tx, Workspace

log = logging.getLogger("handrail.versions")
WORKSPACE_STREAM = "workspace"
"""The stream of decisions that are about a whole workspace."""
Hired = Callable[[Assistant], Awaitable[Team]]


def note_version(tx: Tx, assistant: Assistant, principal: Principal) -> bool:
    """Note that an assistant has other files than when it was last opened, with the decision; once for all.

    Returns whether it had. The first version of all is compared with nothing, and has no difference.
    """
    before = versions.latest(tx, assistant.name)
    if before and before.version == assistant.version:
        return False
    versions.note(tx, assistant.name, assistant.version, dict(assistant.files), after=before)
    body: JSON = {
        "actor": {"type": principal.role, "id": principal.id},
        "outcome": assistant.version,
        "assistant": assistant.name,
        "before": before.version if before else None,
        "after": assistant.version,
        "diff": difference(before.files, assistant.files) if before else "",
    }
    decision = Decision(node="assistant", kind="policy.changed", body=body)
    ledger.append(tx, WORKSPACE_STREAM, None, [decision])
    return True


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a unified diff of an assistant's files."""
    lines: list[str] = []
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        lines += difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="")
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Teams:
    """The teams of this process: that of its own version, and those of earlier ones whose runs have not ended."""

    workspace: Workspace
    own: Team
    hire: Hired
    """Builds the team of another version."""
    guards: KnownGuards = KNOWN
    _others: dict[str, Team] = field(default_factory=dict)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def of(self, version: str) -> Team:
        """Return the team of a version, built when it is first asked for.

        Knowledge is what is known now. A version that nobody noted, or whose files this program can't read any
        more, is served by the present one, and the log says so.
        """
        if version == self.own.assistant.version:
            return self.own
        async with self._lock:
            if version not in self._others:
                self._others[version] = await self._built(version)
            return self._others[version]

    def forget(self) -> None:
        """Let all teams drop what they remember of recent texts, as after an erasure."""
        for team in {id(each): each for each in (self.own, *self._others.values())}.values():
            for each in (team.finder, team.models, team.guards):
                if isinstance(each, Forgetful):
                    each.forget()

    async def _built(self, version: str) -> Team:
        files = await self.workspace.read(lambda tx: versions.files_of(tx, version))
        if files is None:
            log.warning("the version %s was never noted; its runs end on the present one", version)
            return self.own
        try:
            assistant = await anyio.to_thread.run_sync(assistant_of, self._folder, files, self.guards)
            return await self.hire(assistant)
        except ConfigError as error:
            log.warning(
                "the version %s can't be read any more; its runs end on the present one: %s", version, error
            )
        except Exception:
            # A run must not be lost to a team that can't be built.
            log.exception("no team for the version %s; its runs end on the present one", version)
        return self.own

    @property
    def _folder(self) -> Path:
        return self.own.assistant.folder
