"""The shapes of requests, which are checked, and of answers, which are documented."""

from __future__ import annotations

import math
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints


def _whole(text: str) -> str:
    # JSON can spell half of a surrogate pair, which no encoding of Unicode can hold.
    if any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("half of a surrogate pair is no character")
    return text


def _readable(text: str) -> str:
    if any(unicodedata.category(each) == "Cc" and each not in "\n\r\t" for each in _whole(text)):
        raise ValueError("control characters are not taken")
    return text


def _value(value: object) -> bool | int | float | str:
    # One function and no union of types: an error then points at the attribute, not at a member of the union.
    if isinstance(value, str) and len(_readable(value)) <= 1000:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    raise ValueError("an attribute is true, false, a number that can be kept exactly or up to 1000 characters")


def _names(attributes: dict[str, Any]) -> dict[str, Any]:
    if any(not 1 <= len(_readable(name)) <= 200 for name in attributes):
        raise ValueError("the name of an attribute has 1 to 200 characters")
    return attributes


Short = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_readable)]
Value = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_readable)]
Attribute = Annotated[
    bool | int | float | str,
    PlainValidator(_value, json_schema_input_type=bool | int | float | Annotated[str, Field(max_length=1000)]),
]


class Request(BaseModel):
    """A body in which unknown members are errors."""

    model_config = ConfigDict(extra="forbid")


class Customer(Request):
    """What the app knows about its user."""

    id: Short | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,35}$")] | None = None
    attributes: Annotated[dict[str, Attribute], Field(max_length=50), AfterValidator(_names)] = {}


class NewConversation(Request):
    """The body of ``POST /v1/conversations``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"customer": {"id": "c-1042", "locale": "en-US", "attributes": {"member": True}}}]
        }
    )

    customer: Customer = Customer()


class NewMessage(Request):
    """The body of ``POST /v1/conversations/{id}/messages``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "How long do I have to return a pair of boots?"}]}
    )

    text: Annotated[str, AfterValidator(_whole)] = Field(
        description="The customer's message; the policy of the assistant limits its length."
    )


class ReviewAnswer(Request):
    """The body of ``POST /v1/reviews/{id}/decision``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"decision": "approve"},
                {"decision": "edit", "text": "Refunds take up to five days.", "note": "shorter"},
                {"decision": "reject", "note": "The customer means another order."},
            ]
        }
    )

    decision: Literal["approve", "edit", "reject"]
    text: Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_readable)] | None = Field(
        default=None, description="What to send instead of the draft; required with `edit`."
    )
    note: Value | None = Field(default=None, description="Why, for the ledger.")


class IngestRequest(Request):
    """The body of ``POST /v1/knowledge/ingest``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"folder": "/srv/help-articles"}]})

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_readable)] | None = (
        Field(default=None, description="A folder on the server; the assistant's own knowledge when absent.")
    )


class Conversation(BaseModel):
    """A conversation without its messages."""

    id: str
    assistant: str
    owner: Literal["bot", "queue", "human"]
    version: int
    last_event: int
    customer: dict[str, Any]
    queue: str | None
    created_at: str


class Message(BaseModel):
    """One message of a conversation."""

    id: str
    conversation_id: str
    position: int
    author: Literal["customer", "bot", "human"]
    text: str
    citations: list[dict[str, Any]]
    run_id: str | None
    state: str
    created_at: str


class WholeConversation(Conversation):
    """A conversation with its messages and handoffs."""

    messages: list[Message]
    handoffs: list[dict[str, Any]]


class Run(BaseModel):
    """How a run stands and what it said."""

    run_id: str
    conversation_id: str
    status: Literal["queued", "running", "waiting", "finished"]
    outcome: str | None
    text: str
    citations: list[dict[str, Any]]
    route: dict[str, Any] | None
    review_id: str | None
    trace_id: str


class Explanation(BaseModel):
    """The decisions of a run, in order."""

    run_id: str
    decisions: list[dict[str, Any]]


class Review(BaseModel):
    """A question to a person."""

    id: str
    run_id: str
    conversation_id: str
    kind: str
    queue: str
    status: Literal["open", "decided", "expired", "stale"]
    draft: list[dict[str, Any]]
    response_schema: dict[str, Any]
    reasons: list[dict[str, Any]]
    due_at: str
    answer: dict[str, Any] | None
    decided_by: str | None
    decided_at: str | None
    created_at: str


class Reviews(BaseModel):
    """The review queue, those due first first."""

    reviews: list[Review]


class KnowledgeView(BaseModel):
    """What the assistant knows at present."""

    index_version: str
    documents: list[dict[str, Any]]


class IngestOutcome(BaseModel):
    """What an ingest found and did."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    unchanged: int
    failed: list[tuple[str, str]]
    encoded: int
    chunks: int
    seconds: float
    index_version: str
    skipped: int


class SearchAnswer(BaseModel):
    """Passages, best first."""

    index_version: str
    passages: list[dict[str, Any]]


class Health(BaseModel):
    """Whether the process is alive, or ready."""

    status: Literal["ok", "ready"]


class Problem(BaseModel):
    """An error, as RFC 9457 has it; ``code`` is stable."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:handrail:problem:not_found",
                    "title": "Not found",
                    "status": 404,
                    "detail": "There is no run 'run_1'.",
                    "code": "not_found",
                    "instance": "/v1/runs/run_1",
                    "remedy": "Take the id from the answer to the message.",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    remedy: str | None = None
    errors: list[dict[str, str]] | None = None
    first: dict[str, Any] | None = None
    error_id: str | None = None
