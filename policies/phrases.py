"""Phrases: what must not be said, written as people write it, and found in a text however it is inflected.

A phrase is words. A word of four letters or more stands for its commonest endings too (``refund``: refunds,
refunded, refunding), upper and lower case are one, and contractions are read in full (``we'll`` and ``we're going
to``: we will). Besides words there are:

- ``*``: up to three words of any kind;
- ``(a|b c|d)``: any of these;
- ``word?`` and ``(a|b)?``: this or nothing;
- ``{name}``: any of a set of words, such as ``{we}``, ``{day}``, ``{number}``, ``{amount}`` and ``{percent}``;
- ``a & b``: the phrase ``a`` in a sentence that has ``b`` too, anywhere;
- ``^`` and ``$``: where a sentence or a part of one begins and ends.

A phrase never reaches beyond a full stop, a colon or a semicolon, and what is denied is not said (``we can't
promise a refund``), unless the phrase itself denies. Only phrases that share a rare word with a text are tried on
it, and a phrase has few gaps, so that the time stays short for any text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from policies.folding import fold

MOST_GAPS = 4
LONGEST_CLAUSE = 1_000
"""So many characters before and after a place count as its sentence, so that the time is linear in any text."""
LEAST_TO_INFLECT = 4
DENIED_WITHIN = 4
"""How many words before a phrase may turn its meaning round."""
_TOKEN = re.compile(
    r"(?P<number>[$€£]?\d+(?:[.,]\d+)*(?:%|st\b|nd\b|rd\b|th\b)?)|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*(?:\*{2,})?)"
    r"|(?P<hard>[.!?:;…\n]+)|(?P<soft>[,()–—]|\s-{1,3}\s)"
)
_ENDINGS: tuple[tuple[str, str], ...] = (
    ("n't", "not"),
    ("'ll", "will"),
    ("'re", "are"),
    ("'ve", "have"),
    ("'m", "am"),
    ("'d", "would"),
)
_WHOLE: Mapping[str, tuple[str, ...]] = {
    "won't": ("will", "not"),
    "can't": ("can", "not"),
    "cannot": ("can", "not"),
    "shan't": ("will", "not"),
    "let's": ("let", "us"),
    "shall": ("will",),
    "gonna": ("will",),
    "percent": ("%",),
}
_IS = frozenset({"it", "that", "there", "here", "what", "who", "he", "she", "this", "which", "where", "how"})
_FUTURE = frozenset({("am", "going", "to"), ("are", "going", "to"), ("is", "going", "to")})
_NEGATIONS = frozenset(
    ("not", "no", "never", "unable", "without", "nor", "neither", "nobody", "nothing", "none", "hardly", "rarely")
)
# After these words a negation denies nothing of what follows.
_IDLE = frozenset(
    re.findall(r"\w+", "doubt problem worry worries only matter later sooner fail need cent reason idea because")
)
_VERY_COMMON = frozenset(
    re.findall(
        r"\w+",
        """i we you it he she they a an the is are am be will would can could do does did have has had to of in on
        for at by with and or not your our my this that these those us me all any as so if no now just was were""",
    )
)
_OF_NUMBERS = {
    "number": r"\d[\d.,]*(?:st|nd|rd|th)?",
    "amount": r"(?:[$€£]\d[\d.,]*|\d[\d.,]* (?:dollars?|bucks|euros?|pounds?))",
    "percent": r"\d[\d.,]*(?:%| %| per cent)",
}
_SEPARATOR = " (?:; )?"
_GAP = rf"(?:[^ ;|]+{_SEPARATOR}){{0,3}}"
_PIECE = re.compile(r"(?P<gap>\*)|(?P<edge>[\^$])(?=\s|$)|(?P<set>\{\w+\})|(?P<word>[^\s()*?{}|]+)|(?P<open>\()")


@dataclass(frozen=True)
class Reading:
    """A text as phrases see it: its words in full, with where each stands."""

    line: str
    """The words in lower case; ``;`` between parts, ``|`` between sentences and at both ends."""
    offsets: tuple[int, ...]
    """Where each word begins in ``line``."""
    spans: tuple[tuple[int, int], ...]
    """Where each word stands in the text."""
    keys: frozenset[str]
    """How the words begin."""
    asks: tuple[int, ...]
    """Where in ``line`` the sentences end that are questions."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the text a stretch of ``line`` stands."""
        first, last = bisect_left(self.offsets, start), bisect_left(self.offsets, end) - 1
        return self.spans[min(first, len(self.spans) - 1)][0], self.spans[max(last, 0)][1]

    def clause(self, start: int) -> str:
        """Return the sentence of ``line`` that a place is in, with the ``|`` at its ends."""
        return self.line[max(_last("|", self.line, start + 1), start - LONGEST_CLAUSE, 0) : self._end(start) + 2]

    def asked(self, start: int) -> bool:
        """Say whether the sentence that a place of ``line`` is in is a question."""
        return self._end(start) in self.asks

    def _end(self, start: int) -> int:
        found = self.line.find("|", start + 1, start + LONGEST_CLAUSE)
        return found if found >= 0 else min(len(self.line), start + LONGEST_CLAUSE)


