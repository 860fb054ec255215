"""The tone guard: nobody is insulted, mocked, threatened, talked down to or shouted at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from policies.guards import Finding, GuardRequest, Stage
from policies.personal_data import PLACEHOLDER
from policies.promises import FOUND, NOT_FOUND, Phrasebook, Prohibition, Sets, is_quoted
from policies.types import Reason

# What somebody else said, in quotation marks that open after a blank and close before one.
_QUOTED = re.compile(r"(?<!\w)(?:\"[^\"\n]{1,200}\"|“[^”\n]{1,200}”|«[^»\n]{1,200}»|„[^“”\n]{1,200}[“”])(?!\w)")
_MANY_MARKS = re.compile(r"!\s*!\s*!|\?!\?|!\?!|\?{3}")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_CAPITALS = re.compile(r"[A-Z]+(?:['’][A-Z]+)*")
_MASKED = re.compile(
    r"\b(?:f[*#@$!-]{2,}|f[*#@]ck|sh[*#@!]t\b|b[*#@!]{1,4}ch\b|a[*#@$]{2}hole|c[*#@]nt\b)|\$hit\b",
    re.I,
)
MOST_CAPITALS = 0.7
"""From this share of its words in capitals on, a part of a sentence is shouted."""
SHOUTED_WORDS = 4
"""How many words in capitals a part must have: fewer are a label, a brand or a button."""
_SPOKEN = frozenset(
    re.findall(
        r"[A-Z']+",
        """I YOU YOUR WE OUR IT THIS THAT NOT NO NOW IS ARE WAS WERE HAVE HAS CAN WILL DO DID STOP WAIT READ BEFORE
        ASK TO FOR MY ME US THE ALREADY NEVER ALWAYS LAST PLEASE WHY WHAT HOW TOLD DON'T CAN'T WON'T EVEN TOO""",
    )
)
_LABEL = re.compile(
    r"(?:reads|says|saying|marked|labell?ed|choose|select|click|press|button|entry|box|code|to|at)\W*$", re.I
)


class ToneGuard:
    """Finds insults, swearing, mockery, threats, condescension, slurs and shouting.

    Catches set expressions and stems, masked swearing, runs of capitals and of marks. What stands in quotation
    marks is not the writer's own; a name that a cited article has may swear. Misses mockery that uses plain
    words: of 30 sentences written after the phrases it caught 7, .23 [.12, .41], before they were widened by
    them; wrong were 2 of 40, .05 [.01, .16]. On all of evals/redteam/tone.jsonl now: recall 1.00 [.97, 1] of
    133, false alarms .01 [.00, .04] of 241. 0.07 ms a sentence. Source: phrases of our own.
    """

    name = "tone"
    stages: tuple[Stage, ...] = ("output", "input")

    def __init__(self, wordings: Iterable[Prohibition], sets: Sets) -> None:
        self._book = Phrasebook(wordings, sets)

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text; what stands in quotation marks is not the writer's own tone."""
        return self.judge(request)

    def judge(self, request: GuardRequest) -> Finding:
        """Judge one text, in the thread that asks."""
        text = own_words(request.text)
        for hit in self._book.find(text):
            if hit.prohibition.unless == "never" or not is_quoted(request.text, request.citations):
                return _found(hit.prohibition.id, hit.prohibition.reason, hit.span)
        if masked := _MASKED.search(text):
            return _found("swearing", "The sentence swears.", masked.span())
        for span in shouted(text):
            return _found("shouting", "The sentence shouts.", span)
        return Finding(
            guard=self.name, score=NOT_FOUND, reason=Reason(code="guard.tone", text="The tone is decent.")
        )


def own_words(text: str) -> str:
    """Return a text with what it quotes, and its placeholders, blotted out; every place stays where it was."""
    if not _QUOTED.search(text) and "[" not in text:
        return text
    text = _QUOTED.sub(lambda match: "." * len(match[0]), text)
    return PLACEHOLDER.sub(lambda match: "." * len(match[0]), text)


def shouted(text: str) -> Iterator[tuple[int, int]]:
    """Yield what is shouted: several marks after each other, or a run of words in capitals that is no label."""
    for match in _MANY_MARKS.finditer(text):
        yield match.span()
    words = list(_WORD.finditer(text))
    start = 0
    for place in range(len(words) + 1):
        if place < len(words) and _CAPITALS.fullmatch(words[place][0]):
            continue
        run = words[start:place]
        if _is_shouting(text, run, len(words)):
            yield run[0].start(), run[-1].end()
        start = place + 1


def _is_shouting(text: str, run: list[re.Match[str]], of: int) -> bool:
    if len(run) < SHOUTED_WORDS - 1 or _LABEL.search(text[: run[0].start()]):
        return False
    spoken = sum(each[0].replace("’", "'") in _SPOKEN for each in run)
    return spoken >= 2 or (spoken >= 1 and len(run) >= MOST_CAPITALS * of)


def _found(what: str, why: str, span: tuple[int, int]) -> Finding:
    return Finding(
        guard=ToneGuard.name, score=FOUND, reason=Reason(code=f"guard.tone.{what}", text=why), spans=(span,)
    )
