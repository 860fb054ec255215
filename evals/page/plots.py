"""Which plots a run has, and what each of them says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals import spans
from evals.figures import Figure
from evals.page import curves, wording
from evals.page.curves import Confusion, Point, Roc
from evals.page.drawing import (
    SPACE,
    Axis,
    Bar,
    Bars,
    Block,
    Cell,
    Curves,
    Histogram,
    Line,
    Matrix,
    Plot,
    Style,
    Table,
    Tick,
    Whisker,
    growing,
    rising,
    shares,
)
from evals.page.wording import percent
from evals.rows import Label, Plain, Row
from evals.scoring import AREAS, Curve, curves_of

MOST_TAGS = 3
MOST_BARS = 24
MOST_PAIRS = 40
NAME = 21
"""As many characters of a name as fit beside a bar or a row."""


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """What the two kinds of cases of a target are called, and what becomes of them."""

    positives: str
    negatives: str
    passed: str
    """What happens to cases above the threshold."""
    yes: str = "yes"
    no: str = "no"
    none: str = "none"


ROUTER = Kinds(
    positives="messages with an intent", negatives="messages out of scope", passed="let in", none="out of scope"
)
KINDS: Mapping[str, Kinds] = {
    "router": ROUTER,
    "drafter": Kinds(
        positives="questions with an answer",
        negatives="questions without one",
        passed="answered",
        yes="answer",
        no="abstain",
    ),
    "checker": Kinds(
        positives="supported replies",
        negatives="unsupported replies",
        passed="let pass",
        yes="supported",
        no="not supported",
    ),
    "guard": Kinds(
        positives="texts to flag", negatives="harmless texts", passed="flagged", yes="flag", no="let pass"
    ),
}
OTHERS = Kinds(positives="positive cases", negatives="negative cases", passed="above the threshold")
PEERS: Mapping[str, str] = {
    "baseline_in_scope": "logistic regression",
    "similarity": "similarity of vectors",
    "lexical": "shared words",
}
SEARCHES: Mapping[str, str] = {"": "Handrail", "lexical": "BM25 alone", "dense": "cosine alone"}
_STYLES: Sequence[Style] = ("peer", "other")


def family(target: str) -> str:
    """Return what kind of target it is: ``guard:tone`` is a guard."""
    return target.partition(":")[0]


def kinds_of(target: str) -> Kinds:
    """Return how a target's cases are called."""
    return KINDS.get(family(target), OTHERS)


def name_of(label: Plain, kinds: Kinds) -> str:
    """Return what a label is called."""
    if label is None:
        return kinds.none
    return (kinds.yes if label else kinds.no) if isinstance(label, bool) else str(label)


def plots_of(head: Mapping[str, Any], rows: Sequence[Row], outcomes: Mapping[str, int]) -> list[Plot]:
    """Return every plot that the rows of a run, and how its conversations ended, have something for."""
    target = str(head["target"])
    kinds, found = kinds_of(target), curves_of(target)
    private = bool(head["private"])
    drawn: list[Plot | None] = [_confusion(rows, kinds, linked=not private)]
    drawn += [draw(rows, found[name], kinds) for name, draw in _DRAWN.items() if name in found]
    if family(target) == "retriever":
        drawn.append(_recall(rows))
    drawn += [_outcomes(outcomes), *_tags(head), _latency(rows, head)]
    return [each for each in drawn if each is not None]


def _confusion(rows: Sequence[Row], kinds: Kinds, *, linked: bool) -> Plot | None:
    found = curves.confusion([row.label for row in rows if row.label])
    if found is None:
        return None
    names = [name_of(label, kinds) for label in found.labels]
    told = _confused(found, kinds)
    if len(found.expected) > len(found.labels):
        told += f" Shown are the {len(found.labels)} labels that are confused most."
    pairs = [_pair(label, count, found, kinds) for label, count in found.pairs[:MOST_PAIRS]]
    return Matrix(
        id="confusion",
        title="What was told for what",
        told=told,
        labels=names,
        cells=list(_cells(found, names)),
        linked=linked,
        table=Table(columns=("expected", "told", "cases", "of all expected"), rows=pairs),
    )


