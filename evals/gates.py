"""Gates: what a figure must reach before a version may go out."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evals.figures import Figure

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
METRIC = r"[a-z][\w.]*(?:[@^:][a-z0-9_:.]+)?"
_RULE = re.compile(rf"(>=|<=|>|<)\s*(?:(\d+(?:\.\d+)?)|({METRIC}))")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One condition on one metric: compared with a number or with another metric of the same run."""

    metric: str
    rule: str
    """As the suite writes it, such as ``>= 0.80`` or ``> baseline_accuracy``."""
    comparison: str
    limit: float | None
    other: str | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that must be measured to decide it."""
        return (self.metric, self.other) if self.other else (self.metric,)

    def judge(self, figures: Mapping[str, Figure]) -> Verdict:
        """Compare the measured values; intervals play no part."""
        limit = self.limit if self.other is None else figures[self.other].value
        assert limit is not None
        held = COMPARISONS[self.comparison](figures[self.metric].value, limit)
        return Verdict(gate=self, value=figures[self.metric].value, limit=limit, held=held)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a gate turned out."""

    gate: Gate
    value: float
    limit: float
    held: bool


def parse_gate(metric: str, rule: str) -> Gate:
    """Read a gate; raises ``ValueError`` that says how one is written."""
    found = _RULE.fullmatch(rule.strip())
    if not found:
        raise ValueError(f'{metric}: write a gate as ">= 0.80" or "> baseline_accuracy", not {rule!r}')
    comparison, number, other = found.groups()
    return Gate(
        metric=metric,
        rule=rule.strip(),
        comparison=comparison,
        limit=float(number) if number else None,
        other=other,
    )
