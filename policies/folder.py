"""What an assistant folder may say: the models of assistant.yaml, intents.yaml, policy.yaml and questions.yaml.

Unknown keys are errors. Reading files and telling lines is the work of ``tools.assistants``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

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
from policies.types import Autonomy, Intent, KnownQuestion

__all__ = [
    "AssistantFile",
    "IntentEntry",
    "IntentsFile",
    "Line",
    "PolicyFile",
    "QuestionsFile",
    "RuleEntry",
    "Strict",
    "Thresholds",
]


MOST_SENTENCES = 3
"""How many sentences of a document may answer one question, known or new."""
Seconds = Annotated[float, Field(gt=0, le=3600)]
Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class Attribute(Strict):
    """One thing that an app may tell us about its customer."""

    type: Literal["string", "number", "boolean"]
    description: str = ""


class PriceEntry(Strict):
    """What a million tokens cost, in the currency of the budgets."""

    input: Amount
    output: Amount
    cached: Amount | None = None


Structured = Literal["json_schema", "function_calling", "json_mode"]
"""How a model is asked for a reply in a schema."""


class ModelEntry(Strict):
    """One language model; written as its name alone, the rest is as by default."""

    name: str
    """``provider:model``."""
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    key: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    """The environment variable that holds its key; else the provider's usual one, or none with a base_url."""
    private: bool | None = None
    """Whether what it reads stays with us, so that no consent is needed; left out, where it is served decides."""
    price: PriceEntry | None = None
    connect_seconds: Seconds = 5.0
    first_token_seconds: Seconds = 20.0
    total_seconds: Seconds = 60.0
    wait_seconds: Seconds = 10.0
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    first_wait: Seconds = 0.5
    longest_wait: Seconds = 30.0
    opens_after: Annotated[int, Field(ge=1, le=10_000)] = 5
    opens_seconds: Seconds = 30.0
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 8
    requests_a_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_a_minute: Annotated[int, Field(ge=1)] | None = None
    hedge_seconds: Seconds | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    structured: Structured | None = None
    announces_end: bool = True
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _names_a_provider(cls, value: str) -> str:
        if re.fullmatch(r"[a-z]+:\S+", value) is None:
            raise ValueError("write provider:model, such as openai:gpt-4o-mini")
        return value


ModelTier = Literal["small", "large"]
Task = Literal["route", "act", "draft", "check", "escalate"]


PythonPlace = Annotated[str, StringConstraints(pattern=r"^[^:\s]+\.py(:[A-Za-z_]\w*)?$")]
"""A Python file of the folder, with a function of it where that has another name than what it is listed as."""


