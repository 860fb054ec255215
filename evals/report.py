"""How a run is shown: JSON with every case, and tables in the terminal."""

from __future__ import annotations

from dataclasses import asdict

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from evals import spans
from evals.gates import Verdict
from evals.metrics import Figure
from evals.runner import RunReport
from evals.scoring import Result
from policies.types import JSON

WRONG_SHOWN = 20


def to_json(report: RunReport) -> JSON:
    """Return everything about a run in plain JSON types."""
    file = report.suite.file
    return {
        "name": file.name,
        "target": file.target,
        "suite": str(report.suite.path),
        "passed": report.passed,
        "seconds": round(report.seconds, 3),
        "concurrency": report.concurrency,
        "metrics": {name: asdict(figure) for name, figure in report.figures.items()},
        "tags": {
            name: {tag: asdict(figure) for tag, figure in found.items()} for name, found in report.tags.items()
        },
        "gates": [_gate(verdict) for verdict in report.verdicts],
        "cases": [_case(result) for result in report.results],
    }


def _gate(verdict: Verdict) -> JSON:
    return {
        "metric": verdict.gate.metric,
        "rule": verdict.gate.rule,
        "value": verdict.value,
        "limit": verdict.limit,
        "held": verdict.held,
    }


def _case(result: Result) -> JSON:
    case = result.case
    return {
        "id": case.data.id,
        "file": str(case.file),
        "line": case.line,
        "tags": list(case.data.tags),
        **case.raw,
        "output": result.seen.output,
        "scores": dict(result.seen.scores),
        "wrong": result.seen.wrong,
        "latency_ms": round(1000 * result.seconds, 3),
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
    told += f"{len(report.results)} cases in {report.seconds:.1f} s, {report.concurrency} at a time."
    if report.suite.file.private:
        told += f" {len(report.wrong)} wrong; the suite is private, so they are not shown."
    console.print(Group(*parts, Text(told, style="red" if failed else "green")))


def _figures(report: RunReport) -> Table:
    table = Table(title=report.suite.file.name, title_justify="left")
    for name in ("metric", "value", "95 % interval", "cases", "gate", ""):
        table.add_column(name, justify="right" if name in ("value", "cases") else "left")
    for name, figure in report.figures.items():
        verdicts = [verdict for verdict in report.verdicts if verdict.gate.metric == name]
        rules = "\n".join(verdict.gate.rule for verdict in verdicts)
        told = Text("\n").join(_told(verdict) for verdict in verdicts)
        table.add_row(name, _value(figure), _interval(figure), str(figure.count), rules, told)
    return table


def _told(verdict: Verdict) -> Text:
    return Text("held", "green") if verdict.held else Text("FAILED", "bold red")


def _tags(report: RunReport) -> Table:
    table = Table("metric", "tag", "value", "95 % interval", "cases", title="by tag", title_justify="left")
    for name, found in report.tags.items():
        if name in spans.METRICS and not name.endswith("_f2"):
            continue  # six times every type would be too much; the JSON has them
        for tag, figure in found.items():
            table.add_row(name, tag, _value(figure), _interval(figure), str(figure.count))
    return table


def _wrong(report: RunReport) -> Table:
    wrong = report.wrong
    title = f"{len(wrong)} wrong" + (f", the first {WRONG_SHOWN}" if len(wrong) > WRONG_SHOWN else "")
    table = Table("case", "input", "what is wrong", title=title, title_justify="left")
    for result in wrong[:WRONG_SHOWN]:
        place = f"{result.case.file.name}:{result.case.line}"
        table.add_row(Text(place), Text(_brief(result.case.raw["input"])), Text(_cut(result.seen.wrong or "")))
    return table


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
    return f"{figure.value:.1f} ms" if figure.unit else f"{figure.value:.4f}"


def _interval(figure: Figure) -> str:
    if not figure.count:
        return ""
    digits = 1 if figure.unit else 3
    return f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
