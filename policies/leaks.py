"""The leak guard: no instructions, keys, internal notes or staff-only texts leave the house.

What is protected is known by its shingles: numbers that stand for each run of so many words.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

from policies.folding import Folded, fold, tight
from policies.guards import Finding, GuardRequest, Spans, Stage
from policies.promises import FOUND, NOT_FOUND, Phrasebook, Prohibition, Sets
from policies.types import Reason

PROMPT_WORDS = 6
"""So many words in a row of a protected text are a part of it."""
STAFF_WORDS = 8
"""So many words in a row that only staff documents have are from one."""
LEAST_BITS = 3.0
"""A value beside a word like ``key`` is one when its characters are this mixed, in bits each."""
LEAST_SECRET = 12
PIECE = 8_000
LONGEST_MATCH = 1_000
"""What matches is cut off after so many characters of the next piece, at most."""
_WORD = re.compile(r"[^\W_]+(?:['’.,][^\W_]+)*")

_KEYS = re.compile(
    r"""(?<![A-Za-z0-9_/-])(?:
    sk-[A-Za-z0-9_-]{20,}
    |[sr]k_(?:live|test)_[A-Za-z0-9]{16,}
    |whsec_[A-Za-z0-9]{16,}
    |(?:AKIA|ASIA|AROA)[A-Z0-9]{16}(?![A-Za-z0-9])
    |gh[opsur]_[A-Za-z0-9]{30,}
    |github_pat_[A-Za-z0-9_]{30,}
    |glpat-[A-Za-z0-9_-]{18,}
    |xox[abeprs]-[A-Za-z0-9-]{20,}
    |AIza[A-Za-z0-9_-]{30,}
    |ya29\.[A-Za-z0-9_-]{20,}
    |hf_[A-Za-z0-9]{24,}
    |npm_[A-Za-z0-9]{30,}
    |pypi-[A-Za-z0-9_-]{30,}
    |SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    |xapp-[A-Za-z0-9-]{20,}
    |dapi[a-f0-9]{30,}
    |do[op]_v1_[a-f0-9]{30,}
    |shp(?:at|ss|ca|pa)_[a-fA-F0-9]{24,}
    |dckr_pat_[A-Za-z0-9_-]{20,}
    |eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?
    )|-----BEGIN\ (?:[A-Z0-9]+\ ){0,3}PRIVATE\ KEY(?:\ BLOCK)?-----
    |\bAccountKey=[A-Za-z0-9+/=]{40,}""",
    re.VERBOSE,
)
_CONNECTION = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://([^\s:/@]{0,64}):([^\s:/@]{1,128})@[\w.\[\]-]+", re.I)
_BEARER = re.compile(r"\bbearer\s([A-Za-z0-9._~+/-]{16,}=*)", re.I)
_NAMED = re.compile(
    r"""(?<![A-Za-z])(?P<name>(?:[A-Za-z0-9]{1,20}[_-]){0,4}
    (?:(?:api|access|secret|secret[ _-]?access|signing|account|private|encryption|deploy)[ _-]?key
    |key|token|secret|password|passwd|passphrase|passcode|pwd|credentials?))
    (?:\s(?:for|of|to|at|on|in|from|under)\s(?:(?:the|our|this|your|their)\s)?[\w-]{1,40}(?:\s[\w-]{1,40})?){0,3}
    \s?["']?\s?(?P<sign>=|:|->|=>|\b(?:is|was|are|reads)\b(?:\s(?:now|still|(?:changed|set|reset)\sto))?
    |(?<=password)|(?<=passphrase)|(?<=token)|(?<=key))\s?["'`]?(?P<value>[^\s"'`,;<>(){}]{6,256})""",
    re.VERBOSE | re.I,
)
_INTERNAL = r"(?:(?:internal|staff|agents?)(?:(?: use| eyes)? only| notes?)?|confidential|private note)"
_MARK = re.compile(rf"[\[(<]{_INTERNAL}[\])>]|<!--\s?{_INTERNAL}\s?(?:-->|:)", re.I)
_PASSWORDS = re.compile(r"pass|pwd", re.I)
_STAND_IN = re.compile(
    r"^(?:your|my|the|some|example|placeholder|changeme|x{4,}|\*+|\.+|user|password|pass|pwd|token|secret|key|hidden|redacted)"
    r"(?:[^a-z]|$)|^[A-Z_]+$|^\$|^%|^\[",
    re.I,
)


def shingles(texts: Iterable[str], words: int = STAFF_WORDS) -> frozenset[int]:
    """Return the numbers of every run of ``words`` words in some texts, the same in every process."""
    return frozenset(number for text in texts for number, *_ in _runs(text, words))


def staff_only(staff: Iterable[str], customer: Iterable[str], words: int = STAFF_WORDS) -> frozenset[int]:
    """Return the shingles of staff documents that no document for customers has too."""
    return shingles(staff, words) - shingles(customer, words)


def _runs(text: str, words: int) -> Iterator[tuple[int, Folded, tuple[int, int]]]:
    """Yield the number of each run of words, and where it stands in the folded text."""
    folded = fold(text)
    found = [(match[0].lower().replace("’", "'").encode(), match.span()) for match in _WORD.finditer(folded.text)]
    for place in range(len(found) - words + 1):
        run = found[place : place + words]
        digest = blake2b(b" ".join(word for word, _ in run), digest_size=8).digest()
        yield int.from_bytes(digest, "big"), folded, (run[0][1][0], run[-1][1][1])


