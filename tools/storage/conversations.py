"""Conversations, their messages and their one owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, func, insert, select, update

from policies.errors import Fenced, NotFound, Overtaken
from policies.types import JSON, Owner, Turn
from tools.storage import tables
from tools.storage.runs import Run
from tools.storage.store import Tx

Author = Literal["customer", "bot", "human"]
_c = tables.conversation.c
_m = tables.message.c
_r = tables.run.c
_HERE = (_c.workspace_id == bindparam("ws"), _c.id == bindparam("conversation"))
_OF_IT = (_m.workspace_id == bindparam("ws"), _m.conversation_id == bindparam("conversation"))

_INSERT = insert(tables.conversation)
_INSERT_MESSAGE = insert(tables.message)
_GET = select(tables.conversation).where(*_HERE)
_LOCKED = _GET.with_for_update()
# Both rows are locked, so that PostgreSQL reads both anew if it had to wait for one.
_STANDING = (
    select(_c.owner, _c.version, _r.conversation_version, _r.epoch, _r.status)
    .join_from(tables.conversation, tables.run, _r.workspace_id == _c.workspace_id)
    .where(*_HERE, _r.id == bindparam("run"))
    .with_for_update()
)
_NEXT_POSITION = (
    update(tables.conversation)
    .where(*_HERE)
    .values(last_message=_c.last_message + 1, version=_c.version + 1)
    .returning(_c.last_message)
)
_SET_OWNER = (
    update(tables.conversation)
    .where(*_HERE)
    .values(owner=bindparam("new_owner"), version=_c.version + 1, queue=bindparam("new_queue"))
)
_MESSAGES = select(tables.message).where(*_OF_IT).order_by(_m.position)
_SAID = (
    select(tables.message)
    .where(*_OF_IT, _m.run_id == bindparam("run"), _m.author == "bot", _m.state == "complete")
    .order_by(_m.position.desc())
    .limit(1)
)
_LAST_OF_RUN = (
    select(func.max(_m.position))
    .where(*_OF_IT, _m.run_id == bindparam("run"), _m.author == "customer")
    .scalar_subquery()
)
_EARLIER = (_m.run_id != bindparam("run"), _m.position < _LAST_OF_RUN)
_HISTORY = (
    select(_m.author, _m.text)
    .where(*_OF_IT, _m.run_id != bindparam("run"), (_m.author != "customer") | (_m.position < _LAST_OF_RUN))
    .order_by(_m.position.desc())
    .limit(bindparam("most"))
)
_ASKED_BEFORE = select(func.count()).where(*_OF_IT, *_EARLIER, _m.author == "customer")
_ADOPT = (
    update(tables.message)
    .where(_m.workspace_id == bindparam("ws"), _m.run_id == bindparam("run"), _m.author == "customer")
    .values(run_id=bindparam("new_run"))
)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Messages between a customer and us."""

    id: str
    assistant: str
    owner: Owner
    version: int
    """Rises with every message and every change of owner."""
    last_event: int
    customer: JSON
    queue: str | None
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message; its text holds placeholders."""

    id: str
    conversation_id: str
    position: int
    author: Author
    text: str
    citations: list[JSON]
    run_id: str | None
    state: str
    created_at: str


def create(tx: Tx, *, assistant: str, customer: JSON) -> Conversation:
    """Begin a conversation, owned by the bot."""
    row = {
        "id": tx.ids.new("con"),
        "assistant": assistant,
        "owner": str(Owner.BOT),
        "version": 1,
        "last_event": 0,
        "last_message": 0,
        "customer": customer,
        "consent": {"third_party_llm": False, "train_eval": False},
        "queue": None,
        "created_at": tx.now(),
    }
    tx.insert(_INSERT, [row])
    return _conversation(row)


def get(tx: Tx, conversation_id: str) -> Conversation:
    """Return a conversation; raises ``NotFound``."""
    return _found(tx.one(_GET, conversation=conversation_id), conversation_id)


def lock(tx: Tx, conversation_id: str) -> Conversation:
    """Return a conversation that nobody else changes until this transaction ends; raises ``NotFound``.

    Whatever compares a conversation or its runs before it writes calls this first. SQLite has one writer, so
    there it only reads.
    """
    return _found(tx.one(_LOCKED, conversation=conversation_id), conversation_id)


def _found(row: Any, conversation_id: str) -> Conversation:
    if row is None:
        raise NotFound(f"There is no conversation {conversation_id!r}.", remedy="Create one first.")
    return _conversation(row)


def _conversation(row: Any) -> Conversation:
    return Conversation(
        id=row["id"],
        assistant=row["assistant"],
        owner=Owner(row["owner"]),
        version=row["version"],
        last_event=row["last_event"],
        customer=row["customer"],
        queue=row["queue"],
        created_at=row["created_at"],
    )


def require_unmoved(tx: Tx, conversation_id: str, run: Run) -> None:
    """Make sure, inside a sending transaction, that nothing has come between.

    Raises ``Overtaken`` when the owner is no longer the bot or the conversation's version is not the one the
    run answers, ``Fenced`` when another attempt owns the run.
    """
    row = tx.one(_STANDING, conversation=conversation_id, run=run.id)
    if row is None or row["epoch"] != run.epoch or row["status"] != "running":
        raise Fenced(f"Another attempt owns the run {run.id}.")
    if row["owner"] != Owner.BOT or row["version"] != row["conversation_version"]:
        raise Overtaken(f"The conversation has moved on; its owner is {row['owner']}.", owner=row["owner"])


def add_message(
    tx: Tx,
    conversation_id: str,
    *,
    author: Author,
    text: str,
    run_id: str | None,
    citations: list[JSON] | None = None,
    message_id: str | None = None,
    state: str = "complete",
) -> Message:
    """Append a message and raise the conversation's version."""
    position = tx.value(_NEXT_POSITION, conversation=conversation_id)
    row = {
        "conversation_id": conversation_id,
        "position": position,
        "id": message_id or tx.ids.new("msg"),
        "author": author,
        "text": text,
        "citations": citations or [],
        "run_id": run_id,
        "state": state,
        "created_at": tx.now(),
    }
    tx.insert(_INSERT_MESSAGE, [row])
    return Message(**row)