def _pair(label: Label, count: int, found: Confusion, kinds: Kinds) -> list[str]:
    share = percent(count / found.expected[label.expected])
    return [name_of(label.expected, kinds), name_of(label.told, kinds), str(count), share]


def _confused(found: Confusion, kinds: Kinds) -> str:
    if not found.pairs:
        return "Nothing was taken for anything else."
    label, count = found.pairs[0]
    expected, told = name_of(label.expected, kinds), name_of(label.told, kinds)
    of_all = found.expected[label.expected]
    return f"Most often “{expected}” was told as “{told}”: {count} of {of_all} times."


def _cells(found: Confusion, names: Sequence[str]) -> Iterator[Cell]:
    for row, counts in enumerate(found.counts):
        for column, count in enumerate(counts):
            if count:
                share = count / found.expected[found.labels[row]] if found.expected[found.labels[row]] else 1.0
                yield Cell(
                    row=row,
                    column=column,
                    count=count,
                    strength=round(0.12 + 0.43 * share**0.5, 3),
                    right=row == column,
                    told=f"{names[row]} told as {names[column]}: {count} cases, {percent(share)} of them",
                )


def _scored(rows: Sequence[Row], curve: Curve) -> tuple[list[float], list[float]]:
    told = [row.scores for row in rows if curve.score in row.scores and curve.truth in row.scores]
    return [each[curve.score] for each in told], [each[curve.truth] for each in told]


def _roc(rows: Sequence[Row], curve: Curve, kinds: Kinds) -> Plot | None:
    own = curves.roc(*_scored(rows, curve))
    if own is None:
        return None
    lines = [Line(name=f"Handrail, area {own.area:.3f}", points=own.points)]
    beside = [name for name in AREAS.values() if name in PEERS and any(name in row.scores for row in rows)]
    for style, name in zip(_STYLES, beside, strict=False):
        peer = curves.roc(*_scored(rows, Curve(name, curve.truth)))
        if peer is not None:
            lines.append(Line(name=f"{PEERS[name]}, {peer.area:.3f}", points=peer.points, style=style))
    lines.append(Line(name="guessing, 0.500", points=[Point(0, 0), Point(1, 1)], style="guide"))
    told = (
        f"At the threshold at which 5 % of the {kinds.negatives} are {kinds.passed}, "
        f"{percent(own.at(0.05))} of the {kinds.positives} are too."
    )
    return Curves(
        id="roc",
        title="Telling the two kinds apart (ROC)",
        told=told,
        x=shares(f"{kinds.negatives} {kinds.passed}"),
        y=shares(f"{kinds.positives} {kinds.passed}"),
        lines=lines,
        table=_roc_table(own, kinds),
    )


def _roc_table(own: Roc, kinds: Kinds) -> Table:
    steps = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    return Table(
        columns=(f"{kinds.negatives} {kinds.passed}, at most", f"{kinds.positives} {kinds.passed}"),
        rows=[(percent(step), percent(own.at(step))) for step in steps],
    )


def _calibration(rows: Sequence[Row], curve: Curve, _: Kinds) -> Plot | None:
    bins = curves.calibration(*_scored(rows, curve))
    if not bins:
        return None
    largest = max(each.count for each in bins)
    whiskers = [
        Whisker(
            point=Point(each.confidence, each.right),
            low=each.interval[0],
            high=each.interval[1],
            size=round(3 + 4 * (each.count / largest) ** 0.5, 1),
            told=f"stated {percent(each.confidence)}, right {percent(each.right)}, {each.count} cases",
        )
        for each in bins
    ]
    most = max(bins, key=lambda each: each.count)
    line = Line(
        name="Handrail, by tenths; bars are 95 %", points=[each.point for each in whiskers], whiskers=whiskers
    )
    true = Line(name="as sure as it is right", points=[Point(0, 0), Point(1, 1)], style="guide")
    return Curves(
        id="calibration",
        title="Is it as sure as it should be? (calibration)",
        told=f"Of the {most.count} cases with a stated probability of about {percent(most.confidence)}, "
        f"{percent(most.right)} came true. Below the dotted line it is too sure of itself, above it too modest.",
        x=shares("stated probability"),
        y=shares("share that came true"),
        lines=[line, true],
        table=Table(
            columns=("stated", "came true", "95 % interval", "cases"),
            rows=[
                (percent(each.confidence), percent(each.right), _range(*each.interval), str(each.count))
                for each in bins
            ],
        ),
    )


