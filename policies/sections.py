"""The sections of policy.yaml: what each may say. Unknown keys are errors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from policies.expressions import Stage as When
from policies.expressions import check_expression
from policies.guards import Stage
from policies.personal_data import PLACEHOLDER
from policies.phrases import compile_phrase
from policies.promises import SHIPPED, Unless, bad_pattern
from policies.rules import Effect
from policies.sla import DAYS, Due, Hours, above, due_at, read_spans

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Priority = Literal["low", "normal", "high", "urgent"]
Probability = Annotated[float, Field(ge=0, le=1)]
Minutes = Annotated[int, Field(ge=1, le=44_640)]
Days = Annotated[int, Field(ge=1, le=36_500)]
LEAST_MINUTES_A_WEEK = 60


class Strict(BaseModel):
    """A section of a file in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


def without_placeholders(text: str) -> str:
    """Return a text that is the same for every customer; raises ``ValueError`` when it has a placeholder."""
    found = PLACEHOLDER.search(text)
    if found:
        raise ValueError(f"{found[0]} stands for nothing here: write a text that is the same for every customer")
    return text


Fixed = Annotated[Line, AfterValidator(without_placeholders)]
"""A text that is the same for every customer."""


class RuleEntry(Strict):
    """One rule: a CEL expression over the facts of ``policies.expressions`` and what it leads to."""

    id: Name
    on: When = "route"
    when: Line
    effect: Effect
    reason: Line
    queue: Name | None = None
    say: Fixed | None = None
    template: Name | None = None
    tool: Name | None = None

    @field_validator("when")
    @classmethod
    def _works(cls, value: str, info: ValidationInfo) -> str:
        problem = check_expression(value, info.data.get("on", "answer"))
        if problem:
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> RuleEntry:
        texts = (self.say is not None) + (self.template is not None)
        if texts != (self.effect == "say"):
            raise ValueError(
                "a rule whose effect is `say` has a text, in `say` or named by `template`; no other rule has"
            )
        if self.effect == "require" and self.tool is None:
            raise ValueError("a rule whose effect is `require` names its `tool`")
        if self.tool is not None and self.effect != "require" and self.on != "action":
            raise ValueError("a rule names its `tool` with `effect: require` or `on: action`, and no other does")
        if self.on == "action" and self.effect in ("say", "review"):
            raise ValueError(
                f"a rule with `on: action` can't `{self.effect}`; hold the action back: require, escalate or block"
            )
        if self.on == "answer" and self.effect in ("say", "require"):
            raise ValueError(
                f"a rule with `on: answer` can't `{self.effect}`; hold the answer back: review, escalate or block"
            )
        return self


class Thresholds(Strict):
    """Where a judgement is sure enough to act on it alone."""

    route_confidence: Probability = 0.2
    in_scope: Probability = 0.75
    answer_confidence: Probability = 0.2


class Limits(Strict):
    """How much a customer may send."""

    message_characters: Annotated[int, Field(ge=1, le=100_000)] = 4_000


