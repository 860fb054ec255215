"""The language guard: names the language of a text.

Catches whole messages in another language of some length. Misses mixed messages, and takes what is too short or
too unclear for English, because a wrong alarm sends an honest question to a person. Identifier: py3langid, the
method of Lui and Baldwin (2012), "langid.py: An Off-the-shelf Language Identification Tool".
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

SURE = 0.8
FEWEST_WORDS = 3
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """the a an i my me you your it is are was do does did can could how what when where which who why and or
        of to in on for with if not no this that they we have has will would get got please thanks there""",
    )
)
ENGLISH_SHARE = 0.2
_WORD = re.compile(r"[^\W\d_]+")


def identify_language(text: str) -> str:
    """Return the ISO 639-1 code of the text's language, ``en`` when in doubt."""
    words = _WORD.findall(text.lower())
    if len(words) < FEWEST_WORDS or sum(word in ENGLISH for word in words) >= ENGLISH_SHARE * len(words):
        return "en"
    language, probability = _identifier().classify(text)
    return str(language) if probability >= SURE else "en"


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def warm_up() -> None:
    """Load the identifier, which takes up to a second, before the first message needs it."""
    _identifier()
