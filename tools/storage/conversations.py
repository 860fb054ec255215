"""Conversations, their messages and their one owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Executable, bindparam, case, func, insert, null, select, update

from policies.errors import Fenced, NotFound, Overtaken
from policies.types import JSON, Owner, Turn
from tools.storage import subjects, tables
from tools.storage.runs import Run
from tools.storage.store import Tx

Author = Literal["customer", "bot", "human"]
_c = tables.conversation.c
_m = tables.message.c
_r = tables.run.c
_h = tables.handoff.c
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
_NEXT = (
    update(tables.conversation)
    .where(*_HERE)
    .values(last_message=_c.last_message + 1, version=_c.version + 1, active_at=bindparam("now"))
    .returning(_c.last_message)
)
_WAITS = func.coalesce(_c.waiting_since, bindparam("now"))
_NEXT_POSITION = {
    "customer": _NEXT.values(waiting_since=case((_c.owner != str(Owner.BOT), _WAITS), else_=_c.waiting_since)),
    "bot": _NEXT,
    "human": _NEXT.values(waiting_since=null(), due_at=null()),
}
_MOVE = (
    update(tables.conversation)
    .where(*_HERE)
    .values(
        owner=bindparam("new_owner"),
        owner_id=bindparam("new_owner_id"),
        owner_since=bindparam("now"),
        version=_c.version + 1,
        returned_after=null(),
        waiting_since=func.coalesce(_c.waiting_since, bindparam("waiting")),
    )
)
_SET_OWNER = {
    Owner.QUEUE: _MOVE.values(
        queue=bindparam("new_queue"), priority=bindparam("new_priority"), due_at=bindparam("new_due")
    ),
    Owner.HUMAN: _MOVE,
    Owner.BOT: _MOVE.values(
        queue=null(), priority=null(), due_at=null(), waiting_since=null(), returned_after=_c.last_message
    ),
}
_SET_CONSENT = update(tables.conversation).where(*_HERE).values(consent=bindparam("new", type_=_c.consent.type))
_MESSAGES = select(tables.message).where(*_OF_IT).order_by(_m.position)
_MESSAGE = select(tables.message).where(*_OF_IT, _m.id == bindparam("message"))
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
# "A colleague will answer you here" is no answer, and after a return it is no longer true.
_HANDED = select(_h.id).where(_h.workspace_id == _m.workspace_id, _h.run_id == _m.run_id).exists()
_HISTORY = (
    select(_m.author, _m.text, _m.position)
    .where(*_OF_IT, _m.run_id.is_distinct_from(bindparam("run")), (_m.author != "bot") | ~_HANDED)
    .where((_m.author != "customer") | (_m.position < _LAST_OF_RUN))
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
    """What the app says of its customer; sealed where it is stored."""
    consent: JSON
    """What the customer agreed to: ``third_party_llm`` and ``train_eval``."""
    queue: str | None
    owner_id: str | None
    """Which person has it; None unless the owner is a human."""
    owner_since: str
    waiting_since: str | None
    """Since when the customer waits for a person; None when nobody does."""
    priority: str | None
    due_at: str | None
    """By when a person is to answer; None once one has."""
    returned_after: int | None
    """The last message's position when people gave it back to the bot; None if they never had it or have it."""
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


def create(tx: Tx, *, assistant: str, customer: JSON, consent: JSON | None = None) -> Conversation:
    """Begin a conversation, owned by the bot; to what ``consent`` does not say the customer has not agreed."""
    now = tx.now()
    row = {
        "id": tx.ids.new("con"),
        "assistant": assistant,
        "owner": str(Owner.BOT),
        "version": 1,
        "last_event": 0,
        "last_message": 0,
        **subjects.sealed(tx, customer),
        "consent": {"third_party_llm": False, "train_eval": False, **(consent or {})},
        "queue": None,
        "owner_id": None,
        "owner_since": now,
        "waiting_since": None,
        "priority": None,
        "due_at": None,
        "returned_after": None,
        "active_at": now,
        "created_at": now,
    }
    tx.insert(_INSERT, [row])
    return _conversation(tx, row)


def get(tx: Tx, conversation_id: str) -> Conversation:
    """Return a conversation; raises ``NotFound``."""
    return _found(tx, _GET, conversation_id)


