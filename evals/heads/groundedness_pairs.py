"""Claims made of an assistant's own articles: true ones in other words, and false ones by a single edit.

Public sets have few claims that are wrong in one figure, name or small word and right in everything else, which is
what a drafter gets wrong; here each such claim is made of a sentence that is known to be true.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from policies.facts import facts, names
from policies.polarity import negations
from policies.roots import roots
from tools.knowledge.quoting import quote
from tools.knowledge.sentences import spans

FEWEST, MOST = 6, 40
"""How many words a sentence has from which claims are made."""
SHARE = 0.4
"""The part of all sentences that claims are made of."""
RIVALS = 60
"""How many sentences of other articles the most alike is drawn from."""
WHOLE = 12
"""How many sentences one source has at most."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A claim with its source."""

    claim: str
    sources: tuple[str, ...]
    above: str
    """Title and heading over the source."""
    supported: bool
    kind: str
    """How it was made."""
    group: str
    """The article: pairs of one are never learned from and judged at once."""


@dataclass(frozen=True)
class _Section:
    article: str
    above: str
    sentences: tuple[str, ...]


Edit = Callable[[str, random.Random], str | None]
_UNITS = {"days": "weeks", "weeks": "months", "hours": "days", "minutes": "hours", "months": "years"}
_UNITS |= {"business days": "days", "miles": "feet", "inches": "feet", "pounds": "ounces", "years": "months"}
_UNIT = re.compile(rf"\b(?:{'|'.join(sorted(_UNITS, key=len, reverse=True))})\b")
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d\d)?(?![\w,]*\d)")
_MONTHS = ("January", "February", "March", "April", "June", "July", "August", "September", "October", "November")
_MONTH = re.compile(rf"\b(?:{'|'.join(_MONTHS)}|December)\b")
_STRANGERS = ("Norway", "Wichita", "Halvorsen", "Quenby", "Savannah", "Meridian", "Tallis", "Okafor", "Lisbon")
_STRONGER = {"may": "will", "can sometimes": "always", "might": "will", "can": "must"}
_WEAKER = {"must": "may", "needs to": "can", "need to": "can", "are required to": "can"}
_PLAIN = r"(?! not\b| never\b| no\b)"
_DENYING = {
    "cannot": "can", "can": "cannot", "is not": "is", "are not": "are", "does not": "does", "do not": "do",
    rf"is\b{_PLAIN}": "is not", rf"are\b{_PLAIN}": "are not", "never": "always", "without": "with",
    rf"may\b{_PLAIN}": "may not", rf"must\b{_PLAIN}": "must not",
}  # fmt: skip
_OPPOSITE = {
    "before": "after", "after": "before", "at least": "at most", "up to": "at least", "more than": "less than",
    "free": "charged", "included": "excluded", "first": "last", "over": "under", "longer": "shorter",
    "with": "without",
}  # fmt: skip
_CONDITION = re.compile(r",?\s(?:unless|if|except|as long as|provided|but not)\b[^,.]*", re.I)
_SAME = {
    "cannot": "can't", "must": "need to", "receive": "get", "parcel": "package", "costs": "is priced at",
    "contact us": "get in touch with us", "customers": "shoppers", "refunded": "paid back", "begins": "starts",
    "choose": "pick", "sent": "mailed", "you can": "it is possible to", "takes": "needs", "send": "mail",
    "item": "product", "is not": "isn't", "are not": "aren't", "also": "as well", "because": "since",
    "usually": "as a rule", "every": "each", "help": "assist", "gift card": "voucher", "shown": "displayed",
    "keep": "hold on to", "ask": "request",
}  # fmt: skip
_LEADS = ("Please note that ", "Yes, ", "According to our articles, ", "In short, ", "To answer that: ")
_WORDS = {"2": "two", "3": "three", "4": "four", "5": "five", "7": "seven", "10": "ten", "12": "twelve"}
_WORDS |= {"14": "fourteen", "30": "thirty", "60": "sixty", "90": "ninety", "20": "twenty"}


def pairs(folder: Path, seed: int) -> list[Pair]:
    """Make claims of all articles in a folder; the same seed gives the same."""
    draw = random.Random(seed)
    sections = [each for path in sorted(folder.glob("*.md")) for each in _sections(path)]
    found: list[Pair] = []
    for section in sections:
        usable = [each for each in section.sentences if _usable(each) and draw.random() < SHARE]
        found += [pair for each in usable for pair in _of_sentence(each, section, draw)]
        found += [pair for each in usable for pair in _foreign(each, section, sections, draw)]
        found += _joined(usable, section)
    return found


def _sections(path: Path) -> Iterator[_Section]:
    text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(), flags=re.S)
    title = ""
    for part in re.split(r"^(?=#{1,4} )", text, flags=re.M):
        heading, _, body = part.partition("\n") if part.startswith("#") else ("", "", part)
        title = title or heading.lstrip("# ")
        sentences = tuple(quote(body, start, end) for start, end in spans(body))[:WHOLE]
        if sentences:
            yield _Section(path.stem, f"{title} {heading.lstrip('# ')}", sentences)


def _usable(sentence: str) -> bool:
    return FEWEST <= len(sentence.split()) <= MOST and sentence.endswith(".")


def _pair(claim: str, section: _Section, kind: str, *, supported: bool) -> Pair:
    return Pair(
        claim=claim,
        sources=section.sentences,
        above=section.above,
        supported=supported,
        kind=kind,
        group=section.article,
    )


