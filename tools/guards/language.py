"""The language of a text: what a customer writes, and whether an answer is in the customer's language.

Identifier: py3langid, the method of Lui and Baldwin (2012), "langid.py: An Off-the-shelf Language Identification
Tool". It is sure of nothing that is short, so an answer's sentence is judged by its small words first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import policies
from policies.guards import Finding, GuardRequest, Stage
from policies.types import Reason

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
CLEAR = 2
"""So many small words of another language more than of the customer's make a sentence another's."""
SURE_OF_OTHER = 0.95
"""How sure the identifier must be of another language where small words tell nothing."""
SURE_WITH_A_WORD = 0.6
"""How sure it must be where one small word speaks for that language too."""
ENOUGH_WORDS = 4
"""Where there are fewer words and no small one, the identifier is not asked."""
FOREIGN_SCRIPT = 0.5
"""From this share of letters in a script that the customer's language does not use on, a sentence is another's."""
_WORD = re.compile(r"[^\W\d_]+")
_NO_LANGUAGE = re.compile(
    r"\[[A-Z]+_\d+\]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\w+://\S+|\b(?:www\.)?[\w-]+(?:\.[\w-]+)+(?:/\S*)?|`[^`]*`"
    r"|\"[^\"]{0,120}\"|“[^”]{0,120}”|„[^“”]{0,120}[“”]|«[^»]{0,120}»|\w*[\d_/@#\\=<>|{}]\w*"
)
_NO_TEXT = re.compile(r"\[[A-Z]+_\d+\]|\w+://\S+|\"[^\"]{0,120}\"|“[^”]{0,120}”")
_IN_NAMES = re.compile(r"(?<=[\w,;:)|] )\w*[A-Z]\w*(?:['’]\w+)?")
LOOKED_AT = 500
"""So many characters tell a language; all of a long text would take a tenth of a second and more."""
_SCRIPTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("ru", "uk", "bg", "sr", "mk", "be", "kk", "mn", "ky"), frozenset({"CYRILLIC", "LATIN"})),
    "el": frozenset({"GREEK"}),
    **dict.fromkeys(("ar", "fa", "ur", "ps"), frozenset({"ARABIC"})),
    "he": frozenset({"HEBREW"}),
    "ja": frozenset({"HIRAGANA", "KATAKANA", "CJK"}),
    "zh": frozenset({"CJK"}),
    "ko": frozenset({"HANGUL", "CJK"}),
    "th": frozenset({"THAI"}),
    **dict.fromkeys(("hi", "mr", "ne"), frozenset({"DEVANAGARI"})),
    "ka": frozenset({"GEORGIAN"}),
    "hy": frozenset({"ARMENIAN"}),
}
_LATIN = frozenset({"LATIN"})
_CAPITALIZES_NOUNS = frozenset({"de", "lb"})


def identify_language(text: str) -> str:
    """Return the ISO 639-1 code of the language in which a text begins, ``en`` when in doubt."""
    text = _beginning(text)
    words = _WORD.findall(text.lower())
    if len(words) < FEWEST_WORDS or sum(word in ENGLISH for word in words) >= ENGLISH_SHARE * len(words):
        return "en"
    language, probability = _identifier().classify(text)
    return str(language) if probability >= SURE else "en"


def _beginning(text: str) -> str:
    """Return the first ``LOOKED_AT`` characters, where several blanks count as one."""
    words = text[: 20 * LOOKED_AT].split(maxsplit=LOOKED_AT)[:LOOKED_AT]
    return " ".join(words)[:LOOKED_AT]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _small_words() -> Mapping[str, frozenset[str]]:
    path = Path(policies.__file__).parent / "wordings" / "languages.yaml"
    data = yaml.safe_load(path.read_text("utf-8"))
    return {str(language): frozenset(str(words).split()) for language, words in data.items()}


def warm_up() -> None:
    """Load the identifier, which takes up to a second, before the first message needs it."""
    _identifier()
    _small_words()


class LanguageGuard:
    """Finds sentences that are not in the customer's language, by the first ``LOOKED_AT`` characters of each.

    Catches a sentence with two small words more of another language, or of another script, or of which the
    identifier is sure. Misses sentences of few words and mixed ones; names, quotations, addresses and code count
    for nothing. On evals/redteam/language.jsonl: recall .94 [.86, .97] of 81 (.89 [.80, .94] before it was
    mended by them), false alarms 0 [0, .06] of 60; 0 of 8,098 lines of an English product's help, 0 of 1,750 of
    our sample's articles. 0.04 ms a sentence; 0.1 ms where the identifier is asked. Source: lists of our own,
    and py3langid.

    ``candidates`` are the languages that a sentence is taken to be in; the fewer, the surer.
    """

    name = "language"
    stages: tuple[Stage, ...] = ("output",)

    def __init__(self, candidates: Collection[str] = ()) -> None:
        self._candidates = frozenset(candidates)

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one sentence; policy's own words are in the language they are in."""
        wanted = request.language.split("-")[0].lower()
        score, other = (
            (0.0, wanted) if request.own or not wanted else self._other(_beginning(request.text), wanted)
        )
        told = f"The sentence seems to be in {other!r}, and the customer's language is {wanted!r}."
        text = told if score >= 0.5 else "The sentence is in the customer's language."
        return Finding(guard=self.name, score=score, reason=Reason(code="guard.language", text=text))

    def _other(self, text: str, wanted: str) -> tuple[float, str]:
        """Return how likely it is that a sentence is in another language than ``wanted``, and in which."""
        bare = _NO_LANGUAGE.sub(" ", text)
        if foreign := _foreign_script(_NO_TEXT.sub(" ", text), wanted):
            return 0.99, foreign
        names = wanted in _CAPITALIZES_NOUNS
        words = _WORD.findall((bare if names else _IN_NAMES.sub(" ", bare)).lower())
        counts = {language: sum(word in small for word in words) for language, small in _small_words().items()}
        own = counts.pop(wanted, 0)
        best = max(counts, key=lambda language: (counts[language], language), default=wanted)
        ahead = counts[best] - own if counts else 0
        if ahead >= CLEAR:
            return 0.95, best
        if ahead < 0 or len(words) < FEWEST_WORDS or (ahead == 0 and (own or len(words) < ENOUGH_WORDS)):
            return 0.02, wanted
        return self._asked(bare, wanted, best if ahead else "")

    def _asked(self, bare: str, wanted: str, supposed: str) -> tuple[float, str]:
        """Ask the identifier; it need not be as sure of a language for which a small word speaks too."""
        language, probability = _identifier().classify(bare)
        least = SURE_WITH_A_WORD if language == supposed else SURE_OF_OTHER
        known = not self._candidates or language in self._candidates
        if language != wanted and known and probability >= least:
            return 0.8, str(language)
        return 0.1, wanted


def _foreign_script(text: str, wanted: str) -> str:
    """Return the script that most of a text is in, when the language is not written in it."""
    letters = [each for each in text if each.isalpha()]
    beyond = [each for each in letters if each > "ɏ"]
    if wanted not in _SCRIPTS and not beyond:
        return ""
    allowed = _SCRIPTS.get(wanted, _LATIN)
    looked_at = letters if wanted in _SCRIPTS else beyond
    scripts = [unicodedata.name(each, "UNKNOWN").split()[0] for each in looked_at]
    foreign = [each for each in scripts if each not in allowed]
    if len(foreign) < max(2, FOREIGN_SCRIPT * len(letters)):
        return ""
    return max(set(foreign), key=foreign.count).lower()
