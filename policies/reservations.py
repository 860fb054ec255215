"""Whether a message that seems to ask for something denies it, or makes it depend on something else.

Read in English, as ``polarity`` is; in any other language nothing is found here.
"""

from __future__ import annotations

import re

from policies.folding import fold
from policies.polarity import denied
from policies.roots import roots

_CONDITION = re.compile(
    r"\b(?:if|unless|provided (?:that|you|it|i|we)|as long as|on (?:the )?condition|in case|assuming"
    r"|suppos(?:e|ing)|only (?:when|once|after)|once|until|otherwise)\b",
    re.IGNORECASE,
)
_POLITE = re.compile(
    r"\bif (?:(?:at all )?possible|necessary|need(?:ed)? be"
    r"|(?:you|i|we) (?:can|could|may|might|would|please|need|have|want|(?:wouldn|don)['’]?t mind)"
    r"|(?:it|that)(?:['’]s| is) (?:ok|okay|fine|alright|possible|all right))\b"
    r"|\bat once\b|\bonce (?:more|again)\b|\bin case you (?:need|want|ask|wonder)\b",
    re.IGNORECASE,
)
_CLAUSE = r"(?:^|[.,;:!?()\n–—]\s*|\b(?:please|pls|plz|kindly|just|and|but|so|then|now|actually)\s+)"
_FORBIDS = re.compile(
    rf"{_CLAUSE}(?:please\s+|pls\s+|kindly\s+)?(?:(?:do\s+not|don['’]?t|never|under no circumstances)\b"
    r"|(?:stop|cancel|undo|forget|withdraw|ignore|hold off)\b)"
    r"|\b(?:i|we)(?:['’]d)?\s+(?:do\s+not|don['’]?t|no\s+longer|never|would\s+not|wouldn['’]?t|did\s+not"
    r"|didn['’]?t)\s+(?:\w+\s+)?(?:want|need|wish|like|ask|asked|request|requested)\b",
    re.IGNORECASE,
)
_NOT_THAT = re.compile(r"\b(?:rather than|instead of|without)((?:\s+\w+){1,3})", re.IGNORECASE)
_HARMLESS = re.compile(
    r"\b(?:don['’]?t|do\s+not|never)\s+(?:worry|hesitate|mind|you\s+think|know|get\s+me\s+wrong)\b",
    re.IGNORECASE,
)


def reservation(text: str, about: str) -> str | None:
    """Return what a text has that denies a request or makes it depend on something, in its words, or None.

    ``about`` names what is asked for: a denial of its words counts wherever it stands, and a plain *do not* does
    whatever it is about, because it may go on in words that are not known.
    """
    plain = _HARMLESS.sub(" ", fold(text, lines=True).text)
    if found := _FORBIDS.search(plain):
        return found[0].strip(" .,;:!?()\n–—")
    if found := _CONDITION.search(_POLITE.sub(" ", plain)):
        return found[0]
    named = set(roots(about))
    if found := next((each for each in _NOT_THAT.finditer(plain) if named & set(roots(each[1]))), None):
        return found[0]
    if both := denied(plain) & named:
        # Roots are no words, so the first word with such a root is shown.
        return next((f"not {word}" for word in re.findall(r"\w+", plain) if set(roots(word)) & both), "not")
    return None