def lock(tx: Tx, conversation_id: str) -> Conversation:
    """Return a conversation that nobody else changes until this transaction ends; raises ``NotFound``.

    Whatever compares a conversation or its runs before it writes calls this first. SQLite has one writer, so
    there it only reads.
    """
    return _found(tx, _LOCKED, conversation_id)


def _found(tx: Tx, statement: Executable, conversation_id: str) -> Conversation:
    row = tx.one(statement, conversation=conversation_id)
    if row is None:
        raise NotFound(f"There is no conversation {conversation_id!r}.", remedy="Create one first.")
    return _conversation(tx, row)


def _conversation(tx: Tx, row: Any) -> Conversation:
    return Conversation(
        id=row["id"],
        assistant=row["assistant"],
        owner=Owner(row["owner"]),
        version=row["version"],
        last_event=row["last_event"],
        customer=subjects.opened(tx, row["customer"]),
        consent=row["consent"],
        queue=row["queue"],
        owner_id=row["owner_id"],
        owner_since=row["owner_since"],
        waiting_since=row["waiting_since"],
        priority=row["priority"],
        due_at=row["due_at"],
        returned_after=row["returned_after"],
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
    now = tx.now()
    position = tx.value(_NEXT_POSITION[author], conversation=conversation_id, now=now)
    row = {
        "conversation_id": conversation_id,
        "position": position,
        "id": message_id or tx.ids.new("msg"),
        "author": author,
        "text": text,
        "citations": citations or [],
        "run_id": run_id,
        "state": state,
        "created_at": now,
    }
    tx.insert(_INSERT_MESSAGE, [row])
    return Message(**row)


def set_owner(
    tx: Tx,
    conversation_id: str,
    owner: Owner,
    *,
    owner_id: str | None = None,
    queue: str | None = None,
    priority: str | None = None,
    due_at: str | None = None,
    waiting_since: str | None = None,
) -> None:
    """Give a conversation to another owner and raise its version.

    ``owner_id`` says which person it is. Queue, priority and due time are set for the queue, kept for a person and
    gone with the bot. ``waiting_since`` counts unless the customer has waited for longer; a queue waits from now.
    """
    now = tx.now()
    placed = {"new_queue": queue, "new_priority": priority, "new_due": due_at} if owner is Owner.QUEUE else {}
    waited = {} if owner is Owner.BOT else {"waiting": waiting_since or (now if owner is Owner.QUEUE else None)}
    moved = {"new_owner": str(owner), "new_owner_id": owner_id, "now": now}
    tx.change(_SET_OWNER[owner], conversation=conversation_id, **moved, **placed, **waited)


def set_consent(tx: Tx, conversation_id: str, consent: JSON) -> None:
    """Note what the customer agrees to from now on."""
    tx.change(_SET_CONSENT, conversation=conversation_id, new=consent)


def message(tx: Tx, conversation_id: str, message_id: str) -> Message:
    """Return one message of a conversation; raises ``NotFound``."""
    row = tx.one(_MESSAGE, conversation=conversation_id, message=message_id)
    if row is None:
        raise NotFound(f"There is no message {message_id!r} in the conversation {conversation_id}.")
    return _message(row)


def messages(tx: Tx, conversation_id: str) -> list[Message]:
    """Return all messages of a conversation, oldest first."""
    return [_message(row) for row in tx.all(_MESSAGES, conversation=conversation_id)]


def said_by(tx: Tx, conversation_id: str, run_id: str) -> Message | None:
    """Return the bot's message that a run ended with, or None if it has said nothing that stands."""
    row = tx.one(_SAID, conversation=conversation_id, run=run_id)
    return _message(row) if row else None


def history(
    tx: Tx, conversation_id: str, *, before_run: str, returned_after: int | None = None, limit: int = 6
) -> tuple[Turn, ...]:
    """Return the latest turns that a run does not itself answer, oldest first.

    A customer's message that came after the run's own is not among them; an answer to an earlier one is, whoever
    gave it. That a person would answer is left out. With ``returned_after``, the latest turn up to that position
    is marked as the one after which people gave the conversation back.
    """
    rows = tx.all(_HISTORY, conversation=conversation_id, run=before_run, most=limit)
    before = (row["position"] for row in rows if returned_after and row["position"] <= returned_after)
    marked = next(before, None)
    return tuple(
        Turn(author=row["author"], text=row["text"], handed_back=row["position"] == marked)
        for row in reversed(rows)
    )


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
