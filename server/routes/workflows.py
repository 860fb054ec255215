"""Workflows: graphs of the assistant's own, run on one input or on many; for staff and services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict

import anyio
from fastapi import APIRouter, Request
from starlette.responses import Response

from graphs.assembly import Product
from graphs.workflows.desk import Item, Workflows
from policies.types import Principal
from server.dependencies import Caller, Open
from server.documentation import Responses, problems, stream
from server.headers import idempotency_key, wait_seconds, wants_events
from server.lifecycle import Lifecycle
from server.replies import reply
from server.streams import EventStream, frame, run_frames
from server.workflow_schemas import (
    InputsChecked,
    InputsToCheck,
    NewWorkflowBatch,
    NewWorkflowRun,
    WorkflowBatch,
    WorkflowBatchStarted,
    WorkflowList,
    WorkflowRun,
)

router = APIRouter(prefix="/v1/workflows", tags=["workflows"])
_ANSWERS: Responses = {
    200: {
        **stream("The run's events until it pauses or ends; or, as JSON, the run once it has."),
        "model": WorkflowRun,
    },
    202: {
        "description": "It is accepted and its run goes on; `Location` is the run.",
        "model": WorkflowRun,
    },
}
_PROGRESS: Responses = {200: {**stream("Progress, then the batch; as JSON, the batch."), "model": WorkflowBatch}}


@router.get("", response_model=WorkflowList, responses=problems(403))
async def listed(product: Open, caller: Caller) -> Response:
    """Return the workflows, with the JSON Schemas of what they take and return."""
    return reply({"workflows": product.service.workflows.listed(caller)})


@router.post(
    "/{name}/runs", response_model=WorkflowRun, responses={**_ANSWERS, **problems(400, 403, 404, 413, 415)}
)
async def run(name: str, body: NewWorkflowRun, request: Request, product: Open, caller: Caller) -> Response:
    """Run a workflow on one input.

    With ``Accept: text/event-stream`` the answer is the run's events. Otherwise it is the run as JSON, once it has
    ended or waits for a person; ``Prefer: wait=N`` says for how many seconds to wait. The run goes on whether or
    not anybody listens. A repeated ``Idempotency-Key`` gives the same run again.
    """
    service, key = product.service, idempotency_key(request.headers)
    item = Item(input=body.input, subject=body.subject)
    started = await service.workflows.start(caller, name, item, idempotency_key=key)
    headers = {
        "Location": f"/v1/runs/{started.run_id}",
        "Content-Location": f"/v1/runs/{started.run_id}",
        "X-Trace-Id": started.trace_id,
        "Idempotency-Replayed": "true" if started.replayed else "false",
    }
    if wants_events(request.headers):
        headers["Location"] += "/events"
        return EventStream(run_frames(service.run_events(caller, started.run_id)), headers)
    seconds = wait_seconds(request.headers)
    await _wait(product, caller, started.run_id, seconds, request.app.state.lifecycle)
    view = await service.show_run(caller, started.run_id)
    return reply(view, status=200 if view.status in ("waiting", "finished") else 202, headers=headers)


async def _wait(product: Product, caller: Principal, run_id: str, seconds: float, lifecycle: Lifecycle) -> None:
    """Wait until the run pauses or ends, the time is over, or the server stops."""
    if not seconds:
        return

    async def leave_when_closing() -> None:
        await lifecycle.closing.wait()
        tasks.cancel_scope.cancel()

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave_when_closing)
            async with aclosing(product.service.run_events(caller, run_id)) as events:
                async for _ in events:
                    pass
            tasks.cancel_scope.cancel()


@router.post(
    "/{name}/runs:batch",
    status_code=202,
    response_model=WorkflowBatchStarted,
    responses=problems(400, 403, 404, 413, 415),
)
async def run_batch(
    name: str, body: NewWorkflowBatch, request: Request, product: Open, caller: Caller
) -> Response:
    """Run a workflow on several inputs, each in a run of its own; all are accepted, or none."""
    items = [Item(input=each.input, subject=each.subject, id=each.id) for each in body.items]
    key = idempotency_key(request.headers)
    batch = await product.service.workflows.start_batch(caller, name, items, idempotency_key=key)
    headers = {
        "Location": f"/v1/workflows/batches/{batch.batch_id}",
        "Idempotency-Replayed": "true" if batch.replayed else "false",
    }
    return reply({"batch_id": batch.batch_id, "count": batch.count}, status=202, headers=headers)


@router.post("/{name}/runs:check", response_model=InputsChecked, responses=problems(400, 403, 404, 413, 415))
async def check(name: str, body: InputsToCheck, product: Open, caller: Caller) -> Response:
    """Say what is wrong with inputs, by index; nothing is run, and nothing kept."""
    return reply({"errors": await product.service.workflows.check(caller, name, body.inputs)})


@router.get("/batches/{batch_id}", response_model=WorkflowBatch, responses={**_PROGRESS, **problems(403, 404)})
async def read_batch(batch_id: str, request: Request, product: Open, caller: Caller) -> Response:
    """Return how a batch stands: how many items ended how, and each item's result.

    With ``Accept: text/event-stream`` it is ``progress`` whenever that changes, and the ``batch`` once nothing
    goes on without a person.
    """
    workflows = product.service.workflows
    view = await workflows.batch(caller, batch_id)
    if wants_events(request.headers):
        return EventStream(_frames(workflows, caller, batch_id))
    return reply(asdict(view))


async def _frames(workflows: Workflows, caller: Principal, batch_id: str) -> AsyncIterator[bytes]:
    async for progress in workflows.follow_batch(caller, batch_id):
        yield frame("progress", progress)
    yield frame("batch", asdict(await workflows.batch(caller, batch_id)))
