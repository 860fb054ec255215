"""The judge of groundedness, beside what shared words and the similarity of vectors know without it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from evals.cases import Case, CheckerCase, Claim, cases_of
from evals.guards import Judge, open_judge
from evals.rows import Label
from evals.suite import CheckerSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from evals.targets.guard import require_both
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Encoder, TokenEncoder, Tokens, Vectors
from tools.wording import words

SIMILARITY = "similarity_auroc"
REMEMBERED = 4_096


@dataclass(kw_only=True)
class RememberingEncoder:
    """Encodes what it has not encoded lately, so that the floors cost no second pass over long sources."""

    encoder: TokenEncoder
    kept: OrderedDict[str, Vectors] = field(default_factory=OrderedDict)

    @property
    def id(self) -> str:
        """As ``Encoder.id``."""
        return self.encoder.id

    @property
    def dimensions(self) -> int:
        """As ``Encoder.dimensions``."""
        return self.encoder.dimensions

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as ``Encoder.encode`` says."""
        # Taken before anything is waited for: another case may push them out meanwhile.
        found = {text: self.kept[text] for text in texts if text in self.kept}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            made = dict(zip(new, await self.encoder.encode(new), strict=True))
            found |= made
            self.kept.update(made)
        while len(self.kept) > REMEMBERED:
            self.kept.popitem(last=False)
        return np.stack([found[text] for text in texts]) if texts else np.zeros((0, self.dimensions), np.float32)

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Give the pieces of texts as ``TokenEncoder.tokens`` says."""
        return await self.encoder.tokens(texts)


@dataclass(frozen=True, kw_only=True)
class CheckerTarget:
    """The judge; ``encoder`` measures the floor of similarity and is None where nobody asks for it."""

    judge: Judge
    encoder: Encoder | None
    threshold: float

    async def run(self, case: Case[CheckerCase]) -> Observation:
        """Judge one reply."""
        given, supported = case.data.input, case.data.expected.supported
        score = await self.judge.supported(given.sources, given.reply)
        held = score < self.threshold
        scores = {"score": score, "positive": float(supported), "told": float(not held)}
        scores["lexical"] = overlap(given)
        if self.encoder is not None:
            scores["similarity"] = await _similarity(given, self.encoder)
        scores["false_alarms" if supported else "recall"] = float(held)
        wrong = None if held != supported else f"{'held back' if held else 'let pass'} ({score:.2f})"
        return Observation(output={"score": score}, scores=scores, wrong=wrong, label=Label(supported, not held))


def overlap(given: Claim) -> float:
    """Return which share of the reply's words stands in its sources."""
    said = words(given.reply)
    told = {word for source in given.sources for word in words(source)}
    return sum(word in told for word in said) / len(said) if said else 0.0


async def _similarity(given: Claim, encoder: Encoder) -> float:
    reply, *sources = await encoder.encode([given.reply, *given.sources])
    return float(max(reply @ source for source in sources))


def prepare(suite: Suite) -> Prepared:
    """Read the cases."""
    file = suite.file
    assert isinstance(file, CheckerSuite)
    cases = cases_of(suite, CheckerCase, file.draw)
    require_both(suite, {not case.data.expected.supported for case in cases})
    return Prepared(suite=suite, cases=cases, open=partial(_open, file, SIMILARITY in suite.metrics))


@asynccontextmanager
async def _open(file: CheckerSuite, floor: bool, room: Workroom) -> AsyncIterator[CheckerTarget]:
    async with open_encoder(file.encoder, room.cache, room.announce) as encoder:
        remembering = RememberingEncoder(encoder=encoder)
        room.announce("opening the judge of groundedness")
        judge = await open_judge(remembering)
        yield CheckerTarget(judge=judge, encoder=remembering if floor else None, threshold=file.threshold)
