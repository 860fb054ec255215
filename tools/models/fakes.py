"""A chat model that says what a script tells it, for tests and offline evals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCall, ToolCallChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict, PrivateAttr

from tools.models.prompts import tokens_in
from tools.models.providers import Opened, Provider
from tools.models.settings import ModelSettings


class ScriptEnded(RuntimeError):
    """The model was called more often than its script has replies."""


class ScriptedFault(Exception):
    """A failure with the status a provider would give, and the seconds it asks to be left alone for."""

    def __init__(self, status_code: int, retry_after: float | None = None) -> None:
        super().__init__(f"scripted {status_code}")
        self.status_code = status_code
        self.response = _Response({} if retry_after is None else {"Retry-After": f"{retry_after:g}"})


@dataclass(frozen=True)
class _Response:
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One reply, and what goes wrong with it."""

    text: str = ""
    data: Mapping[str, Any] | None = None
    """Given as a call of the first tool that is bound, which is how a reply in a schema is asked for."""
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Names of tools and their arguments."""
    fault: Exception | None = None
    """Raised instead of the reply, or after so many tokens of it as ``after_tokens`` says."""
    after_tokens: int = 0
    first_seconds: float = 0.0
    """Before the first token."""
    token_seconds: float = 0.0
    """Before each token after the first; a token is a word with the space behind it."""
    finish: str = "stop"
    """Empty for a reply that breaks off without a word."""
    usage: tuple[int, int] | None = None
    """Tokens read and written; when None, a quarter of the characters."""


Line = Reply | str | Exception
Script = Sequence[Line] | Iterator[Line] | Callable[[Sequence[BaseMessage]], Line]


@dataclass
class Log:
    """What a scripted model has seen."""

    calls: list[list[BaseMessage]] = field(default_factory=list)
    """The messages of each call."""
    cancelled: int = 0
    """Replies that the caller did not wait for."""
    running: int = 0
    most_running: int = 0


class ScriptedModel(BaseChatModel):
    """A LangChain chat model that plays a script.

    The script is a list or generator, which gives one reply for each call and must not run out, or a function of
    the messages. A line is a text, a ``Reply`` or an exception to raise. It streams word by word, and ``log`` says
    what it was asked. With tools bound it plays the same script and writes the same log.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _script: Script = PrivateAttr()
    _lines: Iterator[Line] | None = PrivateAttr()
    _log: Log = PrivateAttr()

    def __init__(self, script: Script, **given: Any) -> None:
        super().__init__(**given)
        self._script = script
        self._lines = iter(script) if isinstance(script, Iterable) else None
        self._log = Log()

    @property
    def log(self) -> Log:
        """What was asked of this model so far."""
        return self._log

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools at hand, as every chat model does."""
        names = [convert_to_openai_tool(each)["function"]["name"] for each in tools]
        return self.bind(tool_names=names, tool_choice=tool_choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **kwargs: Any,
    ) -> ChatResult:
        """Reply at once, whatever waits the script has."""
        reply = self._next(messages)
        if reply.fault is not None:
            raise reply.fault
        calls = [
            ToolCall(name=name, args=dict(args), id=f"call_{at}", type="tool_call")
            for at, (name, args) in enumerate(_calls(reply, kwargs))
        ]
        message = AIMessage(
            content=reply.text,
            tool_calls=calls,
            usage_metadata=_usage(reply, messages),
            response_metadata=_finish(reply),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole: ChatGenerationChunk | None = None
        async for chunk in self._astream(messages, stop, run_manager, **kwargs):
            whole = chunk if whole is None else whole + chunk
        assert whole is not None, "a stream has at least its end"
        chunk_message = whole.message
        assert isinstance(chunk_message, AIMessageChunk)
        message = AIMessage(
            content=chunk_message.content,
            tool_calls=chunk_message.tool_calls,
            usage_metadata=chunk_message.usage_metadata,
            response_metadata=chunk_message.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain's signature
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = self._next(messages)
        log = self._log
        log.running += 1
        log.most_running = max(log.most_running, log.running)
        ended = False
        try:
            async for chunk in _chunks(reply, kwargs):
                yield ChatGenerationChunk(message=chunk)
            last = AIMessageChunk(
                content="",
                usage_metadata=_usage(reply, messages),
                response_metadata=_finish(reply),
                chunk_position="last",
            )
            ended = True
            yield ChatGenerationChunk(message=last)
        except Exception:
            ended = True
            raise
        finally:
            log.running -= 1
            log.cancelled += not ended

    def _next(self, messages: Sequence[BaseMessage]) -> Reply:
        self._log.calls.append(list(messages))
        if self._lines is not None:
            line = next(self._lines, None)
            if line is None:
                raise ScriptEnded(f"call {len(self._log.calls)} has no reply in the script")
        else:
            assert callable(self._script), "a script that can't be iterated is a function"
            line = self._script(messages)
        if isinstance(line, str):
            return Reply(text=line)
        return Reply(fault=line) if isinstance(line, Exception) else line


async def _chunks(reply: Reply, bound: Mapping[str, Any]) -> AsyncIterator[AIMessageChunk]:
    await anyio.sleep(reply.first_seconds)
    tokens = reply.text.split(" ") if reply.text else []
    for at, token in enumerate(tokens):
        if reply.fault is not None and at >= reply.after_tokens:
            raise reply.fault
        if at and reply.token_seconds:
            await anyio.sleep(reply.token_seconds)
        yield AIMessageChunk(content=token if at == len(tokens) - 1 else f"{token} ")
    if reply.fault is not None:
        raise reply.fault
    for at, (name, arguments) in enumerate(_calls(reply, bound)):
        call = ToolCallChunk(
            name=name, args=json.dumps(dict(arguments)), id=f"call_{at}", index=at, type="tool_call_chunk"
        )
        yield AIMessageChunk(content="", tool_call_chunks=[call])


def _calls(reply: Reply, bound: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    names = bound.get("tool_names") or ["reply"]
    return [*reply.tool_calls, *([(names[0], reply.data)] if reply.data is not None else [])]


def _usage(reply: Reply, messages: Sequence[BaseMessage]) -> UsageMetadata:
    guessed = (sum(tokens_in(str(each.text)) for each in messages), tokens_in(reply.text))
    read, written = reply.usage or guessed
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _finish(reply: Reply) -> dict[str, Any]:
    return {"finish_reason": reply.finish} if reply.finish else {}


def scripted(models: Mapping[str, BaseChatModel]) -> dict[str, Provider]:
    """Return a provider for ``open_models`` whose ``scripted:NAME`` is the model of that name."""

    def opened(settings: ModelSettings) -> Opened:
        return Opened(model=models[settings.model])

    return {"scripted": Provider(module="langchain_core", extra="", needs_key=False, open=opened)}
