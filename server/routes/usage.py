"""Usage: what language models cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from server.dependencies import Caller, Open
from server.documentation import problems
from server.replies import reply
from server.schemas import UsageAsked, UsageReport
from tools.models.costs import Wanted

router = APIRouter(prefix="/v1/usage", tags=["usage"])


@router.get("", response_model=UsageReport, responses=problems(400, 403))
async def usage(product: Open, caller: Caller, asked: Annotated[UsageAsked, Query()]) -> Response:
    """Return what language models cost, summed by day, intent, conversation or run; for staff."""
    wanted = Wanted(by=asked.by, first=asked.first, last=asked.last, after=asked.after, limit=asked.limit)
    return reply(await product.service.usage.report(caller, wanted))
