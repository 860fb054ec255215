"""The shapes of requests, which are checked, and of answers, which are documented."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    RootModel,
    StrictBool,
    StringConstraints,
)


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


def _day(value: object) -> object:
    # A bare number would be read as seconds since 1970.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("a day is written as 2026-01-31")
    return value


Day = Annotated[date, BeforeValidator(_day)]
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


class ConsentGiven(Request):
    """What the customer agreed to; where it is silent, the assistant's policy says what holds."""

    third_party_llm: StrictBool | None = Field(
        default=None, description="Whether a language model of others may read the conversation."
    )
    train_eval: StrictBool | None = Field(
        default=None, description="Whether the conversation may become an example to train or to evaluate with."
    )


class Consent(BaseModel):
    """What the customer of a conversation agreed to."""

    third_party_llm: bool
    train_eval: bool


class NewConversation(Request):
    """The body of ``POST /v1/conversations``."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"customer": {"id": "c-1042", "locale": "en-US", "attributes": {"member": True}}}]
        }
    )

    customer: Customer = Customer()
    consent: ConsentGiven = ConsentGiven()


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


class ApprovalAnswer(Request):
    """An answer to whether an action may be done."""

    decision: Literal["approve", "reject"]
    note: Value | None = Field(default=None, description="Why, for the ledger.")


class AnswerToReview(RootModel[dict[str, Any]]):
    """The body of ``POST /v1/reviews/{id}/decision``: an answer to a draft, or what a workflow asks for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"decision": "approve"},
                {"decision": "edit", "text": "Refunds take up to five days.", "note": "shorter"},
                {"decision": "reject", "note": "The customer means another order."},
            ]
        }
    )


class Taking(Request):
    """The body of ``POST /v1/conversations/{id}/take``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"from": "ann"}]}, populate_by_name=True)

    from_id: Short | None = Field(
        default=None, alias="from", description="Whom to take it from, if another person has it."
    )


class NewReply(Request):
    """The body of ``POST /v1/conversations/{id}/replies``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "I have sent you a new pair today."}]})

    text: Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_whole)] = Field(
        description="What a person writes to the customer."
    )


class Return(Request):
    """The body of ``POST /v1/conversations/{id}/return``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"note": "A new pair is on its way."}]})

    note: Value | None = Field(
        default=None, description="For colleagues and the ledger; the customer never sees it."
    )


class IngestRequest(Request):
    """The body of ``POST /v1/knowledge/ingest``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"folder": "/srv/help-articles"}]})

    folder: Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_readable)] | None = (
        Field(default=None, description="A folder on the server; the assistant's own knowledge when absent.")
    )


class StreamToVerify(Request):
    """The body of ``POST /v1/decisions/verify``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"stream": "con_0199c2f0"}]})

    stream: Short = Field(description="A conversation, a run without one, or `workspace`.")


class Reversal(Request):
    """The body of ``POST /v1/decisions/{stream}/{seq}/reversal``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The refund was due after all."}]})

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_readable)]


class ConsentChange(ConsentGiven):
    """The body of ``PATCH /v1/conversations/{id}/consent``; where it is silent, nothing changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"train_eval": False}]})


class Subject(Request):
    """The body of ``POST /v1/privacy/export``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "c-1042"}]})

    subject: Short = Field(description="The customer's id, as the app gave it with the conversations.")
    workspace: Short | None = Field(
        default=None, description="The workspace that is meant; refused when it is not the caller's."
    )


class Erasure(Subject):
    """The body of ``POST /v1/privacy/erase``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "c-1042", "reason": "Asked for in a letter of 2 May."}]}
    )

    reason: Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_readable)] | None = (
        Field(default=None, description="Why, for the ledger, which keeps it: name nobody in it.")
    )


class SubjectConsent(Subject):
    """The body of ``POST /v1/privacy/consent``; where it is silent, nothing changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"subject": "c-1042", "train_eval": False}]})

    third_party_llm: bool | None = None
    train_eval: bool | None = None


class SubjectExport(BaseModel):
    """All that is kept of a subject; design/privacy.md says what a conversation holds."""

    format: int
    workspace_id: str
    subject: str
    made_at: str
    conversations: list[dict[str, Any]]
    workflow_runs: list[dict[str, Any]]


class Erased(BaseModel):
    """What an erasure came to."""

    workspace_id: str
    conversations: int
    runs: int
    digest: str = Field(description="What the ledger calls the subject.")
    scrubbed: bool = Field(description="Whether nothing is left in files either.")


class Consented(BaseModel):
    """In how many conversations a subject's consent was noted."""

    conversations: int


