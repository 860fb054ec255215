"""The clauses of a text, and whether each denies what it says.

A clause that denies twice affirms. Words that deny without a *not* count as well: *free* (nothing is paid),
*closed* (not open), *excluded*, *too late*. Ways of speaking in which *no* and *not* deny nothing do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_VERBISH = (
    r"(?:you|we|it|they|he|she|i|there|this|that|the|then|a|an|your|our|their|its|please|can|cannot"
    r"|could|will|would"
    r"|may|might|must|should|is|are|was|were|has|have|had|do|does|don['’]t|isn['’]t|aren['’]t|can['’]t|won['’]t"
    r"|doesn['’]t|never|not|no|nobody|nothing|only|if|each|every|after|before|once|when|for|with|in|on|at)\b"
)
_SUBJECT = r"(?:you|we|it|they|he|she|i|there|please|don['’]t|do not|never)\b(?!\s(?:and|or)\b)"
_CUT = re.compile(
    r"[;:.!?–—|]\s"
    rf"|,\s(?:so|yet)\s|,\s(?:and|or|plus|as)\s(?={_VERBISH})|\b(?:and|so)\s(?={_SUBJECT})"
    r"|,\s(?:but|while|whereas|because|since|although|though|otherwise|which|or else)\b"
    r"|\b(?:but|whereas|because|although|though)\s(?=(?:" + _SUBJECT + r"))",
    re.I,
)
_LEADS = re.compile(
    r"^\s*(?:no|nope|not really|yes|sure|unfortunately|sorry|i['’]m (?:sorry|afraid)"
    r"|don['’]t worry)\b(?=\s*[,.;:!–—]|\s+but\b)[,.;:!–—]?",
    re.I,
)
_BOUND = (
    r"(?:more|less|fewer|later|sooner|longer|earlier|older|younger|higher|lower|heavier|larger|further"
    r"|over|under|beyond|above)"
)
_IDLE = re.compile(
    r"\b(?:not only|no matter|whether or not|or not|no\.|not to mention|no problem|no worries"
    r"|nothing but|why not|if not"
    r"|don['’]t hesitate|don['’]t forget(?: to)?|no doubt|feel free|free up|last but not least"
    r"|as not to|without fail)\b"
    rf"|\b(?:no|not|never)\s{_BOUND}\sthan\b|\bno (?:earlier|later|sooner)\b",
    re.I,
)
_BOUNDED = re.compile(
    rf"(?:\b(?:no|not|never|nobody|none|cannot|can['’]t)|n['’]t)\b[^.,;]{{0,45}}?\b(?:{_BOUND}|heavier"
    rf"|\w+er)\s(?:\w+\s)?than\b",
    re.I,
)
_BOUND_TOLD = re.compile(
    r"~|\b(?:at most|up to|no more than|maximum|within|by|until|limit(?:ed)?|no later than"
    r"|never more than|before|at least|or less|or more"
    r"|only|as (?:much|many|long) as)\b",
    re.I,
)
NOT = re.compile(
    r"n['’]t\b|\b(?:not|cannot|cant|wont|dont|doesnt|isnt|never|no|none|nobody|no-one|nothing|neither"
    r"|nowhere|without|unable"
    r"|impossible|except|apart from|aside from|other than|but not|exclud(?:e[sd]?|ing)|unless"
    r"|refus(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|reject(?:s|ed|ing)?|den(?:y|ies|ied)|prohibit(?:s"
    r"|ed)?|forbidden|forbids?"
    r"|bann?(?:ed|s)|off[ -]limits|out of the question|ruled out|left out|leaves? out|too (?:late"
    r"|long|early|big|heavy|large|small|old)"
    r"|blocked from|prevent(?:s|ed)?|avoid(?:s|ed)?|stop(?:s|ped|ping)?|fail(?:s|ed|ure)?|lack(?:s"
    r"|ing)?|loses?|losing|(?<!lost or )lost(?! or stolen)(?! parcel)"
    r"|void(?:s|ed)?|invalid|expir(?:e[sd]?|ing)|runs? out|ran out|lapses?|forfeit(?:s|ed)?"
    r"|keep(?:s|ing)? (?:\w+ ){0,3}(?:away|out of|off)|away from|stay(?:s)? (?:at home|away|off)"
    r"|instead of|rather than"
    r"|free|waive[sd]?|exempt|closed|hardly|barely|rarely|seldom|gone(?: for good)?"
    r"|un(?:used|worn|opened|claimed|paid|damaged|available|able|insured|covered|limited|necessary"
    r"|supported|locked|like|suitable|changed|touched)"
    r"|ineligible|non-?\w+able|out of stock|on the house|switch(?:ed)? off|turn(?:ed)? (?:off|away)"
    r"|missing|stays? at home|prevented)\b",
    re.I,
)
ONLY = re.compile(
    r"\b(?:only|solely|exclusively|nothing but|until|till|restricted to|limited to|reserved for|alone"
    r"|otherwise|or else|just)\b",
    re.I,
)


@dataclass(frozen=True)
class Clause:
    """A piece of a sentence with one verb, or about that."""

    start: int
    end: int
    text: str
    denials: int
    """How many of its words deny."""
    bounded: bool
    """Whether it denies that something is more than a bound."""
    bound: bool
    """Whether it tells a bound without a denial."""
    only: bool
    """Whether it holds for some alone, which is a denial for all others."""

    @property
    def denies(self) -> bool:
        """Whether it says no, all in all."""
        return self.denials % 2 == 1


@lru_cache(maxsize=4_096)
def clauses(text: str) -> tuple[Clause, ...]:
    """Return the clauses of a text in order; together they are all of it."""
    plain = _quiet(text)
    places = [0, *(match.start() for match in _CUT.finditer(plain) if match.start() > 0), len(plain)]
    found = [_clause(start, end, plain) for start, end in pairwise(places) if end > start]
    return tuple(found)


def _quiet(text: str) -> str:
    """Blank out what looks like a denial and is none; every place stays."""
    blank = _LEADS.sub(lambda match: " " * len(match[0]), text)
    return _IDLE.sub(lambda match: "~" * len(match[0]), blank)


def _clause(start: int, end: int, plain: str) -> Clause:
    text = plain[start:end]
    return Clause(
        start=start,
        end=end,
        text=text,
        denials=len(NOT.findall(text)),
        bounded=bool(_BOUNDED.search(text)),
        bound=bool(_BOUND_TOLD.search(text)),
        only=bool(ONLY.search(text)),
    )
