"""Messages: a customer writes, and gets the run that answers as a stream or as JSON."""

from __future__ import annotations

from contextlib import aclosing

import anyio
from fastapi import APIRouter, Request
from starlette.responses import Response

from graphs.accept import Accepted
from graphs.assembly import Product
from policies.types import Principal
from server.dependencies import Caller, Open
from server.documentation import Responses, problems, stream
from server.headers import idempotency_key, wait_seconds, wants_events
from server.lifecycle import Lifecycle
from server.replies import reply
from server.schemas import NewMessage, Run
from server.streams import EventStream, run_frames

router = APIRouter(prefix="/v1/conversations", tags=["messages"])
_ANSWERS: Responses = {
    200: {
        **stream("The run's events until it pauses or ends; or, as JSON, the run once it has."),
        "model": Run,
    },
    202: {"description": "The message is accepted and its run goes on; `Location` is the run.", "model": Run},
}


@router.post(
    "/{conversation_id}/messages", response_model=Run, responses={**_ANSWERS, **problems(400, 404, 413, 415)}
)
async def post(
    conversation_id: str, body: NewMessage, request: Request, product: Open, caller: Caller
) -> Response:
    """Send a customer's message.

    With ``Accept: text/event-stream`` the answer is the run's events. Otherwise it is the run as JSON, once it
    has ended or waits for a person; ``Prefer: wait=N`` says for how many seconds to wait. The run goes on
    whether or not anybody listens. A repeated ``Idempotency-Key`` gives the same run again.
    """
    key = idempotency_key(request.headers)
    accepted = await product.service.post_message(caller, conversation_id, body.text, idempotency_key=key)
    headers = {
        "Location": f"/v1/runs/{accepted.run_id}",
        "Content-Location": f"/v1/runs/{accepted.run_id}",
        "X-Trace-Id": accepted.trace_id,
        "Idempotency-Replayed": "true" if accepted.replayed else "false",
    }
    if wants_events(request.headers):
        headers["Location"] += "/events"
        return EventStream(run_frames(product.service.answer_events(caller, accepted)), headers)
    seconds = wait_seconds(request.headers)
    await _wait(product, caller, accepted, seconds, request.app.state.lifecycle)
    run = await product.service.get_run(caller, accepted.run_id)
    return reply(run, status=200 if run.status in ("waiting", "finished") else 202, headers=headers)


async def _wait(
    product: Product, caller: Principal, accepted: Accepted, seconds: float, lifecycle: Lifecycle
) -> None:
    """Wait until the run pauses or ends, the time is over, or the server stops."""
    if not seconds:
        return

    async def leave_when_closing() -> None:
        await lifecycle.closing.wait()
        tasks.cancel_scope.cancel()

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave_when_closing)
            async with aclosing(product.service.answer_events(caller, accepted)) as events:
                async for _ in events:
                    pass
            tasks.cancel_scope.cancel()
