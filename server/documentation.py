"""What OpenAPI says beyond the routes themselves: problems, streams and examples."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from server.problems import MEDIA_TYPE
from server.schemas import Problem

Responses = dict[int | str, dict[str, Any]]
STREAM_EXAMPLE = (
    "retry: 2000\n"
    "id: run_1:2\nevent: run.started\n"
    'data: {"conversation_id":"con_1","seq":2,"run_id":"run_1","run_seq":2,"at":"..."}\n\n'
    "id: run_1:9\nevent: message.delta\n"
    'data: {"run_id":"run_1","message_id":"msg_2","index":0,"text":"You have 60 days.","citations":["p_3"]}\n\n'
    "id: run_1:14\nevent: run.finished\n"
    'data: {"run_id":"run_1","status":"finished","outcome":"answered"}\n\n'
)


def problems(*statuses: int) -> Responses:
    """Return the ``responses`` of a route that may end in these problems; each may end in 422 and 503."""
    return {status: _problem(status) for status in sorted({*statuses, 422, 503})}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def stream(description: str) -> dict[str, Any]:
    """Return the 200 of a route that answers with an event stream."""
    content = {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLE}}
    return {"description": description, "content": content}


def install(app: FastAPI) -> None:
    """Give the app an OpenAPI document that knows what a problem looks like."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
