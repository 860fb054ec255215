"""What the words of a text are about, whatever its language: machines, readers, telling, sending, rules, secrets.

An order to a machine has a shape that languages share: who, must, tell, whom. The words of ``injection_cues.yaml``
stand for a few concepts. The head has a weight for each of them, for each that begins a sentence or a field, and
for some that follow others, so that what it learned in one language holds in the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

NEAR = 60
"""How many characters may stand between a concept and the one that follows it."""
_LONGEST_STEM = 14
_WORD = re.compile(r"[^\W_](?:[^\W_]|[.'’-](?=[^\W_]))*")
_BEGINS = re.compile(r"(?:^|[.!?:;\n\"“„«'>({\[,#*=-])[\s\"“„«'*#>-]*$")
_APART = re.compile(r"[\u0600-\u06ff\u3040-\u30ff\u3400-\u9fff]+")
"""Scripts whose words are found inside others."""


def _told() -> dict[str, list[str]]:
    told = yaml.safe_load(Path(__file__).with_name("injection_cues.yaml").read_text("utf-8"))
    return {name: each.split() for name, each in told["concepts"].items()}


_CONCEPTS = _told()
_NAMES = tuple(_CONCEPTS)
_ADDRESSED = {"MACHINE", "AGENT", "MODEL"}
_DONE, _DONE_TO = {"TELL", "SHOW", "SEND", "ACT", "DROP"}, {"READER", "SECRET", "RULES", "EARLIER"}
_PAIRS = {
    (_NAMES.index(first), _NAMES.index(second)): 2 * len(_NAMES) + number
    for number, (first, second) in enumerate(
        (first, second)
        for first in _NAMES
        for second in _NAMES
        if {first, second} & _ADDRESSED or (first in _DONE and second in _DONE_TO)
    )
}
"""Concepts of which it counts that one follows the other."""
CONCEPT_CUES = (
    *_NAMES,
    *(f"begins: {name}" for name in _NAMES),
    *(f"{_NAMES[first]}, then {_NAMES[second]}" for first, second in _PAIRS),
)
"""What is counted, by name."""
_WHOLE: dict[str, int] = {}
_STEMS: dict[str, int] = {}
_INSIDE: dict[str, int] = {}
for _number, _words in enumerate(_CONCEPTS.values()):
    for _word in _words:
        if _APART.fullmatch(_word):
            _INSIDE.setdefault(_word, _number)
        elif _word.endswith("*"):
            _STEMS.setdefault(_word[:-1], _number)
        else:
            _WHOLE.setdefault(_word, _number)
_FOUND_INSIDE = re.compile("|".join(sorted(_INSIDE, key=len, reverse=True)))


def concept_cues(small: str) -> Iterator[tuple[int, int]]:
    """Yield what concepts a text in small letters has, as the number of a cue and the place where it begins."""
    before: tuple[int, int, int] | None = None
    for concept, start, end in _concepts(small):
        yield concept, start
        if _BEGINS.search(small, max(0, start - 6), start):
            yield len(_NAMES) + concept, start
        if before is not None and start - before[2] <= NEAR and (pair := _PAIRS.get((before[0], concept))):
            yield pair, before[1]
        before = concept, start, end


def _concepts(small: str) -> Iterator[tuple[int, int, int]]:
    for match in _WORD.finditer(small):
        word, start = match.group(), match.start()
        if not word.isascii() and _APART.search(word):
            for inner in _FOUND_INSIDE.finditer(word):
                yield _INSIDE[inner.group()], start + inner.start(), start + inner.end()
        elif (concept := _concept(word)) is not None:
            yield concept, start, match.end()


def _concept(word: str) -> int | None:
    found = _WHOLE.get(word)
    if found is None:
        for length in range(min(len(word), _LONGEST_STEM), 2, -1):
            found = _STEMS.get(word[:length])
            if found is not None:
                break
    return found
