"""Reviews: what waits for a person, and the person's answer."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from server.dependencies import Caller, Open
from server.documentation import problems
from server.replies import reply
from server.schemas import Review, ReviewAnswer, Reviews

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])
Status = Literal["open", "decided", "expired", "stale", "any"]


@router.get("", response_model=Reviews, responses=problems())
async def listed(
    product: Open,
    caller: Caller,
    status: Status = "open",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Return the review queue, those due first first."""
    wanted = None if status == "any" else status
    return reply({"reviews": await product.service.list_reviews(caller, status=wanted, limit=limit)})


@router.get("/{review_id}", response_model=Review, responses=problems(404))
async def read(review_id: str, product: Open, caller: Caller) -> Response:
    """Return one review."""
    return reply(await product.service.get_review(caller, review_id))


@router.post("/{review_id}/decision", response_model=Review, responses=problems(400, 404, 409, 413, 415))
async def decide(review_id: str, body: ReviewAnswer, product: Open, caller: Caller) -> Response:
    """Answer a review, which resumes its run; a second answer is a conflict that carries the first."""
    return reply(await product.service.decide(caller, review_id, body.model_dump(exclude_none=True)))
