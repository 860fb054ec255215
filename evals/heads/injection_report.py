"""What the injection head was worth: recall at 1 % false alarms, and on texts kept apart from training."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from evals.heads import injection_data as material
from evals.heads.folds import threshold_at
from evals.heads.injection_fit import Flags, Scores
from evals.metrics import Figure, auroc, share
from policies.guards import GuardRequest, Stage
from policies.types import JSON, Passage
from tools.encoder.ports import Encoder, Vectors
from tools.guards.injection import THRESHOLDS, InjectionGuard, InjectionModel
from tools.knowledge import sentences

ALARMS = 0.01
QUESTIONS = 500
"""Honest questions of each set."""
PASSAGES = 160
"""Passages of each collection of documents; all where it has fewer."""
PASSAGE_WORDS = 180
HOSTS = 5
"""Into how many honest passages each text is planted."""
SAMPLES = Path(__file__).resolve().parents[2] / "handrail" / "samples" / "support" / "knowledge"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One protocol on one set."""

    name: str
    source: str
    recall: Figure
    area: Figure

    def figures(self) -> JSON:
        """Return the figures as JSON."""
        return {"recall at 1 %": round(self.recall.value, 3), "AUROC": round(self.area.value, 3)}


@dataclass(frozen=True, kw_only=True)
class Apart:
    """One line on texts kept apart from training."""

    name: str
    failed: int
    count: int


def at_one_percent(name: str, source: str, scores: Scores, flags: Flags) -> Row:
    """Return recall where one honest text in a hundred fails, and the area under the curve."""
    limit = threshold_at(scores, flags, ALARMS)
    caught = int((scores[flags] > limit).sum())
    return Row(
        name=name, source=source, recall=share(caught, int(flags.sum())), area=auroc(list(scores), list(flags))
    )


async def held_apart(data: Path, encoder: Encoder, model: InjectionModel, seed: int) -> list[Apart]:
    """Ask the guard itself about questions, documents and planted texts that nothing was learned from."""
    guard = InjectionGuard(encoder, model=model)
    kept = material.planted()
    found = [
        await _asked("honest questions", guard, material.untrained_questions(data, QUESTIONS, seed), "input"),
        await _asked("own honest messages with trigger words", guard, kept["honest"], "input"),
        await _asked("own attacks as messages", guard, [*kept["messages"], *kept["planted"]], "input"),
    ]
    for name, texts in material.documents(data, SAMPLES).items():
        passages = _passages(name, texts, seed)
        found.append(await _read("honest passages", name, encoder, model, passages))
        results = [material.result(each.text) for each in passages]
        found.append(await _asked(f"honest tool results: {name}", guard, results, "tool"))
        hosts = _planted(passages, kept["planted"], seed)
        found.append(await _read("planted passages", name, encoder, model, hosts))
        results = [material.result(each.text) for each in hosts]
        found.append(await _asked(f"planted tool results: {name}", guard, results, "tool"))
    return [each for each in found if each.count]


async def _asked(name: str, guard: InjectionGuard, texts: Sequence[str], stage: Stage) -> Apart:
    findings = [await guard(GuardRequest(stage=stage, text=text)) for text in texts]
    failed = sum(each.score >= THRESHOLDS[stage] for each in findings)
    return Apart(name=name, failed=failed, count=len(texts))


async def _read(
    name: str, source: str, encoder: Encoder, model: InjectionModel, passages: Sequence[Passage]
) -> Apart:
    async def vectors_of(asked: Sequence[Passage]) -> Mapping[str, Vectors]:
        return {each.id: await encoder.encode([each.text[a:b] for a, b in each.sentences]) for each in asked}

    guard = InjectionGuard(encoder, vectors_of=vectors_of, model=model)
    failed = 0
    for each in passages:
        finding = await guard(GuardRequest(stage="passage", text=each.text, passages=(each,)))
        failed += finding.score >= THRESHOLDS["passage"]
    return Apart(name=f"{name}: {source}", failed=failed, count=len(passages))


def _passages(source: str, texts: Sequence[str], seed: int) -> list[Passage]:
    found = [_passage(f"{source}-{number}", cut) for number, text in enumerate(texts) for cut in _cuts(text)]
    return random.Random(seed).sample(found, min(PASSAGES, len(found)))


def _cuts(text: str) -> list[str]:
    cuts: list[str] = []
    start = end = words = 0
    for first, last in sentences.spans(text):
        if words > PASSAGE_WORDS:
            cuts.append(text[start:end])
            start, words = first, 0
        words += len(text[first:last].split())
        end = last
    return [each for each in [*cuts, text[start:end]] if each.strip()]


def _passage(document: str, text: str) -> Passage:
    return Passage(
        id=f"{document}:{hash_of(text)}",
        document=document,
        document_version="",
        title="",
        heading="",
        text=text,
        start=0,
        end=len(text),
        index_version="",
        audience="customer",
        sentences=sentences.spans(text),
    )


def hash_of(text: str) -> int:
    """Return a number for a text, the same everywhere."""
    return zlib.crc32(text.encode())


def _planted(hosts: Sequence[Passage], texts: Sequence[str], seed: int) -> list[Passage]:
    """Put each text between two sentences of some honest passages."""
    draw = random.Random(seed)
    found = []
    for text in texts:
        for host in draw.sample(list(hosts), min(HOSTS, len(hosts))):
            place = draw.choice([span[1] for span in host.sentences] or [0])
            found.append(_passage(host.document, f"{host.text[:place]}\n{text}\n{host.text[place:].lstrip()}"))
    return found


def page(
    rows: Sequence[Row],
    failed: Sequence[tuple[str, str, int, int]],
    apart: Sequence[Apart],
    margins: tuple[float, float],
) -> str:
    """Return the section of the head as Markdown."""
    limits = ", ".join(f"{stage} {threshold:g}" for stage, threshold in THRESHOLDS.items())
    template = Template(resources.files("evals.heads").joinpath("injection.md").read_text("utf-8"))
    return template.substitute(
        limits=limits,
        margin=f"{margins[0]:g}",
        document_margin=f"{margins[1]:g}",
        hosts=HOSTS,
        rows="\n".join(
            f"| {each.source} | {each.name} | {_told(each.recall)} | {_told(each.area)} |" for each in rows
        ),
        failed="\n".join(f"| {a} | {b} | {c} | {d} | {_told(share(c, d))} |" for a, b, c, d in failed if d),
        apart="\n".join(f"| {_line(each)} |" for each in apart),
    )


def _line(each: Apart) -> str:
    return f"{each.name} | {each.failed} | {each.count} | {_told(share(each.failed, each.count))}"


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
