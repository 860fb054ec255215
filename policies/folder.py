"""What an assistant folder may say: the models of assistant.yaml, intents.yaml and policy.yaml.

Unknown keys are errors. Reading files and telling lines is the work of ``tools.assistants``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from policies.rules import check_expression
from policies.types import Autonomy, Intent

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Priority = Literal["low", "normal", "high", "urgent"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A section of a file in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Attribute(Strict):
    """One thing that an app may tell us about its customer."""

    type: Literal["string", "number", "boolean"]
    description: str = ""


class AssistantFile(Strict):
    """assistant.yaml."""

    name: Name
    title: Line
    description: str = ""
    greeting: Line
    encoder: str = "minilm"
    customer_attributes: dict[Name, Attribute] = {}
    synonyms: dict[Line, Annotated[list[Line], Field(min_length=1)]] = {}
    """The documents' words, each with the words that customers use for it."""


class IntentEntry(Strict):
    """One intent of intents.yaml. Without ``autonomy`` a person approves each draft."""

    name: Name
    description: Line
    queue: Name
    priority: Priority = "normal"
    autonomy: Autonomy = Autonomy.REVIEW
    examples: Annotated[list[Line], Field(min_length=3)]
    tools: list[Name] = []
    """Actions that are run for it, in this order, before an answer is drafted."""

    @field_validator("tools")
    @classmethod
    def _tools_differ(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a tool stands twice; name each once")
        return value

    def to_intent(self) -> Intent:
        """Return the value that agents work with."""
        return Intent(
            name=self.name,
            description=self.description,
            examples=tuple(self.examples),
            queue=self.queue,
            priority=self.priority,
            autonomy=self.autonomy,
            tools=tuple(self.tools),
        )


class IntentsFile(Strict):
    """intents.yaml."""

    intents: Annotated[list[IntentEntry], Field(min_length=2)]
    out_of_scope: list[Line] = []

    @field_validator("intents")
    @classmethod
    def _names_differ(cls, value: list[IntentEntry]) -> list[IntentEntry]:
        seen: set[str] = set()
        for intent in value:
            if intent.name in seen:
                raise ValueError(f"the intent {intent.name!r} is defined twice; give each its own name")
            seen.add(intent.name)
        return value


class RuleEntry(Strict):
    """One rule: a CEL expression over the facts of ``policies.rules`` and what it leads to."""

    id: Name
    on: Literal["route", "answer"] = "route"
    when: Line
    effect: Literal["block", "escalate", "review", "say"]
    reason: Line
    queue: Name | None = None
    say: Line | None = None

    @field_validator("when")
    @classmethod
    def _compiles(cls, value: str) -> str:
        problem = check_expression(value)
        if problem:
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _says_something(self) -> RuleEntry:
        if (self.effect == "say") != (self.say is not None):
            raise ValueError("`say` holds the text of a rule whose effect is `say`, and of no other")
        if self.effect == "say" and self.on == "answer":
            raise ValueError(
                "a rule with `on: answer` can't `say`; hold the answer back with review, escalate or block"
            )
        return self


class Thresholds(Strict):
    """Where a judgement is sure enough to act on it alone."""

    route_confidence: Probability = 0.2
    in_scope: Probability = 0.75
    answer_confidence: Probability = 0.2
    support: Probability = 0.5


class Limits(Strict):
    """How much a customer may send."""

    message_characters: Annotated[int, Field(ge=1, le=100_000)] = 4_000


class Sla(Strict):
    """Minutes until a person must have looked, by priority, and what happens when nobody did."""

    minutes: dict[Priority, Annotated[int, Field(ge=1)]] = {"urgent": 30, "high": 120, "normal": 480, "low": 1440}
    breach: Literal["escalate"] = "escalate"

    def due(self, priority: str) -> timedelta:
        """Return the time that a person has; unknown priorities get the shortest."""
        known: dict[Any, int] = dict(self.minutes)
        return timedelta(minutes=known.get(priority, min(known.values())))


class Messages(Strict):
    """What the customer reads when no drafted answer is sent."""

    handoff: Line = "I am passing this to a colleague, who will reply here."
    pending: Line = "A colleague will look at this before you get an answer."
    degraded: Line = "Something is not working on our side, so I am passing this to a colleague."
    blocked: Line = "I can't help with that here. A colleague will take a look."


class PolicyFile(Strict):
    """policy.yaml."""

    languages: Annotated[list[Name], Field(min_length=1)] = ["en"]
    thresholds: Thresholds = Thresholds()
    limits: Limits = Limits()
    default_queue: Name = "general"
    rules: list[RuleEntry] = []
    sla: Sla = Sla()
    messages: Messages = Messages()

    @field_validator("rules")
    @classmethod
    def _ids_differ(cls, value: list[RuleEntry]) -> list[RuleEntry]:
        ids = [rule.id for rule in value]
        twice = {each for each in ids if ids.count(each) > 1}
        if twice:
            raise ValueError(f"the rule id {min(twice)!r} is used twice; give each rule its own id")
        return value
