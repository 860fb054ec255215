"""The trained head on the encoder's token vectors: names, addresses, places and the rest that no pattern tells.

A text is read as words. Each is seen with two neighbours on either side: what the encoder makes of it, squeezed,
and how it is written. One hidden layer gives the probability that a word begins something of a kind, goes on with
it or is nothing; the likeliest sequence that makes sense is what was found. Numpy alone, some 0.3 ms a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.errors import ConfigError
from tools.encoder.ports import Offsets, Tokens, Vectors
from tools.guards.head import Head, load_head

NAME = "personal_data"
KINDS = (
    "PERSON",
    "LOCATION",
    "ADDRESS",
    "ORGANIZATION",
    "DATE_TIME",
    "TITLE",
    "PHONE_NUMBER",
    "CREDIT_CARD",
    "US_SSN",
    "IBAN_CODE",
    "EMAIL_ADDRESS",
    "DOMAIN_NAME",
    "US_DRIVER_LICENSE",
    "IP_ADDRESS",
)
TAGS = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))
"""What a word can be: nothing, the beginning of something or its continuation."""
NEIGHBOURS = 2
SHAPES = 24
_NEVER = np.float32(-1e4)
_AROUND = " \t\n,;:!?\"'<>’“”"
_ENDS = '.?!:"'


class Word(NamedTuple):
    """A word, or a mark between words, and the pieces of the tokenizer that it consists of."""

    start: int
    end: int
    pieces: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Something of a kind in a text, and how sure that is."""

    kind: str
    start: int
    end: int
    score: float


def words_of(text: str, offsets: Offsets) -> list[Word]:
    """Join pieces to words: those that touch and are letters or digits on both sides."""
    found: list[Word] = []
    for piece, (start, end) in enumerate(offsets.tolist()):
        if end <= start:
            continue
        last = found[-1] if found else None
        if last and (start < last.end or (start == last.end and _joins(text, start))):
            found[-1] = Word(last.start, max(end, last.end), (*last.pieces, piece))
        else:
            found.append(Word(start, end, (piece,)))
    return found


def _joins(text: str, position: int) -> bool:
    return text[position].isalnum() and text[position - 1].isalnum()


def features(text: str, words: Sequence[Word], vectors: Vectors) -> Vectors:
    """Return what the encoder makes of each word, and after it how the word is written."""
    if not words:
        return np.zeros((0, vectors.shape[1] + SHAPES), dtype=np.float32)
    meant = np.stack([vectors[list(word.pieces)].mean(axis=0) for word in words])
    return np.concatenate([meant, _shapes(text, words)], axis=1, dtype=np.float32)


def _shapes(text: str, words: Sequence[Word]) -> Vectors:
    written = [text[word.start : word.end] for word in words]
    letters = [each for each in written if each[0].isalpha()]
    large = sum(each[0].isupper() for each in letters) / max(1, len(letters))
    whole = (float(not any(map(str.isupper, text))), float(text.isupper()), large)
    rows = [_shape(text, words, written, at) for at in range(len(words))]
    return np.array([(*row, *whole) for row in rows], dtype=np.float32)


def _shape(text: str, words: Sequence[Word], written: Sequence[str], at: int) -> tuple[float, ...]:
    word, size = written[at], len(written[at])
    gap = text[words[at - 1].end : words[at].start] if at else "\n"
    digits = word.isdigit()
    return (
        word[0].isupper() and not word[1:].isupper(),
        size > 1 and word.isupper(),
        word.islower(),
        digits,
        not digits and any(map(str.isdigit, word)),
        not word[0].isalnum(),
        "\n" in gap,
        gap == "",
        at == 0 or written[at - 1] in _ENDS,
        at == len(words) - 1,
        min(len(words[at].pieces), 5) / 5,
        word in ",.",
        word in "'’",
        *(digits and min(size, 5) == length for length in (1, 2, 3, 4, 5)),
        size == 1 and word.isalpha(),
        min(size, 12) / 12,
        not word.isascii(),
    )


def with_neighbours(rows: Vectors) -> Vectors:
    """Return each row between those of its neighbours, zeros where there is none."""
    count, width = rows.shape
    padded = np.zeros((count + 2 * NEIGHBOURS, width), dtype=np.float32)
    padded[NEIGHBOURS : NEIGHBOURS + count] = rows
    return np.concatenate([padded[shift : shift + count] for shift in range(2 * NEIGHBOURS + 1)], axis=1)


