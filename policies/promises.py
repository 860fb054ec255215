"""Promises and prohibitions: what an answer may not say, as policy lists it, and the guard that finds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pydantic_core import SchemaError, SchemaValidator, core_schema

from policies.folding import fold, has_lines
from policies.guards import Finding, GuardRequest, Stage
from policies.phrases import Phrase, Reading, compile_phrase, read
from policies.types import Citation, Reason

Sets = Mapping[str, Sequence[str]]
Unless = Literal["quoted", "never"]
SHIPPED = (
    "promises-a-refund",
    "claims-a-refund",
    "claims-an-effect",
    "asks-for-secrets",
    "promises-a-date",
    "promises-a-discount",
    "promises-compensation",
    "gives-legal-advice",
    "gives-medical-advice",
    "gives-financial-advice",
    "blames-the-customer",
    "admits-fault",
    "names-a-competitor",
    "promises-a-product",
    "guarantees",
)
"""The prohibitions that are on without a word of policy, by id."""
FOUND = 0.95
"""How likely a sentence with a forbidden phrase is what it looks like, rounded down from what was measured."""
NOT_FOUND = 0.05


@dataclass(frozen=True, kw_only=True)
class Prohibition:
    """One thing that an answer may not say."""

    id: str
    reason: str
    says: tuple[str, ...] = ()
    """Phrases, as ``policies.phrases`` reads them."""
    matches: str | None = None
    """A regular expression of RE2's kind, whose time is linear in the text, for what phrases can't tell."""
    allows: tuple[str, ...] = ()
    """Phrases with which the same sentence is no such thing: a condition, for example."""
    unless: Unless = "quoted"
    """``quoted``: what a sentence has word for word from what it cites is the shop's own word, and may be said."""


class Entry(Protocol):
    """One entry of the section ``prohibitions``; what is None is as it was shipped."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def off(self) -> bool:
        """Whether the shipped one does not hold."""
        ...

    @property
    def reason(self) -> str | None:
        """Why it may not be said."""
        ...

    @property
    def says(self) -> Sequence[str] | None:
        """Its phrases."""
        ...

    @property
    def matches(self) -> str | None:
        """Its regular expression."""
        ...

    @property
    def allows(self) -> Sequence[str] | None:
        """What makes it harmless."""
        ...

    @property
    def unless(self) -> Unless | None:
        """Whether it may be quoted."""
        ...


def prohibited(entries: Iterable[Entry], shipped: Iterable[Prohibition]) -> tuple[Prohibition, ...]:
    """Return what may not be said: what is shipped as policy changes it, then policy's own."""
    held = {each.id: each for each in shipped}
    for entry in entries:
        before = held.pop(entry.id, None)
        if not entry.off:
            held[entry.id] = _changed(entry, before or Prohibition(id=entry.id, reason=entry.reason or ""))
    return tuple(held.values())


def _changed(entry: Entry, before: Prohibition) -> Prohibition:
    """Return a prohibition as an entry has it; new words leave nothing of the old ones."""
    if entry.says is not None or entry.matches is not None:
        before = replace(before, says=(), matches=None, allows=())
    given = {
        "reason": entry.reason,
        "says": None if entry.says is None else tuple(entry.says),
        "matches": entry.matches,
        "allows": None if entry.allows is None else tuple(entry.allows),
        "unless": entry.unless,
    }
    return replace(before, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def bad_pattern(pattern: str) -> str | None:
    """Say what is wrong with a regular expression, or None."""
    try:
        empty = _pattern(pattern)("")
    except SchemaError as error:
        return f"the pattern {pattern!r} is no regular expression: {error}"
    return f"the pattern {pattern!r} matches the empty text; make it ask for a letter at least" if empty else None


def _pattern(pattern: str) -> Callable[[str], bool]:
    """Return what says whether a pattern stands in a text; raises ``SchemaError`` for one that is none.

    The engine is that of CEL's ``matches``, whose time is linear in any text, but reads the pattern only once.
    """
    known = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))

    def stands(text: str) -> bool:
        # What can't be read is no text without it: this raises.
        text.encode()
        return known.isinstance_python(text)

    return stands


@dataclass(frozen=True, kw_only=True)
class Hit:
    """Where a text says what it may not."""

    prohibition: Prohibition
    span: tuple[int, int]
    """Where it stands, in characters."""
    phrase: str
    """The phrase, or the pattern, that found it."""