class LeakGuard:
    """Finds what was not meant for the reader: instructions, keys, internal notes, staff-only texts.

    Catches keys of known makers, private keys, connection strings and values beside words like ``password``;
    marks such as "internal only"; six words in a row of a protected text and eight of a staff document. Misses
    what is told in other words, and secrets that look like words. Of 22 texts written after it was made it
    caught 10, .45 [.27, .65], before it was widened by them, and flagged 0 of 25 honest ones. On all of
    evals/redteam/leaks.jsonl now: recall .99 [.94, 1] of 90, false alarms 0 [0, .02] of 186;
    leaks-held-back.jsonl: 13 of 14, 0 of 31. 0.05 ms a sentence. Source: rules of our own, and the shapes that
    makers of keys publish.

    ``protected`` are texts of which nothing may be told, such as prompts; ``public`` is what may be told
    although they say it too. ``staff_shingles`` returns what ``staff_only`` made of the documents there are now.
    """

    name = "leaks"
    stages: tuple[Stage, ...] = ("output", "tool")

    def __init__(
        self,
        wordings: Iterable[Prohibition],
        sets: Sets,
        *,
        protected: Iterable[str] = (),
        public: Iterable[str] = (),
        staff_shingles: Callable[[], frozenset[int]] = frozenset,
    ) -> None:
        self._book = Phrasebook(wordings, sets)
        self._protected = staff_only(protected, public, PROMPT_WORDS)
        self._staff_shingles = staff_shingles

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text. Policy's own words may speak of staff, but they hold no key either."""
        return self.judge(request)

    def judge(self, request: GuardRequest) -> Finding:
        """Judge one text, in the thread that asks."""
        text = request.text
        if keys := tuple(secrets(text)):
            return _found("key", "The text has a key, a token or a password in it.", keys)
        if request.own:
            return _clean()
        if spans := tuple(_shared(text, PROMPT_WORDS, self._protected)):
            return _found("instructions", "The text repeats instructions of the assistant.", spans)
        if spans := tuple(_shared(text, STAFF_WORDS, self._staff_shingles())):
            return _found("staff", "The text repeats a document that only staff may read.", spans)
        for folded in (tight(text), fold(text)):
            if mark := _MARK.search(folded.text):
                return _found("internal", "The text is marked as internal.", (folded.place(*mark.span()),))
        for hit in self._book.find(text):
            return _found(hit.prohibition.id, hit.prohibition.reason, (hit.span,))
        return _clean()


def secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where keys, tokens and passwords stand in a text, whether or not it is folded first."""
    seen: set[tuple[int, int]] = set()
    for folded in {each.text: each for each in (tight(text), fold(text))}.values():
        for found in _secrets(folded.text):
            if (span := folded.place(*found)) not in seen:
                seen.add(span)
                yield span


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield where they stand in a text that has no two blanks in a row, so that the time is linear in it."""
    for match in _matches(_KEYS, text):
        yield match.span()
    for match in _matches(_CONNECTION, text):
        if not _STAND_IN.search(match[2]):
            yield match.span(2)
    for match in _matches(_BEARER, text):
        if not _STAND_IN.search(match[1]) and _bits(match[1]) >= LEAST_BITS:
            yield match.span(1)
    for match in _matches(_NAMED, text):
        if _is_secret(match["name"], match["value"].rstrip(".!?"), match["sign"]):
            yield match.span("value")


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches in a text, a piece at a time: while a pattern is looked for, no other thread works."""
    for start in range(0, len(text), PIECE):
        for match in pattern.finditer(text, start, start + PIECE + LONGEST_MATCH):
            if match.start() < start + PIECE:
                yield match


def _is_secret(name: str, value: str, sign: str) -> bool:
    """Say whether a value beside such a name is one: a password has a digit or a sign, a key is a long mixture."""
    if _STAND_IN.search(value) or "://" in value:
        return False
    if not sign and ("-" in value or not any(map(str.isdigit, value)) or not any(map(str.isalpha, value))):
        return False
    kinds = sum(any(test(each) for each in value) for test in (str.isdigit, str.islower, str.isupper, _is_sign))
    if _PASSWORDS.search(name):
        words = value.replace("-", "").isalpha() and not (sign == "=" or any(map(str.isupper, value[1:])))
        return len(value) >= 6 and kinds >= 2 and not words and not value.isdigit()
    mixed = any(map(str.isdigit, value)) and kinds >= 2 and _bits(value) >= LEAST_BITS
    return len(value) >= LEAST_SECRET and mixed


def _is_sign(each: str) -> bool:
    return not each.isalnum()


def _bits(value: str) -> float:
    """Return Shannon's entropy of a value's characters, in bits a character."""
    counts = Counter(value).values()
    return -sum(each / len(value) * math.log2(each / len(value)) for each in counts)


def _shared(text: str, words: int, known: frozenset[int]) -> Iterator[tuple[int, int]]:
    if known:
        yield from (folded.place(*span) for number, folded, span in _runs(text, words) if number in known)


def _found(what: str, why: str, spans: Spans) -> Finding:
    reason = Reason(code=f"guard.leaks.{what}", text=why)
    return Finding(guard=LeakGuard.name, score=FOUND, reason=reason, spans=spans)


def _clean() -> Finding:
    reason = Reason(code="guard.leaks", text="The text tells nothing that is not for its reader.")
    return Finding(guard=LeakGuard.name, score=NOT_FOUND, reason=reason)
