"""A script for ``ScriptedModel`` by which it drafts as it should, for tests and offline demonstrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape

from langchain_core.messages import BaseMessage

from tools.knowledge import sentences as splitter
from tools.knowledge.quoting import quote
from tools.support import contained

LEAST = 0.3
"""A sentence that has a smaller share of the message's words is no answer."""
MOST = 2
ABSTAINS = "[abstain]"
_PASSAGE = re.compile(r'<data kind="passage" id="(p\d+)">\n(.*?)\n</data>', re.DOTALL)
_MESSAGE = re.compile(r'<data kind="message">\n(.*?)\n</data>', re.DOTALL)
_REFUSED = re.compile(r'<data kind="refused">\n(.*?)\n</data>', re.DOTALL)


def quoting(messages: Sequence[BaseMessage]) -> str:
    """Reply to a request for a draft with the sentences of its passages that have most of the message's words.

    Each is quoted, with the id of its passage; where none fits, and to any other request, it abstains.
    """
    said = str(messages[-1].content)
    asked = _MESSAGE.findall(said)
    if not asked:
        return ABSTAINS
    refused = {unescape(text) for text in _REFUSED.findall(said)}
    found = [(contained(asked[-1], text), text, name) for name, text in _told(said) if text not in refused]
    best = sorted(found, key=lambda each: -each[0])[:MOST]
    written = [f"{text} [{name}]" for share, text, name in best if share >= LEAST]
    return " ".join(written) or ABSTAINS


def _told(said: str) -> Iterator[tuple[str, str]]:
    for name, block in _PASSAGE.findall(said):
        text = unescape(block.partition("\n")[2])
        for start, end in splitter.spans(text):
            yield name, quote(text, start, end)
