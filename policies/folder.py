"""What an assistant folder may say: the models of assistant.yaml, intents.yaml and policy.yaml.

Unknown keys are errors. Reading files and telling lines is the work of ``tools.assistants``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from policies.sections import (
    Budgets,
    Consent,
    Fixed,
    GuardEntry,
    Limits,
    Line,
    Messages,
    Name,
    Priority,
    ProhibitionEntry,
    Retention,
    RuleEntry,
    Sla,
    Strict,
    Thresholds,
    no_twins,
)
from policies.types import Autonomy, Intent

__all__ = [
    "AssistantFile",
    "IntentEntry",
    "IntentsFile",
    "Line",
    "PolicyFile",
    "RuleEntry",
    "Strict",
    "Thresholds",
]


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
    encoder: str = "all-MiniLM-L6-v2"
    groundedness_model: Line | None = None
    """A cross-encoder on this machine that judges a sentence's support where the trained part is unsure."""
    customer_attributes: dict[Name, Attribute] = Field(default_factory=dict)
    synonyms: dict[Line, Annotated[list[Line], Field(min_length=1)]] = Field(default_factory=dict)
    """The documents' words, each with the words that customers use for it."""


class IntentEntry(Strict):
    """One intent of intents.yaml. Without ``autonomy`` a person approves each draft."""

    name: Name
    description: Line
    queue: Name
    priority: Priority = "normal"
    autonomy: Autonomy = Autonomy.REVIEW
    examples: Annotated[list[Line], Field(min_length=3)]
    tools: list[Name] = Field(default_factory=list)
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
    out_of_scope: list[Line] = Field(default_factory=list)

    @field_validator("intents")
    @classmethod
    def _names_differ(cls, value: list[IntentEntry]) -> list[IntentEntry]:
        seen: set[str] = set()
        for intent in value:
            if intent.name in seen:
                raise ValueError(f"the intent {intent.name!r} is defined twice; give each its own name")
            seen.add(intent.name)
        return value


class PolicyFile(Strict):
    """policy.yaml."""

    languages: list[Name] = Field(default=["en"], min_length=1)
    thresholds: Thresholds = Thresholds()
    limits: Limits = Limits()
    default_queue: Name = "general"
    rules: list[RuleEntry] = Field(default_factory=list)
    templates: dict[Name, Fixed] = Field(default_factory=dict)
    """Texts that rules say by name."""
    answers: dict[Name, Fixed] = Field(default_factory=dict)
    """Fixed answers to intents: no draft is made for them."""
    guards: list[GuardEntry] = Field(default_factory=list)
    prohibitions: list[ProhibitionEntry] = Field(default_factory=list)
    """What an answer may not say, besides what is shipped or instead of it."""
    sla: Sla = Sla()
    consent: Consent = Consent()
    retention: Retention = Retention()
    budgets: Budgets = Budgets()
    messages: Messages = Messages()

    @field_validator("rules")
    @classmethod
    def _ids_differ(cls, value: list[RuleEntry]) -> list[RuleEntry]:
        no_twins([rule.id for rule in value], "rule id")
        return value

    @field_validator("prohibitions")
    @classmethod
    def _prohibitions_differ(cls, value: list[ProhibitionEntry]) -> list[ProhibitionEntry]:
        no_twins([each.id for each in value], "prohibition id")
        return value
