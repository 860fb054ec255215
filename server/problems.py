"""Errors as clients see them: problem+json (RFC 9457) with a stable code, never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from policies.errors import (
    Conflict,
    Fenced,
    HandrailError,
    IdempotencyMismatch,
    InputError,
    NotFound,
    Overtaken,
    Unavailable,
)
from server.replies import reply

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "2"
# The first line that fits decides.
_BY_TYPE: tuple[tuple[type[HandrailError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (IdempotencyMismatch, 422),
    (InputError, 400),
    (Fenced, 409),
    (Overtaken, 409),
    (Unavailable, 503),
    (HandrailError, 500),
)
_BY_CODE = {
    "message.too_long": 413,
    "body.too_large": 413,
    "body.too_slow": 408,
    "body.not_json": 415,
    "host.unknown": 421,
    "origin.foreign": 403,
    "forbidden": 403,
    "workflow.input": 422,
    "workflow.answer": 422,
}
_HTTP = {
    400: ("body.malformed", "The request can't be read.", "Send JSON in UTF-8."),
    404: ("path.unknown", "There is nothing at this path.", "See /openapi.json for what there is."),
    405: ("method.not_allowed", "This path does not take this method.", "The header Allow names those it takes."),
}


def status_of(error: HandrailError) -> int:
    """Return the HTTP status that an error of ours is told with."""
    by_type = next(status for kind, status in _BY_TYPE if isinstance(error, kind))
    return _BY_CODE.get(error.code, by_type)


def problem(
    path: str,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return a problem; ``more`` are further members, left out where None."""
    body = {
        "type": f"urn:handrail:problem:{code}",
        "title": code.replace(".", " ").replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        "instance": path,
        **{name: value for name, value in more.items() if value is not None},
    }
    return reply(body, status=status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(path: str, error: HandrailError) -> Response:
    """Return an error of ours as a problem."""
    status = status_of(error)
    headers = {"Retry-After": RETRY_SECONDS} if status == 503 else None
    first = error.data.get("first")
    more = {"remedy": error.remedy, "first": first, "errors": error.data.get("errors")}
    return problem(path, status, error.code, error.message, headers=headers, **more)


def install(app: FastAPI) -> None:
    """Let every error of the app's routes end as a problem."""
    app.add_exception_handler(HandrailError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, HandrailError)
    return problem_of(request.url.path, error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail, remedy = _HTTP.get(error.status_code, (f"http.{error.status_code}", error.detail, None))
    return problem(request.url.path, error.status_code, code, detail, headers=error.headers, remedy=remedy)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = error.errors()
    if any(each["type"] == "json_invalid" for each in errors):
        code, _, remedy = _HTTP[400]
        return problem(request.url.path, 400, code, "The body is not JSON.", remedy=remedy)
    return problem(
        request.url.path,
        422,
        "request.invalid",
        "The request does not have the shape that this path takes.",
        remedy="Mend what `errors` names.",
        errors=[_told(each) for each in errors],
    )


def _told(error: Mapping[str, Any]) -> dict[str, str]:
    """Say where a value is wrong, without repeating it: it may be personal."""
    place, *path = error["loc"]
    return {"in": str(place), "pointer": "".join(f"/{part}" for part in path), "detail": error["msg"]}