class TokenHead:
    """Finds typed spans by the vectors of a text's pieces."""

    def __init__(self, head: Head) -> None:
        numbers = {name: np.asarray(values, dtype=np.float32) for name, values in head.arrays.items()}
        try:
            self._mean, self._squeeze = numbers["mean"], numbers["squeeze"]
            self._hidden, self._hidden_bias = numbers["hidden"], numbers["hidden_bias"]
            self._out, self._out_bias = numbers["out"], numbers["out_bias"]
            self.caution = float(head.about["caution"])
            self.encoder = str(head.about["encoder"])
            tags = tuple(head.about["tags"])
        except KeyError as error:
            raise _unfit(f"it lacks {error}") from error
        if tags != TAGS:
            raise _unfit("it tells other kinds apart")

    def __call__(self, text: str, tokens: Tokens) -> list[Typed]:
        """Return what was found in a text, in order."""
        words = words_of(text, tokens.offsets)
        if not words:
            return []
        likely = self.likelihoods(features(text, words, tokens.vectors))
        leaning = likely.copy()
        leaning[:, 0] -= self.caution
        return _trimmed(text, spans_of(words, best(leaning), np.exp(likely)))

    def likelihoods(self, rows: Vectors) -> Vectors:
        """Return the logarithm of the probability of each tag for each word."""
        meant = (rows[:, :-SHAPES] - self._mean) @ self._squeeze
        seen = with_neighbours(np.concatenate([meant, rows[:, -SHAPES:]], axis=1))
        hidden = np.maximum(seen @ self._hidden + self._hidden_bias, 0)
        scores = hidden @ self._out + self._out_bias
        scores -= scores.max(axis=1, keepdims=True)
        likely: Vectors = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return likely


def _allowed() -> Vectors:
    table = np.zeros((len(TAGS), len(TAGS)), dtype=np.float32)
    for before, first in enumerate(TAGS):
        for after, second in enumerate(TAGS):
            if second[0] == "I" and first[2:] != second[2:]:
                table[before, after] = _NEVER
    return table


_ALLOWED = _allowed()


def best(likely: Vectors) -> list[int]:
    """Return the likeliest sequence of tags in which nothing goes on that has not begun."""
    score = likely[0] + _ALLOWED[0]
    came: list[NDArray[np.intp]] = []
    for row in likely[1:]:
        ways = score[:, None] + _ALLOWED
        source = ways.argmax(axis=0)
        came.append(source)
        score = ways[source, np.arange(len(TAGS))] + row
    tags = [int(score.argmax())]
    for source in reversed(came):
        tags.append(int(source[tags[-1]]))
    return tags[::-1]


def spans_of(words: Sequence[Word], tags: Sequence[int], probable: Vectors) -> list[Typed]:
    """Return spans of words that belong together, each as sure as its words are on the average."""
    found: list[Typed] = []
    sure: list[list[float]] = []
    for at, (word, tag) in enumerate(zip(words, tags, strict=True)):
        if tag == 0:
            continue
        first = tag - (tag - 1) % 2
        is_it = float(probable[at, first] + probable[at, first + 1])
        if tag == first:
            found.append(Typed(kind=TAGS[tag][2:], start=word.start, end=word.end, score=0))
            sure.append([is_it])
        else:
            found[-1] = Typed(kind=found[-1].kind, start=found[-1].start, end=word.end, score=0)
            sure[-1].append(is_it)
    return [
        Typed(kind=each.kind, start=each.start, end=each.end, score=min(1.0, float(np.mean(its))))
        for each, its in zip(found, sure, strict=True)
    ]


def _trimmed(text: str, found: Sequence[Typed]) -> list[Typed]:
    """Return spans without the marks at their ends that belong to the sentence."""
    trimmed: list[Typed] = []
    for each in found:
        value = text[each.start : each.end]
        start = each.start + len(value) - len(value.lstrip(_AROUND))
        end = each.end - len(value) + len(value.rstrip(_AROUND))
        if start < end:
            trimmed.append(replace(each, start=start, end=end))
    return trimmed


def load_token_head() -> TokenHead:
    """Load the head that is shipped; raises ``ConfigError``."""
    return TokenHead(load_head(NAME))


def _unfit(why: str) -> ConfigError:
    return ConfigError(
        f"The trained part {NAME!r} does not fit this version: {why}.",
        remedy="Install Handrail again, or make it anew with `make heads DATA=folder`.",
        code="head.unreadable",
    )
