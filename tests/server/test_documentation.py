from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.settings import Settings
from server import schemas, workflow_schemas
from server.app import create_app


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the OpenAPI document."""
    folder: Path = tmp_path_factory.mktemp("data")
    return create_app(Settings(data=folder)).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_it_lists_the_routes(document: dict[str, Any]) -> None:
    assert set(operations(document)) >= {
        "GET /healthz",
        "GET /readyz",
        "POST /v1/conversations",
        "GET /v1/conversations/{conversation_id}",
        "GET /v1/conversations/{conversation_id}/events",
        "POST /v1/conversations/{conversation_id}/messages",
        "GET /v1/conversations",
        "POST /v1/conversations/{conversation_id}/take",
        "POST /v1/conversations/{conversation_id}/replies",
        "POST /v1/conversations/{conversation_id}/return",
        "GET /v1/runs/{run_id}",
        "GET /v1/runs/{run_id}/events",
        "GET /v1/runs/{run_id}/explanation",
        "POST /v1/runs/{run_id}/cancel",
        "GET /v1/reviews",
        "GET /v1/reviews/{review_id}",
        "POST /v1/reviews/{review_id}/decision",
        "GET /v1/decisions",
        "GET /v1/decisions/heads",
        "POST /v1/decisions/verify",
        "POST /v1/decisions/{stream}/{seq}/reversal",
        "GET /v1/knowledge",
        "POST /v1/knowledge/ingest",
        "GET /v1/search",
        "GET /v1/usage",
    }


def test_every_route_says_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        if name == "GET /healthz":
            continue
        failures = {code: answer for code, answer in operation["responses"].items() if code >= "400"}
        assert {"422", "503"} <= failures.keys(), name
        for answer in failures.values():
            assert answer["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }


def test_every_body_has_examples_that_hold(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for reference in _references(operation.get("requestBody", {})):
            name = reference.rpartition("/")[2]
            examples = document["components"]["schemas"][name]["examples"]
            assert examples
            for example in examples:
                shape = getattr(schemas, name, None) or getattr(workflow_schemas, name)
                shape.model_validate(example)
    schemas.Problem.model_validate(document["components"]["schemas"]["Problem"]["examples"][0])


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for item in value.values() for each in _references(item)]
    return [each for item in value for each in _references(item)] if isinstance(value, list) else []


def test_it_shows_what_a_stream_looks_like(document: dict[str, Any]) -> None:
    posted = operations(document)["POST /v1/conversations/{conversation_id}/messages"]["responses"]["200"]
    assert set(posted["content"]) == {"application/json", "text/event-stream"}
    assert posted["content"]["text/event-stream"]["example"].startswith("retry: 2000\nid: run_1:")


def test_it_names_the_headers_that_are_read(document: dict[str, Any]) -> None:
    named = {
        name: [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]
        for name, operation in operations(document).items()
    }
    assert {name: headers for name, headers in named.items() if headers} == {
        "POST /v1/conversations": ["Idempotency-Key"],
        "POST /v1/conversations/{conversation_id}/messages": ["Idempotency-Key", "Accept", "Prefer"],
        "POST /v1/conversations/{conversation_id}/replies": ["Idempotency-Key"],
        "GET /v1/conversations/{conversation_id}/events": ["Last-Event-ID"],
        "GET /v1/runs/{run_id}/events": ["Last-Event-ID"],
        "POST /v1/knowledge/ingest": ["Accept"],
        "POST /v1/workflows/{name}/runs": ["Idempotency-Key", "Accept", "Prefer"],
        "POST /v1/workflows/{name}/runs:batch": ["Idempotency-Key"],
        "GET /v1/workflows/batches/{batch_id}": ["Accept"],
    }
