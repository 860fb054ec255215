"""Privacy: consent that changes, and a person's data, to read or to be gone."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from policies.errors import InputError
from policies.types import Principal
from server.dependencies import Caller, Open
from server.documentation import problems
from server.replies import reply
from server.schemas import (
    ConsentChange,
    Consented,
    Conversation,
    Erased,
    Erasure,
    Subject,
    SubjectConsent,
    SubjectExport,
)

router = APIRouter(prefix="/v1", tags=["privacy"])


@router.patch(
    "/conversations/{conversation_id}/consent",
    response_model=Conversation,
    responses=problems(400, 403, 404, 413, 415),
)
async def consent(conversation_id: str, body: ConsentChange, product: Open, caller: Caller) -> Response:
    """Note what the customer agrees to from now on; without `train_eval`, examples are taken back at once."""
    privacy = product.service.privacy
    return reply(await privacy.set_consent(caller, conversation_id, body.model_dump(exclude_none=True)))


@router.post("/privacy/consent", response_model=Consented, responses=problems(400, 403, 413, 415))
async def consent_everywhere(body: SubjectConsent, product: Open, caller: Caller) -> Response:
    """Note what a person agrees to from now on, in all of their conversations; for staff."""
    _require_workspace(caller, body)
    given = {"third_party_llm": body.third_party_llm, "train_eval": body.train_eval}
    count = await product.service.privacy.set_consent_everywhere(caller, body.subject, given)
    return reply({"conversations": count})


@router.post("/privacy/export", response_model=SubjectExport, responses=problems(400, 403, 413, 415))
async def export(body: Subject, product: Open, caller: Caller) -> Response:
    """Return all that is kept of a person; for admins."""
    _require_workspace(caller, body)
    return reply(await product.service.privacy.export(caller, body.subject))


@router.post("/privacy/erase", response_model=Erased, responses=problems(400, 403, 409, 413, 415))
async def erase(body: Erasure, product: Open, caller: Caller) -> Response:
    """Erase all that is kept of a person; for admins. While an answer to them is being worked on, a conflict."""
    _require_workspace(caller, body)
    return reply(await product.service.privacy.erase(caller, body.subject, reason=body.reason))


def _require_workspace(caller: Principal, body: Subject) -> None:
    """Make sure that caller and server mean the same workspace."""
    if body.workspace not in (None, caller.workspace_id):
        raise InputError(
            f"This server works for the workspace {caller.workspace_id!r}, not for {body.workspace!r}.",
            remedy="Leave `workspace` out, or ask a server of that workspace.",
            code="workspace.other",
        )
