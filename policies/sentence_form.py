"""The form of a sentence that may be sent: plain words, without markup, hidden characters or addresses of its own.

What a customer's screen would make a link, an image or nothing at all of says something else than its letters
do, and no guard reads it. Everything here is one pass over the text, so that the time is linear in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

LONGEST = 1_000
"""A sentence with more characters is none."""
LONGEST_DIGITS = 30
"""No number that a customer needs has more digits in a row."""
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2028\u2029\u2800\u3164\uffa0\ufffd")
"""Characters that show as nothing, or in place of one that was lost, whatever their category is."""
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
_KEPT = frozenset("\n\t")
_JOINERS = frozenset("\u200c\u200d")
_EMOJI = range(0x1F000, 0x1FB00)
"""Emoji that are younger than Python's tables have no category there."""
_STYLES = frozenset("\ufe0e\ufe0f")
_MORE_STYLES = (range(0xFE00, 0xFE0E), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
_STRUCK = range(0x0334, 0x0339)
_DIGITS = re.compile(rf"(?:\d[ ,.\u00a0]?){{{LONGEST_DIGITS},}}\d")
_FIGURES = frozenset({"No", "Nl"})
_LINK = re.compile(r"\]\(|\]\[(?!(?-i:[A-Z][A-Z_]*_\d))|^[ \t]{0,3}\[[^\]\n]{1,200}\]:[ \t]*\S", re.M)
_FENCE = re.compile(r"```|~~")
_TAG = re.compile(r"<[/!?]?[a-z!?][^<>\n]{0,300}>?", re.I)
_HARMLESS = re.compile(r"<[^<>=!?]{1,200}>")
"""What looks like a tag, has no attribute and may be a type or a blank to fill in, where an article has it."""
_ACTIVE = re.compile(
    r"</?(?:script|style|textarea|title|template|plaintext|xmp|noscript|noembed|svg|math|object|embed|i?frame)\b",
    re.I,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.I)
_RUNS = re.compile(r"(?<![a-z])(?:javascript|vbscript):\S|(?<![a-z])data:\w{1,20}/", re.I)
_DOT = r"(?:[.\u2024\uff0e]|(?<=[a-z0-9])[\u3002\uff61](?=[a-z0-9]))"
_TOP = "com|net|org|info|biz|shop|store|io|co|app|dev|me|us|eu|uk|de|ca|site|online|xyz|example|top|club|link"
_REST = r"[^\s<>|\"`)\]]"
_ADDRESS = re.compile(
    rf"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{{0,20}}://{_REST}{{0,2000}}"
    rf"|(?<![a-z])(?:mailto|tel|sms|whatsapp|intent|ftp):{_REST}{{1,2000}}"
    rf"|(?<![\w@.-])(?:[\w.+-]{{1,100}}@)?(?:\w[\w-]{{0,62}}{_DOT}){{1,10}}[^\W\d_][\w-]{{1,62}}(?:[:/?#]{_REST}{{0,2000}})?"
    r"|[\w.+-]{1,100}@[\w.-]{1,100}"
    r"|(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)"
    rf"|\w[\w-]{{0,62}}\s?[\[({{]\s?(?:dot|\.)\s?[\])}}]\s?\w{{2,62}}"
    rf"|\w[\w-]{{0,62}}\s+dot\s+(?:{_TOP})\b",
    re.I,
)
_AFTER = ".,;:!?…)]}>'\"”’»*_`"
_SCHEME = re.compile(r"https?://|mailto:")


def form_of(text: str, sources: Iterable[str] = (), *, own: bool = False) -> str | None:
    """Say what is wrong with the form of a sentence, or None. ``sources`` are the texts that it cites.

    An address, and a figure that is no plain digit, may be sent where one of them has it letter for letter.
    Policy's ``own`` words need only be visible.
    """
    if hidden := next(_hidden(text), None):
        return f"The sentence holds the character U+{ord(hidden):04X}, which nobody sees as what it is."
    if own:
        return None
    if len(text) > LONGEST:
        return f"The sentence has more than {LONGEST:,} characters."
    if _DIGITS.search(text):
        return f"The sentence holds a number of more than {LONGEST_DIGITS} digits."
    given = "\n".join(sources)
    return _markup(text, given) or _figure(text, given) or _address(text, given)


def visible(text: str) -> str:
    """Return a text with a mark for each character that is hidden or can't be stored."""
    hidden = set(_hidden(text))
    return "".join("\ufffd" if each in hidden else each for each in text) if hidden else text


def _hidden(text: str) -> Iterator[str]:
    """Yield the characters that show as nothing, turn the text round, or can't be stored."""
    if text.isascii() and text.isprintable():
        return
    for place, char in enumerate(text):
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        lost = unicodedata.category(char) in _HIDDEN and not _serves(char, before, after)
        if lost or char in _BLANK or _draws_over(char, before):
            yield char


def _draws_over(char: str, before: str) -> bool:
    """Say whether a mark strikes what stands before it, or is one of those of which hidden letters are made."""
    styled = char in _STYLES and before in _STYLES
    return styled or ord(char) in _STRUCK or any(ord(char) in each for each in _MORE_STYLES)


def _serves(char: str, before: str, after: str) -> bool:
    """Say whether a character without a shape of its own is one that writing needs."""
    if char in _JOINERS:
        return bool(before and after) and not (before.isascii() or after.isascii() or before in _JOINERS)
    return char in _KEPT or (ord(char) in _EMOJI and unicodedata.category(char) == "Cn")


def _markup(text: str, given: str) -> str | None:
    if found := _LINK.search(text) or _FENCE.search(text) or _RUNS.search(text):
        return f"The sentence holds markup: {found[0]!r}."
    for tag in _TAG.finditer(text):
        if _ACTIVE.match(tag[0]) or not _HARMLESS.fullmatch(tag[0]) or tag[0] not in given:
            return f"The sentence holds markup: {tag[0][:60]!r}."
    entity = next((each[0] for each in _ENTITY.finditer(text) if each[0] not in given), None)
    return f"The sentence holds markup: {entity!r}." if entity else None


def _figure(text: str, given: str) -> str | None:
    if text.isascii():
        return None
    odd = next((each for each in text if unicodedata.category(each) in _FIGURES and each not in given), None)
    return f"The sentence holds {odd!r}, a figure that nothing it cites has." if odd else None


def _address(text: str, given: str) -> str | None:
    found = [*_addresses(text)]
    if not found:
        return None
    known = set(_addresses(given))
    known |= {each.partition("/")[0] for each in known if "@" not in each}
    unknown = next((each for each in found if each not in known), None)
    return f"The sentence holds the address {unknown[:60]!r}, which nothing it cites has." if unknown else None


def _addresses(text: str) -> Iterator[str]:
    for match in _ADDRESS.finditer(text):
        yield _SCHEME.sub("", match[0].casefold(), count=1).rstrip(_AFTER).rstrip("/")
