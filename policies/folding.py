"""How a text reads to a person: without markup, invisible characters and letters that only look like others.

What searches texts for words searches the folded text, so that none hides behind ``**``, a zero-width space or a
Cyrillic ``а``; ``place`` says where in the text as it was written a find stands. The time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_NOT_ASCII = re.compile(r"[A-Za-z]?[^\x00-\x7f]+")
_MARKUP = re.compile(
    r"</?[a-z][a-z0-9]{0,11}(?:\s[^<>]{0,300})?/?>"
    r"|!?\[(?P<shown>[^\[\]\n]{1,200})\]\([^()\s]{0,500}\)"
    r"|&(?P<entity>shy|zwj|zwnj|ZeroWidthSpace|nbsp|#\d{1,7}|#x[0-9a-f]{1,6});",
    re.I,
)
_MARKS = re.compile(r"\*+|`+|~+|(?<!_)_++(?!\w)|(?<!\w)_++")
_BLANKS = re.compile(r"\s{2,}|[^\S ]")
_BEGINS_ANEW = re.compile(r"[-*+•>#|]|\d{1,3}[.)]\s|[\w -]{1,40}:(?:\s|$)")
_ALIKE_RANGES = "\u0131\u0251\u0261\u0370-\u058f"
_HAS_ALIKE = re.compile(f"[{_ALIKE_RANGES}]")
_LETTERS = re.compile(r"[^\W\d_]++")
_LATIN = re.compile(r"[a-z]", re.I)
# fmt: off
_ALIKE = str.maketrans(
    "аеорсухіѕјԁһӏԛԝвкмнтгпьАВЕКМНОРСТУХІЅЈԌԚԜαονρτυικωγηΑΒΕΖΗΙΚΜΝΟΡΤΥΧոսօհցıɑɡ",
    "aeopcyxisjdhlqwbkmhtrnbABEKMHOPCTYXISJGQWaovptuikwynABEZHIKMNOPTYXnuohgiag",
)
# fmt: on
_OVER = ((0x0300, 0x036F), (0x20D0, 0x20FF), (0xFE00, 0xFE0F))
"""Marks that are put over letters, and what chooses how a letter is drawn."""


_Edit = tuple[int, int, int, int]
"""One stretch that was replaced: where what stands for it begins and ends, and where it did."""


@dataclass(frozen=True)
class Folded:
    """A text as it reads."""

    text: str
    passes: tuple[tuple[_Edit, ...], ...] = ()
    """What was replaced, one pass after the other."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the text as it was written a stretch of this one stands."""
        for edits in reversed(self.passes):
            first, last = _back(edits, start)[0], _back(edits, max(start, end - 1))[1]
            start, end = first, last
        return start, end


def _back(edits: tuple[_Edit, ...], place: int) -> tuple[int, int]:
    """Return where the character at a place, or what it stands for, began and ended before a pass."""
    index = bisect_right(edits, place, key=lambda edit: edit[0]) - 1
    if index < 0:
        return place, place + 1
    _, new_end, old_start, old_end = edits[index]
    if place < new_end:
        return old_start, old_end
    moved = old_end + place - new_end
    return moved, moved + 1


@lru_cache(maxsize=64)
def fold(text: str, *, lines: bool = False) -> Folded:
    """Fold a text; with ``lines`` its lines are not joined. Several guards read the same one, so some are kept."""
    return _folded(text, (_characters, _markup, _alike, _emphasis, _parted if lines else _blanks))


def tight(text: str) -> Folded:
    """Fold nothing but blanks, for what may look like markup and is not."""
    return _folded(text, (_blanks,))


def has_lines(text: str) -> bool:
    """Say whether a text has several lines, so that it may be read with them and without."""
    return len(text.split(maxsplit=1)) > 1 and "\n" in text.strip()


def _folded(text: str, ways: Iterable[Callable[[str], Iterator[tuple[int, int, str]]]]) -> Folded:
    passes = []
    for edits_of in ways:
        text, edits = _applied(text, edits_of(text))
        if edits:
            passes.append(edits)
    return Folded(text, tuple(passes))


