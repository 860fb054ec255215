"""Suite files: what is measured, on which cases, and what must hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evals.gates import Gate, parse_gate
from policies.errors import ConfigError
from policies.folder import Line, Strict
from policies.types import Audience
from tools.assistants import parse_yaml
from tools.encoder import DEFAULT

DATA = "${DATA}"
LATENCY = ("latency_p50", "latency_p95")
TargetName = Literal["router", "retriever", "conversation", "drafter"]


class SuiteFile(Strict):
    """What every suite has. ``encoder`` is a name that ``tools.encoder.open_encoder`` knows."""

    measures: ClassVar[str] = ""
    """A pattern of the metrics that this target has."""
    known: ClassVar[str] = ""
    """The same for people."""

    name: Line
    target: TargetName
    dataset: Annotated[list[Line], Field(min_length=1)]
    metrics: Annotated[list[Line], Field(min_length=1)]
    gates: dict[str, list[Line]] = Field(default_factory=dict)
    """One rule or several for a metric."""
    encoder: Line = DEFAULT

    @field_validator("dataset", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("gates", mode="before")
    @classmethod
    def _one_rule_or_many(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {metric: [rules] if isinstance(rules, str) else rules for metric, rules in value.items()}

    @field_validator("metrics")
    @classmethod
    def _measured(cls, value: list[str]) -> list[str]:
        for name in value:
            cls._check_metric(name)
        return value

    @field_validator("gates")
    @classmethod
    def _gated(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for gate in _gates(value):
            for name in gate.metrics:
                cls._check_metric(name)
        return value

    @classmethod
    def _check_metric(cls, name: str) -> None:
        if name not in ("latency", *LATENCY) and not re.fullmatch(cls.measures, name):
            raise ValueError(f"there is no metric {name!r} for this target; known are {cls.known}, latency")


class RouterSuite(SuiteFile):
    """Intents come from a JSONL file of labelled messages, or from an assistant folder."""

    measures = r"accuracy|routed_accuracy|macro_f1|oos_auroc|oos_recall|baseline_accuracy|baseline_oos_auroc"
    known = measures.replace("|", ", ")

    target: Literal["router"]
    intents: Line | None = None
    out_of_scope: Line | None = None
    """Messages of no intent that the router may learn from; goes with ``intents``."""
    assistant: Line | None = None

    @model_validator(mode="after")
    def _one_source(self) -> RouterSuite:
        if (self.intents is None) == (self.assistant is None):
            raise ValueError("give either `intents` or `assistant`")
        if self.out_of_scope and self.assistant:
            raise ValueError("`out_of_scope` goes with `intents`; an assistant has its own")
        return self


class RetrieverSuite(SuiteFile):
    """Knowledge is a JSONL file of documents, or a folder as an assistant has it."""

    measures = r"(lexical_|dense_)?((recall|pass|hit)@[1-9]\d?|mrr)"
    known = "recall@K, pass@K, hit@K, mrr, each also as lexical_... and dense_..."

    target: Literal["retriever"]
    knowledge: Line
    audience: Audience = "customer"


class ConversationSuite(SuiteFile):
    """A whole assistant, asked as a customer would ask it; the encoder is the assistant's."""

    measures = r"correct|not_answered"
    known = "correct, not_answered"

    target: Literal["conversation"]
    assistant: Line


class DrafterSuite(SuiteFile):
    """Questions with one passage each: answer or abstain."""

    measures = r"answer_auroc|similarity_auroc|answered|abstained"
    known = measures.replace("|", ", ")

    target: Literal["drafter"]


MODELS: dict[str, type[SuiteFile]] = {
    "router": RouterSuite,
    "retriever": RetrieverSuite,
    "conversation": ConversationSuite,
    "drafter": DrafterSuite,
}


class _Named(BaseModel):
    """Only what says which model a suite has."""

    model_config = ConfigDict(extra="ignore")
    target: TargetName


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A suite file that was read; its cases and sources are not yet."""

    path: Path
    file: SuiteFile
    gates: tuple[Gate, ...]
    data: Path | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric to measure: those listed, and those that gates need."""
        listed = [name for each in self.file.metrics for name in (LATENCY if each == "latency" else (each,))]
        return tuple(dict.fromkeys([*listed, *(name for gate in self.gates for name in gate.metrics)]))

    @property
    def datasets(self) -> list[Path]:
        """The files of cases."""
        return [self.locate(each, "dataset") for each in self.file.dataset]

    def locate(self, written: str, field: str) -> Path:
        """Return a path of the suite: relative to it, or below the data folder."""
        if DATA in written:
            if self.data is None:
                raise self.wrong(field, f"{written} needs the data folder", "Give it as --data DIR.")
            written = written.replace(DATA, str(self.data))
        return self.path.parent / written

    def wrong(self, field: str, problem: str, remedy: str) -> ConfigError:
        """Return the error for a field of this suite."""
        return ConfigError(f"{self.path}:{self._line(field)}: {field}: {problem}.", remedy=remedy)

    def needs(self, metrics: Collection[str], given: bool, cases: str) -> None:
        """Raise ``ConfigError`` if one of ``metrics`` is to be measured and ``given`` says that it can't be."""
        asked = [name for name in self.metrics if name in metrics]
        if asked and not given:
            field = "metrics" if asked[0] in self.file.metrics else "gates"
            raise self.wrong(field, f"{asked[0]} needs {cases}", "Add such cases or leave the metric out.")

    def _line(self, field: str) -> int:
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return next((number for number, text in enumerate(lines, 1) if text.startswith(f"{field}:")), 1)


def load_suite(path: Path, data: Path | None = None) -> Suite:
    """Read a suite; ``data`` stands for ``${DATA}`` in its paths.

    Raises ``ConfigError`` whose message names file, line, field and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the suite can't be read: {error}.", remedy="Name a YAML file.") from error
    file = parse_yaml(path, text, MODELS[parse_yaml(path, text, _Named).target])
    return Suite(path=path, file=file, gates=_gates(file.gates), data=data)


def _gates(written: dict[str, list[str]]) -> tuple[Gate, ...]:
    return tuple(parse_gate(metric, rule) for metric, rules in written.items() for rule in rules)
