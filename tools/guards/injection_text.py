"""How a text reads once nothing in it is hidden: plain letters, its units, and what it carries in disguise.

Whoever hides orders in a text writes them in characters that nobody sees, in look-alikes of other alphabets, in
base64 and the like. Here they are put back into plain letters; the guard against injections judges what comes out.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import unquote

from tools.knowledge import sentences

Span = tuple[int, int]

UNIT = 320
"""The longest stretch that is judged as one, in characters; two neighbouring sentences are one if they fit."""
MOST_PAYLOADS = 8
_SHORTEST = 10
_PRINTABLE = 0.95

_DATA = re.compile(r"[\"']\s?[:=]|[:=]\s?[\"']|</|\n|[;,|\t][^\s;,|][^\n]{0,200}[;,|\t][^\s;,|]")
"""What no plain sentence has."""
_FIELDS = (
    re.compile(r"[\w.@-]{1,40}[\"']?\s{0,2}[:=]\s{0,2}\"(?:[^\"\\]|\\.){8,320}\""),
    re.compile(r">(?P<element>[^<>]{8,320})</"),
    re.compile(r"^(?P<line>[^\n]{8,120})$", re.M),
    re.compile(r"(?<=[;,|\t])(?P<cell>[^\s;,|\"][^;,|\t\n\"]{8,320})(?=[;,|\t\n]|$)", re.M),
    re.compile(r"(?<=[\[,])\s?(?P<item>\"(?:[^\"\\]|\\.){8,320}\")(?=[,\]])"),
)

_FULL_STOP = re.compile("[。！？]")
"""Ends a sentence with no space after it."""

_TAG = range(0xE0020, 0xE007F)
_CONTROLS = (0xAD, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF)
_RANGES = (range(0x202A, 0x202F), range(0x2066, 0x206A), range(0xE0000, 0xE0080), range(0xFE00, 0xFE10))
_INVISIBLE = frozenset(_CONTROLS).union(*_RANGES)
_HONEST = frozenset([0x00AD, 0xFEFF, 0x200C, 0x200D, 0x200E, 0x200F, *range(0xFE00, 0xFE10)])
"""Hyphens, byte-order marks, joined emoji and right-to-left scripts need these; they are dropped, not counted."""
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]{1,8}")
_LOOKALIKES = str.maketrans(
    "авеікмнорстухѕјԁԛԝЬАВЕІКМНОРСТУХЅЈαεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "abeikmhopctyxsjdqwbABEIKMHOPCTYXSJaeikvoptuxABEZHIKMNOPTYX",
)
_MIXED = re.compile(r"\b(?=\w*[a-zA-Z])(?=\w*[\u0370-\u03ff\u0400-\u052f])\w+\b")

_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w+/=-])")
_HEX = re.compile(r"(?<![\w])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){12,}(?!\w)")
_PERCENT = re.compile(r"[^\s%]*(?:%[0-9a-fA-F]{2}[^\s%]*){2,}")
_ENTITIES = re.compile(r"(?:&(?:#\d{2,6}|#x[0-9a-fA-F]{2,5}|[a-z]{2,8});[^\s&]{0,3}\s?){4,}")
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}\s?){4,}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_SPACED = re.compile(r"(?<!\w)(?:\w[ ._*|\-/]{1,6}){7,}\w(?!\w)")
_LEET_WORD = re.compile(r"(?=\S*[a-zA-Z])(?=\S*[013457@$])[a-zA-Z013457@$!]{3,}")
_LEET = str.maketrans("013457@$!", "oieastasi")
_BACKWARDS = re.compile(r"erongi|snoitcurtsni|tpmorp|tegrof|drawsid|drager?sid|laever|metsys ruoy", re.IGNORECASE)
_ROT13 = re.compile(r"\b(?:vtaber|vafgehpgvbaf?|cebzcg|sbetrg|qvfertneq|erirny|flfgrz|cerivbhf)\b", re.IGNORECASE)
_JOINED = re.compile(
    "(ignore|disregard|forget|override|bypass|reveal|show|print|repeat|tell|give|write|output|previous|prior|above"
    "|earlier|instructions?|rules|guidelines|system|prompt|password|secret|your|you|are|now|all|the|and|act|new)"
)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What a stretch of a text says once it is decoded."""

    text: str
    span: Span
    """The stretch, in characters of the text as it was given."""


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A text in plain letters."""

    text: str
    origin: tuple[int, ...] | None
    """Where each character stood, with the end of the text after them; None if nothing was moved."""
    invisible: int
    """How many characters it had that nobody sees and that no honest text needs."""
    payloads: tuple[Payload, ...]

    def place(self, span: Span) -> Span:
        """Return where a stretch of the plain text stood."""
        if self.origin is None or span[0] >= span[1]:
            return span
        return self.origin[span[0]], self.origin[span[1] - 1] + 1


def read(text: str) -> Plain:
    """Put a text into plain letters and decode what it carries."""
    if text.isascii():
        return Plain(text=_unquoted(text), origin=None, invisible=0, payloads=_payloads(text, _same))
    letters: list[str] = []
    origin: list[int] = []
    for place, letter in enumerate(text):
        if ord(letter) in _INVISIBLE:
            continue
        plain = letter if letter.isascii() else unicodedata.normalize("NFKC", letter)
        letters.append(plain)
        origin.extend([place] * len(plain))
    found = Plain(
        text=_unquoted(_MIXED.sub(lambda match: match.group().translate(_LOOKALIKES), "".join(letters))),
        origin=None if origin == [*range(len(text))] else (*origin, len(text)),
        invisible=sum(ord(each) in _INVISIBLE - _HONEST for each in _FLAG.sub("", text)),
        payloads=(),
    )
    hidden = tuple(_tagged(text))
    decoded = _payloads(found.text, found.place)
    return Plain(text=found.text, origin=found.origin, invisible=found.invisible, payloads=hidden + decoded)


def _unquoted(text: str) -> str:
    """Return JSON with the line breaks and quotation marks of its strings put in plainly; no character moves."""
    if not text.lstrip().startswith(("{", "[")) or "\\" not in text:
        return text
    return text.replace("\\n", " \n").replace('\\"', ' "').replace("\\t", "  ")


def units(text: str) -> tuple[Span, ...]:
    """Return the stretches of a plain text that are judged each for itself: sentences, neighbours, fields."""
    cut = tuple(piece for span in sentences.spans(text) for piece in _pieces(text, span))
    return tuple(dict.fromkeys(cut + neighbours(cut) + tuple(_fields(text))))


def _fields(text: str) -> Iterator[Span]:
    """Find what stands for itself in data: a key with its text, an element, a line, a cell of a row."""
    if not _DATA.search(text):
        return
    for pattern in _FIELDS:
        for match in pattern.finditer(text):
            start, end = match.span(match.lastgroup or 0)
            told = text[start:end]
            if (told.count(" ") >= 2 or not told.isascii()) and (end - start) * 10 < 9 * len(text):
                yield start, end


def neighbours(cut: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return each two sentences beside each other that are short enough to be judged as one."""
    pairs = pairwise(cut)
    return tuple((first[0], second[1]) for first, second in pairs if second[1] - first[0] <= UNIT)


