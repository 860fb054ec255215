"""Reading stored events again: where some are kept no more, one ``resync`` stands for them.

Events are numbered without gaps, so a gap in what is read says that house-keeping has trimmed what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from policies.errors import NotFound
from tools.storage import conversations, events, runs
from tools.storage.runs import Run
from tools.storage.store import StoredEvent, Tx

RESYNC = "resync"


def next_of_conversation(tx: Tx, conversation_id: str, *, after: int) -> list[StoredEvent]:
    """Return the next events of a conversation, a page at most; nothing when the reader has all.

    Its ``resync`` belongs to no run, and has the number of the last event that it stands for.
    """
    page = events.of_conversation(tx, conversation_id, after=after)
    if not page:
        # The count is read first: what is committed between the two reads is no gap.
        last = last_number(tx, conversation_id)
        if last == after:
            return []
        if last < after:
            # What the reader saw was lost with a database that failed over: it goes on from what there is.
            return [_resync(tx, conversation_id, last)]
        page = events.of_conversation(tx, conversation_id, after=after)
        if not page:
            return [_resync(tx, conversation_id, last)]
    return _marked(page, after, lambda each: each.seq, lambda each: _resync(tx, conversation_id, each.seq - 1))


def last_number(tx: Tx, stream: str) -> int:
    """Return the number of a stream's last event: a conversation's, or a run's that belongs to none.

    Raises ``NotFound``.
    """
    try:
        return conversations.get(tx, stream).last_event
    except NotFound:
        return runs.get(tx, stream).last_event


def next_of_run(tx: Tx, run: Run, *, after: int) -> list[StoredEvent]:
    """Return the next events of a run that has ended, a page at most; ``after`` counts the run's own numbers."""
    page = events.of_run(tx, run.id, after=after)
    if not page and after < run.last_event:
        return [replace(_resync(tx, run.conversation_id, 0), run_id=run.id, run_seq=run.last_event)]
    return _marked(page, after, _number_in_run, _resync_in_run)


def _marked(
    page: Sequence[StoredEvent],
    after: int,
    number: Callable[[StoredEvent], int],
    resync_before: Callable[[StoredEvent], StoredEvent],
) -> list[StoredEvent]:
    marked: list[StoredEvent] = []
    for event in page:
        if number(event) > after + 1:
            marked.append(resync_before(event))
        marked.append(event)
        after = number(event)
    return marked


def _number_in_run(event: StoredEvent) -> int:
    return event.run_seq or 0


def _resync_in_run(before: StoredEvent) -> StoredEvent:
    number = _number_in_run(before) - 1
    return replace(before, seq=before.seq - 1, run_seq=number, type=RESYNC, audience="customer", data={})


def _resync(tx: Tx, conversation_id: str, seq: int) -> StoredEvent:
    return StoredEvent(
        conversation_id=conversation_id,
        seq=seq,
        run_id=None,
        run_seq=None,
        type=RESYNC,
        audience="customer",
        data={},
        at=tx.now(),
    )
