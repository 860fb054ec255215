"""Two runs of a suite, case by case: what changed, by how much, and whether chance could have done it.

An interval is a bootstrap over cases. Shares are tested with McNemar's exact test, means by exchanging the two
runs' results case by case at random (Fisher's permutation test), all else by how often the bootstrap finds no
difference or the opposite. The tests of all metrics are adjusted together (Benjamini and Hochberg, 1995), those of
all tags too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from evals.figures import CALLED_ROUNDS, SEED, Numbers, Rows, Sample, batch_of, interval_of_mean
from evals.rows import Row
from evals.runner import read
from evals.runs import Run
from evals.scoring import sample, tag_samples, telling
from policies.errors import InputError
from policies.types import JSON

DOUBT = 0.05
"""How often, at most, two runs of one and the same thing may look different."""
MARGIN = 0.05
"""How far off nought a difference may lie and still be none; of costs, as a share of what it was before."""
SEEN = 0.00005
"""Up to here a difference is nought, however sure it is; of costs, as a share of what it was before."""
_SWAPS = 1999
_LOWER = re.compile(r"latency.*|cost|false_alarms|ece|risk_coverage|passed:(?!good).+")
_UNJUDGED = re.compile(r"latency.*|(baseline|lexical|dense|similarity)_.*|.* - .*")
"""What the machine decides, and the simple methods beside us: a change of theirs is no fault of the product."""
Outcome = Literal["worse", "better", "no change", "not certain", "not judged"]
"""Not certain: the interval is wide enough to hold a change that matters, and chance could have made it."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One metric in two runs, over all cases or over those with a tag."""

    metric: str
    tag: str | None = None
    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    adjusted: float
    """The same, corrected for how many tests there were."""
    count: int
    """How many cases it rests on."""
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Change:
    """A case that went well in one run and not in the other."""

    dataset: str
    id: str
    file: str
    line: int
    before: str | None
    """What was wrong before, if anything was; of repeats, the first thing."""
    after: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What became of a suite from one run to the other."""

    name: str
    before: str
    after: str
    private: bool
    cases: int
    only_before: int
    only_after: int
    differences: list[Difference] = field(default_factory=list)
    tags: list[Difference] = field(default_factory=list)
    broken: list[Change] = field(default_factory=list)
    """Cases that went well before."""
    mended: list[Change] = field(default_factory=list)

    @property
    def regressions(self) -> list[Difference]:
        """What got worse beyond doubt."""
        return [each for each in (*self.differences, *self.tags) if each.outcome == "worse"]

    def to_json(self) -> JSON:
        """Return it in plain JSON types."""
        return {**asdict(self), "regressions": [asdict(each) for each in self.regressions]}


def compare_runs(before: Run, after: Run) -> Comparison:
    """Compare two runs over the cases that both have.

    Raises ``InputError`` if they have none in common, or if one of them is not finished.
    """
    before.require_finished()
    after.require_finished()
    first, second = (sorted(read(run)[0], key=_order) for run in (before, after))
    # Repeats that one run alone has are left out: what weighs all rows would differ by their number.
    tries = {(row.key, row.repeat) for row in first} & {(row.key, row.repeat) for row in second}
    shared = {key for key, _ in tries}
    if not shared:
        told = f"{before.folder} and {after.folder} have no case in common"
        raise InputError(f"{told}.", remedy="Compare runs of the same suite.")
    pair = [[row for row in rows if (row.key, row.repeat) in tries] for rows in (first, second)]
    names = [name for name in before.head.get("metrics", {}) if name in after.head.get("metrics", {})]
    broken, mended = _changes(*pair)
    return Comparison(
        name=str(after.head["name"]),
        before=str(before.folder),
        after=str(after.folder),
        private=bool(after.head["private"]),
        cases=len(shared),
        only_before=len({row.key for row in first} - shared),
        only_after=len({row.key for row in second} - shared),
        differences=judged([found for name in names if (found := compare_metric(name, *pair))]),
        tags=judged([found for name in names for found in _by_tag(name, *pair)]),
        broken=broken,
        mended=mended,
    )


def compare_metric(metric: str, before: Sequence[Row], after: Sequence[Row]) -> Difference | None:
    """Compare one metric over rows of the same cases, in the order of keys; None where a run can't tell it."""
    first, second = sample(metric, before), sample(metric, after)
    if first is None or second is None:
        return None
    told = [list(dict.fromkeys(row.key for row in telling(metric, rows))) for rows in (before, after)]
    if first.values is not None and second.values is not None and told[0] == told[1]:
        return _of_means(metric, first, second)
    return _of_statistics(metric, before, after, first, second)


def _by_tag(metric: str, before: Sequence[Row], after: Sequence[Row]) -> list[Difference]:
    tags = tag_samples(metric, before).keys() & tag_samples(metric, after).keys()
    pairs = {tag: [[row for row in rows if tag in row.tags] for rows in (before, after)] for tag in sorted(tags)}
    found = {tag: compare_metric(metric, *pair) for tag, pair in pairs.items()}
    return [replace(each, tag=tag) for tag, each in found.items() if each]


def _of_means(metric: str, first: Sample, second: Sample) -> Difference:
    before, after = first.unit_means(), second.unit_means()
    apart = after - before
    low, high = interval_of_mean(apart)
    binary = first.share and not (first.repeated or second.repeated)
    p = _mcnemar(apart) if binary else _exchanged(before, after)
    return _difference(metric, float(before.mean()), float(after.mean()), (low, high), p, len(apart))


