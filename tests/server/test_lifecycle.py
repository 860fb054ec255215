from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI

from graphs.settings import Settings
from server.app import create_app

pytestmark = pytest.mark.anyio


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


async def test_before_it_is_ready_a_server_says_what_it_is_doing(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path))
    app.state.lifecycle.announce("loading the encoder")
    async with client(app) as http:
        answers = [await http.get(path) for path in ("/readyz", "/v1/reviews")]
        assert (await http.get("/healthz")).json() == {"status": "ok"}
    for response in answers:
        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert response.json()["code"] == "starting"
        assert response.json()["detail"] == "Not ready yet: loading the encoder."


async def test_what_can_not_be_opened_is_told_to_whoever_runs_the_server(tmp_path: Path) -> None:
    failed = anyio.Event()
    app = create_app(Settings(assistant=tmp_path / "none", data=tmp_path), on_failure=failed.set)
    async with app.router.lifespan_context(app), client(app) as http:
        with anyio.fail_after(30):
            await failed.wait()
        response = await http.get("/readyz")
        assert (response.status_code, response.json()["code"]) == (503, "failed")
        assert str(tmp_path) not in response.text
    assert "There is no assistant folder" in str(app.state.lifecycle.failure)


async def test_the_root_says_what_this_is(tmp_path: Path) -> None:
    async with client(create_app(Settings(data=tmp_path))) as http:
        found = (await http.get("/")).json()
    assert found["name"] == "handrail"
    assert found["links"]["openapi"] == "/openapi.json"