def set_owner(tx: Tx, conversation_id: str, owner: Owner, *, queue: str | None = None) -> None:
    """Give a conversation to another owner and raise its version."""
    tx.change(_SET_OWNER, conversation=conversation_id, new_owner=str(owner), new_queue=queue)


def messages(tx: Tx, conversation_id: str) -> list[Message]:
    """Return all messages of a conversation, oldest first."""
    return [_message(row) for row in tx.all(_MESSAGES, conversation=conversation_id)]


def said_by(tx: Tx, conversation_id: str, run_id: str) -> Message | None:
    """Return the bot's message that a run ended with, or None if it has said nothing that stands."""
    row = tx.one(_SAID, conversation=conversation_id, run=run_id)
    return _message(row) if row else None


def history(tx: Tx, conversation_id: str, *, before_run: str, limit: int = 6) -> tuple[Turn, ...]:
    """Return the latest turns that a run does not itself answer, oldest first.

    A customer's message that came after the run's own is not among them; an answer to an earlier one is.
    """
    rows = tx.all(_HISTORY, conversation=conversation_id, run=before_run, most=limit)
    return tuple(Turn(author=row["author"], text=row["text"]) for row in reversed(rows))


def asked_before(tx: Tx, conversation_id: str, *, before_run: str) -> int:
    """Return how many messages the customer sent before those that a run answers."""
    return int(tx.value(_ASKED_BEFORE, conversation=conversation_id, run=before_run))


def adopt_messages(tx: Tx, *, from_run: str, to_run: str) -> None:
    """Let a run answer the messages of the run it supersedes."""
    tx.change(_ADOPT, run=from_run, new_run=to_run)


def _message(row: Any) -> Message:
    return Message(
        id=row["id"],
        conversation_id=row["conversation_id"],
        position=row["position"],
        author=row["author"],
        text=row["text"],
        citations=row["citations"],
        run_id=row["run_id"],
        state=row["state"],
        created_at=row["created_at"],
    )