@lru_cache(maxsize=64)
def read(text: str, *, lines: bool = False) -> Reading:
    """Read a text for phrases; several guards read the same sentence, so the last ones are kept.

    It is read as ``policies.folding`` folds it; with ``lines``, a line's end is a sentence's.
    """
    words: list[tuple[str, int, int]] = []
    asks: list[int] = []
    folded = fold(text, lines=lines)
    for match in _TOKEN.finditer(folded.text):
        start, end = folded.place(*match.span())
        if match["hard"]:
            # A colon or a full stop within a word or a number stands for nothing.
            asks += [len(words)] if "?" in match["hard"] else []
            words.append(("|", start, end))
        elif match["soft"]:
            words.append((";", start, end))
        else:
            words += [(each, start, end) for each in _in_full(match[0].lower().replace("’", "'"))]
    return _laid_out(words, frozenset(asks))


def _in_full(word: str) -> tuple[str, ...]:
    if word in _WHOLE:
        return _WHOLE[word]
    if "'" not in word:
        return (word,)
    if word.endswith("'s"):
        return (word[:-2], "is") if word[:-2] in _IS else (word[:-2],)
    for ending, full in _ENDINGS:
        if word.endswith(ending):
            return word[: -len(ending)], full
    return (word,)


def _laid_out(words: list[tuple[str, int, int]], asks: frozenset[int]) -> Reading:
    line, length = ["|"], 1
    offsets, spans, questions = [], [], []
    skip = 0
    for place, (word, start, end) in enumerate(words):
        if skip:
            skip -= 1
            continue
        if word in "|;" and line[-1] in "|;":
            if word == "|" and line[-1] == ";":
                line[-1] = "|"
            questions += [length - 1] if place in asks else []
            continue
        if tuple(each[0] for each in words[place : place + 3]) in _FUTURE:
            word, end, skip = "will", words[place + 2][2], 2
        if word not in "|;":
            offsets.append(length + 1)
            spans.append((start, end))
        questions += [length + 1] if place in asks else []
        line.append(word)
        length += len(word) + 1
    if line[-1] == ";":
        line[-1] = "|"
    text = " ".join(line if line[-1] == "|" else [*line, "|"]) + " "
    keys = frozenset(map(_key, line))
    return Reading(text, tuple(offsets), tuple(spans), keys, tuple(questions))


