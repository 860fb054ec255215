"""A real HTTP server on the loopback that speaks the chat completions of OpenAI, and fails as it is told.

For tests and for ``make bench``. As a program (``python -m evals.stub_model PORT [TOKEN_SECONDS]``) it answers a
request for a draft with the first sentences of the passages in it, each with its mark, in 60 pieces.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream

Body = dict[str, Any]
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Error",
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server does with one call."""

    text: str = "All is well."
    status: int = 200
    retry_after: str | None = None
    first_seconds: float = 0.0
    """Before the head of the response."""
    token_seconds: float = 0.0
    cut_after: int | None = None
    """The connection is cut after so many tokens."""
    ends_without_reason: bool = False
    """The stream ends in good order, with no word that the reply is whole."""
    broken_json: bool = False
    pieces: int | None = None
    """Into how many pieces a stream is cut; None is one for each word."""
    finish: str = "stop"
    tool: tuple[str, Mapping[str, Any]] | None = None
    usage: tuple[int, int] | None = (100, 20)


@dataclass
class Stub:
    """The running server, and what it saw."""

    url: str
    answer: Callable[[int, Body], Answer]
    """What is done with each call, the first being 0, and its body."""
    bodies: list[Body] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    running: int = 0
    most_running: int = 0
    left: int = 0
    """Calls whose client closed the connection before the end."""

    @property
    def calls(self) -> int:
        """How many calls came."""
        return len(self.bodies)

    def plays(self, *answers: Answer) -> None:
        """Give these answers, the last one over and over."""
        self.answer = lambda call, _body: answers[min(call - first, len(answers) - 1)]
        first = self.calls

    async def until_idle(self) -> None:
        """Wait until every call has ended."""
        with anyio.fail_after(2):
            while self.running:  # noqa: ASYNC110 - several callers end it
                await anyio.sleep(0.002)


@asynccontextmanager
async def serving(answers: Sequence[Answer] = (Answer(),), port: int = 0) -> AsyncIterator[Stub]:
    """Run a server on a port, a free one for 0, until the context ends."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    port = listener.extra(SocketAttribute.local_port)
    stub = Stub(url=f"http://127.0.0.1:{port}/v1", answer=lambda _call, _body: Answer())
    stub.plays(*answers)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, lambda stream: _connection(stub, stream))
        yield stub
        group.cancel_scope.cancel()


async def _connection(stub: Stub, stream: SocketStream) -> None:
    async with stream:
        try:
            body = await _request(stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return
        if body is None:
            await _unless_left(stub, stream, Answer(status=404), {})
            return
        answer = stub.answer(stub.calls, body)
        stub.bodies.append(body)
        stub.times.append(anyio.current_time())
        stub.running += 1
        stub.most_running = max(stub.most_running, stub.running)
        try:
            await _unless_left(stub, stream, answer, body)
        finally:
            stub.running -= 1


async def _unless_left(stub: Stub, stream: SocketStream, answer: Answer, body: Mapping[str, Any]) -> None:
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            try:
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                stub.left += 1
                group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            await _respond(stream, answer, body)
        except anyio.BrokenResourceError:
            stub.left += 1
        group.cancel_scope.cancel()


async def _request(stream: SocketStream) -> Body | None:
    """Return the body of a request, None where it has none, such as one that asks for the models."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = [line.lower().partition(b":") for line in head.split(b"\r\n")[1:]]
    length = int({name: value for name, _, value in lines}.get(b"content-length", 0))
    if not length:
        return None
    while len(rest) < length:
        rest += await stream.receive()
    body: Body = json.loads(rest)
    return body


async def _respond(stream: SocketStream, answer: Answer, body: Mapping[str, Any]) -> None:
    await anyio.sleep(answer.first_seconds)
    streams = body.get("stream") and answer.status == 200
    kind = "text/event-stream" if streams else "application/json"
    head = [f"HTTP/1.1 {answer.status} {REASONS[answer.status]}", f"Content-Type: {kind}", "Connection: close"]
    head += [f"Retry-After: {answer.retry_after}"] if answer.retry_after is not None else []
    head += ["Transfer-Encoding: chunked"]
    await stream.send(("\r\n".join(head) + "\r\n\r\n").encode())
    parts = _events(answer) if streams else _whole(answer)
    for at, (part, is_token) in enumerate(parts):
        if answer.cut_after is not None and at > answer.cut_after:
            return
        if is_token:
            await anyio.sleep(answer.token_seconds)
        data = part.encode()
        await stream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await stream.send(b"0\r\n\r\n")


def _whole(answer: Answer) -> list[tuple[str, bool]]:
    if answer.status != 200:
        return [(json.dumps({"error": {"message": "no", "type": "stub", "code": None}}), False)]
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.tool is not None:
        message |= {"content": None, "tool_calls": [_tool(answer.tool)]}
    body = {
        **_frame("chat.completion"),
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish}],
    }
    text = json.dumps({**body, "usage": _usage(answer)})
    return [(text[: len(text) // 2] if answer.broken_json else text, False)]


def _events(answer: Answer) -> list[tuple[str, bool]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in _pieces(answer)]
    frames = [_event({"choices": [{"index": 0, "delta": each, "finish_reason": None}]}) for each in deltas]
    parts = [(frame, at > 0) for at, frame in enumerate(frames)]
    if answer.broken_json:
        return [*parts[:2], ('data: {"id": "chatcmpl-1", "choices": [{"de\n\n', False)]
    if not answer.ends_without_reason:
        parts.append((_event({"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}]}), False))
    if answer.usage is not None:
        parts.append((_event({"choices": [], "usage": _usage(answer)}), False))
    return [*parts, ("data: [DONE]\n\n", False)]


def _pieces(answer: Answer) -> list[str]:
    if answer.pieces is None:
        *words, last = answer.text.split(" ")
        return [*(f"{word} " for word in words), last]
    cuts = [round(len(answer.text) * at / answer.pieces) for at in range(answer.pieces + 1)]
    return [answer.text[start:end] for start, end in pairwise(cuts)]


def _tool(tool: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": tool[0], "arguments": json.dumps(tool[1])}}


def _usage(answer: Answer) -> dict[str, int] | None:
    if answer.usage is None:
        return None
    read, written = answer.usage
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _event(more: Mapping[str, Any]) -> str:
    return f"data: {json.dumps({**_frame('chat.completion.chunk'), **more})}\n\n"


def _frame(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "stub"}


QUOTED = 3
PIECES = 60
_PASSAGE = re.compile(r'<data kind="passage" id="(p\d+)">\n(.*?)\n</data>', re.DOTALL)
_SENTENCE = re.compile(r"[A-Z][^.!?|*#\n\[]{30,200}[.](?=\s|$)")


def quoting(body: Body, token_seconds: float = 0.0) -> Answer:
    """Answer a request for a draft by quoting the first whole sentences of its passages."""
    asked = "\n".join(str(message["content"]) for message in body["messages"])
    found = [(sentence, id_) for id_, text in _PASSAGE.findall(asked) for sentence in _SENTENCE.findall(text)]
    text = " ".join(f"{sentence} [{id_}]" for sentence, id_ in found[:QUOTED])
    return Answer(text=text or "[abstain] Nothing is given.", pieces=PIECES, token_seconds=token_seconds)


async def _serve(port: int, token_seconds: float) -> None:
    async with serving(port=port) as stub:
        stub.answer = lambda _call, body: quoting(body, token_seconds)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
