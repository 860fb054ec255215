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
_KEY = ("Idempotency-Key", "1 to 255 printable ASCII characters; a repeated key gives the first result again.")
_ACCEPT = ("Accept", "`text/event-stream` for events; JSON otherwise.")
_WAIT = ("Prefer", "`wait=N`: wait up to N seconds, at most 60, for the result; `respond-async`: don't wait.")
_LAST = ("Last-Event-ID", "The id of the last event that came, such as `run_1:9`; only later ones follow.")
_HEADERS = {
    ("post", "/v1/conversations"): (_KEY,),
    ("post", "/v1/conversations/{conversation_id}/messages"): (_KEY, _ACCEPT, _WAIT),
    ("post", "/v1/conversations/{conversation_id}/replies"): (_KEY,),
    ("get", "/v1/conversations/{conversation_id}/events"): (_LAST,),
    ("get", "/v1/runs/{run_id}/events"): (_LAST,),
    ("post", "/v1/knowledge/ingest"): (_ACCEPT,),
    ("post", "/v1/workflows/{name}/runs"): (_KEY, _ACCEPT, _WAIT),
    ("post", "/v1/workflows/{name}/runs:batch"): (_KEY,),
    ("get", "/v1/workflows/batches/{batch_id}"): (_ACCEPT,),
}


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


def _header(name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


def install(app: FastAPI) -> None:
    """Give the app an OpenAPI document that knows what a problem looks like."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            for (method, path), headers in _HEADERS.items():
                made["paths"][path][method].setdefault("parameters", []).extend(_header(*each) for each in headers)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
