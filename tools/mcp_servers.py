"""Tools of servers that speak MCP, as actions: those that assistant.yaml lists, and nothing else they have.

A server is asked once, at the start, which tools it has. Each call has a session of its own, so that a server that
dies is no worse than one that fails. It gets the arguments alone: nothing says who the customer is.
"""

from __future__ import annotations

import re
from typing import Any

import anyio
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.sessions import Connection, StdioConnection, StreamableHttpConnection

from policies.errors import ConfigError
from policies.folder import ServerEntry, ServerTool
from policies.types import JSON
from tools.actions import Action, ActionRequest, Parameter
from tools.assistants import Assistant, line_of
from tools.imports import without
from tools.offers import Secret
from tools.own_actions import result_of

# Its formats need a grammar whose import takes more than a second; no format is checked here.
with without("rfc3987_syntax"):
    from jsonschema import Draft202012Validator

_SENT = re.compile(r"[\x21-\x7e]+(?:[ \t]+[\x21-\x7e]+)*")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_NUMBERS = {"number": float, "integer": int}


async def load_server_actions(assistant: Assistant, secret: Secret) -> dict[str, Action]:
    """Return the listed tools of all servers, by our names.

    Raises ``ConfigError`` that names file, line and remedy: for a server that does not answer in its time, for a
    tool that it does not have, and for a header whose variable ``secret`` does not know.
    """
    found: dict[str, Action] = {}
    for name, entry in assistant.file.mcp.items():
        offered = await _offered(assistant, name, entry, secret)
        for own, tool in entry.tools.items():
            theirs = tool.tool or own
            if theirs not in offered:
                known = ", ".join(sorted(offered)) or "none"
                raise _wrong(assistant, name, f"the server has no tool {theirs!r}", f"Mend it; it has: {known}.")
            found[own] = ServerAction(own, tool, offered[theirs])
    return found


async def _offered(assistant: Assistant, name: str, entry: ServerEntry, secret: Secret) -> dict[str, BaseTool]:
    connection = _connection(assistant, name, entry, secret)
    client = MultiServerMCPClient({name: connection}, handle_tool_errors=False)
    how = " ".join(entry.command) if entry.command else entry.url
    try:
        with anyio.fail_after(entry.start_seconds):
            return {each.name: each for each in await client.get_tools()}
    except TimeoutError as error:
        what = f"the server said nothing for {entry.start_seconds:g} seconds"
        raise _wrong(
            assistant, name, what, f"See whether this works, or give it `start_seconds`: {how}"
        ) from error
    except Exception as error:
        what = f"the server can't be reached: {_innermost(error)}"
        raise _wrong(assistant, name, what, f"See whether this works: {how}") from error


def _connection(assistant: Assistant, name: str, entry: ServerEntry, secret: Secret) -> Connection:
    if entry.command:
        program, *arguments = entry.command
        return StdioConnection(
            transport="stdio", command=program, args=arguments, env=entry.env or None, cwd=str(assistant.folder)
        )
    headers = {header: _filled(assistant, name, text, secret) for header, text in entry.headers.items()}
    return StreamableHttpConnection(transport="streamable_http", url=entry.url or "", headers=headers)


def _filled(assistant: Assistant, server: str, text: str, secret: Secret) -> str:
    """Put what the environment holds in place of each ``${NAME}``."""

    def value(found: re.Match[str]) -> str:
        held = secret(found[1])
        if held is None:
            what = f"a header needs the environment variable {found[1]}, which is not set"
            raise _wrong(assistant, server, what, f"Set {found[1]}, or take the header out.")
        if not _SENT.fullmatch(held.get_secret_value()):
            # Its text stays out: the error is logged.
            what = f"a header can't hold what the environment variable {found[1]} has"
            raise _wrong(assistant, server, what, f"Give {found[1]} plain characters in one line.")
        return held.get_secret_value()

    if "${" in _VARIABLE.sub("", text):
        raise _wrong(assistant, server, "a header has a `${` that names no variable", "Write ${NAME}.")
    return _VARIABLE.sub(value, text)


def _wrong(assistant: Assistant, server: str, what: str, remedy: str) -> ConfigError:
    line = line_of(assistant.files["assistant.yaml"], ("mcp", server))
    return ConfigError(f"{assistant.folder / 'assistant.yaml'}:{line}: mcp.{server}: {what}.", remedy=remedy)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


class ServerAction:
    """An action that is a tool of a server."""

    def __init__(self, name: str, entry: ServerTool, tool: BaseTool) -> None:
        self.name = name
        self.effect = entry.effect
        self.idempotent = entry.idempotent
        self.timeout = entry.timeout
        self.description = tool.description
        self.parameters = _parameters(entry, _schema(tool))
        self._validators = {each.name: Draft202012Validator(each.schema) for each in self.parameters}
        self._tool = tool

    def read(self, name: str, value: Any) -> Any:
        """Return a parameter's value as plain JSON; raises ``ValueError`` when it does not fit."""
        validator = self._validators[name]
        kind = _NUMBERS.get(str(validator.schema.get("type")))
        if kind and isinstance(value, str):
            value = kind(value.replace(",", ""))
        if not validator.is_valid(value):
            raise ValueError(f"{name} does not fit what the tool takes")
        return value

    async def __call__(self, request: ActionRequest) -> JSON:
        """Call the tool; raises what the server says went wrong."""
        call = {"type": "tool_call", "id": request.key, "name": self._tool.name, "args": request.arguments}
        message = await self._tool.ainvoke(call)
        result: JSON = result_of(_content(message), effect=self.effect)
        return result


def _schema(tool: BaseTool) -> JSON:
    schema = tool.args_schema
    return schema if isinstance(schema, dict) else tool.get_input_jsonschema()


def _parameters(entry: ServerTool, schema: JSON) -> tuple[Parameter, ...]:
    needed, shared = schema.get("required", []), {"$defs": schema.get("$defs", {})}
    found = []
    for name, each in schema.get("properties", {}).items():
        marked = entry.arguments.get(name)
        about = marked.about if marked else str(each.get("description") or name.replace("_", " "))
        pattern = re.compile(marked.pattern, re.IGNORECASE) if marked else None
        found.append(
            Parameter(name=name, about=about, schema={**each, **shared}, required=name in needed, pattern=pattern)
        )
    return tuple(found)


def _content(message: Any) -> Any:
    """Return what a tool gave: its structure if it has one, or else its texts."""
    structured = (message.artifact or {}).get("structured_content")
    if structured is not None:
        return structured["result"] if set(structured) == {"result"} else structured
    blocks = message.content if isinstance(message.content, list) else [message.content]
    texts = [each if isinstance(each, str) else each.get("text", "") for each in blocks]
    return [text for text in texts if text]
