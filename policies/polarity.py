"""Whether a text says yes or no, and how strongly: negation, permission, duty and promise."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Literal

from policies.roots import roots, tokens

Strength = Literal["possible", "certain", "required", "usual"]

_NEGATIONS = re.compile(
    r"\b(?:not|cannot|can't|won't|\w*n['’]t|cant|wont|dont|doesnt|isnt|never|no|none|nobody|nothing|neither|nor"
    r"|without|unable|unavailable|ineligible|excluded?|refuses?|rejects?|denied|prohibited|forbidden)\b",
    re.IGNORECASE,
)
_IDLE = re.compile(
    r"\b(?:not only|no (?:later|sooner|more|less|longer) than|no matter|whether or not|no\.)\b"
    # The answer to a question, before what it says.
    r"|^\s*(?:no|nope|not really)\b(?=\s*[,.;:!–—]|\s+but\b)",
    re.I,
)
_STRENGTHS: dict[Strength, re.Pattern[str]] = {
    "possible": re.compile(
        r"\b(?:may(?! \d)|might|could|can|perhaps|possibly|sometimes|is able to|are able to)\b", re.I
    ),
    "certain": re.compile(
        r"\b(?:will|shall|always|guarantee[sd]?|certainly|definitely|promise[sd]?|ensures?)\b", re.I
    ),
    "required": re.compile(r"\b(?:must|have to|has to|need(?:s|ed)? to|required?|mandatory|obliged)\b", re.I),
    "usual": re.compile(
        r"\b(?:usually|normally|typically|generally|often|about|approximately|up to|most)\b", re.I
    ),
}


_DENIAL = re.compile(
    rf"(?P<about>\b(?:excluded?|excludes|refuses?|rejects?|denied|prohibited|forbidden|ineligible|unavailable)\b)"
    rf"|(?P<no>{_NEGATIONS.pattern})|(?P<end>[.,;:!?()]|\b(?:but|and|or|while|whereas|unless|if|when)\b)"
    rf"|(?P<word>[^\W_]+(?:['’][^\W_]+)?)",
    re.IGNORECASE,
)
_REACH = 2
"""How many words after a denial it is about."""
_CONDITIONS = re.compile(r"\b(?:unless|if|except|excluding|provided|as long as|other than|but not)\b", re.I)
_NARROWING = re.compile(r"\b(?:only|solely|exclusively)\b", re.I)
_TIMES = re.compile(r"\b(?:when|once|until)\b", re.I)
_RULING = re.compile(
    r"\b(?:can|cannot|may|must|will|shall|should|need(?:s|ed)?|have to|has to|free|eligible|covers?|costs?)\b"
    r"|n['’]t\b",
    re.I,
)
_HOLDING = re.compile(
    rf"{_CONDITIONS.pattern}|{_TIMES.pattern}|{_NARROWING.pattern}"
    r"|\b(?:just|without|whenever|before|after|as soon as)\b",
    re.I,
)
_OPPOSITES = tuple(
    (re.compile(rf"\b(?:{one})\b", re.I), re.compile(rf"\b(?:{other})\b", re.I))
    for one, other in (
        ("at least|no less than|no fewer than|minimum", "at most|no more than|up to|maximum"),
        ("before|prior to", "after|following"),
        ("more than|over|above", "less than|fewer than|under|below"),
        ("more", "less|fewer"),
        ("increas(?:es?|ed|ing)", "(?:de|re)creas(?:es?|ed|ing)|reduc(?:es?|ed|ing)"),
        ("earli(?:er|est)", "lat(?:er|est)"),
        ("first", "last|final"),
        (r"(?<!no )longer|wider|heavier|larger|bigger|higher", "shorter|narrower|lighter|smaller|lower"),
        ("open(?:s|ed)?", "closed?|closes"),
        ("allow(?:s|ed)?|permit(?:s|ted)?", "forbid(?:s|den)?|ban(?:s|ned)?|prohibit(?:s|ed)?"),
        ("accept(?:s|ed)?", "reject(?:s|ed)?|refuse[sd]?|decline[sd]?"),
        ("include[sd]?|including", "exclude[sd]?|excluding"),
        ("with", "without"),
        ("always", "never|sometimes|seldom|rarely"),
        ("all|every|each|any", "none|no|some|few"),
        ("free|free of charge", "paid|costs?|charged?|fee"),
        ("won|wins?", "lost|loses?"),
        ("largest|biggest|highest|most|longest", "smallest|lowest|least|shortest"),
        ("online", "in person|in store"),
        ("automatically", "manually|by hand"),
        ("refundable", "non-refundable|nonrefundable"),
        ("buyers?|customers? pays?", "sellers?|we pay"),
    )
)
_MAYBE = re.compile(r"\b(?:may|might|could|perhaps|possibly|sometimes)\b", re.I)
ALIKE = 0.66
"""From this share of common words in the same order a claim follows its source word for word."""
NEARLY_ALL = 0.85
"""The same, as a share of the claim alone."""
SHORT = 4
"""How many words of a claim may stand for others before a denial among them is no single change."""
SAME_WORDS = 0.6
"""Share of a claim's words that its source must have before an opposite word in it counts."""


