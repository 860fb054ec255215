"""Whether the process lives and whether it can serve; and what there is."""

from __future__ import annotations

import anyio
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from policies.errors import Unavailable
from server.dependencies import State
from server.documentation import problems
from server.replies import reply
from server.schemas import Health

router = APIRouter(tags=["health"])
DATABASE_SECONDS = 2.0


@router.get("/", include_in_schema=False)
async def root(request: Request, lifecycle: State) -> Response:
    """Say what this is, who answers (null while it starts), where to go on, and what goes wrong on purpose."""
    links = {
        "openapi": "/openapi.json",
        "conversations": "/v1/conversations",
        "reviews": "/v1/reviews",
        "knowledge": "/v1/knowledge",
        "health": "/healthz",
        "readiness": "/readyz",
        "metrics": "/metrics",
    }
    file = lifecycle.product and lifecycle.product.assistant.file
    who = file and {"name": file.name, "title": file.title, "greeting": file.greeting}
    what = {"name": "handrail", "version": request.app.version, "assistant": who, "links": links}
    faults = lifecycle.product and lifecycle.product.faults
    return reply({**what, "faults": faults} if faults else what)


@router.get("/healthz", response_model=Health)
async def alive() -> Response:
    """Say that the process answers at all."""
    return reply({"status": "ok"})


@router.get("/readyz", response_model=Health, responses=problems())
async def ready(lifecycle: State) -> Response:
    """Say whether requests are served; while it starts, the problem's detail says what it is doing."""
    product = lifecycle.require()
    with anyio.move_on_after(DATABASE_SECONDS) as waited:
        await product.service.store.ping()
    if waited.cancelled_caught:
        raise Unavailable("The database does not answer.", remedy="Look at the disk.")
    return reply({"status": "ready"})


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return what this process counts and times, in Prometheus's text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