def _of_statistics(
    metric: str, before: Sequence[Row], after: Sequence[Row], first: Sample, second: Sample
) -> Difference | None:
    rows = [*telling(metric, before), *telling(metric, after)]
    both = sample(metric, rows)
    if both is None or len(both.rows) != len(rows):
        return None
    half = len(telling(metric, before))
    keys = sorted({row.key for row in rows})
    places = {key: number for number, key in enumerate(keys)}
    units: list[list[int]] = [[] for _ in range(2 * len(keys))]
    for number, row in enumerate(rows):
        units[places[row.key] + (len(keys) if number >= half else 0)].append(number)

    def measured(chosen: Rows) -> float:
        drawn = [number for unit in chosen for number in units[unit]]
        try:
            return both.statistic(np.asarray(drawn, np.intp)) if drawn else np.nan
        except ValueError:  # a draw without any case of one of two kinds
            return np.nan

    everything, count = np.arange(len(keys)), len(keys)

    def apart(drawn: Rows) -> float:
        return measured(drawn + count) - measured(drawn)

    drawn = _drawn(count, apart) if apart(everything) else np.zeros(1)
    low, high = np.nanpercentile(drawn, [2.5, 97.5]).tolist()
    return _difference(metric, first.value, second.value, (low, high), _crossing(drawn), count)


def _difference(
    metric: str, before: float, after: float, interval: tuple[float, float], p: float, count: int
) -> Difference:
    value = after - before
    return Difference(
        metric=metric,
        before=before,
        after=after,
        difference=value,
        low=min(interval[0], value),
        high=max(interval[1], value),
        p=p,
        adjusted=p,
        count=count,
        outcome="no change",
    )


def _drawn(count: int, apart: Callable[[Rows], float]) -> Numbers:
    """Measure the difference over cases that are drawn again and again."""
    draw = np.random.default_rng(SEED)
    found = np.asarray([apart(draw.integers(0, count, count)) for _ in range(CALLED_ROUNDS)], np.float64)
    found = found[~np.isnan(found)]
    return found if len(found) else np.zeros(1)


def _crossing(drawn: Numbers) -> float:
    """Return how often, both ways, a difference that was drawn lies on the other side of nought."""
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(drawn) + 1))


def _mcnemar(apart: Numbers) -> float:
    """Test whether as many cases went from right to wrong as the other way."""
    from scipy.stats import binomtest

    gained, lost = int((apart > 0).sum()), int((apart < 0).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def _exchanged(before: Numbers, after: Numbers) -> float:
    from scipy.stats import permutation_test

    if np.array_equal(before, after):
        return 1.0

    def statistic(ones: Numbers, others: Numbers, axis: int) -> Numbers:
        return np.asarray(others.mean(axis=axis) - ones.mean(axis=axis))

    draw = np.random.default_rng(SEED)
    found = permutation_test(
        (before, after),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_SWAPS,
        batch=batch_of(len(before)),
        rng=draw,
    )
    return float(found.pvalue)


def judged(found: Sequence[Difference]) -> list[Difference]:
    """Say of each difference what it means, all tests taken together."""
    from scipy.stats import false_discovery_control

    tested = [each for each in found if not _UNJUDGED.fullmatch(each.metric)]
    adjusted = false_discovery_control([each.p for each in tested]).tolist() if tested else []
    known: Mapping[int, float] = {id(each): p for each, p in zip(tested, adjusted, strict=True)}
    return [_outcome(each, known.get(id(each))) for each in found]


def _outcome(each: Difference, adjusted: float | None) -> Difference:
    if adjusted is None:
        return replace(each, outcome="not judged")
    if adjusted >= DOUBT or _is_nought(each):
        return replace(each, adjusted=adjusted, outcome="no change" if _is_small(each) else "not certain")
    worse = (each.difference > 0) == bool(_LOWER.fullmatch(each.metric))
    return replace(each, adjusted=adjusted, outcome="worse" if worse else "better")


def _is_nought(each: Difference) -> bool:
    """Return whether a difference is less than four digits show, such as two machines make of the same sums."""
    return abs(each.difference) <= SEEN * (abs(each.before) if each.metric == "cost" else 1)


def _is_small(each: Difference) -> bool:
    """Return whether all that the interval holds is as good as no difference."""
    margin = MARGIN * abs(each.before) if each.metric == "cost" else MARGIN
    return -margin <= each.low and each.high <= margin


def _changes(before: Sequence[Row], after: Sequence[Row]) -> tuple[list[Change], list[Change]]:
    first, second = _wrong(before), _wrong(after)
    places = {row.key: row for row in after}
    broken: list[Change] = []
    mended: list[Change] = []
    for key, row in places.items():
        if bool(first.get(key)) != bool(second.get(key)):
            change = Change(
                dataset=row.dataset,
                id=row.id,
                file=row.file,
                line=row.line,
                before=first.get(key),
                after=second.get(key),
            )
            (broken if change.after else mended).append(change)
    return sorted(broken, key=_place), sorted(mended, key=_place)


def _place(change: Change) -> tuple[str, int]:
    return change.file, change.line


def _wrong(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return what was wrong with cases; of repeats, the first thing that was."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.wrong:
            found.setdefault(row.key, row.wrong)
    return found


def _order(row: Row) -> tuple[str, str, int]:
    return *row.key, row.repeat
