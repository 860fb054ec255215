"""The matching head: how the encoder's last layer reads questions and what answers them as neighbours.

MiniLM learned what sentences mean alike; a question and its answer seldom do. The head learns from the sample's
known questions and from those of the readings, and is judged on organisations that it has not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import numpy as np
from torch import nn

from evals.figures import Figure
from evals.heads.base import COMMAND, Announce, Trained
from evals.heads.matching_fit import SEED, Bert, Lesson, fit, vectors_of
from evals.heads.readings import FOLDER as READINGS
from evals.heads.readings import Organisation, read_all
from evals.metrics import share
from evals.quoting import MEANINGS, Drafted, drafts, figures
from tools.assistants import load_assistant
from tools.encoder.minilm import MATCHING, SHA256
from tools.encoder.ports import Encoded, Encoder, Vectors
from tools.guards.head import Head

SAMPLE = Path(__file__).resolve().parents[2] / "handrail" / "samples" / "support"
THIRDS = 3
PUBLISHED, WITH_HEAD = "as published", "with the head"


def lessons_of_sample(folder: Path = SAMPLE) -> list[Lesson]:
    """Return the sample's known questions."""
    return [
        Lesson(
            group=each.document,
            places=frozenset((each.document, sentence) for sentence in each.answer),
            asked=each.asked,
            answers=each.answer,
        )
        for each in load_assistant(folder).questions
    ]


def lessons_of(name: str, organisation: Organisation) -> list[Lesson]:
    """Return the questions to an organisation."""
    return [
        Lesson(
            group=name,
            places=frozenset((f"{name}/{number}", sentence) for sentence in question.answer),
            asked=(question.asked,),
            answers=tuple(article.section_of[each].sentences[each] for each in question.answer),
            said=tuple(each.text for each in question.said),
        )
        for number, article in enumerate(organisation.articles)
        for question in article.questions
    ]


def first_right(bert: Bert, layer: nn.Module, organisation: Organisation) -> list[bool]:
    """Say of each question to an organisation whether its nearest sentence answers it."""
    places = {
        (number, name): text
        for number, article in enumerate(organisation.articles)
        for section in article.sections
        for name, text in section.sentences.items()
    }
    asked = [(n, each) for n, article in enumerate(organisation.articles) for each in article.questions]
    sentences = vectors_of(bert, layer, list(places.values()))
    questions = vectors_of(bert, layer, [each.asked for _, each in asked])
    best = [list(places)[row] for row in (questions @ sentences.T).argmax(axis=1)]
    return [found in {(n, name) for name in each.answer} for found, (n, each) in zip(best, asked, strict=True)]


@dataclass(frozen=True)
class Changed:
    """An encoder whose matching vectors are those of a layer that is being judged."""

    encoder: Encoder
    bert: Bert
    layer: nn.Module
    _known: dict[str, Vectors] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """As ``Encoder.id``."""
        return self.encoder.id

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        return self.encoder.dimensions

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode as the encoder does."""
        return await self.encoder.encode(texts)

    async def encoded(self, texts: Sequence[str]) -> Encoded:
        """Return both kinds of vectors, as ``MatchingEncoder.encoded`` says."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            made = await anyio.to_thread.run_sync(vectors_of, self.bert, self.layer, new)
            self._known.update(zip(new, made, strict=True))
        matching = np.stack([self._known[text] for text in texts])
        return Encoded(vectors=await self.encode(texts), matching=matching)


async def train(data: Path, encoder: Encoder, announce: Announce) -> Trained:
    """Train the head; ``data`` is not looked at: it learns from our own questions alone."""
    del data
    organisations, sample, bert = read_all(READINGS), lessons_of_sample(), await anyio.to_thread.run_sync(Bert)
    judged = await _judged(bert, encoder, sample, organisations, announce)
    readings = [lesson for name, each in organisations.items() for lesson in lessons_of(name, each)]
    announce("matching: the head that ships")
    _, changes = await anyio.to_thread.run_sync(fit, bert, [*sample, *readings], announce)
    arrays = {
        f"{name}.{part}": getattr(change, part).detach().numpy().astype(np.float16)
        for name, change in changes.items()
        for part in ("down", "up")
    }
    about = {
        "command": COMMAND,
        "encoder": SHA256,
        "seed": SEED,
        "learned": {"known questions of the sample": len(sample), "questions of the readings": len(readings)},
    }
    head = Head(arrays=arrays, about=about)
    return Trained(name="matching", head=head, report=_report(judged), folder=MATCHING.parent)


@dataclass(kw_only=True)
class _Judged:
    """What came of the questions to organisations that were not learned from."""

    first: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    """Whether the nearest sentence answers, by the last layer."""
    drafted: list[Drafted] = field(default_factory=list)
    """What the drafter makes of them with the head."""


async def _judged(
    bert: Bert,
    encoder: Encoder,
    sample: Sequence[Lesson],
    organisations: Mapping[str, Organisation],
    announce: Announce,
) -> _Judged:
    """Judge what was learned from the sample and two thirds of the organisations on the other third."""
    found, names = _Judged(), sorted(organisations)
    for third in range(THIRDS):
        announce(f"matching: third {third + 1} of {THIRDS} left out")
        seen = [name for number, name in enumerate(names) if number % THIRDS != third]
        lessons = [lesson for name in seen for lesson in lessons_of(name, organisations[name])]
        layer, _ = await anyio.to_thread.run_sync(fit, bert, [*sample, *lessons], announce)
        changed = Changed(encoder, bert, layer)
        for unseen in (organisations[name] for name in names[third::THIRDS]):
            for told, last in ((PUBLISHED, bert.last_layer()), (WITH_HEAD, layer)):
                found.first[told] += await anyio.to_thread.run_sync(first_right, bert, last, unseen)
            found.drafted += [each async for each in drafts(unseen, changed)]
    return found


def _report(judged: _Judged) -> str:
    return "\n".join(
        [
            "Changes the encoder's last layer by a low rank, so that questions lie near each other and near what",
            "answers them (`tools/encoder/heads`). Learned from the sample's known questions and the questions of",
            "the readings. Judged on thirds of the readings' organisations left out, all of the sample learned:",
            "whether the nearest sentence of the organisation answers, and what the drafter does with the eight",
            "passages that search finds.",
            "",
            "| what | questions | share |",
            "|---|---|---|",
            *_rows(judged),
        ]
    )


def _rows(judged: _Judged) -> Iterator[str]:
    for told, each in judged.first.items():
        yield _row(f"the nearest sentence answers, {told}", share(sum(each), len(each)))
    for what, figure in figures(judged.drafted).items():
        yield _row(f"the drafter {MEANINGS[what]}", figure)


def _row(what: str, figure: Figure) -> str:
    return f"| {what} | {figure.count} | {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f}) |"
