"""Personal data, span by span: what is found, what is missed, and what is found where nothing is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from evals.cases import Case, PiiCase, cases_of
from evals.guards import Finder, open_finder
from evals.spans import Span, met
from evals.suite import PiiSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from tools.encoder.opening import open_encoder


@dataclass(frozen=True, kw_only=True)
class PiiTarget:
    """A finder."""

    finder: Finder

    async def run(self, case: Case[PiiCase]) -> Observation:
        """Look through one text."""
        seen = await self.finder.all(case.data.input)
        found = [Span(each.kind, each.start, each.end) for each in seen]
        expected = [Span(each.type, each.start, each.end) for each in case.data.expected.spans]
        return judge(case.data.input, expected, found)


def judge(text: str, expected: Sequence[Span], found: Sequence[Span]) -> Observation:
    """Score one text: a text with personal data is caught when something of each piece of it is found."""
    missed = [each for each in expected if not met(each, found)]
    extra = [each for each in found if not met(each, expected)]
    scores = {"recall": float(not missed)} if expected else {"false_alarms": float(bool(found))}
    told = [("missed", missed), ("found for nothing", extra)]
    wrong = "; ".join(f"{what}: {', '.join(_words(text, which))}" for what, which in told if which)
    return Observation(output={"found": [list(each) for each in found]}, scores=scores, wrong=wrong or None)


def _words(text: str, spans: Sequence[Span]) -> list[str]:
    return [f"{each.type} “{text[each.start : each.end]}”" for each in spans]


def prepare(suite: Suite) -> Prepared:
    """Read the cases; every span must be inside its text."""
    file = suite.file
    assert isinstance(file, PiiSuite)
    cases = cases_of(suite, PiiCase, file.draw)
    for case in cases:
        for number, span in enumerate(case.data.expected.spans):
            if not span.start < span.end <= len(case.data.input):
                field = f"expected.spans.{number}"
                raise case.wrong(field, f"{span.start} to {span.end} is not in the text", "Mend start and end.")
    some = {bool(case.data.expected.spans) for case in cases}
    spans = [name for name in suite.metrics if name.startswith(("span_", "typed_"))]
    suite.needs(("recall", *spans), True in some, "cases with personal data")
    suite.needs(("false_alarms",), False in some, "cases without personal data")
    return Prepared(suite=suite, cases=cases, open=partial(_open, file))


@asynccontextmanager
async def _open(file: PiiSuite, room: Workroom) -> AsyncIterator[PiiTarget]:
    async with open_encoder(file.encoder, room.cache, room.announce) as encoder:
        room.announce("opening the finder of personal data")
        yield PiiTarget(finder=await open_finder(encoder))
