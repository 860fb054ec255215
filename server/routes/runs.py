"""Runs: read, follow again, cancel, explain."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.dependencies import Caller, Open
from server.documentation import problems, stream
from server.headers import last_event_number
from server.replies import reply
from server.routes.conversations import Since
from server.schemas import Explanation, Run
from server.streams import EventStream, resync, run_frames, then
from server.workflow_schemas import WorkflowRun

router = APIRouter(prefix="/v1/runs", tags=["runs"])


@router.get("/{run_id}", response_model=Run | WorkflowRun, responses=problems(403, 404))
async def read(run_id: str, product: Open, caller: Caller) -> Response:
    """Return how a run stands and what it said; of a workflow, what it was given and came to, for staff."""
    return reply(await product.service.show_run(caller, run_id))


@router.get(
    "/{run_id}/events",
    status_code=200,
    response_class=EventStream,
    responses={200: stream("The run's events until it pauses or ends."), **problems(400, 404)},
)
async def follow(run_id: str, request: Request, product: Open, caller: Caller, since: Since = None) -> Response:
    """Read a run's events again, after ``Last-Event-ID`` (or ``since``), and follow it if it goes on."""
    run = await product.service.run(caller, run_id)
    number = last_event_number(request.headers, run_id)
    after = number if number is not None else since or 0
    lost = after > run.last_event
    frames = run_frames(product.service.run_events(caller, run_id, after=run.last_event if lost else after))
    return EventStream(then(resync(f"/v1/runs/{run_id}"), frames) if lost else frames)


@router.post("/{run_id}/cancel", response_model=Run | WorkflowRun, responses=problems(403, 404, 409))
async def cancel(run_id: str, product: Open, caller: Caller) -> Response:
    """Stop a run; one that has ended already is a conflict."""
    return reply(await product.service.cancel(caller, run_id))


@router.get("/{run_id}/explanation", response_model=Explanation, responses=problems(404))
async def explain(run_id: str, product: Open, caller: Caller) -> Response:
    """Tell in plain words why a run came to what it came to; for staff with each decision in full."""
    explained = await product.service.audit.explanation(caller, run_id)
    return reply({name: value for name, value in vars(explained).items() if value is not None})