class BusinessHours(Strict):
    """When people work: a time zone and, for each day, spans such as ``09:00-17:00``."""

    timezone: str
    mon: list[str] = []
    tue: list[str] = []
    wed: list[str] = []
    thu: list[str] = []
    fri: list[str] = []
    sat: list[str] = []
    sun: list[str] = []

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("this machine knows no such time zone; write one like Europe/Berlin or UTC") from None
        return value

    @field_validator(*DAYS)
    @classmethod
    def _are_spans(cls, value: list[str]) -> list[str]:
        read_spans(value)
        return value

    @model_validator(mode="after")
    def _has_some(self) -> BusinessHours:
        worked = sum(end - begin for spans in self.week for begin, end in spans)
        if worked < LEAST_MINUTES_A_WEEK:
            raise ValueError("a week has an hour of work at least; add days, such as `mon: ['09:00-17:00']`")
        return self

    @property
    def week(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The spans of each day from Monday on, in minutes."""
        return tuple(read_spans(getattr(self, day)) for day in DAYS)


class Sla(Strict):
    """Minutes until a person must have looked, by priority, and what happens when nobody did.

    With ``hours`` only minutes count in which people work, except for the priorities ``around_the_clock``.
    """

    minutes: Annotated[dict[Priority, Minutes], Field(min_length=1)] = {
        "urgent": 30,
        "high": 120,
        "normal": 480,
        "low": 1440,
    }
    hours: BusinessHours | None = None
    holidays: list[date] = []
    around_the_clock: list[Priority] = []
    breach: Literal["escalate", "raise"] = "escalate"

    @model_validator(mode="after")
    def _has_hours(self) -> Sla:
        if self.hours is None and (self.holidays or self.around_the_clock):
            raise ValueError("`holidays` and `around_the_clock` mean nothing without `hours`; add them")
        return self

    def due_at(self, priority: str, now: datetime) -> datetime:
        """Return by when a person must look; unknown priorities get the shortest time."""
        return due_at(
            priority,
            now,
            minutes={str(name): minutes for name, minutes in self.minutes.items()},
            hours=self.working_hours(),
            around_the_clock=self.around_the_clock,
        )

    def working_hours(self) -> Hours | None:
        """Return when people work, or None when they always do."""
        if self.hours is None:
            return None
        return Hours(zone=ZoneInfo(self.hours.timezone), week=self.hours.week, holidays=frozenset(self.holidays))

    def ladder(self, priority: str, now: datetime) -> tuple[Due, ...]:
        """Return when somebody must look, and each further time that is given when nobody does.

        With the breach action ``raise`` that is one for every priority above; what follows the last is that the
        conversation goes to the queue.
        """
        steps = [Due(priority=priority, at=self.due_at(priority, now))]
        while self.breach == "raise" and (higher := above(steps[-1].priority)):
            steps.append(Due(priority=higher, at=self.due_at(higher, steps[-1].at)))
        return tuple(steps)


class GuardEntry(Strict):
    """How one guard is used at some of its stages; what is left out is as by default."""

    guard: Name
    stages: Annotated[list[Stage], Field(min_length=1)] | None = None
    threshold: Probability | None = None
    effect: Literal["revise", "review", "escalate", "block", "off"] | None = None
    seconds: Annotated[float, Field(ge=0.01, le=60)] | None = None

    @field_validator("stages")
    @classmethod
    def _stages_differ(cls, value: list[Stage] | None) -> list[Stage] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("a stage stands twice; name each once")
        return value

    @field_validator("threshold")
    @classmethod
    def _passes_some(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise ValueError("from 0 on every text fails; use more than 0, or `effect: off`")
        return value

    @model_validator(mode="after")
    def _off_says_no_more(self) -> GuardEntry:
        if self.effect == "off" and (self.threshold is not None or self.seconds is not None):
            raise ValueError(
                "a guard that is off has no `threshold` and no `seconds`; remove them, or `effect: off`"
            )
        return self

    @model_validator(mode="after")
    def _can_revise(self) -> GuardEntry:
        if self.effect == "revise" and "input" in (self.stages or ()):
            raise ValueError("what a customer wrote is not revised; at `input` use review, escalate or block")
        return self


class ProhibitionEntry(Strict):
    """One thing that an answer may not say: policy's own, or a shipped one that is changed or switched off."""

    id: Name
    off: bool = False
    reason: Line | None = None
    says: Annotated[list[Line], Field(max_length=200)] | None = None
    matches: Line | None = None
    allows: Annotated[list[Line], Field(max_length=200)] | None = None
    unless: Unless | None = None

    @field_validator("says", "allows")
    @classmethod
    def _are_phrases(cls, value: list[str] | None) -> list[str] | None:
        for said in value or ():
            compile_phrase(said, {})
        return value

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and (problem := bad_pattern(value)):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _forbids_something(self) -> ProhibitionEntry:
        given = [name for name in ("says", "matches", "allows") if getattr(self, name) is not None]
        if self.off and given:
            raise ValueError(f"a prohibition that is off says nothing; remove `{given[0]}`, or `off: true`")
        if self.says == [] and not self.matches:
            raise ValueError("`says: []` forbids nothing; write a phrase, remove `says`, or write `off: true`")
        if self.id in SHIPPED:
            return self
        if self.off:
            known = ", ".join(SHIPPED)
            raise ValueError(f"no prohibition {self.id!r} is shipped that could be off; shipped are: {known}")
        if not self.reason or not (self.says or self.matches):
            raise ValueError("your own prohibition has a `reason`, and `says` or `matches`; add what is missing")
        return self


class Consent(Strict):
    """What a conversation begins with where the app does not say what its customer agreed to."""

    third_party_llm: bool = False
    train_eval: bool = False


class Retention(Strict):
    """For how many days what this assistant leaves is kept; what is not named, as the settings say or for ever."""

    events_days: Days | None = None
    """Events; the setting HANDRAIL_EVENT_DAYS when absent."""
    conversations_days: Days | None = None
    """Conversations nobody has written in for so long are erased, with all that belongs to them."""


BudgetAction = Literal["warn", "local", "review", "escalate"]
BUDGET_ACTIONS: tuple[BudgetAction, ...] = ("warn", "local", "review", "escalate")
"""What may follow when a budget is nearly or wholly spent, laxest first."""


class Budget(Strict):
    """How much may be spent on language models, in money, in tokens or in both, and what follows.

    The local tier costs nothing and uses no tokens.
    """

    money: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """In the currency of the prices."""
    tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Read and written together."""
    at_80: BudgetAction = "warn"
    """What follows from 80 % on."""
    at_100: BudgetAction = "local"
    """What follows once it is spent."""

    @model_validator(mode="after")
    def _limits_something(self) -> Budget:
        if self.money is None and self.tokens is None:
            raise ValueError("a budget has `money`, `tokens` or both")
        if BUDGET_ACTIONS.index(self.at_100) < BUDGET_ACTIONS.index(self.at_80):
            raise ValueError(
                f"`at_100: {self.at_100}` is laxer than `at_80: {self.at_80}`; make it as strict at least"
            )
        return self


class Budgets(Strict):
    """What may be spent on one run, on one conversation, and in the workspace in one day (UTC)."""

    run: Budget | None = None
    conversation: Budget | None = None
    day: Budget | None = None


class Messages(Strict):
    """What the customer reads when no drafted answer is sent."""

    handoff: Fixed = "I am passing this to a colleague, who will reply here."
    pending: Fixed = "A colleague will look at this before you get an answer."
    degraded: Fixed = "Something is not working on our side, so I am passing this to a colleague."
    blocked: Fixed = "I can't help with that here. A colleague will take a look."


def no_twins(values: Sequence[str], what: str) -> None:
    """Raise ``ValueError`` when a value stands twice."""
    twice = sorted({each for each in values if values.count(each) > 1})
    if twice:
        raise ValueError(f"the {what} {twice[0]!r} is used twice; give each its own")
