"""What a tool has found, as a passage that an answer may draw on.

A tool that returns ``{"say": [...]}``, a text or a list of texts says what the customer may be told, in those
words. Any other mapping gives facts, a sentence for each name; what begins with an underscore is for people alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from policies.types import Passage
from tools.knowledge import sentences

DOCUMENT = "tool:"
"""How the documents of such passages begin."""
_SAID, _FOUND = "What it says", "What it has found"
MOST_CHARACTERS = 4_000


def passage_of(action: str, key: str, run_id: str, result: Any) -> Passage | None:
    """Return a result as a passage, or None where it says nothing.

    It was looked up for this very question, so it counts as near to it as can be.
    """
    said = _says(result)
    lines = _lines(result) if said else list(_facts(result))
    text = "\n".join(lines)[:MOST_CHARACTERS]
    if not text.strip():
        return None
    return Passage(
        id=key,
        document=f"{DOCUMENT}{action}",
        document_version=run_id,
        title=title_of(action),
        heading=_SAID if said else _FOUND,
        text=text,
        start=0,
        end=len(text),
        index_version="",
        audience="customer",
        score=1.0,
        similarity=1.0,
        sentences=tuple(_spans(text)),
    )


def title_of(action: str) -> str:
    """Return an action's name as people read it."""
    return action.replace("_", " ").replace("-", " ").capitalize()


def is_result(document: str) -> bool:
    """Say whether a document is what a tool has found."""
    return document.startswith(DOCUMENT)


def says(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Return the passages in which a tool says what the customer may be told."""
    return tuple(each for each in passages if is_result(each.document) and each.heading == _SAID)


def quotable(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Return the passages whose sentences may be quoted as they are: not mere facts that a tool has found."""
    return tuple(each for each in passages if not (is_result(each.document) and each.heading == _FOUND))


def _says(result: Any) -> bool:
    if isinstance(result, dict):
        return "say" in result
    return isinstance(result, str) or (isinstance(result, list) and all(isinstance(each, str) for each in result))


def _lines(result: Any) -> list[str]:
    if isinstance(result, dict):
        result = result.get("say")
    if isinstance(result, str):
        result = [result]
    if not isinstance(result, list):
        return []
    return [" ".join(each.split()) for each in result if isinstance(each, str) and each.strip()]


def _facts(result: Any, above: str = "") -> Iterator[str]:
    if isinstance(result, dict):
        for name, value in result.items():
            if not name.startswith("_"):
                yield from _facts(value, f"{above} {name.replace('_', ' ')}".strip())
    elif isinstance(result, list):
        for value in result:
            yield from _facts(value, above)
    elif result is not None and result != "":
        plain = ("no", "yes")[result] if isinstance(result, bool) else result
        yield f"{above[:1].upper()}{above[1:]}: {' '.join(str(plain).split())}." if above else f"{plain}."


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where sentences begin and end; none goes over the end of a line."""
    start = 0
    for line in text.split("\n"):
        yield from ((start + a, start + b) for a, b in sentences.spans(line))
        start += len(line) + 1