def _risk_coverage(rows: Sequence[Row], curve: Curve, _: Kinds) -> Plot | None:
    scores, right = _scored(rows, curve)
    if not scores:
        return None
    points = curves.risk_coverage(scores, right)
    wrong = points[-1].y
    steps = [min(points, key=lambda point, step=step: abs(point.x - step / 10)) for step in range(1, 11)]  # type: ignore[misc]
    best = Line(name="the best order there could be", points=curves.best_risk(wrong), style="guide")
    return Curves(
        id="risk-coverage",
        title="How much can be left to it? (risk and coverage)",
        told=f"Of the surest half of the cases {percent(steps[4].y)} are mistakes, of all {percent(wrong)}.",
        x=shares("surest share of the cases"),
        y=rising("mistakes among them", max(point.y for point in points), _short_percent),
        lines=[Line(name="Handrail", points=points), best],
        table=Table(
            columns=("surest share", "mistakes"), rows=[(percent(each.x), percent(each.y)) for each in steps]
        ),
    )


def _recall(rows: Sequence[Row]) -> Plot | None:
    found = curves.recall_by_depth(rows)
    own = found.get("")
    if not own:
        return None
    styles: list[Style] = ["own", *_STYLES]
    lines = [
        Line(name=SEARCHES.get(signal, signal), points=points, style=style)
        for style, (signal, points) in zip(styles, found.items(), strict=False)
    ]
    deepest = len(own)
    ticks = [Tick(each, str(each)) for each in (1, 5, 10, 15, 20) if each <= deepest]
    place = min(10, deepest)
    return Curves(
        id="recall",
        title="How deep must one look? (recall)",
        told=f"Of the documents that should be found, {percent(own[0].y)} come first and "
        f"{percent(own[place - 1].y)} are among the first {place} passages.",
        x=Axis(label="among the first … passages", low=1, high=max(2, deepest), ticks=ticks),
        y=shares("documents found"),
        lines=lines,
        table=Table(
            columns=("among the first", *(line.name for line in lines)),
            rows=[
                (str(depth + 1), *(percent(line.points[depth].y) for line in lines if depth < len(line.points)))
                for depth in range(deepest)
            ],
        ),
    )


def _outcomes(outcomes: Mapping[str, int]) -> Plot | None:
    if not outcomes:
        return None
    total = sum(outcomes.values())
    ranked = sorted(outcomes.items(), key=lambda each: (-each[1], each[0]))
    bars = [
        Bar(name=name, value=count, low=count, high=count, text=f"{count:,}", told=f"{name}: {count} cases")
        for name, count in ranked[:MOST_BARS]
    ]
    name, count = ranked[0]
    return Bars(
        id="outcomes",
        title="How did they end? (outcomes)",
        told=f"Most often: {name}, {count:,} of {total:,} times.",
        axis=rising("cases", bars[0].value, lambda value: f"{value:,.10g}"),
        bars=bars,
        table=Table(
            columns=("outcome", "cases", "share"),
            rows=[(name, f"{count:,}", percent(count / total)) for name, count in ranked],
        ),
    )


