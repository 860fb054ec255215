"""What the people who answer customers ask for: the inbox, taking over, writing, giving back.

Every call takes the principal who asks, and refuses a customer with the code ``forbidden``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from graphs.takeover import Moved, Replied, Reply, hand_back, reply, require_staff, take
from graphs.views import revealed
from graphs.writing import findings, readable
from policies.errors import InputError
from policies.personal_data import PersonalDataFinder
from policies.types import Owner, Principal
from tools.storage import inbox
from tools.storage.conversations import Conversation
from tools.storage.inbox import Entry, Place
from tools.storage.store import Store, Tx


@dataclass(frozen=True, kw_only=True)
class Page:
    """A piece of the inbox."""

    conversations: list[Entry]
    next: str | None
    """What to ask for ``before`` to get the next piece; None when there is none."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where people take part in conversations; ``product.service.desk``."""

    store: Store
    prune: Callable[[str], Awaitable[None]]
    """Deletes the checkpoints of a run that has ended."""
    finder: PersonalDataFinder | None = None
    """Finds what is masked beside what patterns tell."""

    async def take(
        self, principal: Principal, conversation_id: str, *, from_id: str | None = None
    ) -> Conversation:
        """Become responsible for a conversation; ``from_id`` names the person whom it is taken from.

        Raises ``Conflict``, with who has it and since when as ``first``, if another person does.
        """
        require_staff(principal)
        return await self._move(principal, lambda tx: take(tx, principal, conversation_id, from_id))

    async def hand_back(
        self, principal: Principal, conversation_id: str, *, note: str | None = None
    ) -> Conversation:
        """Give a conversation back to the bot; the note is for colleagues and the ledger alone.

        Raises ``Conflict`` if another person has it.
        """
        require_staff(principal)
        found = await findings(self.finder, note)
        return await self._move(principal, lambda tx: hand_back(tx, principal, conversation_id, note, found))

    async def _move(self, principal: Principal, work: Callable[[Tx], Moved]) -> Conversation:
        moved = await self.store.in_workspace(principal.workspace_id).write(work)
        await self._clear(moved.ended)
        return moved.conversation

    async def _clear(self, ended: Sequence[str]) -> None:
        for run_id in ended:
            await self.prune(run_id)

    async def reply(
        self, principal: Principal, conversation_id: str, text: str, *, idempotency_key: str | None = None
    ) -> Replied:
        """Write to the customer, and take the conversation unless another person has it.

        Raises ``Conflict`` in that case, ``InputError`` for a text that is empty or holds a placeholder that
        stands for nothing, and ``IdempotencyMismatch``.
        """
        require_staff(principal)
        request = Reply(
            principal=principal, conversation_id=conversation_id, text=readable(text), key=idempotency_key
        )

        found = await findings(self.finder, request.text)

        def work(tx: Tx) -> Replied:
            replied = reply(tx, request, found)
            shown = revealed(tx, conversation_id, replied.message.text)
            return replace(replied, message=replace(replied.message, text=shown))

        replied = await self.store.in_workspace(principal.workspace_id).write(work)
        await self._clear(replied.ended)
        return replied

    async def conversations(
        self,
        principal: Principal,
        *,
        owner: Owner | None = None,
        queue: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page:
        """Return conversations, the latest written in first; ``before`` is the ``next`` of the page before."""
        require_staff(principal)
        owners, place = (owner,) if owner else tuple(Owner), _place(before) if before else None

        def read(tx: Tx) -> list[Entry]:
            return inbox.listed(tx, owners=owners, queue=queue, limit=limit + 1, before=place)

        found = await self.store.in_workspace(principal.workspace_id).read(read)
        return Page(conversations=found[:limit], next=_cursor(found[limit - 1]) if len(found) > limit else None)


def _cursor(last: Entry) -> str:
    return base64.urlsafe_b64encode(f"{last.active_at} {last.id}".encode()).decode()


def _place(cursor: str) -> Place:
    try:
        active_at, _, conversation_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
    except (binascii.Error, UnicodeError) as error:
        raise InputError(
            "This page is not known.", remedy="Take `next` from the page before.", code="cursor.malformed"
        ) from error
    return Place(active_at, conversation_id)