def negations(text: str) -> int:
    """Return how many words of a text turn its meaning round."""
    return len(_NEGATIONS.findall(_IDLE.sub(" ", text)))


def negated(text: str) -> bool:
    """Say whether a text denies something: an even number of negations cancels out."""
    return negations(text) % 2 == 1


def without_negations(text: str) -> str:
    """Return a text without the words that turn its meaning round."""
    return _NEGATIONS.sub(" ", text)


def strengths(text: str) -> frozenset[Strength]:
    """Return how strongly a text says what it says; a plain statement has none of these."""
    return frozenset(name for name, pattern in _STRENGTHS.items() if pattern.search(text))


@dataclass(frozen=True)
class Change:
    """A place where a claim has other words than its source; either may be empty."""

    said: str
    stated: str


@lru_cache(maxsize=1_024)
def changes(claim: str, source: str) -> tuple[Change, ...]:
    """Return where a claim departs from a source that it follows nearly word for word; nothing for any other."""
    own, other = tokens(_IDLE.sub(" ", claim)), tokens(_IDLE.sub(" ", source))
    if len(set(own) & set(other)) < ALIKE * len(set(own)):
        return ()
    matcher = SequenceMatcher(None, own, other, autojunk=False)
    if matcher.ratio() < ALIKE and not _follows(matcher, len(own)):
        return ()
    return tuple(
        Change(" ".join(own[a:b]), " ".join(other[c:d]))
        for kind, a, b, c, d in matcher.get_opcodes()
        if kind != "equal"
    )


def _follows(matcher: SequenceMatcher[str], length: int) -> bool:
    """Say whether nearly all of a claim is in the source in the same order: the source may say more."""
    return sum(block.size for block in matcher.get_matching_blocks()) >= NEARLY_ALL * length


def overstates(claim: str, source: str) -> bool:
    """Say whether a claim is surer or stricter than its source, or allows what the source demands."""
    if _overstates(strengths(claim), strengths(source)):
        return True
    return any(
        _overstates(strengths(each.said), strengths(each.stated))
        # Without *may* it is a plain statement, which is surer too.
        or (bool(_MAYBE.search(each.stated)) and "possible" not in strengths(each.said) and bool(each.said))
        for each in changes(claim, source)
    )


def _overstates(claimed: frozenset[Strength], stated: frozenset[Strength]) -> bool:
    added = claimed - stated
    if "possible" in stated and "possible" not in claimed and {"certain", "required"} & added:
        return True
    if "usual" in stated and "usual" not in claimed and "certain" in added:
        return True
    return "required" in stated and "required" not in claimed and "possible" in added


