"""How a run is shown: JSON with every case, and tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evals import spans
from evals.comparing import Change, Comparison, Difference
from evals.figures import Figure
from evals.gates import Verdict
from evals.rows import Row
from evals.runner import WRONG_KEPT, RunReport
from evals.scoring import curves_of
from evals.suite import JUDGED
from policies.types import JSON

_UNJUDGED = "No language model has judged: the suite's assistant names none, or none that may see the cases."


def to_json(report: RunReport) -> JSON:
    """Return everything about a run in plain JSON types, with every case."""
    return {**to_head(report), "cases": [row.to_json() for row in report.results]}


def to_head(report: RunReport) -> JSON:
    """Return everything about a run but its cases."""
    file = report.suite.file
    return {
        "name": file.name,
        "target": file.target,
        "suite": str(report.suite.path),
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "concurrency": report.concurrency,
        "repeat": report.repeat,
        "rows": report.count,
        "wrong": report.wrong_count,
        "metrics": {name: asdict(figure) for name, figure in report.figures.items()},
        "tags": {
            name: {tag: asdict(figure) for tag, figure in found.items()} for name, found in report.tags.items()
        },
        "gates": [_gate(verdict) for verdict in report.verdicts],
        "curves": {name: curve._asdict() for name, curve in curves_of(file.target).items()},
    }


def _gate(verdict: Verdict) -> JSON:
    return {
        "metric": verdict.gate.metric,
        "rule": verdict.gate.rule,
        "value": verdict.value,
        "limit": verdict.limit,
        "held": verdict.held,
    }


def show(console: Console, report: RunReport) -> None:
    """Print metrics, gates and, unless the suite is private, the first wrong cases."""
    parts: list[RenderableType] = [_figures(report)]
    if report.tags:
        parts.append(_tags(report))
    if report.wrong and not report.suite.file.private:
        parts.append(_wrong(report))
    failed = [verdict for verdict in report.verdicts if not verdict.held]
    told = f"{len(report.verdicts) - len(failed)} of {len(report.verdicts)} gates hold; "
    told += f"{report.count} cases in {report.seconds:.1f} s, {report.concurrency} at a time."
    if report.suite.file.private:
        told += f" {report.wrong_count} wrong; the suite is private, so they are not shown."
    parts.append(Text(told, style="red" if failed else "green"))
    parts += [Text(_why(verdict), style="bold red") for verdict in failed]
    if JUDGED in report.figures and not report.figures[JUDGED].count:
        parts.append(Text(_UNJUDGED, style="yellow"))
    console.print(Group(*parts))


def _why(verdict: Verdict) -> str:
    found = "not known" if math.isnan(verdict.value) else f"{verdict.value:.4g}"
    limit = f" ({verdict.limit:.4g})" if verdict.gate.other else ""
    return f"FAILED: {verdict.gate.metric} is {found}, not {verdict.gate.rule}{limit}."


def show_figures(console: Console, name: str, figures: Mapping[str, Figure]) -> None:
    """Print metrics that were measured later."""
    table = _table(name, "metric", "value", "95 % interval", "cases")
    for metric, figure in figures.items():
        table.add_row(metric, _value(figure), _interval(figure), str(figure.count))
    console.print(table)


def show_comparison(console: Console, found: Comparison) -> None:
    """Print what changed between two runs and, unless the suite is private, in which cases."""
    told = [each for each in found.tags if each.outcome in ("worse", "better")]
    parts: list[RenderableType] = [
        _differences(f"{found.name}: {found.before} and {found.after}", found.differences)
    ]
    if told:
        parts.append(_differences("by tag, where it changed beyond doubt", told))
    changes = [("worse", each) for each in found.broken] + [("better", each) for each in found.mended]
    if changes and not found.private:
        parts.append(_changed(changes))
    counts = f"{found.cases} cases in both; {len(found.broken)} went wrong now, {len(found.mended)} right."
    if found.only_before or found.only_after:
        counts += f" Left out: {found.only_before} only before, {found.only_after} only after."
    names = [each.metric + (f" of {each.tag}" if each.tag else "") for each in found.regressions]
    verdict = f"Worse beyond doubt: {', '.join(names)}." if names else "Nothing got worse beyond doubt."
    parts += [Text(counts), Text(verdict, style="red" if names else "green")]
    if doubtful := [each.metric for each in found.differences if each.outcome == "not certain"]:
        parts.append(Text(f"Too few cases to be certain of {', '.join(doubtful)}.", style="yellow"))
    console.print(Group(*parts))


def _differences(title: str, found: Sequence[Difference]) -> Table:
    table = _table(title, "metric", "before", "after", "difference, 95 %", "p", "cases", "")
    styles = {"worse": "bold red", "better": "green"}
    for each in found:
        apart = f"{each.difference:+.4f}\n{each.low:+.3f} to {each.high:+.3f}"
        outcome = Text(each.outcome, styles.get(each.outcome, ""))
        table.add_row(
            each.metric + (f", {each.tag}" if each.tag else ""),
            f"{each.before:.4f}",
            f"{each.after:.4f}",
            apart,
            f"{each.adjusted:.3f}",
            str(each.count),
            outcome,
        )
    return table


def _changed(changes: Sequence[tuple[str, Change]]) -> Table:
    first = f", the first {WRONG_KEPT}" if len(changes) > WRONG_KEPT else ""
    table = Table(
        "", "case", "before", "after", title=f"{len(changes)} cases changed{first}", title_justify="left"
    )
    for way, each in changes[:WRONG_KEPT]:
        place = f"{each.file.rpartition('/')[2]}:{each.line} {each.id}"
        table.add_row(way, *(Text(_cut(text or "right")) for text in (place, each.before, each.after)))
    return table


def _figures(report: RunReport) -> Table:
    table = _table(report.suite.file.name, "metric", "value", "95 % interval", "cases", "gate", "")
    for name, figure in report.figures.items():
        verdicts = [verdict for verdict in report.verdicts if verdict.gate.metric == name]
        first: list[str | Text] = [name, _value(figure), _interval(figure), str(figure.count)]
        for verdict in verdicts:
            table.add_row(*first, verdict.gate.rule, _told(verdict))
            first = [""] * len(first)
        if not verdicts:
            table.add_row(*first)
    return table


def _table(title: str, *names: str) -> Table:
    """Return a table whose numbers stay whole and whose metrics are spelt out, however narrow the terminal is."""
    table = Table(title=title, title_justify="left")
    for name in names:
        words = name in ("metric", "tag", "gate", "")
        table.add_column(
            name, justify="left" if words or "interval" in name else "right", no_wrap=not words, overflow="fold"
        )
    return table


def _told(verdict: Verdict) -> Text:
    return Text("held", "green") if verdict.held else Text("FAILED", "bold red")


def _tags(report: RunReport) -> Table:
    table = _table("by tag", "metric", "tag", "value", "95 % interval", "cases")
    for name, found in report.tags.items():
        if spans.is_metric(name) and not spans.is_overall(name):
            continue  # six times every type would be too much; the JSON has them
        for tag, figure in found.items():
            table.add_row(name, tag, _value(figure), _interval(figure), str(figure.count))
    return table


def _wrong(report: RunReport) -> Table:
    first = f", the first {len(report.wrong)} cases" if report.wrong_count > len(report.wrong) else ""
    title = f"{report.wrong_count} wrong{first}"
    table = Table("case", "input", "what is wrong", title=title, title_justify="left")
    for row in report.wrong:
        table.add_row(Text(_place(row)), Text(_brief(row.input)), Text(_cut(row.wrong or "")))
    return table


def _place(row: Row) -> str:
    return f"{row.file.rpartition('/')[2]}:{row.line}" + (f" #{row.repeat + 1}" if row.repeat else "")


def _brief(given: object) -> str:
    if isinstance(given, dict):
        given = " / ".join(given["turns"]) if "turns" in given else _main_text(given)
    return _cut(str(given))


def _main_text(given: dict[str, object]) -> object:
    return next((given[name] for name in ("text", "reply", "question") if given.get(name)), given)


def _cut(text: str, limit: int = 120) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _value(figure: Figure) -> str:
    if not figure.count:
        return "-"
    return f"{figure.value:.1f} ms" if figure.unit == "ms" else f"{figure.unit}{figure.value:.4f}"


def _interval(figure: Figure) -> str:
    if not figure.count:
        return ""
    digits = 1 if figure.unit == "ms" else 3
    return f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