def _pieces(text: str, span: Span) -> Iterator[Span]:
    start, end = span
    for match in _FULL_STOP.finditer(text, start, end - 1):
        yield from _short(text, (start, match.end()))
        start = match.end()
    yield from _short(text, (start, end))


def _short(text: str, span: Span) -> Iterator[Span]:
    start, end = span
    while end - start > UNIT:
        window = text[start : start + UNIT]
        cut = max(window.rfind("\n", UNIT // 2), window.rfind(". ", UNIT // 2), -1)
        cut = cut if cut > 0 else window.rfind(" ", UNIT // 2)
        stop = start + (cut + 1 if cut > 0 else UNIT)
        yield start, stop
        start = stop
    if text[start:end].strip():
        yield start, end


def _same(span: Span) -> Span:
    return span


def _tagged(text: str) -> Iterator[Payload]:
    """Find messages in tag characters, which no screen shows."""
    places = [place for place, letter in enumerate(_FLAG.sub(_blank, text)) if ord(letter) in _TAG]
    said = "".join(chr(ord(text[place]) - 0xE0000) for place in places)
    if len(said) >= _SHORTEST:
        yield Payload(text=said, span=(places[0], places[-1] + 1))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _payloads(text: str, place: Callable[[Span], Span]) -> tuple[Payload, ...]:
    found: list[Payload] = []
    for said, span in _disguises(text):
        if len(said) >= _SHORTEST and said.casefold() != text[slice(*span)].casefold():
            found.append(Payload(text=said[:4_000], span=place(span)))
        if len(found) == MOST_PAYLOADS:
            break
    return tuple(found)


def _disguises(text: str) -> Iterator[tuple[str, Span]]:
    for match in _BASE64.finditer(text):
        if said := _from_base64(match.group()):
            yield said, match.span()
    for match in _HEX.finditer(text):
        digits = re.sub(r"0x|\\x|[ ,:]", "", match.group())
        if said := _legible(binascii.unhexlify(digits)):
            yield said, match.span()
    if "%" in text:
        for match in _PERCENT.finditer(text):
            yield unquote(match.group()).replace("+", " "), match.span()
    if "&" in text:
        yield from ((html.unescape(match.group()), match.span()) for match in _ENTITIES.finditer(text))
    if "\\u" in text:
        for match in _ESCAPES.finditer(text):
            yield (
                re.sub(r"\\u([0-9a-fA-F]{4})", lambda each: chr(int(each.group(1), 16)), match.group()),
                match.span(),
            )
    for match in _SPACED.finditer(text):
        yield _unspaced(match.group()), match.span()
    yield from _respelt(text)


def _respelt(text: str) -> Iterator[tuple[str, Span]]:
    """Read digits as letters, and a text backwards or shifted by 13 letters when it has tell-tale words."""
    odd = list(_LEET_WORD.finditer(text))
    if sum(any(letter in "013457@$" for letter in each.group()[:-1]) for each in odd) >= 2:
        span = odd[0].start(), odd[-1].end()
        yield _LEET_WORD.sub(lambda each: each.group().translate(_LEET), text[slice(*span)]), span
    if len(_BACKWARDS.findall(text)) >= 2:
        yield text[::-1], (0, len(text))
    if _ROT13.search(text):
        yield codecs.decode(text, "rot13"), (0, len(text))


def _from_base64(text: str) -> str:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _legible(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except binascii.Error:
        return ""


def _legible(data: bytes) -> str:
    """Return bytes as text if they are words, and else nothing."""
    said = data.decode("utf-8", errors="replace")
    legible = sum(letter.isalpha() or letter in " .,;:!?'\"-\n0123456789" for letter in said)
    return said if said and legible >= _PRINTABLE * len(said) else ""


def _unspaced(text: str) -> str:
    wide = re.split(r"\s{2,}|[|/*]\s*[|/*]| [-_.] ", text)
    words = [re.sub(r"[ ._*|\-/]", "", each) for each in wide]
    if len(words) > 1:
        return " ".join(words)
    return re.sub(r"\s+", " ", _JOINED.sub(r" \1 ", words[0].casefold())).strip()
