"""Reviews: what waits for a person, and the person's answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import Response

from graphs.assembly import Product
from policies.errors import NotFound
from policies.types import Principal
from server.dependencies import Caller, Open
from server.documentation import problems
from server.replies import reply
from server.schemas import AnswerToReview, ApprovalAnswer, Review, ReviewAnswer, Reviews
from tools.storage.reviews import APPROVE_ACTION

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
async def decide(review_id: str, body: AnswerToReview, product: Open, caller: Caller) -> Response:
    """Answer a review, which resumes its run; a second answer is a conflict that carries the first.

    The review says in ``response_schema`` what it takes.
    """
    try:
        answer = ReviewAnswer.model_validate(body.root).model_dump(exclude_none=True)
    except ValidationError as error:
        kind = await _kind(review_id, product, caller)
        if kind != "workflow":
            raise _mistaken(body.root, error, kind) from error
        answer = body.root
    return reply(await product.service.decide(caller, review_id, answer))


async def _kind(review_id: str, product: Product, caller: Principal) -> str | None:
    """Return what is asked about: a workflow says itself what a person may answer."""
    with suppress(NotFound):
        return (await product.service.get_review(caller, review_id)).kind
    return None


def _mistaken(given: dict[str, Any], error: ValidationError, kind: str | None) -> RequestValidationError:
    """Return what is wrong with an answer, in the words of what may be answered: an action is not edited."""
    if kind == APPROVE_ACTION:
        try:
            ApprovalAnswer.model_validate(given)
        except ValidationError as narrower:
            error = narrower
    wrong = error.errors(include_url=False)
    return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in wrong])
