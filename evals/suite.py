"""Suite files: what is measured, on which cases, and what must hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from evals.gates import Gate, parse_gate
from policies.errors import ConfigError
from policies.folder import Line, Strict
from policies.guards import Stage
from policies.types import Audience
from tools.assistants import parse_yaml
from tools.encoder import DEFAULT

DATA = "${DATA}"
LATENCY = ("latency_p50", "latency_p95")
TARGETS = ("router", "retriever", "conversation", "drafter", "pii", "checker", "attack")
GUARD = "guard:"


def _is_target(value: str) -> str:
    if value not in TARGETS and not re.fullmatch(rf"{GUARD}[a-z][a-z0-9_-]*", value):
        raise ValueError(f"there is no target {value!r}; known are {', '.join(TARGETS)}, {GUARD}NAME")
    return value


TargetName = Annotated[str, AfterValidator(_is_target)]


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
    private: bool = False
    """Whether its cases are held back from those who work on the product: only figures are printed."""
    place: Line | None = None
    """Where it stands in the table of the red team: at which place ..."""
    kind: Line | None = None
    """... and against what."""

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


class DetectorSuite(SuiteFile):
    """What is found in texts, and what is found where nothing is."""

    draw: Annotated[int, Field(ge=1)] | None = None
    """So many cases of each file, drawn at random but the same each time; all when absent."""


class GuardSuite(DetectorSuite):
    """One guard at one stage, or with ``guard:all`` every guard that stands there by default, as it is bound."""

    measures = r"recall|false_alarms|precision|auroc|balanced_accuracy|ece|recall@fpr:0\.\d+"
    known = "recall, false_alarms, precision, auroc, balanced_accuracy, ece, recall@fpr:0.01"

    stage: Stage | None = None
    """The first that the guard offers when absent."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """From which score on a text is flagged; as the guard is bound by default when absent."""
    flag: bool | None = None
    """What is expected of cases that do not say so themselves, such as questions of a public set of intents."""
    assistant: Line | None = None
    """Whose policy binds the guards; the shipped sample's when absent."""

    @property
    def guard(self) -> str:
        """The guard's name."""
        return self.target.removeprefix(GUARD)


class PiiSuite(DetectorSuite):
    """Personal data, found span by span."""

    measures = r"span_(f2|precision|recall)|typed_(f2|precision|recall)|recall|false_alarms"
    known = "span_f2, span_precision, span_recall, typed_f2, typed_precision, typed_recall, recall, false_alarms"

    target: Literal["pii"]


class CheckerSuite(DetectorSuite):
    """Whether a reply is supported by its sources."""

    measures = r"auroc|lexical_auroc|similarity_auroc|balanced_accuracy|ece|recall|false_alarms"
    known = measures.replace("|", ", ")

    target: Literal["checker"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below this probability of support a reply is held back."""


class AttackSuite(SuiteFile):
    """A whole assistant under attack: what reached the customer?"""

    measures = r"recall|false_alarms"
    known = "recall, false_alarms"

    target: Literal["attack"]
    assistant: Line


MODELS: dict[str, type[SuiteFile]] = {
    "router": RouterSuite,
    "retriever": RetrieverSuite,
    "conversation": ConversationSuite,
    "drafter": DrafterSuite,
    "pii": PiiSuite,
    "checker": CheckerSuite,
    "attack": AttackSuite,
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
    file = parse_yaml(path, text, MODELS.get(parse_yaml(path, text, _Named).target, GuardSuite))
    return Suite(path=path, file=file, gates=_gates(file.gates), data=data)


def _gates(written: dict[str, list[str]]) -> tuple[Gate, ...]:
    return tuple(parse_gate(metric, rule) for metric, rules in written.items() for rule in rules)
