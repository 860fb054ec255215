"""What people write: made readable, its placeholders checked, its personal data masked."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence

import anyio
import anyio.lowlevel

from policies.errors import InputError
from policies.personal_data import Found, PersonalDataFinder, broken_placeholders
from tools.storage import vault
from tools.storage.store import Tx

# Control characters, halves of surrogate pairs, and marks that turn the reading direction around.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")

log = logging.getLogger("handrail.writing")
AT_ONCE = 32
"""Texts that are looked through at the same time for one caller: short ones fill two of the encoder's passes."""
LONGEST_SECONDS = 10.0
"""How long a message, or the result of an action, waits for the finder."""
SECONDS_PER_TEXT = 0.05
"""How much longer for each text of a result: three times what a short one takes on a busy machine."""


def readable(text: str) -> str:
    """Return a text without what can't be read; raises ``InputError`` when nothing is left."""
    found = _SPACES.sub(" ", _UNREADABLE.sub("", text)).strip()
    if not found:
        raise InputError("The message is empty.", remedy="Write something.", code="message.empty")
    return found


def masked_by_staff(tx: Tx, conversation_id: str, text: str, found: Sequence[Found] | None = None) -> str:
    """Return what a person of ours wrote, masked; the conversation's own placeholders may occur in it.

    ``found`` is what a finder found in this very text. Raises ``InputError`` for a placeholder that stands for
    nothing.
    """
    known = vault.placeholders(tx, conversation_id)
    if broken := broken_placeholders(text, set(known)):
        raise InputError(
            f"The text holds {broken[0]}, which stands for nothing in this conversation.",
            remedy="Write what you mean in its place.",
        )
    return vault.masked(tx, conversation_id, text, found, keep=known)


Findings = Mapping[str, Sequence[Found]]
"""What was found in texts, by text."""
NO_FINDINGS: Findings = {}
"""Where nobody looked ahead; patterns are looked for all the same."""


async def findings(
    finder: PersonalDataFinder | None, *texts: str | None, seconds: float = LONGEST_SECONDS
) -> Findings:
    """Look for personal data in texts, ahead of the transaction that masks them; nothing without a finder.

    Never raises: where the finder fails, or takes longer than ``seconds`` (and a little for each text) for all of
    them, a text is missing from what is returned, so that it is masked by patterns alone, and the log says so.
    """
    if finder is None:
        return NO_FINDINGS
    found: dict[str, Sequence[Found]] = {}
    several = [text for text in dict.fromkeys(texts) if text]
    waiting, allowed = iter(several), seconds + SECONDS_PER_TEXT * len(several)
    with anyio.move_on_after(allowed) as scope:
        # Several at once: what an action gives may be many short texts, which then share the encoder's passes.
        async with anyio.create_task_group() as group:
            for _ in range(min(AT_ONCE, len(several))):
                group.start_soon(_look, finder, waiting, found)
    if scope.cancelled_caught:
        log.warning("personal data is looked for by patterns alone: the finder took over %.1f seconds", allowed)
    return found


async def _look(finder: PersonalDataFinder, waiting: Iterator[str], found: dict[str, Sequence[Found]]) -> None:
    for text in waiting:
        try:
            found[text] = await finder(text)
        except Exception as error:
            # Not the error's own text: it may hold what was looked through.
            log.warning("personal data is looked for by patterns alone: %s", type(error).__name__)
        # A finder that has nothing to wait for must not hold up the loop for all texts.
        await anyio.lowlevel.checkpoint()
