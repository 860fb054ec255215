"""What is counted in a text that may give the assistant orders: hashed n-grams, and cues that people named.

All of it is found in one pass over a text and then added up for each of its units, so that a sentence costs
nothing beyond the text it stands in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from tools.guards.injection_concepts import CONCEPT_CUES, concept_cues
from tools.guards.injection_text import Span

Numbers = NDArray[np.float32]
Places = NDArray[np.intp]

CHARACTER_BITS, WORD_BITS = 16, 15
CHARACTERS, WORDS = 1 << CHARACTER_BITS, 1 << WORD_BITS
CHARACTER_SIZES = (3, 4, 5)
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64
)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_WORD = re.compile(r"\w+|[<>\[\]{}|#=*]{2,}")

_NAMED = re.compile("<([A-Z]+)>")


@dataclass(frozen=True)
class _Cue:
    """A pattern without the word boundary that it may begin with: Python searches several times faster without."""

    pattern: re.Pattern[str]
    begins_word: bool
    shouts: bool

    def places(self, text: str, small: str) -> Iterator[int]:
        """Return where it stands in a text, of which ``small`` is the same in small letters."""
        for match in self.pattern.finditer(text if self.shouts else small):
            start = match.start()
            if not (self.begins_word and start and _is_word(small[start - 1]) and _is_word(small[start])):
                yield start


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def _cues() -> dict[str, _Cue]:
    told = yaml.safe_load(Path(__file__).with_name("injection_cues.yaml").read_text("utf-8"))
    words = {name: "(?:" + re.sub(r"\s*\|\s*", "|", each) + ")" for name, each in told["words"].items()}
    found = {}
    for name, cue in told["cues"].items():
        pattern = _NAMED.sub(lambda match: words[match.group(1)], cue)
        begins = pattern.startswith(r"\b") and "|\\b" not in pattern
        found[name] = _Cue(
            pattern=re.compile(pattern[2:] if begins else pattern), begins_word=begins, shouts=name == "shouts"
        )
    return found


_PATTERNS = _cues()
CUES = (*_PATTERNS, *CONCEPT_CUES)
"""The cues of ``injection_cues.yaml`` by name, and what concepts give."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Where in a text which n-gram and which cue stands."""

    characters: Places
    """Hashed n-grams of characters."""
    character_places: Places
    words: Places
    """Hashed words and pairs of words."""
    word_places: Places
    cues: Places
    cue_places: Places


def count(text: str) -> Counts:
    """Count a plain text once."""
    characters, character_places = _characters(text)
    words, word_places = _words(text)
    small = _small(text)
    found = [(cue, place) for cue, each in enumerate(_PATTERNS.values()) for place in each.places(text, small)]
    found += [(len(_PATTERNS) + cue, place) for cue, place in concept_cues(small)]
    pairs = np.array(found, np.intp).reshape(-1, 2)
    return Counts(
        characters=characters,
        character_places=character_places,
        words=words,
        word_places=word_places,
        cues=pairs[:, 0],
        cue_places=pairs[:, 1],
    )


def _small(text: str) -> str:
    """Return a text in small letters, or as it is where that would move its characters."""
    small = text.lower()
    return small if len(small) == len(text) else text


def _characters(text: str) -> tuple[Places, Places]:
    """Hash the n-grams of a text in small letters, its digits alike and its white space single."""
    raw = np.frombuffer(_small(text).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    raw = np.where((raw >= 48) & (raw <= 57), 48, raw).astype(np.uint64)
    white = raw <= 32
    kept = np.flatnonzero(~(white & np.concatenate([[False], white[:-1]]))) if len(raw) else np.zeros(0, np.intp)
    codes = np.concatenate([[32], np.where(white[kept], 32, raw[kept]), [32]]).astype(np.uint64)
    places = np.concatenate([[0], kept, [max(0, len(text) - 1)]]).astype(np.intp)
    hashed, starts = [], []
    for size in CHARACTER_SIZES:
        number = len(codes) - size + 1
        if number <= 0:
            continue
        total = np.full(number, size, np.uint64)
        for step in range(size):
            total = (total ^ codes[step : step + number]) * _MULTIPLIERS[step]
        hashed.append(((total ^ (total >> np.uint64(29))) * _MIX) >> np.uint64(64 - CHARACTER_BITS))
        starts.append(places[:number])
    if not hashed:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return np.concatenate(hashed).astype(np.intp), np.concatenate(starts)


def _words(text: str) -> tuple[Places, Places]:
    found = [(zlib.crc32(match.group().lower().encode()), match.start()) for match in _WORD.finditer(text)]
    if not found:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    single = np.array([each for each, _ in found], np.uint64)
    places = np.array([each for _, each in found], np.intp)
    double = (single[:-1] * _MULTIPLIERS[0]) ^ single[1:]
    hashed = np.concatenate([single, double]) * _MIX >> np.uint64(64 - WORD_BITS)
    return hashed.astype(np.intp), np.concatenate([places, places[:-1]])


def inside(places: Places, span: Span) -> NDArray[np.bool_]:
    """Say which places lie in a span."""
    return (places >= span[0]) & (places < span[1])


def features_of(counts: Counts, span: Span) -> tuple[Places, Places, Numbers]:
    """Return the n-grams and words of a span, and whether it has each cue: what the head is trained on."""
    characters = counts.characters[inside(counts.character_places, span)]
    words = counts.words[inside(counts.word_places, span)]
    cues = np.zeros(len(CUES), np.float32)
    cues[counts.cues[inside(counts.cue_places, span)]] = 1
    return characters, words, cues


@dataclass(frozen=True, kw_only=True)
class LexicalWeights:
    """What each n-gram, word and cue speaks for."""

    characters: Numbers
    words: Numbers
    cues: Numbers


def lexical_scores(counts: Counts, spans: tuple[Span, ...], weights: LexicalWeights) -> Numbers:
    """Return for each span what its n-grams, words and cues add up to."""
    first = np.array([span[0] for span in spans], np.intp)
    last = np.array([span[1] for span in spans], np.intp)
    total = _spread(counts.character_places, weights.characters[counts.characters], first, last)
    total += _spread(counts.word_places, weights.words[counts.words], first, last)
    for row, span in enumerate(spans):
        total[row] += weights.cues[np.unique(counts.cues[inside(counts.cue_places, span)])].sum()
    return total.astype(np.float32)


def _spread(places: Places, weights: Numbers, first: Places, last: Places) -> NDArray[np.float64]:
    """Add up weights by span, each sum divided by the root of how many there are."""
    order = np.argsort(places, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
    begin = np.searchsorted(places[order], first, side="left")
    end = np.searchsorted(places[order], last, side="left")
    spread: NDArray[np.float64] = (sums[end] - sums[begin]) / np.sqrt(np.maximum(1, end - begin))
    return spread