class WorkflowEntry(Strict):
    """One workflow; written as its file alone, the rest is as by default."""

    file: PythonPlace
    """Where the function is that returns its graph; called what the workflow is, unless it says so."""
    description: str = ""
    queue: Name | None = None
    """Who is asked where the graph does not say; the policy's default queue when absent."""
    priority: Priority = "normal"
    seconds: Seconds | None = None
    """After how long a step from one question to the next is given up; HANDRAIL_RUN_SECONDS when absent."""

    @model_validator(mode="before")
    @classmethod
    def _file_alone(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @property
    def path(self) -> str:
        """The file alone."""
        return self.file.partition(":")[0]

    def function(self, name: str) -> str:
        """Return what the function of the workflow of this name is called."""
        return self.file.partition(":")[2] or name.replace("-", "_")


class ArgumentEntry(Strict):
    """How a customer writes one argument of a tool."""

    pattern: Line
    """A regular expression; its first group, or all of it, is the value."""
    about: Line
    """What it is, as a person would say it: ``an order number``."""

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        return value


class ServerTool(Strict):
    """One tool of a server that speaks MCP; unless it says otherwise, it changes something outside."""

    tool: Line | None = None
    """What the server calls it; the name it is listed as when absent."""
    effect: bool = True
    idempotent: bool = False
    timeout: Annotated[float, Field(gt=0, le=600)] = 10.0
    arguments: dict[Line, ArgumentEntry] = Field(default_factory=dict)
    """Which of its arguments are found in the customer's words, and how."""


Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")]
"""The name of an HTTP header (RFC 9110, section 5.6.2)."""


class ServerEntry(Strict):
    """One server that speaks MCP: a command that is started, or an address; and which of its tools may be used."""

    command: Annotated[list[Line], Field(min_length=1)] | None = None
    env: dict[Line, str] = Field(default_factory=dict)
    """What the command's environment has besides; ``${NAME}`` is taken from ours."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    headers: dict[Header, Line] = Field(default_factory=dict)
    """What every call of the address has besides, such as a key; ``${NAME}`` is taken from the environment."""
    tools: Annotated[dict[Name, ServerTool], Field(min_length=1)]
    start_seconds: Annotated[float, Field(gt=0, le=120)] = 20.0
    """How long it may take to say which tools it has."""

    @model_validator(mode="after")
    def _is_reached_one_way(self) -> ServerEntry:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has a `command` or a `url`; write one of them")
        if self.headers and self.url is None:
            raise ValueError("`headers` go with a `url`; a command has `env`")
        return self


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


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
    models: dict[ModelTier, Annotated[list[ModelEntry], Field(min_length=1), BeforeValidator(_listed)]] = Field(
        default_factory=dict
    )
    """Language models by tier; several of a tier are asked one after the other."""
    tasks: dict[Task, Annotated[list[ModelTier], Field(min_length=1), BeforeValidator(_listed)]] = Field(
        default_factory=dict
    )
    """Which tiers serve a task, in this order; what is not named, and what no model answers, is done locally."""
    tools: dict[Name, PythonPlace] = Field(default_factory=dict)
    """Tools of its own, each with its Python file: ``actions.py``, or ``actions.py:function``."""
    mcp: dict[Name, ServerEntry] = Field(default_factory=dict)
    """Servers that speak MCP, by any name, with those of their tools that may be used."""
    workflows: dict[Name, WorkflowEntry] = Field(default_factory=dict)
    """Graphs of its own, each with its Python file."""

    @model_validator(mode="after")
    def _tools_differ(self) -> AssistantFile:
        no_twins([*self.tools, *(name for server in self.mcp.values() for name in server.tools)], "tool")
        return self

    @property
    def python_files(self) -> tuple[str, ...]:
        """The Python files of the folder that it names."""
        places = [*self.tools.values(), *(each.file for each in self.workflows.values())]
        return tuple(dict.fromkeys(place.partition(":")[0] for place in places))

    @field_validator("tasks")
    @classmethod
    def _tiers_have_models(cls, value: dict[str, list[str]], info: ValidationInfo) -> dict[str, list[str]]:
        models = info.data.get("models", {})
        for task, tiers in value.items():
            no_twins(tiers, f"tier of {task}")
            for tier in tiers:
                if tier not in models:
                    raise ValueError(f"{task} is given to {tier}, which has no model; name one under `models`")
        return value


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


class QuestionEntry(Strict):
    """One question of questions.yaml: how customers put it, and which sentences of a document answer it."""

    document: Line
    """Its path in the folder of knowledge."""
    answer: Annotated[list[Line], Field(min_length=1, max_length=MOST_SENTENCES)]
    """Word for word as an answer quotes them: without markup, a table's row as ``Column: value; ...``."""
    asked: Annotated[list[Line], Field(min_length=1)]
    intent: Name | None = None
    """The intent that they are further examples of."""

    def to_question(self) -> KnownQuestion:
        """Return the value that agents work with."""
        return KnownQuestion(
            document=self.document, answer=tuple(self.answer), asked=tuple(self.asked), intent=self.intent
        )


class QuestionsFile(Strict):
    """questions.yaml, which a folder may do without."""

    questions: list[QuestionEntry] = Field(default_factory=list)


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
