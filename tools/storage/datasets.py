"""Examples for training and evals, from conversations whose customers agreed to that, and only while they do.

``content`` holds placeholders, like the messages that it was taken from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, insert, select

from policies.errors import Conflict
from policies.types import JSON
from tools.storage import conversations, tables
from tools.storage.reviews import APPROVE_REPLY
from tools.storage.store import Tx

_i = tables.dataset_item.c
_OF_THEM = (
    _i.workspace_id == bindparam("ws"),
    _i.conversation_id.in_(bindparam("conversations", expanding=True)),
)
_INSERT = insert(tables.dataset_item)
_LISTED = (
    select(tables.dataset_item)
    .where(_i.workspace_id == bindparam("ws"), _i.id > bindparam("after"))
    .order_by(_i.id)
    .limit(bindparam("most"))
)
_LISTED_OF_KIND = _LISTED.where(_i.kind == bindparam("kind"))
_OF_CONVERSATIONS = select(tables.dataset_item).where(*_OF_THEM).order_by(_i.created_at, _i.id)
_AGREED = tables.conversation.c.consent
_w, _s = tables.review.c, tables.suggestion.c
_REVIEWED = (
    select(_w.id, _w.conversation_id, _w.run_id, _w.draft, _w.answer, _AGREED)
    .join_from(
        tables.review,
        tables.conversation,
        (tables.conversation.c.workspace_id == _w.workspace_id) & (tables.conversation.c.id == _w.conversation_id),
    )
    .where(
        _w.workspace_id == bindparam("ws"),
        _w.kind == APPROVE_REPLY,
        _w.status == "decided",
        _w.id > bindparam("after"),
    )
    .order_by(_w.id)
    .limit(bindparam("most"))
)
_SUGGESTED = (
    select(_s.id, _s.conversation_id, _s.run_id, _s.sentences.label("draft"), _s.outcome, _AGREED)
    .join_from(
        tables.suggestion,
        tables.conversation,
        (tables.conversation.c.workspace_id == _s.workspace_id) & (tables.conversation.c.id == _s.conversation_id),
    )
    .where(
        _s.workspace_id == bindparam("ws"),
        _s.outcome.in_(("accepted", "edited", "dismissed")),
        _s.id > bindparam("after"),
    )
    .order_by(_s.id)
    .limit(bindparam("most"))
)
_VERDICTS = {"approve": "accepted", "edit": "edited", "reject": "rejected", "dismissed": "rejected"}
_REMOVE = delete(tables.dataset_item).where(*_OF_THEM)


@dataclass(frozen=True, kw_only=True)
class DatasetItem:
    """One example, with where it comes from."""

    id: str
    conversation_id: str
    run_id: str | None
    kind: str
    """What it is an example of, such as ``route`` or ``draft``."""
    source: str
    """What of the conversation it was taken from, such as a message, a review or a suggestion, with its id."""
    version: str
    """The version of the assistant that was at work."""
    content: JSON
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A draft that a person has judged, in a conversation whose customer agrees."""

    id: str
    """Of the review or the suggestion."""
    source: str
    """Which of them it is, with its id."""
    conversation_id: str
    run_id: str
    verdict: str
    """``accepted``, ``edited`` or ``rejected``."""
    draft: list[JSON]
    """Its sentences."""
    text: str
    """What was sent instead, where a person has edited it and that is known."""


def judged(tx: Tx, what: str, *, after: str = "", limit: int = 500) -> tuple[list[Judged], str]:
    """Return a page of drafts that people have judged, and the last id of it, empty behind the last page.

    ``what`` is ``review`` or ``suggestion``. Those of customers who have not agreed are left out.
    """
    rows = tx.all(_REVIEWED if what == "review" else _SUGGESTED, after=after, most=limit)
    found = [_judged(what, row) for row in rows if row["consent"].get("train_eval") is True]
    return found, rows[-1]["id"] if len(rows) == limit else ""


def _judged(what: str, row: Any) -> Judged:
    answer = (row["answer"] or {}) if what == "review" else {"decision": row["outcome"]}
    said = str(answer.get("decision") or "")
    return Judged(
        id=row["id"],
        source=f"{what} {row['id']}",
        conversation_id=row["conversation_id"],
        run_id=row["run_id"],
        verdict=_VERDICTS.get(said, said),
        draft=row["draft"],
        text=str(answer.get("text") or ""),
    )


def add(
    tx: Tx, conversation_id: str, *, run_id: str | None, kind: str, source: str, version: str, content: JSON
) -> DatasetItem:
    """Keep an example; raises ``Conflict`` unless the conversation's customer agrees, ``NotFound`` without one.

    The conversation is locked, so a withdrawal either comes first and is seen, or comes after and takes it back.
    """
    conversation = conversations.lock(tx, conversation_id)
    if conversation.consent.get("train_eval") is not True:
        raise Conflict(
            f"The customer of {conversation_id} has not agreed to its use for training and evals.",
            remedy="Leave it out, or ask the customer and change the consent of the conversation.",
            code="consent.missing",
        )
    row = {
        "id": tx.ids.new("itm"),
        "conversation_id": conversation_id,
        "run_id": run_id,
        "kind": kind,
        "source": source,
        "version": version,
        "content": content,
        "created_at": tx.now(),
    }
    tx.insert(_INSERT, [row])
    return _item(row)


def listed(tx: Tx, *, kind: str | None = None, after: str = "", limit: int = 500) -> list[DatasetItem]:
    """Return examples in the order of their ids; ``after`` is the last id of the page before."""
    if kind is None:
        return [_item(row) for row in tx.all(_LISTED, after=after, most=limit)]
    return [_item(row) for row in tx.all(_LISTED_OF_KIND, kind=kind, after=after, most=limit)]


def of_conversation(tx: Tx, conversation_id: str) -> list[DatasetItem]:
    """Return the examples that were taken from a conversation, oldest first."""
    return [_item(row) for row in tx.all(_OF_CONVERSATIONS, conversations=[conversation_id])]


def remove_of_conversations(tx: Tx, conversation_ids: Sequence[str]) -> int:
    """Take back all that came from these conversations; return how many examples went."""
    return tx.change(_REMOVE, conversations=list(conversation_ids)) if conversation_ids else 0


def _item(row: Any) -> DatasetItem:
    return DatasetItem(**{key: value for key, value in row.items() if key != "workspace_id"})