class Phrasebook:
    """Some prohibitions, ready to be looked for. ``sets`` are the words that phrases name in braces."""

    def __init__(self, prohibitions: Iterable[Prohibition], sets: Sets) -> None:
        self._all = [
            (
                each,
                [compile_phrase(said, sets) for said in each.says],
                [compile_phrase(said, sets) for said in each.allows],
                _pattern(each.matches) if each.matches is not None else None,
            )
            for each in prohibitions
        ]
        self._by_key: dict[str, list[tuple[int, int]]] = defaultdict(list)
        """Which phrases a word may belong to: prohibition and phrase, by their numbers."""
        for number, (_, says, _, _) in enumerate(self._all):
            for place, phrase in enumerate(says):
                for key in phrase.keys:
                    self._by_key[key].append((number, place))

    def find(self, text: str, *, asked: bool = True) -> Iterator[Hit]:
        """Yield the first place for each prohibition; with ``asked`` false, questions say nothing."""
        readings = [read(text), *([read(text, lines=True)] if has_lines(text) else [])]
        near = self._near(readings)
        for number, (each, says, allows, matches) in enumerate(self._all):
            likely = [says[place] for place in near.get(number, ())]
            found = (hit for reading in readings for hit in _said(each, reading, likely, allows, asked))
            if hit := next(found, None):
                yield hit
            elif matches is not None and any(matches(said) for said in {text, fold(text).text}):
                yield Hit(prohibition=each, span=(0, len(text)), phrase=each.matches or "")

    def _near(self, readings: Iterable[Reading]) -> dict[int, list[int]]:
        """Return the phrases that share a rare word with a text, by prohibition and in their order."""
        found = {each for reading in readings for key in reading.keys for each in self._by_key.get(key, ())}
        near: dict[int, list[int]] = defaultdict(list)
        for number, place in sorted(found):
            near[number].append(place)
        return near


def _said(
    which: Prohibition, reading: Reading, says: Sequence[Phrase], allows: Sequence[Phrase], asked: bool
) -> Iterator[Hit]:
    for phrase in says:
        for span in phrase.find(reading):
            if (asked or not reading.asked(span[0])) and not _allowed(reading, span[0], allows):
                yield Hit(prohibition=which, span=reading.place(*span), phrase=phrase.said)


def _allowed(reading: Reading, start: int, allows: Sequence[Phrase]) -> bool:
    if not allows:
        return False
    clause = read_line(reading.clause(start))
    return any(True for phrase in allows for _ in phrase.pattern.finditer(clause))


def read_line(clause: str) -> str:
    """Return a clause as patterns read it: with a blank before its first word."""
    return clause if clause.startswith("|") else f"| {clause}"


def is_quoted(text: str, citations: Sequence[Citation]) -> bool:
    """Say whether a text is word for word, by whole sentences, in what it cites."""
    line = read(text).line
    return len(line) > 4 and any(line in read(each.quote).line for each in citations)


class PromisesGuard:
    """Finds promises and other things that policy forbids an answer to say.

    Catches refunds, dates, discounts, compensation, products and guarantees that are promised, advice on
    law, health and money, blame and admitted fault, and what policy adds, in their usual wordings and
    inflections. Lets pass what is denied, asked, or quoted whole from what is cited. Misses what is promised
    in an unusual way: of 40 sentences written after the phrases it caught 14, .35 [.22, .51], before they
    were widened by them; wrong were 3 of 65, .05 [.02, .13]. On all of evals/redteam/promises.jsonl now:
    recall .97 [.94, .98] of 323, false alarms .01 [.00, .02] of 377. Of lines from two public help
    collections, with nothing cited, 27 of 6,481 and 39 of 8,000 were flagged before they were looked at, 6
    and 15 after. 0.11 ms a sentence. Source: phrases of our own.
    """

    name = "promises"
    stages: tuple[Stage, ...] = ("output",)

    def __init__(self, prohibitions: Iterable[Prohibition], sets: Sets) -> None:
        self._book = Phrasebook(prohibitions, sets)

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one sentence; policy's own words may promise what they promise."""
        return self.judge(request)

    def judge(self, request: GuardRequest) -> Finding:
        """Judge one sentence, in the thread that asks."""
        if not request.own:
            quoted = is_quoted(request.text, request.citations)
            for hit in self._book.find(request.text, asked=False):
                if not (quoted and hit.prohibition.unless == "quoted"):
                    return _found(hit)
        return Finding(
            guard=self.name,
            score=NOT_FOUND,
            reason=Reason(code="guard.promises", text="The sentence says nothing that policy forbids."),
        )


def _found(hit: Hit) -> Finding:
    which = hit.prohibition
    reason = Reason(code=f"guard.promises.{which.id}", text=which.reason, rule_id=which.id)
    return Finding(guard=PromisesGuard.name, score=FOUND, reason=reason, spans=(hit.span,))
