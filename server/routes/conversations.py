"""Conversations: begin, read, follow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from server.dependencies import Caller, Open
from server.documentation import problems, stream
from server.headers import idempotency_key, last_event_number
from server.replies import reply
from server.schemas import Conversation, NewConversation, WholeConversation
from server.streams import EventStream, conversation_frames, resync, then

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])
Since = Annotated[int | None, Query(ge=0, lt=10**15, description="Only events after this number.")]


@router.post("", status_code=201, response_model=Conversation, responses=problems(400, 409, 413, 415))
async def create(request: Request, product: Open, caller: Caller, body: NewConversation | None = None) -> Response:
    """Begin a conversation."""
    given = body or NewConversation()
    conversation = await product.service.create_conversation(
        caller,
        customer=given.customer.model_dump(exclude_none=True),
        consent=given.consent.model_dump(exclude_none=True),
        idempotency_key=idempotency_key(request.headers),
    )
    return reply(conversation, status=201, headers={"Location": f"/v1/conversations/{conversation.id}"})


@router.get("/{conversation_id}", response_model=WholeConversation, responses=problems(404))
async def read(conversation_id: str, product: Open, caller: Caller) -> Response:
    """Return a conversation with its messages; staff see its handoffs too."""
    view = await product.service.get_conversation(caller, conversation_id)
    return reply({**vars(view.conversation), "messages": view.messages, "handoffs": view.handoffs})


@router.get(
    "/{conversation_id}/events",
    status_code=200,
    response_class=EventStream,
    responses={200: stream("The conversation's events, for ever."), **problems(400, 404)},
)
async def follow(
    conversation_id: str, request: Request, product: Open, caller: Caller, since: Since = None
) -> Response:
    """Follow a conversation: all events after ``Last-Event-ID`` (or ``since``), then those to come."""
    conversation = await product.service.conversation(caller, conversation_id)
    number = last_event_number(request.headers, conversation_id)
    after = number if number is not None else since or 0
    lost = after > conversation.last_event
    events = product.service.conversation_events(
        caller, conversation_id, after=conversation.last_event if lost else after
    )
    frames = conversation_frames(events)
    return EventStream(then(resync(f"/v1/conversations/{conversation_id}"), frames) if lost else frames)
