"""What the law asks for: consent that can be taken back, and all of a person's data, to read or to be gone.

A subject is the customer's id that the app gave with its conversations.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

import anyio

from graphs.consent import actor_of, change
from graphs.disclosure import FORMAT, conversation_of, workflow_run_of
from graphs.effects import abandon
from graphs.retention import PAUSE_SECONDS, seal_customers_of
from graphs.takeover import require_staff
from graphs.versions import WORKSPACE_STREAM
from graphs.writing import findings
from policies.errors import Conflict, InputError, NotFound
from policies.personal_data import PersonalDataFinder, mask
from policies.types import JSON, Principal
from tools.storage import erasure, ledger, runs, subjects, workflows
from tools.storage.conversations import Conversation
from tools.storage.ledger import Decision
from tools.storage.store import Store, Tx, Workspace

BATCH = 50
"""Conversations that are erased in one transaction; others write in between."""


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What an erasure came to."""

    workspace_id: str
    conversations: int
    """With the runs of workflows that were about the subject."""
    runs: int
    digest: str
    """What the ledger calls the subject."""
    scrubbed: bool
    """Whether nothing is left in files either; False over PostgreSQL, which clears dead rows away by itself."""


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """The data of the people whom conversations are with; ``product.service.privacy``."""

    store: Store
    prune: Callable[[str], Awaitable[None]]
    """Deletes the checkpoints of a run."""
    scrub: Callable[[], Awaitable[bool]]
    """Writes over what deleted rows left in files."""
    alone: bool = False
    """Whether no process can be at work, so that a run that seems to be was left by a crash."""
    finder: PersonalDataFinder | None = None
    """Finds what is masked of a reason beside what patterns tell."""
    forget: Callable[[], None] | None = None
    """Drops what this process remembers of recent texts."""

    async def set_consent(
        self, principal: Principal, conversation_id: str, given: Mapping[str, bool | None]
    ) -> Conversation:
        """Note what a conversation's customer agrees to from now on; where ``given`` is silent, nothing changes.

        It holds for what is begun after it; withdrawn ``train_eval`` takes examples back at once.
        """
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.write(lambda tx: change(tx, principal, conversation_id, given))

    async def set_consent_everywhere(
        self, principal: Principal, subject: str, given: Mapping[str, bool | None]
    ) -> int:
        """Note it in all conversations of a subject, one transaction each; return how many there are."""
        require_staff(principal)
        workspace = self.store.in_workspace(principal.workspace_id)
        found = await self._conversations(workspace, self._digest(principal, subject))
        for conversation_id in found:
            await workspace.write(
                partial(_change, principal=principal, conversation_id=conversation_id, given=given)
            )
        return len(found)

    async def export(self, principal: Principal, subject: str) -> JSON:
        """Return all that is kept of a subject, personal data put back; for admins, and on record in the ledger.

        Each conversation is read in one transaction; what is erased meanwhile is left out.
        """
        _require_admin(principal)
        workspace = self.store.in_workspace(principal.workspace_id)
        digest = self._digest(principal, subject)
        found = await self._conversations(workspace, digest)
        read = [await workspace.read(partial(_told, conversation_id=each)) for each in found]
        told = [each for each in read if each is not None]
        about = await workspace.read(lambda tx: workflows.of_subject(tx, digest))
        given = [await workspace.read(partial(workflow_run_of, run_id=each)) for each in about]
        if told or about:
            count = len(told) + len(about)
            await workspace.write(lambda tx: _record(tx, principal, "subject.exported", digest, count))
        return {
            "format": FORMAT,
            "workspace_id": workspace.id,
            "subject": subject,
            "made_at": self.store.clock.now().isoformat(timespec="seconds"),
            "conversations": told,
            "workflow_runs": [each for each in given if each is not None],
        }

    async def erase(self, principal: Principal, subject: str, *, reason: str | None = None) -> Erased:
        """Erase all conversations of a subject, with all that belongs to them; for admins.

        Runs that wait, for a person or for their turn, are ended as cancelled. Raises ``Conflict`` while one is at
        work, before anything is erased; if one begins in between, what was erased by then stays erased, and the
        same call does the rest. The ledger keeps the decisions, and with each transaction one that says that
        the subject was erased.
        """
        _require_admin(principal)
        workspace = self.store.in_workspace(principal.workspace_id)
        digest = self._digest(principal, subject)
        note = await self._note(reason, subject) if reason else None
        found = await self._conversations(workspace, digest)
        # A run of a workflow that is about them is kept as a conversation is, under its own id.
        found += await workspace.read(lambda tx: workflows.of_subject(tx, digest))
        await workspace.read(partial(self._require_idle, conversation_ids=found))
        work = partial(self._erase_some, principal=principal, digest=digest, note=note)
        pieces = [piece async for piece in self._pieces(workspace, work)]
        # Even if nothing was left to erase: an earlier call may have been cut off before this.
        scrubbed = await self.scrub()
        if self.forget is not None:
            self.forget()
        return Erased(
            workspace_id=workspace.id,
            conversations=sum(piece.conversations for piece in pieces),
            runs=sum(len(piece.runs) for piece in pieces),
            digest=digest,
            scrubbed=scrubbed,
        )

    async def _pieces(self, workspace: Workspace, work: Callable[[Tx], _Piece]) -> AsyncIterator[_Piece]:
        """Erase piece by piece, with pauses in which others write."""
        while True:
            piece = await workspace.write(work)
            for run_id in piece.runs:
                await self.prune(run_id)
            yield piece
            if piece.conversations < BATCH:
                return
            await anyio.sleep(PAUSE_SECONDS)

    async def _note(self, reason: str, subject: str) -> str:
        """Return a reason as the ledger may keep it for good: without the subject's id and other personal data."""
        text = re.sub(rf"(?<!\w){re.escape(subject)}(?!\w)", "the subject", reason, flags=re.IGNORECASE)
        return mask(text, {}, (await findings(self.finder, text)).get(text)).text

    def _digest(self, principal: Principal, subject: str) -> str:
        return subjects.digest(self.store.sealer, principal.workspace_id, subject)

    async def _conversations(self, workspace: Workspace, digest: str) -> list[str]:
        await seal_customers_of(workspace)
        return await workspace.read(lambda tx: subjects.conversations_of(tx, digest))

    def _require_idle(self, tx: Tx, conversation_ids: list[str]) -> None:
        if self.alone or not (busy := erasure.at_work(tx, conversation_ids)):
            return
        raise Conflict(
            f"An answer to this subject is being worked on: {', '.join(busy[:3])}.",
            remedy="Try again when it has ended, or cancel it first (POST /v1/runs/{id}/cancel).",
            code="subject.busy",
        )

    def _erase_some(self, tx: Tx, principal: Principal, digest: str, note: str | None) -> _Piece:
        these = subjects.locked(tx, digest, most=BATCH)
        these += workflows.locked_of_subject(tx, digest, most=BATCH - len(these))
        if not these:
            return _Piece(conversations=0, runs=())
        self._require_idle(tx, these)
        for conversation_id in these:
            for run in runs.unfinished(tx, conversation_id):
                _end(tx, run, principal)
        gone = erasure.erase(tx, these, actor=actor_of(principal))
        _record(tx, principal, "subject.erased", digest, len(these), note)
        return _Piece(conversations=len(these), runs=gone)


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """What one transaction has erased."""

    conversations: int
    runs: tuple[str, ...]


