"""Taking back: what was shown of a message that will not be finished."""

from __future__ import annotations

from collections.abc import Sequence

from tools.storage import conversations, events, runs
from tools.storage.events import NewEvent
from tools.storage.runs import Run
from tools.storage.store import Tx

_OPENING, _PIECE = "message.created", "message.delta"
_CLOSING = ("message.completed", "message.replaced")


def withdraw_shown(tx: Tx, run: Run, reason: str) -> None:
    """Close the message of which a run has shown a part, if there is one, and keep that part in the transcript.

    It goes by the rows, so a sentence that was committed counts even if nobody noted that it was. ``reason`` is
    also the state of the message that is kept.
    """
    shown = _open_message(events.of_types(tx, run.id, (_OPENING, _PIECE, *_CLOSING)))
    if shown is None:
        return
    message_id, text = shown
    conversations.add_message(
        tx, run.conversation_id, author="bot", text=text, run_id=run.id, message_id=message_id, state=reason
    )
    runs.take_back(tx, run.id)
    replaced = NewEvent(type="message.replaced", data={"message_id": message_id, "reason": reason, "text": text})
    events.append(tx, run.conversation_id, [replaced], run_id=run.id)


def _open_message(told: Sequence[NewEvent]) -> tuple[str, str] | None:
    """Return id and text of the bot's message that was begun and not closed."""
    texts: dict[str, str] = {}
    for event in told:
        message_id = event.data["message_id"]
        if event.type in _CLOSING:
            texts.pop(message_id, None)
        elif event.type == _PIECE:
            texts[message_id] += event.data["text"]
        elif event.data["author"] == "bot":
            texts[message_id] = ""
    return next(iter(texts.items()), None)