@dataclass(frozen=True)
class Phrase:
    """One phrase, ready to be looked for."""

    said: str
    """As it was written."""
    pattern: re.Pattern[str]
    keys: frozenset[str]
    """How the words of its rarest place begin: a text with none of them can't have it."""
    denies: bool
    """Whether it has a negation of its own, so that another does not turn it round."""
    besides: tuple[re.Pattern[str], ...] = ()
    """What the same sentence must have too."""

    def find(self, reading: Reading) -> Iterator[tuple[int, int]]:
        """Yield where in the line of a reading the phrase stands."""
        if self.keys.isdisjoint(reading.keys):
            return
        for match in self.pattern.finditer(reading.line):
            if (self.denies or not _denied(reading.line, match)) and self._has_the_rest(reading, match.start()):
                yield match.span()

    def _has_the_rest(self, reading: Reading, start: int) -> bool:
        if not self.besides:
            return True
        clause = reading.clause(start)
        return all(
            any(self.denies or not _denied(clause, match) for match in each.finditer(clause))
            for each in self.besides
        )


def _last(sign: str, line: str, end: int) -> int:
    return line.rfind(sign, max(0, end - LONGEST_CLAUSE), end)


def _denied(line: str, match: re.Match[str]) -> bool:
    """Say whether what a phrase says is denied, in its own words or right before them."""
    begin = max(*(_last(each, line, match.start()) for each in ";|"), match.start() - LONGEST_CLAUSE, 0)
    part = line[begin : match.start()]
    before = part.split()[1:]
    after = line[match.end() : match.end() + 24].split()[:1]
    words = [*before[-DENIED_WITHIN:], *match[0].split(), *after]
    return any(
        word in _NEGATIONS and not (place + 1 < len(words) and words[place + 1] in _IDLE)
        for place, word in enumerate(words[: len(words) - len(after)])
    )


def compile_phrase(said: str, sets: Mapping[str, Sequence[str]]) -> Phrase:
    """Compile a phrase; raises ``ValueError`` that says what is wrong with it."""
    whole, *rest = (_sequence(said, part, sets) for part in said.split(" & "))
    if max(each.gaps for each in (whole, *rest)) > MOST_GAPS:
        raise ValueError(f"the phrase {said!r} has more than {MOST_GAPS} gaps; make several phrases of it")
    denies = not _NEGATIONS.isdisjoint(read(said.replace("|", " ")).line.split())
    first = min((whole, *rest), key=_commonness)
    return Phrase(said, _pattern(whole), first.keys, denies, tuple(map(_pattern, rest)))


def _pattern(piece: _Piece) -> re.Pattern[str]:
    return _compiled(rf"(?<=[ |;]){piece.bare}(?= )")


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True)
class _Piece:
    bare: str = ""
    pattern: str = ""
    """With what comes before the next piece."""
    words: tuple[str, ...] = ()
    """Which must be there; empty when nothing must."""
    keys: frozenset[str] = frozenset()
    gaps: int = 0


def _pieces(said: str, sets: Mapping[str, Sequence[str]]) -> Iterator[_Piece]:
    position = 0
    while position < len(said):
        match = _PIECE.match(said, position)
        if said[position].isspace():
            position += 1
        elif match is None:
            raise ValueError(f"the phrase {said!r} can't be read from {said[position:]!r} on; mend its signs")
        elif match["open"]:
            end = _closing(said, position)
            inside, position = said[position + 1 : end], end + 1
            maybe = said[position : position + 1] == "?"
            position += maybe
            yield _any([_sequence(said, each, sets) for each in _split(inside)], maybe)
        else:
            position = match.end()
            piece = _simple(said, match, sets)
            maybe = bool(piece.words) and said[position : position + 1] == "?"
            position += maybe
            yield _any([piece], maybe) if maybe else piece


def _closing(said: str, opening: int) -> int:
    depth = 0
    for place in range(opening, len(said)):
        depth += {"(": 1, ")": -1}.get(said[place], 0)
        if not depth:
            return place
    raise ValueError(f"the phrase {said!r} has a bracket that is not closed; close it")


