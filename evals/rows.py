"""Rows: what is kept of one case that was put through, so that any metric can be measured later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol

import orjson

from policies.types import JSON

Plain = str | float | bool | None
MEASURED = frozenset({"alone", "best", "documents", "found"})
"""Members of an output that metrics read; of long outputs only these are held in memory."""


class Label(NamedTuple):
    """What a case should be told to be, and what it was; None is a label too, such as out of scope."""

    expected: Plain
    told: Plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One case with what came out."""

    place: int
    """Which case of the suite it is, from 0."""
    repeat: int = 0
    """Which of its repeats, from 0."""
    id: str
    dataset: str
    """The file of the case as the suite writes it; ids are unique in it."""
    file: str
    line: int
    tags: tuple[str, ...] = ()
    input: Any
    expected: Any
    output: JSON
    scores: Mapping[str, float]
    label: Label | None = None
    wrong: str | None = None
    latency_ms: float = 0.0
    cost: float | None = None
    """What models charged, in dollars; None where that is not known."""
    trace_id: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Names the case in every run of the suite."""
        return self.dataset, self.id

    def slim(self) -> Row:
        """Return it without what no metric reads."""
        return replace(
            self, input=None, output={name: self.output[name] for name in MEASURED & self.output.keys()}
        )

    def to_json(self) -> JSON:
        """Return it in plain JSON types."""
        label = self.label and self.label._asdict()
        return asdict(self) | {"tags": list(self.tags), "scores": dict(self.scores), "label": label}

    def to_line(self) -> bytes:
        """Return it as a line of JSON."""
        return orjson.dumps(self.to_json(), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def parse_row(line: bytes) -> Row:
    """Read a line that ``Row.to_line`` wrote; raises ``ValueError`` or ``TypeError`` for another."""
    data = orjson.loads(line)
    label = data.pop("label")
    return Row(**data | {"tags": tuple(data["tags"]), "label": None if label is None else Label(**label)})


class Rows(Protocol):
    """Where rows go as cases finish: a list, or the folder of a run."""

    def append(self, row: Row, /) -> None:
        """Keep one more."""
        ...

    def __iter__(self) -> Iterator[Row]: ...
