"""Builds the page: what the head of a run says, the plots of its rows, and the cases."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps

from evals.comparing import Comparison, Difference, compare_runs
from evals.page import wording
from evals.page.listing import Listing, list_cases
from evals.page.plots import plots_of
from evals.rows import Row
from evals.runner import read
from evals.runs import Run
from evals.scoring import DIFFERENCE
from policies.errors import InputError

HERE = Path(__file__).resolve().parent
TILES = 4


class Gate(NamedTuple):
    """A gate, as it stands beside its metric."""

    rule: str
    held: bool


class Range(NamedTuple):
    """Where an interval lies between 0 and 100."""

    low: float
    width: float


@dataclass(frozen=True, kw_only=True)
class FigureLine:
    """One metric as it is written."""

    metric: str
    meaning: str
    text: str
    interval: str
    range: Range | None
    count: str
    gates: Sequence[Gate]
    beside: bool
    """Whether it is of a simple method beside ours."""


@dataclass(frozen=True, kw_only=True)
class DifferenceLine:
    """One metric in two runs as it is written."""

    name: str
    before: str
    after: str
    difference: str
    interval: str
    count: str
    outcome: str


@dataclass(frozen=True, kw_only=True)
class DifferenceTable:
    """Several of them."""

    title: str
    lines: Sequence[DifferenceLine]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the page says of two runs."""

    worse: bool
    verdict: str
    told: str
    tables: Sequence[DifferenceTable]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page says of a run."""

    kind: str
    verdict: str
    state: Literal["held", "failed", "open"]
    told: str
    figures: Sequence[FigureLine]
    headline: Sequence[FigureLine]
    listing: Listing
    facts: Sequence[tuple[str, str]]


def render_page(run: Run, baseline: Run | None = None) -> str:
    """Return the page of a finished run, compared with another one if that is given.

    Raises ``InputError`` if the run is not finished. Cases of a private suite are not on it.
    """
    if not run.finished or (baseline is not None and not baseline.finished):
        which = run.folder if baseline is None or not run.finished else baseline.folder
        remedy = "Go on with it: `handrail eval run SUITE --out FOLDER`."
        raise InputError(f"{which}: the run is not finished.", remedy=remedy)
    outcomes: Counter[str] = Counter()
    rows, _, _ = read(_counted(run, outcomes))
    found = None if baseline is None else compare_runs(baseline, run)
    hidden = found is not None and baseline is not None and bool(baseline.head["private"])
    listing = list_cases(run, rows, None if hidden else found)
    script = _source("page.js")
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            head=run.head,
            page=_page(run.head, listing),
            plots=plots_of(run.head, rows, outcomes),
            compared=None if found is None else _compared(found),
            data=htmlsafe_json_dumps(listing.cases, dumps=_dumps),
            script=script,
            script_digest=_digest(script),
            style=_source("page.css"),
        )
    )


def _counted(rows: Iterable[Row], outcomes: Counter[str]) -> Iterator[Row]:
    """Yield rows, and count how they ended."""
    for row in rows:
        if isinstance(outcome := row.output.get("outcome"), str):
            outcomes[outcome] += 1
        yield row


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value).decode()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["cut"] = wording.cut
    return made


@cache
def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Return what lets this script run and no other, whatever a case may hold."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _page(head: Mapping[str, Any], listing: Listing) -> Page:
    figures = list(_figures(head))
    return Page(
        kind=f"Run of {_day(head['began_at'])} · {head['target']}",
        verdict=_verdict(head["gates"]),
        state="open" if not head["gates"] else "held" if head["passed"] else "failed",
        told=f"{head['rows'] - head['wrong']:,} of {head['rows']:,} cases went as expected; "
        f"{wording.duration(head['seconds'])}, {head['concurrency']} at a time.",
        figures=figures,
        headline=_headline(figures),
        listing=listing,
        facts=list(_facts(head)),
    )


def _day(time: str) -> str:
    return time.replace("T", " ").replace("+00:00", " UTC")


def _verdict(gates: Sequence[Mapping[str, Any]]) -> str:
    failed = [gate for gate in gates if not gate["held"]]
    if not gates:
        return "No gate is set"
    if failed:
        names = ", ".join(dict.fromkeys(gate["metric"] for gate in failed))
        return f"{len(failed)} of {len(gates)} gates {'fails' if len(failed) == 1 else 'fail'}: {names}"
    return "The gate holds" if len(gates) == 1 else f"All {len(gates)} gates hold"


def _figures(head: Mapping[str, Any]) -> Iterator[FigureLine]:
    for metric, figure in head["metrics"].items():
        unit, low, high = figure["unit"], figure["low"], figure["high"]
        known = bool(figure["count"])
        share = known and unit == "" and 0 <= low <= high <= 1 and DIFFERENCE not in metric
        ends = [wording.value(metric, each, unit) for each in (low, high)]
        yield FigureLine(
            metric=metric,
            meaning=wording.meaning(metric),
            text=wording.value(metric, figure["value"], unit),
            interval=f"{ends[0]} to {ends[1]}" if known else "no case tells",
            range=Range(round(100 * low, 2), max(1.0, round(100 * (high - low), 2))) if share else None,
            count=f"{figure['count']:,}",
            gates=[Gate(gate["rule"], gate["held"]) for gate in head["gates"] if gate["metric"] == metric],
            beside=wording.beside(metric),
        )


def _headline(figures: Sequence[FigureLine]) -> list[FigureLine]:
    own = [line for line in figures if not line.beside]
    gated = [line for line in own if line.gates]
    latency = [line for line in figures if line.metric == "latency_p50"]
    first = list({line.metric: line for line in (*gated, *own)}.values())
    return [*first[: TILES - len(latency)], *latency]


def _facts(head: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    versions, settings = head["versions"], head["settings"]
    yield "suite", str(head["suite"])
    yield "began", _day(head["began_at"])
    yield "finished", _day(str(head["finished_at"]))
    commit = versions.get("git_commit")
    for name in ("handrail", "python", "assistant"):
        if versions.get(name):
            yield name, str(versions[name])
    if commit:
        yield "commit", commit + (", with changes since" if versions.get("git_changed") else "")
    for name, value in settings.items():
        if value is not None:
            yield name, str(value)
    yield "seed of the intervals", str(head["seed"])
    for name, digest in head["digests"].items():
        yield f"SHA-256 of {name}", str(digest)


def _compared(found: Comparison) -> Compared:
    worse = [each.metric + (f" of {each.tag}" if each.tag else "") for each in found.regressions]
    told = f"{found.cases:,} cases in both runs; {len(found.broken):,} went wrong now, "
    told += f"{len(found.mended):,} right. Before: {found.before}."
    if found.only_before or found.only_after:
        told += f" Left out: {found.only_before:,} only before, {found.only_after:,} only now."
    tags = [each for each in found.tags if each.outcome in ("worse", "better")]
    tables = [("All cases", found.differences), ("By tag, where it changed beyond doubt", tags)]
    return Compared(
        worse=bool(worse),
        verdict=f"Worse beyond doubt: {', '.join(worse)}." if worse else "Nothing got worse beyond doubt.",
        told=told,
        tables=[
            DifferenceTable(title=title, lines=[_difference(each) for each in lines])
            for title, lines in tables
            if lines
        ],
    )


def _difference(each: Difference) -> DifferenceLine:
    unit = "ms" if each.metric.startswith("latency") else "$" if each.metric == "cost" else ""
    low, high = (
        wording.signed(each.metric, 0.0 if math.isnan(value) else value) for value in (each.low, each.high)
    )
    return DifferenceLine(
        name=each.metric + (f" of {each.tag}" if each.tag else ""),
        before=wording.value(each.metric, each.before, unit),
        after=wording.value(each.metric, each.after, unit),
        difference=wording.signed(each.metric, each.difference),
        interval=f"{low} to {high}",
        count=f"{each.count:,}",
        outcome=each.outcome,
    )