def _applied(text: str, changes: Iterator[tuple[int, int, str]]) -> tuple[str, tuple[_Edit, ...]]:
    """Put other stretches for some of a text, and return what was changed."""
    pieces, edits, done, length = [], [], 0, 0
    for start, end, new in changes:
        length += start - done
        edits.append((length, length + len(new), start, end))
        pieces += [text[done:start], new]
        done, length = end, length + len(new)
    return ("".join([*pieces, text[done:]]), tuple(edits)) if edits else (text, ())


class _Plain(dict[int, str]):
    """What stands for each character, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _plain(chr(code))
        return found


def _plain(each: str) -> str:
    if unicodedata.category(each) == "Cf" or any(low <= ord(each) <= high for low, high in _OVER):
        return ""
    kind = unicodedata.decomposition(each)
    # What is set high or low stays: a trade mark's sign is no part of its word.
    return unicodedata.normalize("NFKC", each) if kind[:1] == "<" and kind[:4] not in ("<sup", "<sub") else each


_PLAIN = _Plain()


def _characters(text: str) -> Iterator[tuple[int, int, str]]:
    """Write wide, round and joined letters plainly, and drop what is not seen."""
    if text.isascii():
        return
    for match in _NOT_ASCII.finditer(text):
        new = unicodedata.normalize("NFC", match[0]).translate(_PLAIN)
        if new != match[0]:
            yield *match.span(), new


def _markup(text: str) -> Iterator[tuple[int, int, str]]:
    """Drop tags, show links by their words, and read the names of characters that are not seen."""
    if "<" not in text and "](" not in text and "&" not in text:
        return
    for match in _MARKUP.finditer(text):
        if match["entity"]:
            yield *match.span(), _named(match["entity"].lower())
        else:
            yield *match.span(), match["shown"] or ""


def _named(entity: str) -> str:
    if not entity.startswith("#"):
        return " " if entity == "nbsp" else ""
    code = int(entity[2:], 16) if entity[1] == "x" else int(entity[1:])
    return _PLAIN[code] if 0x20 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else ""


def _alike(text: str) -> Iterator[tuple[int, int, str]]:
    """Write in Latin the words that mix its letters with others, or have only such as look like them."""
    if not _HAS_ALIKE.search(text):
        return
    mostly_latin = 2 * len(_LATIN.findall(text)) > sum(map(str.isalpha, text))
    for match in _LETTERS.finditer(text):
        word = match[0]
        if word.isascii() or not _HAS_ALIKE.search(word):
            continue
        new = word.translate(_ALIKE)
        if new != word and (_LATIN.search(word) or (mostly_latin and new.isascii())):
            yield *match.span(), new


def _emphasis(text: str) -> Iterator[tuple[int, int, str]]:
    """Drop the marks that set words off: those before a word, and those that close what others opened.

    One that nothing opened stays, for it may mask letters.
    """
    waiting: dict[str, tuple[int, bool]] = {}
    dropped: list[tuple[int, int]] = []
    for match in _MARKS.finditer(text):
        start, end = match.span()
        if text[max(start - 1, 0)].isdigit() and text[end : end + 1].isdigit():
            continue
        mark, led = text[start], start > 0 and not text[start - 1].isspace()
        inside = led and text[start - 1].isalnum() and text[end : end + 1].isalnum()
        opened, within = waiting.get(mark, (start, False))
        # Two inside words belong to one word, or each masks letters of its own.
        if led and mark in waiting and not (within and inside and " " in text[opened:start]):
            del waiting[mark]
            dropped += [(opened, _run_end(text, opened)), (start, end)]
        elif text[end : end + 1].strip():
            waiting[mark] = (start, inside)
    yield from ((start, end, "") for start, end in sorted({*dropped}))


def _run_end(text: str, start: int) -> int:
    end = start
    while text[end : end + 1] == text[start]:
        end += 1
    return end


def _parted(text: str) -> Iterator[tuple[int, int, str]]:
    """Make one blank of several, and one line's end of several."""
    return _blanks(text, joined=False)


def _blanks(text: str, *, joined: bool = True) -> Iterator[tuple[int, int, str]]:
    """Make one blank of several, and of a line's end inside a sentence."""
    for match in _BLANKS.finditer(text):
        ends = match[0].replace("\r\n", "\n")
        lines = sum(each in "\n\r\u2028\u2029\x85" for each in ends)
        goes_on = joined and lines == 1 and not _BEGINS_ANEW.match(text, match.end())
        new = " " if not lines or goes_on else "\n"
        if new != match[0]:
            yield *match.span(), new
