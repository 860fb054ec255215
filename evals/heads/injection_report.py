"""What the injection head was worth: recall at 1 % false alarms, and on texts kept apart from training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from evals.heads import injection_data as material
from evals.heads import injection_documents as documents
from evals.heads.folds import threshold_at
from evals.heads.injection_fit import Flags, Reader, Scores
from evals.heads.injection_grammar import TURNS
from evals.metrics import Figure, auroc, share
from policies.guards import GuardRequest
from policies.types import JSON
from tools.guards.injection import STAGES, InjectionGuard, InjectionModel

ALARMS = 0.01
QUESTIONS = 500
"""Honest questions of each set."""
HOSTS = 5
"""Into how many honest passages each text is planted."""


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


async def held_apart(
    data: Path, reader: Reader, model: InjectionModel, kept: Mapping[str, Sequence[str]], seed: int
) -> list[Apart]:
    """Ask the guard itself about questions, documents and planted texts that nothing was learned from."""
    guard = InjectionGuard(reader, model=model)
    told = material.planted()
    found = [
        await _asked("honest questions", guard, material.untrained_questions(data, QUESTIONS, seed)),
        await _asked("own honest messages with trigger words", guard, told["honest"]),
        await _asked("own attacks as messages", guard, [*told["messages"], *told["planted"]]),
    ]
    for name, texts in kept.items():
        passages = documents.passages_of(name, texts, seed)
        hosts = documents.plant(passages, told["planted"], HOSTS, seed)
        for kind, judged in (("honest", passages), ("planted", hosts)):
            for stage in STAGES[1:]:
                scores = await documents.judge(reader, model, judged, stage)
                place = "passages" if stage == "passage" else "tool results"
                found.append(
                    Apart(name=f"{kind} {place}: {name}", failed=int((scores >= 0.5).sum()), count=len(scores))
                )
    return [each for each in found if each.count]


async def _asked(name: str, guard: InjectionGuard, texts: Sequence[str]) -> Apart:
    findings = [await guard(GuardRequest(stage="input", text=text)) for text in texts]
    return Apart(name=name, failed=sum(each.score >= 0.5 for each in findings), count=len(texts))


def page(
    rows: Sequence[Row],
    failed: Sequence[tuple[str, str, int, int]],
    left_out: Sequence[Apart],
    apart: Sequence[Apart],
    model: InjectionModel,
) -> str:
    """Return the section of the head as Markdown."""
    limits = ", ".join(f"{stage} {curve.even:.2f}" for stage, curve in model.curves.items())
    template = Template(resources.files("evals.heads").joinpath("injection.md").read_text("utf-8"))
    return template.substitute(
        limits=limits,
        margin=f"{model.margin:g}",
        turns=TURNS,
        hosts=HOSTS,
        rows="\n".join(
            f"| {each.source} | {each.name} | {_told(each.recall)} | {_told(each.area)} |" for each in rows
        ),
        failed="\n".join(f"| {a} | {b} | {c} | {d} | {_told(share(c, d))} |" for a, b, c, d in failed if d),
        left_out="\n".join(f"| {_line(each)} |" for each in left_out),
        apart="\n".join(f"| {_line(each)} |" for each in apart),
    )


def _line(each: Apart) -> str:
    return f"{each.name} | {each.failed} | {each.count} | {_told(share(each.failed, each.count))}"


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
