"""The client of a running server, for apps and for the command line.

It imports nothing of ours, so an app may have packages named like our folders.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

JSON = dict[str, Any]


class RequestFailed(Exception):
    """The server refused a request, or failed at it; ``str()`` says what and what to do."""

    def __init__(self, message: str, *, status: int, code: str | None, remedy: str | None) -> None:
        super().__init__(f"{message} {remedy}" if remedy else message)
        self.status = status
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True)
class Client:
    """Calls a running server; made by ``Client.open``."""

    http: httpx.AsyncClient

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        """Connect to a server, such as ``http://127.0.0.1:8080``; streams have no time-out."""
        async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(60, read=None)) as http:
            yield cls(http)

    async def create_conversation(
        self, customer: JSON | None = None, *, consent: dict[str, bool] | None = None
    ) -> str:
        """Begin a conversation; returns its id.

        ``consent`` is what the customer agreed to (``third_party_llm``, ``train_eval``); where it is silent, the
        assistant's policy says what holds.
        """
        begun = {"customer": customer or {}, **({"consent": consent} if consent else {})}
        made = await self._call("POST", "/v1/conversations", json=begun)
        return str(made["id"])

    async def set_consent(self, conversation_id: str, **given: bool) -> JSON:
        """Note what the customer agrees to from now on, by scope; returns the conversation."""
        return await self._call("PATCH", f"/v1/conversations/{conversation_id}/consent", json=given)

    async def export_subject(self, subject: str, *, workspace: str | None = None) -> JSON:
        """Return all that is kept of a person; for admins."""
        return await self._call("POST", "/v1/privacy/export", json=_given(subject=subject, workspace=workspace))

    async def erase_subject(
        self, subject: str, *, reason: str | None = None, workspace: str | None = None
    ) -> JSON:
        """Erase all that is kept of a person; for admins. Returns how much that was."""
        body = _given(subject=subject, reason=reason, workspace=workspace)
        return await self._call("POST", "/v1/privacy/erase", json=body)

    async def set_subject_consent(self, subject: str, *, workspace: str | None = None, **given: bool) -> JSON:
        """Note what a person agrees to from now on in all of their conversations; returns how many there are."""
        body = _given(subject=subject, workspace=workspace, **given)
        return await self._call("POST", "/v1/privacy/consent", json=body)

    async def greeting(self) -> str:
        """Return what the assistant says before anybody else."""
        return str((await self._call("GET", "/"))["assistant"]["greeting"])

    async def send(self, conversation_id: str, text: str) -> AsyncIterator[JSON]:
        """Post a message and yield the run's events until it pauses or ends."""
        path = f"/v1/conversations/{conversation_id}/messages"
        async for event in self._stream(path, {"text": text}):
            yield event

    async def get_run(self, run_id: str) -> JSON:
        """Return how a run stands and what it said."""
        return await self._call("GET", f"/v1/runs/{run_id}")

    async def list_reviews(self) -> list[JSON]:
        """Return the open reviews."""
        reviews: list[JSON] = (await self._call("GET", "/v1/reviews"))["reviews"]
        return reviews

    async def usage(self, **asked: str | int | None) -> JSON:
        """Return what language models cost; ``asked`` are the parameters of ``GET /v1/usage``."""
        return await self._call("GET", "/v1/usage", params=_given(**asked))

    async def conversations(
        self,
        *,
        owner: str | None = None,
        queue: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> JSON:
        """Return conversations, the latest written in first, and what to ask for ``before`` next."""
        asked = {"owner": owner, "queue": queue, "limit": limit, "before": before}
        return await self._call("GET", "/v1/conversations", params=_given(**asked))

    async def take(self, conversation_id: str, *, from_id: str | None = None) -> JSON:
        """Become responsible for a conversation; ``from_id`` names the person whom it is taken from."""
        body = {} if from_id is None else {"from": from_id}
        return await self._call("POST", f"/v1/conversations/{conversation_id}/take", json=body)

    async def reply(self, conversation_id: str, text: str, *, key: str | None = None) -> JSON:
        """Write to the customer as a person, once for each ``key``; returns the message."""
        path, headers = f"/v1/conversations/{conversation_id}/replies", {"Idempotency-Key": key} if key else {}
        return await self._call("POST", path, json={"text": text}, headers=headers)

    async def hand_back(self, conversation_id: str, *, note: str | None = None) -> JSON:
        """Give a conversation back to the bot."""
        body = {} if note is None else {"note": note}
        return await self._call("POST", f"/v1/conversations/{conversation_id}/return", json=body)

    async def ingest(self, folder: Path) -> AsyncIterator[JSON]:
        """Ingest a folder, named in full, that the server can read; yields progress, then the report."""
        async for event in self._stream("/v1/knowledge/ingest", {"folder": str(folder)}):
            yield event

    async def search(self, query: str, limit: int) -> list[JSON]:
        """Return the passages nearest to a query."""
        found: list[JSON] = (await self._call("GET", "/v1/search", params={"q": query, "limit": limit}))[
            "passages"
        ]
        return found

    async def workflows(self) -> list[JSON]:
        """Return the assistant's workflows, with the schemas of what they take and return."""
        found: list[JSON] = (await self._call("GET", "/v1/workflows"))["workflows"]
        return found

    async def check_inputs(self, name: str, inputs: Sequence[Any]) -> list[JSON]:
        """Return what a workflow finds wrong with inputs: ``{"index", "pointer", "detail"}``; nothing is run."""
        path = f"/v1/workflows/{name}/runs:check"
        wrong: list[JSON] = (await self._call("POST", path, json={"inputs": list(inputs)}))["errors"]
        return wrong

    async def run_workflow(
        self, name: str, given: Any, *, subject: str | None = None, key: str | None = None
    ) -> JSON:
        """Run a workflow on one input, once for each ``key``; return the run once it has ended or waits.

        ``subject`` is the id of the person whom it is about.
        """
        headers = {"Prefer": "wait=60", **({"Idempotency-Key": key} if key else {})}
        body = {"input": given, **_given(subject=subject)}
        run = await self._call("POST", f"/v1/workflows/{name}/runs", json=body, headers=headers)
        while run["status"] in ("queued", "running"):
            async for _ in self._stream(f"/v1/runs/{run['run_id']}/events"):
                pass
            run = await self.get_run(run["run_id"])
        return run

    async def _call(self, method: str, path: str, **how: Any) -> JSON:
        response = await self.http.request(method, path, **how)
        if response.is_error:
            raise _told(response)
        answer: JSON = response.json()
        return answer

    async def _stream(self, path: str, body: JSON | None = None) -> AsyncIterator[JSON]:
        """Post a body, or read a stream that there is, and yield its events."""
        from httpx_sse import aconnect_sse

        how: JSON = {} if body is None else {"json": body}
        async with aconnect_sse(self.http, "GET" if body is None else "POST", path, **how) as source:
            if source.response.is_error:
                await source.response.aread()
                raise _told(source.response)
            async for event in source.aiter_sse():
                if not event.data:
                    continue
                yield {"type": event.event, **json.loads(event.data)}


def _given(**members: Any) -> JSON:
    return {name: value for name, value in members.items() if value is not None}


def _told(response: httpx.Response) -> RequestFailed:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or f"The server answered {response.status_code}."
    return RequestFailed(
        detail, status=response.status_code, code=problem.get("code"), remedy=problem.get("remedy")
    )
