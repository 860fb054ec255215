"""The desk: what the people who answer customers work from, and how they take part."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from policies.types import Owner
from server.dependencies import Caller, Open
from server.documentation import problems
from server.headers import idempotency_key
from server.replies import reply
from server.schemas import Conversation, Inbox, Message, NewReply, Return, Taking

router = APIRouter(prefix="/v1/conversations", tags=["desk"])


@router.get("", response_model=Inbox, responses=problems(400, 403))
async def listed(
    product: Open,
    caller: Caller,
    owner: Literal["bot", "queue", "human"] | None = None,
    queue: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
) -> Response:
    """Return conversations, the latest written in first, by who has them and in which queue; for staff."""
    page = await product.service.desk.conversations(
        caller, owner=Owner(owner) if owner else None, queue=queue, limit=limit, before=before
    )
    return reply(page)


@router.post(
    "/{conversation_id}/take", response_model=Conversation, responses=problems(400, 403, 404, 409, 413, 415)
)
async def take(conversation_id: str, product: Open, caller: Caller, body: Taking | None = None) -> Response:
    """Become responsible for a conversation.

    For the one who has it nothing changes. If another person has it, the conflict says in `first` who and since
    when; `from` with that name takes it from them.
    """
    from_id = (body or Taking()).from_id
    return reply(await product.service.desk.take(caller, conversation_id, from_id=from_id))


@router.post(
    "/{conversation_id}/replies",
    status_code=201,
    response_model=Message,
    responses=problems(400, 403, 404, 409, 413, 415),
)
async def write(conversation_id: str, body: NewReply, request: Request, product: Open, caller: Caller) -> Response:
    """Write to the customer as a person, and take the conversation unless another person has it."""
    replied = await product.service.desk.reply(
        caller, conversation_id, body.text, idempotency_key=idempotency_key(request.headers)
    )
    headers = {"Idempotency-Replayed": "true" if replied.replayed else "false"}
    return reply(replied.message, status=201, headers=headers)


@router.post(
    "/{conversation_id}/return", response_model=Conversation, responses=problems(400, 403, 404, 409, 413, 415)
)
async def hand_back(conversation_id: str, product: Open, caller: Caller, body: Return | None = None) -> Response:
    """Give a conversation back to the bot, which answers what comes from now on and nothing that came before."""
    note = (body or Return()).note
    return reply(await product.service.desk.hand_back(caller, conversation_id, note=note))
