"""Where sentences begin and end, and how a piece of source reads when it is quoted.

The one splitter of the house: it cuts documents at ingest, quotes for citations, and what a model streams. It
never cuts inside a placeholder such as ``[EMAIL_1]``, an address, a number, inline code or a link.
"""

from __future__ import annotations

import re
from bisect import bisect_right

Span = tuple[int, int]

MAX_WORDS = 120
"""A sentence longer than this (a block of code, a legal list) is cut at line breaks, or else between words."""

# After these a sentence goes on, whatever follows.
_CLOSED = re.compile("mr|mrs|ms|dr|prof|vs|e\\.g|i\\.e|cf|al|figs?|nos|vol|approx|apt|tel|art|sec|ch|pp")
# These end sentences as often as not: a capital that follows decides for the end.
_OPEN = re.compile(
    "sr|jr|st|etc|no|dept|est|ave|blvd|rd|ext|inc|ltd|co|corp|llc|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec"
    "|mon|tue|wed|thu|fri|sat|sun|a\\.m|p\\.m|min|max|incl|excl"
)

_WHOLE = re.compile(
    r"\[[A-Z][A-Z_]*_\d+\]"
    r"|(?<!`)`++[^`\n]++`++"
    r"|!?\[[^\]\n]{0,500}+\]\([^)\s]{0,2000}+(?:\s{1,9}+\"[^\"\n]{0,500}+\")?\)"
    r"|</?[a-zA-Z][^<>]*>"
    r"|(?:https?://|www\.)[^\s<>|]*[^\s<>|.,;:!?)\]'\"*_]"
    r"|(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)+"
)
_END = re.compile(r"(?:(?<![.!?])[.!?]++|…)[\"'”’»)\]*_]*+(?=\s|$)")
_NEXT = re.compile(r"\s*+(.{0,2})", re.DOTALL)
_BREAK = re.compile(
    r"\n[ \t]*(?:\r?\n[ \t]*)+|(?<=\|)[ \t]*\n|\n(?=[ \t]*(?:\||:::|(?:[-*+•]|\d{1,3}[.)]|>|#{1,6})[ \t]))"
)
_MARKER = re.compile(r"\s*(?:(?:[-*+•](?!\*)|\d{1,3}[.)]|>|#{1,6})[ \t]+)*")
_WORD_BEFORE = re.compile(r"(?:^|[\s(\[\"'“‘*_])([^\s(\[\"'“‘*_]+)$")
_WORDS = re.compile(r"\S+")
_LETTER = re.compile(r"\w")
_LONGEST_WORD = 40


def spans(text: str) -> tuple[Span, ...]:
    """Return start and end of each sentence, in order; list markers and the space between belong to none.

    A blank line, a list item and a table row end a sentence; a line that is merely wrapped does not.
    """
    found: list[Span] = []
    start = 0
    for stop in [match.start() for match in _BREAK.finditer(text)] + [len(text)]:
        found.extend(_in_block(text, start, stop))
        start = stop
    return tuple(found)


def finished(text: str) -> int:
    """Return how many characters of a growing text are whole sentences, whatever may still follow."""
    cut = spans(text)
    if not cut:
        return 0
    end = cut[-1][1]
    if end < len(text.rstrip(" \t")) or (text[end:].strip(" \t") == "" and "\n\n" in text[end:]):
        return end
    return cut[-2][1] if len(cut) > 1 else 0


def _in_block(text: str, start: int, stop: int) -> list[Span]:
    marker = _MARKER.match(text, start, stop)
    start = marker.end() if marker else start
    whole = [match.span() for match in _WHOLE.finditer(text, start, stop)]
    found: list[Span] = []
    for match in _END.finditer(text, start, stop):
        if _inside(match.start(), whole) or not _ends(text, start, match, stop):
            continue
        found.extend(_trim(text, start, match.end()))
        start = match.end()
    found.extend(_trim(text, start, stop))
    return [piece for span in found for piece in at_most(text, span)]


def _inside(position: int, whole: list[Span]) -> bool:
    before = bisect_right(whole, position, key=lambda span: span[0])
    return before > 0 and position < whole[before - 1][1] - 1


def _ends(text: str, start: int, match: re.Match[str], stop: int) -> bool:
    after = _NEXT.match(text, match.end(), stop)
    following = after.group(1).lstrip("\"'“‘([*_`") if after else ""
    if following and following[0].islower():
        return False
    before = _WORD_BEFORE.search(text, max(start, match.start() - _LONGEST_WORD), match.start())
    word = before.group(1).lower() if before else ""
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    if _CLOSED.fullmatch(word):
        return False
    if _OPEN.fullmatch(word):
        return not following or following[0].isupper()
    initial = len(word) == 1 and word.isalpha() and word != "i"
    return not (initial and following) and not re.fullmatch(r"(?:[a-z]\.)+[a-z]", word)


def _trim(text: str, start: int, stop: int) -> list[Span]:
    piece = text[start:stop]
    start += len(piece) - len(piece.lstrip())
    stop = start + len(piece.strip())
    return [(start, stop)] if _LETTER.search(text, start, stop) else []


def at_most(text: str, span: Span) -> list[Span]:
    """Cut a span of more than ``MAX_WORDS`` words, at line breaks if there are any."""
    words = [match.span() for match in _WORDS.finditer(text, *span)]
    if len(words) <= MAX_WORDS:
        return [span]
    pieces: list[Span] = []
    first = 0
    while first < len(words):
        last = min(first + MAX_WORDS, len(words))
        if last < len(words):
            last = _line_break(text, words, first, last)
        pieces.append((words[first][0], words[last - 1][1]))
        first = last
    return pieces


def _line_break(text: str, words: list[Span], first: int, last: int) -> int:
    for index in range(last, first + MAX_WORDS // 2, -1):
        if "\n" in text[words[index - 1][1] : words[index][0]]:
            return index
    return last