def _of_sentence(sentence: str, section: _Section, draw: random.Random) -> Iterator[Pair]:
    """Yield two true claims and three false ones, as far as edits apply."""
    for edits, supported, most in ((TRUE, True, 2), (FALSE, False, 3)):
        made = 0
        for kind in draw.sample(sorted(edits), len(edits)):
            claim = edits[kind](sentence, draw)
            if claim is not None and claim not in section.sentences and made < most:
                made += 1
                yield _pair(claim, section, kind, supported=supported)


def _foreign(
    sentence: str, section: _Section, sections: Sequence[_Section], draw: random.Random
) -> Iterator[Pair]:
    """Yield a claim with half of another article's sentence, and that sentence whole."""
    other = draw.choice([each for each in sections if each.article != section.article])
    told = draw.choice(other.sentences)
    if _usable(told) and draw.random() < 0.5:
        half = f"{sentence[:-1]}, and {_lowered(told)}"
        yield _pair(half, section, "half", supported=False)
    rivals = [each for other in sections if other.article != section.article for each in other.sentences]
    wanted = set(roots(sentence))
    near = max(draw.sample(rivals, min(RIVALS, len(rivals))), key=lambda each: len(wanted & set(roots(each))))
    if _usable(near) and near not in section.sentences and draw.random() < 0.5:
        yield _pair(near, section, "elsewhere", supported=False)


def _joined(usable: Sequence[str], section: _Section) -> Iterator[Pair]:
    for one, other in pairwise(usable):
        if len(one.split()) + len(other.split()) <= MOST:
            claim = f"{one[:-1]}, and {_lowered(other)}"
            yield _pair(claim, section, "joined", supported=True)


def _lowered(sentence: str) -> str:
    """Return a sentence as it goes on after a comma; a word with more capitals keeps its first one."""
    return sentence if sentence[1:2].isupper() else f"{sentence[0].lower()}{sentence[1:]}"


def _first(rules: dict[str, str], sentence: str, draw: random.Random) -> str | None:
    for pattern in draw.sample(sorted(rules), len(rules)):
        changed = re.sub(rf"\b{pattern}\b", rules[pattern], sentence, count=1)
        if changed != sentence:
            return changed
    return None


def _reworded(sentence: str, draw: random.Random) -> str | None:
    changed, done = sentence, 0
    for word in draw.sample(sorted(_SAME), len(_SAME)):
        again = re.sub(rf"\b{word}\b", _SAME[word], changed, count=1)
        done += again != changed
        changed = again
        if done == 3:
            break
    return changed if done else None


def _fronted(sentence: str, _draw: random.Random) -> str | None:
    match = re.fullmatch(r"([A-Z][^,]{20,}?)\s((?:within|during|after|before|for|from)\s[^,]{6,50})\.", sentence)
    return f"{match[2][0].upper()}{match[2][1:]}, {_lowered(match[1])}." if match else None


def _led(sentence: str, draw: random.Random) -> str | None:
    return f"{draw.choice(_LEADS)}{_lowered(sentence)}"


def _spelled(sentence: str, _draw: random.Random) -> str | None:
    changed = re.sub(r"(?<![\w.$-])(\d+)(?= [a-z])", lambda match: _WORDS.get(match[1], match[1]), sentence)
    return changed if changed != sentence else None


def _other_number(sentence: str, draw: random.Random) -> str | None:
    found = list(_NUMBER.finditer(sentence))
    if not found:
        return None
    match = draw.choice(found)
    value = float(match[0].replace(",", ""))
    other = value + draw.choice((1, 2, 5, 10, value)) if value < 1000 or value > 2100 else value + 1
    return f"{sentence[: match.start()]}{other:g}{sentence[match.end() :]}"


def _other_unit(sentence: str, _draw: random.Random) -> str | None:
    changed = _UNIT.sub(lambda match: _UNITS[match[0]], sentence, count=1)
    return changed if changed != sentence and facts(sentence) else None


def _other_month(sentence: str, draw: random.Random) -> str | None:
    match = _MONTH.search(sentence)
    if match is None:
        return None
    other = draw.choice([each for each in _MONTHS if each not in sentence])
    return f"{sentence[: match.start()]}{other}{sentence[match.end() :]}"


def _other_name(sentence: str, draw: random.Random) -> str | None:
    found = names(sentence)
    return sentence.replace(draw.choice(found), draw.choice(_STRANGERS), 1) if found else None


def _unconditional(sentence: str, _draw: random.Random) -> str | None:
    match = _CONDITION.search(sentence, 15)
    return sentence[: match.start()] + sentence[match.end() :] if match else None


def _denied(sentence: str, draw: random.Random) -> str | None:
    changed = _first(_DENYING, sentence, draw)
    return changed if changed and negations(changed) != negations(sentence) else None


TRUE: dict[str, Edit] = {
    "verbatim": lambda sentence, _: f"{sentence[:-1]}!",
    "reworded": _reworded,
    "fronted": _fronted,
    "led": _led,
    "spelled": _spelled,
}
FALSE: dict[str, Edit] = {
    "number": _other_number,
    "unit": _other_unit,
    "month": _other_month,
    "name": _other_name,
    "denial": _denied,
    "promise": lambda sentence, draw: _first(_STRONGER, sentence, draw),
    "duty": lambda sentence, draw: _first(_WEAKER, sentence, draw),
    "opposite": lambda sentence, draw: _first(_OPPOSITE, sentence, draw),
    "condition": _unconditional,
}
