"""A run as Langfuse knows it: its cases as items of a dataset, its results as an experiment with scores.

All ids and times follow from the run, so sending it again changes nothing. Personal data becomes placeholders.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from langfuse import LangfuseOtelSpanAttributes as Named

from evals.langfuse import attributes
from evals.rows import Row
from evals.runs import Run
from policies.personal_data import PLACEHOLDER, mask
from policies.types import JSON

ENVIRONMENT = "sdk-experiment"
"""What Langfuse's SDK calls the environment of experiments."""
OURS = "handrail-"
"""What ids of ours begin with."""
OWN = ("id", "tags", "lineage")
"""What of an item's metadata is ours; all else is left as it stands there."""
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


@dataclass
class Masking:
    """Puts placeholders in the place of personal data, one for each value within a case; those there are stay."""

    known: dict[str, str] = field(default_factory=dict)
    """Placeholder by value."""
    there: dict[str, str] = field(default_factory=dict)
    """The placeholders that were there already, each by itself."""

    def __call__(self, value: Any) -> Any:
        """Return the same JSON with placeholders; a number that looks like personal data becomes one too."""
        self.there |= {each: each for each in PLACEHOLDER.findall(_text(value))}
        return self._masked(value)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._masked(key): self._masked(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._masked(each) for each in value]
        if isinstance(value, bool) or not isinstance(value, str | int):
            return value
        found = mask(str(value), {**self.there, **self.known}, keep=self.there)
        self.known |= {personal: placeholder for placeholder, personal in found.values.items()}
        return found.text if isinstance(value, str) or found.text != str(value) else value


@dataclass(frozen=True, kw_only=True)
class Item:
    """A case as an item of a dataset, without personal data."""

    name: str
    """The id of the case; with the file's name where several files of the run have it."""
    content: JSON
    """What is sent: input, expected output and metadata."""
    masking: Masking
    """Goes on with what came out of the case."""

    @property
    def masked(self) -> bool:
        """Whether personal data was found in it."""
        return bool(self.masking.known)


@dataclass
class Cases:
    """What the cases of a run are called at Langfuse, and how many there are."""

    run: Run

    def __post_init__(self) -> None:
        """Read the run once."""
        self.count = self.results = 0
        self.scores = sum(figure["value"] is not None for figure in self.run.head["metrics"].values())
        self._files: dict[str, set[str]] = {}
        self._lineages: dict[str, dict[int, JSON]] = {}
        for row in self.run:
            self._files.setdefault(row.id, set()).add(row.dataset)
            self.count += row.repeat == 0
            self.results += 1
            self.scores += sum(map(math.isfinite, row.scores.values()))

    def rows(self) -> Iterator[Row]:
        """Yield each case once."""
        return (row for row in self.run if row.repeat == 0)

    def name(self, row: Row) -> str:
        """Return what a case is called."""
        return row.id if len(self._files[row.id]) == 1 else f"{row.dataset}/{row.id}"

    def item(self, row: Row) -> Item:
        """Return a case as an item."""
        masking = Masking()
        about = {"id": self.name(row), "tags": list(row.tags), "lineage": self._lineage(row)}
        content = {
            "input": row.input,
            "expected_output": row.expected,
            "metadata": {name: it for name, it in about.items() if it},
        }
        return Item(name=self.name(row), content=masking(content), masking=masking)

    def _lineage(self, row: Row) -> JSON | None:
        """Return where a case comes from, if the file that it stands in is still there and says so."""
        if row.file not in self._lineages:
            self._lineages[row.file] = _lineages(Path(row.file))
        found = self._lineages[row.file].get(row.line, {})
        return found.get("lineage") if str(found.get("id")) == row.id else None