def _latency(rows: Sequence[Row], head: Mapping[str, Any]) -> Plot | None:
    values = [row.latency_ms for row in rows]
    columns = curves.latencies(values)
    if not columns:
        return None
    middle, most = (float(each) for each in np.percentile(values, (50, 95)))
    blocks = [
        Block(low=each.low, high=each.high, count=each.count, told=f"{_times(each.low, each.high)}: {each.count}")
        for each in columns
    ]
    return Histogram(
        id="latency",
        title="How long did a case take? (latency)",
        told=f"Half of the cases took up to {wording.milliseconds(middle)}, 95 % up to "
        f"{wording.milliseconds(most)}, the slowest {wording.milliseconds(max(values))}; "
        f"{head['concurrency']} at a time.",
        x=growing("time for a case", columns[0].low, columns[-1].high, wording.short_milliseconds),
        y=rising("cases", max(each.count for each in columns), lambda value: f"{value:,.10g}"),
        blocks=blocks,
        marks=[Tick(middle, "half"), Tick(most, "95 %")],
        table=Table(
            columns=("time", "cases"), rows=[(_times(each.low, each.high), str(each.count)) for each in columns]
        ),
    )


def _tags(head: Mapping[str, Any]) -> Iterator[Plot]:
    gated = {gate["metric"] for gate in head["gates"]}
    names = [
        name
        for name, found in head["tags"].items()
        if len(found) > 1 and not wording.beside(name) and (not spans.is_metric(name) or spans.is_overall(name))
    ]
    for name in sorted(names, key=lambda name: name not in gated)[:MOST_TAGS]:
        drawn = _tag_bars(name, head)
        if drawn is not None:
            yield drawn


def _tag_bars(metric: str, head: Mapping[str, Any]) -> Plot | None:
    found = {tag: Figure(**figure) for tag, figure in head["tags"][metric].items() if figure["count"]}
    bars = sorted(
        (_bar(tag, metric, figure) for tag, figure in found.items()),
        key=lambda bar: bar.value,
        reverse=metric in wording.LOWER_IS_BETTER,
    )
    if not any(bar.high for bar in bars):
        return None
    shown, worst = bars[:MOST_BARS], bars[0]
    alike = worst.value == bars[-1].value
    told = f"The same everywhere: {worst.text}." if alike else f"Worst: {worst.told}."
    if len(bars) > len(shown):
        told += f" Shown are the worst {len(shown)} of {len(bars)}; the table has all."
    overall = head["metrics"].get(metric, {}).get("value")
    plain = metric == "cost"
    high = max(bar.high for bar in shown) if plain else 1.0
    return Bars(
        id=f"tags-{re.sub(r'[^a-z0-9_]+', '-', metric)}",
        title=f"{metric} by {'type' if spans.is_metric(metric) else 'tag'}",
        told=told,
        axis=rising(metric, high, lambda value: f"{value:g}") if plain else shares(metric),
        bars=shown,
        reference=None if overall is None else Tick(overall, f"all: {wording.value(metric, overall)}"),
        table=Table(
            columns=("", metric, "95 % interval", "cases"),
            rows=[
                (bar.name, bar.text, _between(metric, found[bar.name]), str(found[bar.name].count)) for bar in bars
            ],
        ),
    )


def _bar(tag: str, metric: str, figure: Figure) -> Bar:
    text = wording.value(metric, figure.value, figure.unit)
    told = f"{tag} {text} of {figure.count} cases"
    return Bar(name=tag, value=figure.value, low=figure.low, high=figure.high, text=text, told=told)


def _short_percent(share: float) -> str:
    return f"{100 * share:.3g}{SPACE}%"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}{SPACE}%"


def _between(metric: str, figure: Figure) -> str:
    low, high = (wording.value(metric, each, figure.unit) for each in (figure.low, figure.high))
    return f"{low} to {high}"


def _times(low: float, high: float) -> str:
    return f"{wording.milliseconds(low)} to {wording.milliseconds(high)}"


_DRAWN = {"calibration": _calibration, "risk_coverage": _risk_coverage, "roc": _roc}