def _split(inside: str) -> list[str]:
    """Split what stands in brackets at the bars that are not in brackets of their own."""
    parts, depth = [""], 0
    for sign in inside:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _simple(said: str, match: re.Match[str], sets: Mapping[str, Sequence[str]]) -> _Piece:
    if match["gap"]:
        return _Piece(pattern=_GAP, gaps=1)
    if match["edge"]:
        # The signs stand between blanks, so what begins a part comes after a sign and its blank.
        bare = r"(?<=[|;])" if match["edge"] == "^" else r"[|;]"
        return _Piece(bare=bare, pattern=bare + _SEPARATOR, words=("|",), keys=frozenset("|"))
    if match["word"]:
        return _literal(said, match["word"])
    name = match["set"].strip("{}")
    if name in _OF_NUMBERS:
        bare = f"(?:{_OF_NUMBERS[name]})"
        return _Piece(bare=bare, pattern=bare + _SEPARATOR, words=("#",), keys=frozenset("#"))
    if name not in sets:
        known = ", ".join(sorted([*sets, *_OF_NUMBERS]))
        raise ValueError(f"the phrase {said!r} names a set {{{name}}} that is not there; known are: {known}")
    return _any([_sequence(said, each, sets) for each in sets[name]], maybe=False)


def _literal(said: str, word: str) -> _Piece:
    words = read(word).line.strip("|; ").replace("; ", "").split()
    if not words:
        raise ValueError(f"the phrase {said!r} has {word!r} where a word belongs; mend it")
    forms = [_forms(each) for each in words]
    bare = _SEPARATOR.join(f"(?:{'|'.join(map(re.escape, each))})" for each in forms)
    first = frozenset(_key(each) for each in forms[0])
    return _Piece(bare=bare, pattern=bare + _SEPARATOR, words=tuple(words), keys=first)


def _sequence(said: str, part: str, sets: Mapping[str, Sequence[str]]) -> _Piece:
    """Make one piece of several that follow each other."""
    pieces = list(_pieces(part, sets))
    while pieces and not pieces[-1].words:
        pieces.pop()
    solid = [each for each in pieces if each.words]
    if not solid:
        raise ValueError(f"the phrase {said!r} has a place without a word that must be there; fill it")
    bare = "".join(each.pattern for each in pieces[:-1]) + pieces[-1].bare
    words = tuple(word for each in solid for word in each.words)
    gaps = sum(each.gaps for each in pieces)
    rarest = min(solid, key=_commonness)
    return _Piece(bare=bare, pattern=bare + _SEPARATOR, words=words, keys=rarest.keys, gaps=gaps)


def _any(choices: Sequence[_Piece], maybe: bool) -> _Piece:
    """Make one piece of several of which any will do."""
    bare = f"(?:{'|'.join(each.bare for each in choices)})"
    gaps = max(each.gaps for each in choices)
    if maybe:
        return _Piece(pattern=f"(?:{bare}{_SEPARATOR})?", gaps=gaps)
    words = tuple(word for each in choices for word in each.words)
    keys = frozenset().union(*(each.keys for each in choices))
    return _Piece(bare=bare, pattern=bare + _SEPARATOR, words=words, keys=keys, gaps=gaps)


def _commonness(piece: _Piece) -> tuple[int, int]:
    return sum(word in _VERY_COMMON or word == "|" for word in piece.words), len(piece.keys)


def _key(word: str) -> str:
    return "#" if word[0] in "$€£0123456789" else word[:3]


def _forms(word: str) -> list[str]:
    """Return a word with the commonest endings, longest first; short ones stay as they are."""
    if len(word) < LEAST_TO_INFLECT or not word.isalpha() or word in _VERY_COMMON:
        return [word]
    if word.endswith("e"):
        forms = {word, word + "s", word + "d", word[:-1] + "ing"}
    elif word.endswith("y") and word[-2] not in "aeou":
        forms = {word, word[:-1] + "ies", word[:-1] + "ied", word + "ing"}
    elif word.endswith(("s", "sh", "ch", "x", "z")):
        forms = {word, word + "es", word + "ed", word + "ing"}
    else:
        forms = {word, word + "s", word + "ed", word + "ing"}
    return sorted(forms, key=lambda form: (-len(form), form))