class Conversation(BaseModel):
    """A conversation without its messages."""

    id: str
    assistant: str
    owner: Literal["bot", "queue", "human"]
    version: int
    last_event: int
    customer: dict[str, Any]
    consent: Consent
    queue: str | None
    owner_id: str | None = Field(description="Which person has it; for staff alone.")
    owner_since: str
    waiting_since: str | None = Field(description="Since when the customer waits for a person.")
    priority: str | None
    due_at: str | None = Field(description="By when a person is to answer; null once one has.")
    returned_after: int | None = Field(
        description="The position of the last message when people gave it back to the bot."
    )
    created_at: str


class Entry(BaseModel):
    """A conversation in the inbox."""

    id: str
    owner: Literal["bot", "queue", "human"]
    owner_id: str | None
    owner_since: str
    queue: str | None
    priority: str | None
    due_at: str | None
    waiting_since: str | None
    last_message_at: str | None
    active_at: str


class Inbox(BaseModel):
    """Conversations, the latest written in first."""

    conversations: list[Entry]
    next: str | None = Field(description="What to send as `before` to get those that follow; null at the end.")


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


class DecisionDetails(BaseModel):
    """One decision in a sentence."""

    stream: str
    seq: int
    says: str
    reversed_by: int | None = Field(description="The number of the decision that reverses this one.")


class Explanation(BaseModel):
    """Why a run came to what it came to: a story for everybody, the rest for staff alone."""

    run_id: str
    story: list[str] = Field(description="What happened, in sentences without names, scores or rules of ours.")
    details: list[DecisionDetails] | None = None
    decisions: list[dict[str, Any]] | None = Field(
        default=None, description="The decisions of the run, in order, as the ledger has them."
    )


class Decisions(BaseModel):
    """A piece of the ledger."""

    decisions: list[dict[str, Any]]
    next: str | None = Field(description="What to send as `after` to get those that follow; null at the end.")


class SignedRecord(BaseModel):
    """What all heads of the workspace came to at one time, signed (Ed25519)."""

    workspace_id: str
    number: int
    day: str
    at: str
    heads_count: int
    heads_digest: str
    previous: str
    public_key: str
    signature: str


class SignedRecords(BaseModel):
    """Signed records, the latest first."""

    records: list[SignedRecord]


class Verification(BaseModel):
    """What the verification of one stream came to."""

    clean: bool
    decisions: int
    unsigned: int
    checked: int
    erased: int
    findings: list[dict[str, Any]]
    not_proven: list[str]


class Review(BaseModel):
    """A question to a person."""

    id: str
    run_id: str
    conversation_id: str
    kind: str
    queue: str
    priority: str
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


class UsageAsked(Request):
    """The parameters of ``GET /v1/usage``; unknown ones are errors."""

    by: Literal["day", "intent", "conversation", "run"] = "day"
    first: Day | None = Field(default=None, alias="from", description="The first day (UTC), such as `2026-01-31`.")
    last: Day | None = Field(default=None, alias="to", description="The last day (UTC), which counts too.")
    after: Value | None = Field(default=None, description="`next` of the page before; may be empty.")
    limit: int = Field(default=100, ge=1, le=500)


class Costs(BaseModel):
    """What calls of language models came to, under one name."""

    name: str = Field(
        description="A day, an intent (empty: before one was known), a conversation or a run; empty for a total."
    )
    calls: int
    unpriced_calls: int = Field(description="Of them, those without a known price: the money is then too low.")
    input_tokens: int
    output_tokens: int
    money: float
    held_tokens: int = Field(description="Set aside for calls that have not said how they ended; counts as spent.")
    held_money: float
    saved_calls: int = Field(description="Calls that were not made because the reply was kept.")
    saved_tokens: int
    saved_money: float


class UnsettledCall(BaseModel):
    """A call that was begun and of which nobody has said how it ended."""

    id: str
    run_id: str
    conversation_id: str
    intent: str
    since: str
    tokens: int
    money: float


class RunCount(BaseModel):
    """How many runs have ended, and how many of them called no model."""

    ended: int
    without_model: int


class UsageReport(BaseModel):
    """What language models cost in a workspace."""

    workspace_id: str
    by: Literal["day", "intent", "conversation", "run"]
    sums: list[Costs] = Field(description="Intents by name, all others the latest first.")
    next: str | None = Field(description="What to send as `after` to get those that follow; null at the end.")
    total: Costs = Field(description="All of these days, with conversations that are erased since.")
    runs: RunCount
    unsettled: list[UnsettledCall] = Field(
        description="Begun a while ago and never settled, at most a hundred; they count as spent."
    )


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
