"""What people write: made readable, its placeholders checked, its personal data masked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import anyio

from policies.errors import InputError
from policies.personal_data import Found, PersonalDataFinder, broken_placeholders
from tools.storage import vault
from tools.storage.store import Tx

# Control characters, halves of surrogate pairs, and marks that turn the reading direction around.
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]")
_SPACES = re.compile("[\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")


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


async def findings(finder: PersonalDataFinder | None, *texts: str | None) -> Findings:
    """Look for personal data in texts, ahead of the transaction that masks them; nothing without a finder."""
    if finder is None:
        return NO_FINDINGS
    found: dict[str, Sequence[Found]] = {}

    async def look(text: str) -> None:
        found[text] = await finder(text)

    # At once: what an action gives may be many short texts, which then share the encoder's passes.
    async with anyio.create_task_group() as group:
        for text in dict.fromkeys(texts):
            if text:
                group.start_soon(look, text)
    return found