def _change(tx: Tx, principal: Principal, conversation_id: str, given: Mapping[str, bool | None]) -> None:
    try:
        change(tx, principal, conversation_id, given)
    except NotFound:
        # It was erased in between.
        return


def _told(tx: Tx, conversation_id: str) -> JSON | None:
    try:
        return conversation_of(tx, conversation_id)
    except NotFound:
        return None


def _end(tx: Tx, run: runs.Run, principal: Principal) -> None:
    """End a run that nobody works on; that an effect of it is of unknown outcome goes on record."""
    runs.end(tx, run.id, "cancelled")
    abandon(tx, run)
    reason = {"code": "privacy.erased", "text": "The conversation is erased."}
    body = {"actor": actor_of(principal), "outcome": "cancelled", "reasons": [reason], "rules": []}
    ledger.append(tx, run.conversation_id, run.id, [Decision(node="privacy", kind="cancel", body=body)])


def _record(
    tx: Tx, principal: Principal, kind: str, digest: str, conversations: int, note: str | None = None
) -> None:
    reasons = [{"code": "privacy.request", "text": note}] if note else []
    body = {
        "actor": actor_of(principal),
        "outcome": kind.partition(".")[2],
        "reasons": reasons,
        "rules": [],
        "subject": digest,
        "conversations": conversations,
    }
    ledger.append(tx, WORKSPACE_STREAM, None, [Decision(node="privacy", kind=kind, body=body)])


def _require_admin(principal: Principal) -> None:
    if principal.role != "admin":
        raise InputError(
            f"A {principal.role} may not do this with a person's data.",
            remedy="It is for admins.",
            code="forbidden",
        )
