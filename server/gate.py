"""What every request passes before any route sees it, as plain ASGI.

``Catch`` turns a crash into a problem with an id that is in the log. ``Gate`` keeps out requests that a web page
elsewhere makes a browser send (there is no sign-in yet), and bodies that can't be read.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policies.errors import InputError, NotFound
from server.problems import problem, problem_of
from tools.tracing import bound

log = logging.getLogger("handrail.server")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_BODY = 256 * 1024
MOST_FORGOTTEN = 8 * 1024 * 1024
SLOWEST_BODY_SECONDS = 30.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Catch:
    """Outermost: no exception reaches the client as anything but a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        with bound(request=f"req_{secrets.token_hex(8)}"):
            try:
                await self._app(scope, receive, noting)
            except Exception:
                error_id = f"err_{secrets.token_hex(8)}"
                log.exception("%s: %s %s failed", error_id, scope["method"], _pattern(scope))
                if started:
                    # The status line is gone; closing the connection is the only way left to say it.
                    raise
                detail = "Something went wrong here; the log has it under this id."
                response = problem(scope["path"], 500, "internal", detail, error_id=error_id)
                await response(scope, receive, send)


def _pattern(scope: Scope) -> str:
    """Return the route's pattern: a path may hold what a caller typed, which has no place in a log."""
    return getattr(scope.get("route"), "path", "an unknown path")


class Gate:
    """Refuses foreign hosts and origins, bodies that are too large, not JSON or not UTF-8."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        """``hosts`` are the names that requests may be addressed to; None allows any."""
        self._app = app
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if "\0" in scope["path"]:
                # PostgreSQL has no such character, so nothing can be called that.
                raise NotFound("There is nothing at a path with a null byte in it.")
            if b"%00" in scope["query_string"]:
                raise InputError("The query has a null byte in it.", remedy="Leave it out.", code="query.null")
            self._require_known_host(headers)
            if scope["method"] not in SAFE:
                _require_own_origin(headers)
                body = await _read(receive, headers)
                if body is None:
                    return
                _require_json(headers, body)
                receive = _again(body, receive)
        except InputError as error:
            # The rest of a refused body is not read, so the connection can't be used again.
            response = problem_of(scope["path"], error)
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _require_known_host(self, headers: Headers) -> None:
        if self._hosts is not None and _host_name(headers.get("host", "")) not in self._hosts:
            raise InputError(
                "This server does not go by that host name.",
                remedy="Use the address that it announced, or set HANDRAIL_HOST to serve on another.",
                code="host.unknown",
            )


def _host_name(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def _require_own_origin(headers: Headers) -> None:
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
        raise InputError(
            "A page of another origin may not change anything here.",
            remedy="Call from your own server.",
            code="origin.foreign",
        )


async def _read(receive: Receive, headers: Headers) -> bytes | None:
    """Return the whole body, or None when the client has gone; raises ``InputError`` past the limit.

    Of a body past the limit the rest is read and forgotten, up to a point: a client that is still sending would
    see the connection break instead of the answer.
    """
    announced = headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 10 or int(announced) > MOST_FORGOTTEN):
        raise _too_large()
    pieces: list[bytes] = []
    size = 0
    with anyio.move_on_after(SLOWEST_BODY_SECONDS) as waited:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            piece = message.get("body", b"")
            size += len(piece)
            if size <= LARGEST_BODY:
                pieces.append(piece)
            if size > MOST_FORGOTTEN or not message.get("more_body", False):
                break
    if waited.cancelled_caught:
        raise InputError("The body did not arrive in time.", remedy="Send it again.", code="body.too_slow")
    if size > LARGEST_BODY:
        raise _too_large()
    return b"".join(pieces)


def _too_large() -> InputError:
    return InputError(
        f"The body is larger than {LARGEST_BODY // 1024} KiB.", remedy="Send less.", code="body.too_large"
    )


def _require_json(headers: Headers, body: bytes) -> None:
    if not body:
        return
    if not _says_json(headers):
        raise InputError(
            "The body is not announced as JSON.",
            remedy="Send it uncompressed with `Content-Type: application/json`.",
            code="body.not_json",
        )
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"The body is not UTF-8: byte {error.start} can't be read.",
            remedy="Encode it as UTF-8.",
            code="body.not_utf8",
        ) from None


def _says_json(headers: Headers) -> bool:
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    plain = headers.get("content-encoding", "identity").lower() == "identity"
    named = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    return named and plain and charset in ("utf-8", "utf8", "us-ascii")


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body in one piece, then whatever comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
