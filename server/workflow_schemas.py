"""The shapes of requests and answers about workflows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.schemas import Request, Short


class NewWorkflowRun(Request):
    """The body of ``POST /v1/workflows/{name}/runs``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input": {"number": "R-1001", "total": "205.00"}, "subject": "c-1042"}]}
    )

    input: Any = Field(description="What the workflow takes; `GET /v1/workflows` has its JSON Schema.")
    subject: Short | None = Field(
        default=None, description="The id of the person whom it is about, so that their data can be erased."
    )


class WorkflowItem(NewWorkflowRun):
    """One item of a batch."""

    id: Short | None = Field(default=None, description="What the client calls it; it comes back with the result.")


class NewWorkflowBatch(Request):
    """The body of ``POST /v1/workflows/{name}/runs:batch``."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"id": "1", "input": {"number": "R-1001"}}]}]}
    )

    items: Annotated[list[WorkflowItem], Field(min_length=1, max_length=1000)]


class InputsToCheck(Request):
    """The body of ``POST /v1/workflows/{name}/runs:check``."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": [{"number": "R-1001"}]}]})

    inputs: Annotated[list[Any], Field(min_length=1, max_length=1000)]


class WorkflowDescription(BaseModel):
    """One workflow."""

    name: str
    description: str
    input: dict[str, Any] = Field(description="JSON Schema of what it takes.")
    output: dict[str, Any] = Field(description="JSON Schema of what it returns.")


class WorkflowList(BaseModel):
    """The assistant's workflows."""

    workflows: list[WorkflowDescription]


class WorkflowRun(BaseModel):
    """How a workflow's run stands, what it was given and what it came to."""

    run_id: str
    workflow: str
    status: Literal["queued", "running", "waiting", "finished"]
    outcome: Literal["done", "failed", "expired", "cancelled", "review"] | None
    input: Any
    output: dict[str, Any] | None
    reasons: list[dict[str, Any]] = Field(description="Why it came to nothing, if it did.")
    review_id: str | None
    batch_id: str | None
    item_id: str | None
    assistant_version: str
    trace_id: str
    created_at: str
    finished_at: str | None


class WorkflowBatchStarted(BaseModel):
    """A batch that is accepted."""

    batch_id: str
    count: int


class BatchItem(BaseModel):
    """One item of a batch, as it stands."""

    position: int
    id: str | None
    run_id: str
    status: Literal["queued", "running", "waiting", "finished"]
    outcome: Literal["done", "failed", "expired", "cancelled", "review"] | None
    output: dict[str, Any] | None


class WorkflowBatch(BaseModel):
    """A batch; items that were erased are missing."""

    batch_id: str
    workflow: str
    created_at: str
    progress: dict[str, int] = Field(description="How many items there are in all, and how they stand.")
    items: list[BatchItem]


class WrongInput(BaseModel):
    """What is wrong with one input."""

    index: int
    pointer: str
    detail: str


class InputsChecked(BaseModel):
    """What is wrong with inputs, the first hundred mistakes."""

    errors: list[WrongInput]
