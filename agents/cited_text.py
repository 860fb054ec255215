"""Reads what a model writes for a draft, as it comes: sentences with the ids of what bears them out.

``design/agents.md`` has the grammar. Nothing here knows models or passages, so that every way in which a reply may
be cut into pieces can be tried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from tools.knowledge import sentences as splitter

LONGEST_BRACKET = 60
"""A bracket that is open for more characters is no mark."""
THINKS, THOUGHT = "<think>", "</think>"
# Nothing in them is tried twice: a model may write any number of blanks.
_MARK = re.compile(r"\[[ \t]*+p\d{1,4}+(?:[ \t]*+(?:[,;&][ \t]*+)?p\d{1,4}+)*+[ \t]*+\]", re.IGNORECASE)
_ABSTAIN = re.compile(r"\[[ \t]*+abstain[ \t]*+\]", re.IGNORECASE)
_SIGNAL = re.compile(f"(?P<mark>{_MARK.pattern})|{_ABSTAIN.pattern}", re.IGNORECASE)
_ID = re.compile(r"p\d+", re.IGNORECASE)
_CLOSING = re.compile(r"[*_]*")
_IDLE = re.compile(r"[ \t*_]*")
_EMPHASIS = re.compile(r"\*\*|(?<!\w)__|__(?!\w)|`")
_SLANTED = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])")
_SPACE = re.compile(r"\s+")
_FINISHED = re.compile(r"[.!?…][\"'”’»)\]*_]*\s*$")
_ENDS = ".!?…"
_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*(?![a-z\s])|(?<=[!?][^\S ])|(?<=[a-z]{2}\.[^\S ])")
_GLUED = re.compile(
    r"(?<=[a-z0-9)%\]\"'”’»*_])[.!?…]++[\"'”’»)\]*_]*(?=[\"'“‘«(*_]*[A-Z])|(?<=[a-z]{2})[!?]++(?=[a-z])"
)
_MAILED = re.compile(r"[\w.+-]{1,60}@\w")
_ABBREVIATED = re.compile(r"(?:^|[^a-z])(?:[a-z]\.)*[a-z]$", re.IGNORECASE)
_GOES_ON = ",;:)–—-&%/"


@dataclass(frozen=True, kw_only=True)
class Cited:
    """One sentence and the ids that stand behind it, in the order in which they were written."""

    text: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Text up to the end of a sentence, with the places of the marks in it."""

    text: str
    marks: tuple[tuple[int, tuple[str, ...]], ...]
    end: int
    """Where the next unit begins."""


@dataclass(frozen=True, kw_only=True)
class _After:
    """What follows a mark."""

    place: int
    """Where to read on."""
    ends: bool = True
    """Whether the sentence ends with the mark."""
    more: str = ""
    """What still belongs to it."""


class CitedText:
    """One reply, as far as it has come."""

    def __init__(self) -> None:
        self._rest = ""
        self._begun = False
        self.abstained = False
        """Whether the reply says that there is no answer; what follows is not read."""

    def feed(self, text: str) -> list[Cited]:
        """Return the sentences that are complete now: those whose marks are known to have ended."""
        self._rest += text
        return self._taken(final=False)

    def end(self, *, cut: bool = False) -> list[Cited]:
        """Return the sentences that are left at the end; of a reply that was ``cut``, only a whole one."""
        found = self._taken(final=not cut)
        if not cut or self.abstained or not self._begun:
            return found
        unit = _unit(self._rest, final=True)
        whole = unit is not None and unit.marks and unit.marks[-1][0] == len(unit.text)
        self._rest = ""
        return [*found, *_sentences(unit)] if unit and whole and _FINISHED.search(unit.text) else found

    def _taken(self, *, final: bool) -> list[Cited]:
        found: list[Cited] = []
        self._begun = self._begun or self._begins()
        if not self._begun:
            return found
        while self._rest and not self.abstained and (unit := _unit(self._rest, final=final)):
            found += _sentences(unit)
            self._rest = self._rest[unit.end :]
            self.abstained = bool(_ABSTAIN.match(self._rest.lstrip()))
        return found

    def _begins(self) -> bool:
        """Say whether the reply itself has begun; some models write down first what they think."""
        said = self._rest.lstrip()
        if not said.startswith(THINKS):
            return bool(said) and not THINKS.startswith(said)
        _, ended, rest = said.partition(THOUGHT)
        self._rest = rest if ended else self._rest
        return bool(ended)


