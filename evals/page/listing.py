"""The cases on the page: as compact JSON, worst first, and never more than a browser shows with ease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from evals.comparing import Change, Comparison
from evals.page.plots import kinds_of, name_of
from evals.page.why import badness, explain, sureness
from evals.page.wording import cut
from evals.rows import Row
from evals.runs import CASES, Run
from policies.types import JSON

BUDGET = 6_000_000
"""Bytes of all cases together."""
MOST_CASES = 10_000
LONGEST = 20_000
"""Characters of one text, however few the cases."""
_LIMITS = (LONGEST, 4_000, 1_000, 300, 100)
_ITEMS = 60
_LEAST = 250
Key = tuple[str, str]
Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The cases that are listed, in their order."""

    cases: list[JSON]
    total: int
    """How many the run has."""


def list_cases(run: Run, rows: Sequence[Row], compared: Comparison | None = None) -> Listing:
    """Choose and shorten the cases of a run; ``rows`` are all of it, slim. A private run lists none."""
    if run.head["private"]:
        return Listing(cases=[], total=len(rows))
    order = {(row.place, row.repeat): number for number, row in enumerate(_worst_first(rows)[:MOST_CASES])}
    changed = _changed(compared)
    size = (run.folder / CASES).stat().st_size
    room = _Room(left=BUDGET, cases=len(order), plenty=size <= BUDGET)
    found: list[tuple[int, JSON]] = []
    for row in run:
        number = order.get((row.place, row.repeat))
        if number is not None:
            found.append((number, room.fit(row, str(run.head["target"]), changed.get(row.key))))
    return Listing(cases=[case for _, case in sorted(found, key=lambda each: each[0])], total=len(rows))


def _worst_first(rows: Sequence[Row]) -> list[Row]:
    return sorted(
        rows, key=lambda row: (not row.wrong, -badness(row) if row.wrong else 0.0, row.place, row.repeat)
    )


def _changed(compared: Comparison | None) -> dict[Key, tuple[str, Change]]:
    if compared is None:
        return {}
    ways = (("broken", compared.broken), ("mended", compared.mended))
    return {(each.dataset, each.id): (way, each) for way, changes in ways for each in changes}


@dataclass(kw_only=True)
class _Room:
    """What may still be written, shared out among the cases that are left."""

    left: int
    cases: int
    plenty: bool

    def fit(self, row: Row, target: str, change: tuple[str, Change] | None) -> JSON:
        """Return a case with texts as long as there is room for."""
        allowed = self.left if self.plenty else max(_LEAST, self.left // max(1, self.cases))
        for limit in _LIMITS:
            case = _case(row, target, change, limit)
            size = len(orjson.dumps(case))
            if size <= allowed:
                break
        else:
            case = {name: case[name] for name in ("i", "w", "t", "u", "k", "ch") if name in case} | {"m": True}
            case["x"] = cut(str(_shortened(row.input, _LIMITS[-1]).text), _LIMITS[-1])
            size = len(orjson.dumps(case))
        self.left, self.cases = self.left - size, self.cases - 1
        return case


def _case(row: Row, target: str, change: tuple[str, Change] | None, limit: int) -> JSON:
    """Return a case under names as short as can be, because each stands there thousands of times."""
    parts = {name: _shortened(part, limit) for name, part in _parts(row).items()}
    kinds, sure = kinds_of(target), sureness(row)
    case: JSON = {
        "i": cut(row.id, 200),
        "f": f"{row.file.rpartition('/')[2]}:{row.line}",
        "t": [cut(tag, 100) for tag in row.tags],
        **{name: part.text for name, part in parts.items()},
        "s": {name: round(float(score), 4) for name, score in row.scores.items()},
        "l": round(row.latency_ms, 3),
        "n": row.repeat + 1 if row.repeat else None,
        "w": row.wrong and row.wrong[:limit],
        "y": explain(row, target)[:limit] if row.wrong else None,
        "u": None if sure is None else round(sure, 4),
        "k": [name_of(row.label.expected, kinds), name_of(row.label.told, kinds)] if row.label else None,
        "c": row.cost,
        "tr": row.trace_id,
        "m": any(part.cut for part in parts.values()) or None,
    }
    if change is not None:
        way, each = change
        case |= {"ch": way, "b": (each.before or "")[:limit]}
    return {name: value for name, value in case.items() if value is not None and value != []}


def _parts(row: Row) -> dict[str, Any]:
    return {"x": row.input, "e": row.expected, "o": row.output}


@dataclass(frozen=True, kw_only=True)
class _Shortened:
    text: Any
    cut: bool


def _shortened(value: Any, limit: int) -> _Shortened:
    """Cut every text in a value to a limit, and lists to so many items; a cut text says how much is missing."""
    if isinstance(value, str):
        missing = len(value) - limit
        text = f"{value[:limit]}… ({missing:,} more characters)" if missing > 0 else value
        return _Shortened(text=text, cut=missing > 0)
    if isinstance(value, Mapping):
        named = {str(name)[:limit]: _shortened(each, limit) for name, each in value.items()}
        return _Shortened(
            text={name: each.text for name, each in named.items()}, cut=any(each.cut for each in named.values())
        )
    if isinstance(value, list | tuple):
        listed = [_shortened(each, limit) for each in value[:_ITEMS]]
        more = len(value) > _ITEMS
        return _Shortened(
            text=[each.text for each in listed] + ["…"] * more, cut=more or any(each.cut for each in listed)
        )
    return _Shortened(text=value, cut=False)
