"""Decisions: what auditors read of the ledger, verify of it, and put on record against it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from server.dependencies import Caller, Open
from server.documentation import problems
from server.replies import reply
from server.schemas import Decisions, Reversal, SignedRecords, StreamToVerify, Verification
from tools.storage.store import stamp

router = APIRouter(prefix="/v1/decisions", tags=["decisions"])
Name = Annotated[str | None, Query(min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.get("", response_model=Decisions, responses=problems(400, 403))
async def listed(
    product: Open,
    caller: Caller,
    stream: Name = None,
    run: Name = None,
    kind: Name = None,
    since: AwareDatetime | None = None,
    limit: Limit = 100,
    after: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
) -> Response:
    """Return decisions, those of one stream in its order, others in the order of time."""
    page = await product.service.audit.decisions(
        caller,
        stream=stream,
        run=run,
        kind=kind,
        since=stamp(since) if since else None,
        limit=limit,
        after=after,
    )
    return reply(page)


@router.get("/heads", response_model=SignedRecords, responses=problems(403))
async def heads(
    product: Open,
    caller: Caller,
    limit: Limit = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**31, description="Only records with smaller numbers.")] = None,
) -> Response:
    """Return the signed records over all heads of the workspace, the latest first."""
    return reply({"records": await product.service.audit.signed_heads(caller, limit=limit, before=before)})


@router.post("/verify", response_model=Verification, responses=problems(400, 403, 404, 413, 415))
async def verify(body: StreamToVerify, product: Open, caller: Caller) -> Response:
    """Recompute one stream's chain and compare its contents; `handrail ledger verify` does the whole ledger."""
    report = await product.service.audit.verify(caller, body.stream)
    return reply({name: getattr(report, name) for name in Verification.model_fields})


@router.post(
    "/{stream}/{seq}/reversal",
    status_code=201,
    response_model=None,
    responses=problems(400, 403, 404, 409, 413, 415),
)
async def reverse(
    stream: str,
    seq: Annotated[int, Path(ge=1, lt=2**31)],
    body: Reversal,
    product: Open,
    caller: Caller,
) -> Response:
    """Put on record that a decision is reversed, and why; this changes nothing else.

    What was sent stays sent. A second reversal is a conflict that carries the first.
    """
    return reply(await product.service.audit.reverse(caller, stream, seq, body.reason), status=201)