def drops_condition(claim: str, source: str) -> bool:
    """Say whether a claim leaves out that its source holds only under a condition or for some.

    A time (*when*, *once*, *until*) is a condition where the source lays down a rule, and a tale elsewhere. What
    the claim has most words of has not been left out.
    """
    if any(_cuts(each, claim) for each in changes(claim, source)):
        return True
    plain = _IDLE.sub(" ", source)
    found = _CONDITIONS.search(plain) or (_TIMES.search(plain) if _RULING.search(plain) else None)
    if found is None or _HOLDING.search(claim):
        return False
    said, ruled = set(roots(claim)), set(roots(plain[: found.start()]))
    return len(said & ruled) >= SAME_WORDS * len(said) and not _kept(claim, plain[found.end() :])


def _cuts(change: Change, claim: str) -> bool:
    """Say whether what was left out is a condition, or a word that narrows the rest."""
    stated = _IDLE.sub(" ", change.stated)
    if _HOLDING.search(change.said) or _kept(claim, stated):
        return False
    narrow = _NARROWING.search(stated) and len(stated.split()) <= SHORT + 1
    return bool(narrow or _CONDITIONS.search(stated))


def _kept(claim: str, condition: str) -> bool:
    held, said = set(roots(condition)), set(roots(claim))
    return len(held & said) > len(held) / 2


def denied(text: str) -> frozenset[str]:
    """Return the roots of the words that a text denies: those right after a denial, or else right before it."""
    found: set[str] = set()
    before: list[str] = []
    waiting = reached = 0
    for match in _DENIAL.finditer(_IDLE.sub(" ", text)):
        if match["end"]:
            before, waiting = [], 0
        elif match["about"]:
            found.update(before[-_REACH:])
            before = []
        elif match["no"]:
            found.update(before[-_REACH:] if _ends(match) else ())
            waiting, reached = _REACH, 0
        elif each := roots(match["word"]):
            before += each
            if reached < waiting:
                found.update(each)
                reached += 1
    return frozenset(found)


def _ends(match: re.Match[str]) -> bool:
    """Say whether nothing that means anything follows a denial."""
    rest = re.split(r"[.,;:!?()]", match.string[match.end() :], maxsplit=1)[0]
    return not roots(rest)


def denies_otherwise(claim: str, source: str, others: Iterable[str] = ()) -> bool:
    """Say whether a claim denies what its source affirms, or affirms what it denies.

    Only words count that both have: a denial about something else is no contradiction, nor is one that some other
    sentence of the source makes too.
    """
    if any(_turns(each) for each in changes(claim, source)):
        return True
    here, there = denied(claim), denied(source)
    odd = negated(claim) != negated(source)
    said, stated = set(roots(claim)), set(roots(source))
    if not here and not there:
        return odd and len(said & stated) >= SAME_WORDS * len(said)
    too_much = (here & stated) - there
    if too_much and others:
        too_much -= frozenset().union(*(denied(each) for each in others))
    too_little = (there & said) - here
    return bool(too_much or too_little) if odd else bool(too_much and too_little)


def _turns(change: Change) -> bool:
    """Say whether a few words stand for others with a denial among them, or the other way about."""
    short = max(len(change.said.split()), len(change.stated.split())) <= SHORT
    return short and negated(change.said) != negated(change.stated)


def opposes(claim: str, source: str) -> bool:
    """Say whether a claim has the opposite of a word of its source, and most of its other words."""
    if any(_opposed(each.said, each.stated) for each in changes(claim, source)):
        return True
    said, stated = set(roots(claim)), set(roots(source))
    return len(said & stated) >= SAME_WORDS * len(said) > 0 and _opposed(claim, source)


def _opposed(claim: str, source: str) -> bool:
    return any(
        _has_only(claim, one, other) and _has_only(source, other, one)
        for pair in _OPPOSITES
        for one, other in (pair, pair[::-1])
    )


def _has_only(text: str, one: re.Pattern[str], other: re.Pattern[str]) -> bool:
    return bool(one.search(text)) and not other.search(text)
