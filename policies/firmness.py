"""Whether a claim in words of its own is firmer than its sources, or looser: a duty, a promise, a "
"doubt made up."""

from __future__ import annotations

import re

_SURE = re.compile(
    r"\b(?:exactly|precisely|always|guarantee[sd]?|certain(?:ly)?|definite(?:ly)?|invariably"
    r"|in (?:every|all) cases?"
    r"|without exception|for sure|absolutely|bound to|automatically|at all times|every time)\b",
    re.I,
)
_ALL = re.compile(r"\b(?:all|every|everyone|everybody|each|any)\b(?! (?:year|month|week|day|time))", re.I)
_SOME = re.compile(
    r"\b(?:most|some|many|almost|nearly|few|several|mostly|part of|often|usually|typically|normally"
    r"|generally|certain)\b",
    re.I,
)
_MOSTLY = re.compile(
    r"\b(?:usual(?:ly)?|normal(?:ly)?|typical(?:ly)?|general(?:ly)?|mostly|as a rule|most"
    r"|preferabl[ey]|ideal(?:ly)?"
    r"|optional(?:ly)?|rare(?:ly)?|often|frequent(?:ly)?|sometimes|occasionally|recommended|tends?)\b",
    re.I,
)
_MAYBE = re.compile(
    r"\b(?:may(?! \d)|might|possibly|perhaps|optional(?:ly)?|if you like|preferably|ideally|voluntar\w+)\b", re.I
)
_POSSIBLE = re.compile(
    r"\b(?:may(?! \d)|might|can(?:not|['’]t)?|could|possibl[ey]|perhaps|sometimes|allow\w*|permit\w*"
    r"|option\w*|welcome"
    r"|eligible|able|up to|ideal\w*|prefer\w*|choose|if you (?:like|want|wish))\b",
    re.I,
)
_DUTY = re.compile(
    r"\b(?:must|ha(?:ve|s) to|ha(?:ve|s) got to|need(?:s)? to|oblig\w+|compulsory|mandatory|required)\b", re.I
)
_ORDERS = (
    "bring keep put use send call book take check make ask open enter choose wear store charge leave "
    "apply report"
    " tell contact place restart have start write show fill give go sign wash dry remove let wait "
    "mark measure return"
    " pack print add select click press"
)
_DEMANDED = re.compile(
    r"\b(?:must|ha(?:ve|s|d) to|need\w*|oblig\w+|compulsory|mandatory|requir\w+|only|please|necessary"
    r"|due|not|never|no)\b"
    rf"|n['’]t\b|(?:^|[.;:!?] |, |and |then )(?:{'|'.join(_ORDERS.split())})\b",
    re.I,
)


def misstates_firmness(claim: str, near: str, whole: str) -> bool:
    """Say whether a claim promises, demands or leaves open what its sources do not.

    ``near`` are the sentences that it lies over, ``whole`` is all that it rests on.
    """
    return (
        _new(_SURE, claim, whole)
        or _new(_MOSTLY, claim, near)
        or (_new(_MAYBE, claim, near) and not _POSSIBLE.search(near))
        or (bool(_DUTY.search(claim)) and not _DEMANDED.search(near))
        or bool(_ALL.search(claim) and _SOME.search(near) and not _SOME.search(claim))
    )


def _new(pattern: re.Pattern[str], claim: str, source: str) -> bool:
    return bool(pattern.search(claim)) and not pattern.search(source)