def _lineages(path: Path) -> dict[int, JSON]:
    """Return id and lineage of a file's cases that have one, by line."""
    found: dict[int, JSON] = {}
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if b'"lineage"' in line:
                    case = orjson.loads(line)
                    found[number] = {name: case[name] for name in ("id", "lineage")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # it is no file of cases, or no longer one
    return found


def item_id(dataset: str, name: str) -> str:
    """Return the id of an item of ours; ids are unique in a project, over all datasets."""
    return f"{OURS}{_digest(16, dataset, name)}"


@dataclass(frozen=True)
class Experiment:
    """A run as an experiment over a dataset."""

    run: Run
    cases: Cases
    project_id: str
    dataset_id: str
    items: Mapping[str, str]
    """The id of each case's item, by the name of the case."""

    @cached_property
    def name(self) -> str:
        """The name of the suite, when the run began, and a few digits that no other run has."""
        head = self.run.head
        return f"{head['name']} {head['began_at']} {_digest(4, _text(head))}"

    @cached_property
    def id(self) -> str:
        """The id that Langfuse itself gives to an experiment of this name over this dataset."""
        parts = ["langfuse-experiment-v1", self.project_id, self.dataset_id, self.name]
        written = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(written.encode()).hexdigest()[:16]

    @cached_property
    def _shared(self) -> dict[str, str]:
        head = self.run.head
        about = {name: head[name] for name in ("name", "target", "versions", "settings", "digests", "passed")}
        return {
            Named.ENVIRONMENT: ENVIRONMENT,
            Named.TRACE_NAME: str(head["name"]),
            Named.OBSERVATION_TYPE: "span",
            Named.EXPERIMENT_ID: self.id,
            Named.EXPERIMENT_NAME: self.name,
            Named.EXPERIMENT_DATASET_ID: self.dataset_id,
            Named.EXPERIMENT_METADATA: _text(about),
        }

    def spans(self) -> Iterator[JSON]:
        """Yield a span for each result, the only one of its trace."""
        for row in self.run:
            yield self._span(row)

    def scores(self) -> Iterator[JSON]:
        """Yield the scores of each result, with what is wrong as their comment, then the figures of the run."""
        for row in self.run:
            trace, span = self._ids(row)
            comment = self._safe(row)[2] if row.wrong else None
            for name, value in row.scores.items():
                if math.isfinite(value):
                    yield self._score(name, value, comment, trace, traceId=trace, observationId=span)
        for name, figure in self.run.head["metrics"].items():
            if figure["value"] is not None:
                yield self._score(name, figure["value"], _interval(figure), self.id, datasetRunId=self.id)

    def _span(self, row: Row) -> JSON:
        trace, span = self._ids(row)
        item, output, _ = self._safe(row)
        about = {"repeat": row.repeat, "file": Path(row.dataset).name, "cost": row.cost, "trace_id": row.trace_id}
        began = _nanoseconds(self.run.head["began_at"]) + row.place * 1000
        values: dict[str, str | None] = {
            **self._shared,
            Named.EXPERIMENT_ITEM_ID: self.items[item.name],
            Named.EXPERIMENT_ITEM_ROOT_OBSERVATION_ID: span,
            Named.EXPERIMENT_ITEM_EXPECTED_OUTPUT: _text(item.content["expected_output"]),
            Named.EXPERIMENT_ITEM_METADATA: _text(item.content["metadata"]),
            Named.OBSERVATION_INPUT: _text(item.content["input"]),
            Named.OBSERVATION_OUTPUT: _text(output),
        }
        values |= {f"{Named.OBSERVATION_METADATA}.{name}": _json(it) for name, it in about.items()}
        return {
            "traceId": trace,
            "spanId": span,
            "name": str(self.run.head["name"]),
            "kind": 1,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(began + round(row.latency_ms * 1_000_000)),
            "attributes": attributes(values),
        }

    def _safe(self, row: Row) -> tuple[Item, Any, str | None]:
        """Return the item of a result, its output and what is wrong, with the same placeholders."""
        item = self.cases.item(row)
        output, wrong = item.masking([row.output, row.wrong])
        return item, output, wrong

    def _score(self, name: str, value: float, comment: str | None, of: str, **subject: str) -> JSON:
        told: JSON = {
            "id": f"{OURS}{_digest(16, of, name)}",
            "name": name,
            "value": float(value),
            "dataType": "NUMERIC",
            "environment": ENVIRONMENT,
            "timestamp": self.run.head["finished_at"],
            **subject,
        }
        return told | ({"comment": comment} if comment else {})

    def _ids(self, row: Row) -> tuple[str, str]:
        """Return the ids of a result's trace and span."""
        parts = (self.id, self.cases.name(row), str(row.repeat))
        return _digest(16, *parts), _digest(8, "span", *parts)


def _interval(figure: JSON) -> str:
    low, high = figure["low"], figure["high"]
    if low is None or high is None:
        return f"{figure['count']} cases"
    return f"95 % interval {low:.4g} to {high:.4g}, {figure['count']} cases"


def _nanoseconds(time: str) -> int:
    return (datetime.fromisoformat(time) - _EPOCH) // _MICROSECOND * 1000


def _text(value: Any) -> str:
    """Return a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _digest(size: int, *parts: str) -> str:
    return hashlib.blake2b(orjson.dumps(parts), digest_size=size).hexdigest()
