"""Suite files: what is measured, on which cases, and what must hold."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from evals import spans
from evals.gates import Gate, parse_gate
from evals.ranking import PATTERN
from evals.replies.kinds import GOOD, KINDS, Split
from policies.errors import ConfigError
from policies.folder import Line, Strict
from policies.guards import Stage
from policies.types import Audience
from tools.assistants import parse_yaml
from tools.encoder import DEFAULT

DATA = "${DATA}"
LATENCY = ("latency_p50", "latency_p95")
COMMON = r"latency|latency_p\d{1,2}|cost|pass\^[1-9]\d?|judged|judge_kappa"
JUDGED, AGREEMENT = "judged", "judge_kappa"
LABELLED = (
    r"|accuracy|macro_f1|kappa|quadratic_kappa|krippendorff_alpha(:(nominal|ordinal|interval))?|balanced_accuracy"
)
TARGETS = ("router", "retriever", "conversation", "drafter", "pii", "checker", "replies", "attack")
GUARD = "guard:"


def _is_target(value: str) -> str:
    if value not in TARGETS and not re.fullmatch(rf"{GUARD}[a-z][a-z0-9_-]*", value):
        raise ValueError(f"there is no target {value!r}; known are {', '.join(TARGETS)}, {GUARD}NAME")
    return value


TargetName = Annotated[str, AfterValidator(_is_target)]


class JudgeSettings(Strict):
    """A question that a language model answers about each case, for the metric ``judged``."""

    question: Line
    tiers: Annotated[tuple[Literal["small", "large"], ...], Field(min_length=1)] = ("large", "small")
    third_party: bool = False
    """Whether the cases may be sent to models that are neither private nor on this machine."""


class SuiteFile(Strict):
    """What every suite has. ``encoder`` is a name that ``tools.encoder.open_encoder`` knows."""

    measures: ClassVar[str] = ""
    """A pattern of the metrics that this target has."""
    known: ClassVar[str] = ""
    """The same for people."""

    name: Line
    target: TargetName
    dataset: Annotated[list[Line | dict[str, Any]], Field(min_length=1)]
    """Files of cases, or cases themselves."""
    metrics: Annotated[list[Line], Field(min_length=1)]
    gates: dict[str, list[Line]] = Field(default_factory=dict)
    """One rule or several for a metric."""
    encoder: Line = DEFAULT
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each case is put through."""
    judge: JudgeSettings | None = None
    """What a language model is asked about each case, where the assistant has one."""
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
            cls.check_metric(name)
        return value

    @field_validator("gates")
    @classmethod
    def _gated(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for gate in _gates(value):
            for name in gate.metrics:
                cls.check_metric(name)
        return value

    @classmethod
    def check_metric(cls, name: str) -> None:
        """Raise ``ValueError`` if the target has no such metric."""
        for part in name.split(" - "):
            if not re.fullmatch(f"{COMMON}|{cls.measures}", part):
                known = f"{cls.known}, latency, cost, pass^K, judged"
                raise ValueError(f"there is no metric {part!r} for this target; known are {known}")


class RouterSuite(SuiteFile):
    """Intents come from a JSONL file of labelled messages, or from an assistant folder."""

    measures = (
        r"accuracy|routed_accuracy|macro_f1|oos_auroc|oos_recall|baseline_accuracy|baseline_oos_auroc|ece"
        r"|risk_coverage|accuracy@oos_recall:0\.\d+" + LABELLED
    )
    known = (
        "accuracy, routed_accuracy, macro_f1, oos_auroc, oos_recall, baseline_accuracy, baseline_oos_auroc, ece, "
        "risk_coverage, accuracy@oos_recall:0.9, kappa, krippendorff_alpha, balanced_accuracy"
    )

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

    measures = rf"(lexical_|dense_)?{PATTERN}"
    known = "recall@K, pass@K, hit@K, ndcg@K, mrr, each also as lexical_... and dense_..."

    target: Literal["retriever"]
    knowledge: Line
    audience: Audience = "customer"


class ConversationSuite(SuiteFile):
    """A whole assistant, asked as a customer would ask it; the encoder is the assistant's."""

    measures = r"correct|not_answered|as_expected" + LABELLED
    known = "correct, not_answered, as_expected, accuracy, macro_f1, kappa"

    target: Literal["conversation"]
    assistant: Line


class DrafterSuite(SuiteFile):
    """Questions with one passage each: answer or abstain."""

    measures = r"answer_auroc|similarity_auroc|answered|abstained|ece|risk_coverage" + LABELLED
    known = "answer_auroc, similarity_auroc, answered, abstained, ece, risk_coverage, kappa, balanced_accuracy"

    target: Literal["drafter"]


class DetectorSuite(SuiteFile):
    """What is found in texts, and what is found where nothing is."""

    draw: Annotated[int, Field(ge=1)] | None = None
    """So many cases of each file, drawn at random but the same each time; all when absent."""


class GuardSuite(DetectorSuite):
    """One guard at one stage, or with ``guard:all`` every guard that stands there by default, as it is bound."""

    measures = r"recall|false_alarms|precision|auroc|ece|recall@fpr:0\.\d+" + LABELLED
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

    measures = rf"{spans.PATTERN}|recall|false_alarms"
    known = (
        "span_f2 (or another beta), span_precision, span_recall, typed_f2, typed_precision, typed_recall, recall, "
        "false_alarms"
    )

    target: Literal["pii"]


class CheckerSuite(DetectorSuite):
    """Whether a reply is supported by its sources."""

    measures = r"auroc|lexical_auroc|similarity_auroc|ece|risk_coverage|recall|false_alarms" + LABELLED
    known = "auroc, lexical_auroc, similarity_auroc, balanced_accuracy, ece, risk_coverage, recall, false_alarms"

    target: Literal["checker"]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Below this probability of support a reply is held back."""


class RepliesSuite(SuiteFile):
    """Good replies, and bad ones made of them, at the gate: which share of each kind passes."""

    measures = rf"passed:({'|'.join((GOOD, 'bad', *KINDS))})"
    known = f"passed:KIND with {', '.join((GOOD, 'bad', *KINDS))}"

    target: Literal["replies"]
    split: Split | None = None
    """The half whose articles are asked about; both when absent."""


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
    "replies": RepliesSuite,
    "attack": AttackSuite,
}


def model_of(target: str) -> type[SuiteFile]:
    """Return what a suite of a target has."""
    return MODELS.get(target, GuardSuite)


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
        listed = [name for each in self.file.metrics for name in spelt_out(each)]
        named = [*listed, *(name for gate in self.gates for name in gate.metrics)]
        # How far a judge can be trusted stands beside what it says.
        return tuple(dict.fromkeys([*named, *([AGREEMENT] if JUDGED in named else [])]))

    @property
    def datasets(self) -> list[Path]:
        """The files of cases."""
        return [self.locate(each, "dataset") for each in self.file.dataset if isinstance(each, str)]

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


def spelt_out(metric: str) -> tuple[str, ...]:
    """Return the metrics that a name stands for."""
    return LATENCY if metric == "latency" else (metric,)


def load_suite(path: Path, data: Path | None = None) -> Suite:
    """Read a suite; ``data`` stands for ``${DATA}`` in its paths.

    Raises ``ConfigError`` whose message names file, line, field and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the suite can't be read: {error}.", remedy="Name a YAML file.") from error
    file = parse_yaml(path, text, model_of(parse_yaml(path, text, _Named).target))
    return Suite(path=path, file=file, gates=_gates(file.gates), data=data)


def _gates(written: dict[str, list[str]]) -> tuple[Gate, ...]:
    return tuple(parse_gate(metric, rule) for metric, rules in written.items() for rule in rules)