def _unit(text: str, *, final: bool) -> _Unit | None:
    """Return the first unit of a text; None while more must come before its end is known."""
    said, marks, place = "", list[tuple[int, tuple[str, ...]]](), 0
    while signal := _SIGNAL.search(text, place):
        if signal["mark"] is None:
            # What was said before without a mark is an excuse.
            said = said if marks else ""
            return _Unit(text=said, marks=tuple(marks), end=signal.start())
        said += text[place : signal.start()]
        place = signal.end()
        if not said.strip():
            said = ""
            continue
        said = said.rstrip()
        marks.append((len(said), tuple(each.lower() for each in _ID.findall(signal[0]))))
        if (after := _after(text, place, said, final=final)) is None:
            return None
        place = after.place
        if after.ends:
            return _Unit(text=said + after.more, marks=tuple(marks), end=place)
    if not final:
        return None
    return _Unit(text=said + text[place:], marks=tuple(marks), end=len(text))


def _after(text: str, place: int, said: str, *, final: bool) -> _After | None:
    """Look at what follows a mark; None if that is not known yet.

    After a full stop a space is enough to end the sentence, so that it need not wait for what comes next.
    """
    finished = bool(_FINISHED.search(said))
    at = _past(_CLOSING if finished else _IDLE, text, place)
    if at == len(text):
        return _After(place=at) if final else None
    char = text[at]
    if char == "[":
        if not final and _open(text, at):
            return None
        if _MARK.match(text, at):
            return _After(place=at, ends=False)
        ends = finished or bool(_ABSTAIN.match(text, at))
        return _After(place=at if ends else place, ends=ends)
    if char in _ENDS:
        return _After(more="" if finished else char, place=at + 1)
    if not finished and (char.islower() or char.isdigit() or char in _GOES_ON):
        return _After(place=place, ends=False)
    return _After(place=at)


def _past(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def _open(text: str, place: int) -> bool:
    """Say whether it can't be told yet what a bracket is."""
    head = text[place + 1 : place + LONGEST_BRACKET]
    return len(head) < LONGEST_BRACKET - 1 and not re.search(r"[\[\]\n]", head)


def _sentences(unit: _Unit) -> list[Cited]:
    """Return a unit's sentences, each with the marks that stand in it or right behind it."""
    spans = [piece for span in splitter.spans(unit.text) for piece in _parted(unit.text, *span)]
    ids: list[list[str]] = [[] for _ in spans]
    for place, names in unit.marks:
        at = next((n for n, (_, end) in enumerate(spans) if place <= end), len(spans) - 1)
        if spans:
            ids[at] += names
    found = (
        Cited(text=_plain(unit.text[a:b]), ids=tuple(dict.fromkeys(names)))
        for (a, b), names in zip(spans, ids, strict=True)
    )
    return [each for each in found if each.text]


def _parted(text: str, start: int, end: int) -> list[splitter.Span]:
    """Cut a sentence where a line ends or a full stop has no blank behind it: what is glued on needs its own mark.

    A line that goes on in lower case is merely wrapped. Addresses and short forms such as ``U.S.`` are whole.
    """
    ends = [match.end() for match in _LINE_ENDS.finditer(text, start, end)]
    ends += [match.end() for match in _GLUED.finditer(text, start, end) if not _one_word(text, match, start)]
    places = [start, *sorted(set(ends)), end]
    pieces = [text[a:b] for a, b in pairwise(places)]
    return [
        (a + len(piece) - len(piece.lstrip()), a + len(piece.rstrip()))
        for a, piece in zip(places, pieces, strict=False)
        if any(char.isalnum() for char in piece)
    ]


def _one_word(text: str, stop: re.Match[str], start: int) -> bool:
    """Say whether a stop stands in an address, an abbreviation or a piece of code and ends nothing."""
    before = text[max(start, stop.start() - 40) : stop.start()].split()[-1:] or [""]
    if stop[0].startswith("."):
        coded = text.count("`", start, stop.start()) % 2 == 1
        mailed = _MAILED.match(text, stop.end())
        return coded or bool(_ABBREVIATED.search(before[0]) or mailed) or _in_address(before[0])
    return _in_address(before[0]) or (stop[0] == "?" and "/" in before[0])


def _in_address(before: str) -> bool:
    return any(sign in before for sign in ("://", "www.", "@"))


def _plain(text: str) -> str:
    """Return a sentence without emphasis, on one line, and closed if it ends in a word."""
    while (less := _SIGNAL.sub("", _SLANTED.sub(r"\1", _EMPHASIS.sub("", text)))) != text:
        text = less
    text = _SPACE.sub(" ", text).strip()
    return (
        f"{text}." if text and (text[-1].isalnum() or text[-1] in ")]%") and not _FINISHED.search(text) else text
    )
