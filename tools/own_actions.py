"""An assistant's own tools: functions of its Python files, made into actions.

They are marked with ``handrail.tool``, which stands above this and is known by its marks alone. A function's
signature says what it must be told; what does not fit is refused when the assistant is loaded, with file and line.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import orjson
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from policies.errors import ConfigError, Refused
from policies.types import JSON
from tools.actions import Action, ActionRequest, Parameter
from tools.assistants import Assistant, line_of
from tools.extensions import load_extension
from tools.storable import said_by, storable

TOOL, CONTEXT, FOUND, REFUSED = (
    "__handrail_tool__",
    "__handrail_context__",
    "__handrail_found__",
    "__handrail_refused__",
)
LONGEST_TIMEOUT = 600.0
LARGEST_RESULT = 100_000
"""Bytes of JSON; what an action returns beyond it is not kept."""
THREADS = 16


def load_actions(assistant: Assistant, data: Path) -> dict[str, Action]:
    """Return the tools that assistant.yaml lists, by name; ``data`` is this process's folder for data.

    Raises ``ConfigError`` that names, for the first tool that is wrong, file, line, function and remedy.
    """
    if not assistant.file.tools:
        return {}
    kept = data / "tools" / assistant.name
    limiter = anyio.CapacityLimiter(THREADS)
    found: dict[str, Action] = {}
    for name, place in assistant.file.tools.items():
        file, _, function = place.partition(":")
        called = _function(assistant, name, load_extension(assistant.folder, file), function or name)
        found[name] = OwnAction(name, called, kept, limiter)
    return found


def _function(assistant: Assistant, name: str, module: ModuleType, function: str) -> Callable[..., Any]:
    called = getattr(module, function, None)
    if hasattr(called, TOOL) and callable(called):
        return typing.cast("Callable[..., Any]", called)
    line = line_of(assistant.files["assistant.yaml"], ("tools", name))
    wrong = "is not marked" if callable(called) else "is missing"
    raise ConfigError(
        f"{assistant.folder / 'assistant.yaml'}:{line}: tools.{name}: the function {function!r} of "
        f"{module.__file__} {wrong}.",
        remedy=f"Write it and put `@tool` above it (from handrail import tool): `def {function}(...)`.",
    )


@dataclass(frozen=True, kw_only=True)
class _Signature:
    """What a function's signature asks for."""

    parameters: tuple[Parameter, ...]
    adapters: Mapping[str, TypeAdapter[Any]]
    context: tuple[str, Callable[..., Any]] | None
    """The parameter that gets what a tool may know besides, and its class."""


class OwnAction:
    """An action that is a function of the assistant's own; one that blocks is run in a thread."""

    def __init__(
        self, name: str, function: Callable[..., Any], data: Path, limiter: anyio.CapacityLimiter
    ) -> None:
        declared = getattr(function, TOOL)
        self.name = name
        self.effect: bool = declared.effect
        self.idempotent: bool = declared.idempotent
        self.timeout: float = declared.timeout
        self._signature = _signature(name, function)
        self._facts = _facts_of(name, function, self._signature)
        self.description = inspect.getdoc(function) or ""
        self._function = function
        self._data = data
        self._limiter = limiter

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it must or may be told, in its order."""
        return self._signature.parameters

    def read(self, name: str, value: Any) -> Any:
        """Return a parameter's value as plain JSON; raises ``ValueError`` when it does not fit."""
        adapter = self._signature.adapters[name]
        checked = adapter.validate_python(value)
        plain = float(checked) if isinstance(checked, Decimal) else adapter.dump_python(checked, mode="json")
        if isinstance(plain, float) and not math.isfinite(plain):
            raise ValueError(f"{name} must be a finite number")
        return plain

    async def __call__(self, request: ActionRequest) -> JSON:
        """Call the function; raises what it raises, and ``Refused`` for what it refuses."""
        given = self._given(request.arguments) | self._told(self._signature, request)
        try:
            result: JSON = result_of(await self._called(self._function, given), effect=self.effect)
            return result
        except GeneratorExit:
            raise
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            if getattr(error, REFUSED, False):
                raise Refused(said_by(error)) from error
            if not isinstance(error, Exception):
                raise RuntimeError("the tool tried to end the process") from error
            raise

    @property
    def has_facts(self) -> bool:
        """Whether it says how things stand before it is done."""
        return self._facts is not None

    async def facts(self, request: ActionRequest) -> JSON:
        """Return what its ``facts`` say; raises what they raise, and ``ValueError`` for anything but numbers."""
        if self._facts is None:
            return {}
        function, signature = self._facts
        wanted = {each.name for each in signature.parameters}
        given = {name: value for name, value in self._given(request.arguments).items() if name in wanted}
        found = await self._called(function, given | self._told(signature, request))
        return facts_from(found)

    def _told(self, signature: _Signature, request: ActionRequest) -> JSON:
        """Return the parameter that gets what a tool may know besides, if the function has one."""
        if signature.context is None:
            return {}
        name, kind = signature.context
        self._data.mkdir(parents=True, exist_ok=True)
        return {name: kind(**_context(request, self._data))}

    def _given(self, arguments: JSON) -> JSON:
        """Return arguments as the function takes them; what was settled for an earlier version may not fit."""
        adapters, needed = self._signature.adapters, {each.name for each in self.parameters if each.required}
        try:
            given = {name: adapters[name].validate_python(value) for name, value in arguments.items()}
        except (KeyError, ValueError) as error:
            raise Refused("What it was to be told does not fit what it takes.") from error
        if lacking := needed - given.keys():
            raise Refused(f"It was not told: {', '.join(sorted(lacking))}.")
        return given

    async def _called(self, function: Callable[..., Any], given: JSON) -> Any:
        if inspect.iscoroutinefunction(inspect.unwrap(function)):
            return await function(**given)
        call = partial(function, **given)
        returned = await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)
        return await returned if inspect.isawaitable(returned) else returned


def _context(request: ActionRequest, data: Path) -> JSON:
    return {
        "key": request.key,
        "data": data,
        "customer_id": request.customer_id,
        "attributes": request.attributes,
        "locale": request.locale,
        "workspace_id": request.workspace_id,
        "conversation_id": request.conversation_id,
        "run_id": request.run_id,
        "intent": request.intent,
        "question": request.question,
        "language": request.language,
        "facts": request.facts,
    }


def facts_from(value: Any) -> JSON:
    """Return what a tool's ``facts`` gave; raises ``ValueError`` for what is no name with a number or truth value.

    No text, since a text may say who somebody is, and rows of a run hold what a person was shown.
    """
    if not isinstance(value, Mapping):
        raise ValueError("the facts of a tool are a mapping")
    found = {str(name): float(each) if isinstance(each, Decimal) else each for name, each in value.items()}
    for name, each in found.items():
        if not isinstance(each, (bool, int, float)) or not math.isfinite(each):
            raise ValueError(f"the fact {name!r} is no finite number and no truth value")
    return found


def result_of(value: Any, *, effect: bool) -> Any:
    """Return what a tool gave as JSON that every database keeps: no infinite numbers, no halves of characters.

    Raises ``ValueError`` for what is no JSON or too large. What has an effect has been done all the same, so its
    result is then nothing.
    """
    try:
        plain = storable(to_jsonable_python(value))
        size = len(orjson.dumps(plain))
    except (PydanticSerializationError, orjson.JSONEncodeError, RecursionError, ValueError, TypeError):
        plain, size = None, LARGEST_RESULT + 1
    if size <= LARGEST_RESULT:
        return plain
    if effect:
        return {}
    raise ValueError(f"a tool returns JSON of at most {LARGEST_RESULT:,} bytes")


def _facts_of(
    name: str, function: Callable[..., Any], signature: _Signature
) -> tuple[Callable[..., Any], _Signature] | None:
    """Return what says how things stand before an effect, with its signature; raises ``ConfigError``."""
    declared = getattr(function, TOOL)
    facts = declared.facts
    if facts is None:
        return None
    wrong = partial(_wrong, name, function)
    if not declared.effect:
        raise wrong("it has facts and changes nothing", "Write `effect=True`, or leave `facts` out.")
    if not inspect.isfunction(facts):
        raise wrong("its facts are no function", "Write `facts=` with the name of a function.")
    found = _read_signature(facts, partial(_wrong, name, facts))
    taken = {each.name for each in signature.parameters}
    if odd := [each.name for each in found.parameters if each.name not in taken]:
        raise wrong(
            f"its facts ask for {odd[0]!r}, which it is not told itself", "Use the names of its own parameters."
        )
    return facts, found


def _signature(name: str, function: Callable[..., Any]) -> _Signature:
    """Read a tool's signature; raises ``ConfigError`` that names its file and line."""
    wrong = partial(_wrong, name, function)
    declared = getattr(function, TOOL)
    if not 0 < declared.timeout <= LONGEST_TIMEOUT:
        raise wrong(
            f"its timeout is {declared.timeout!r} seconds", f"Write one above 0, up to {LONGEST_TIMEOUT:g}."
        )
    if not inspect.getdoc(function):
        raise wrong("it has no docstring", "Say in one what it does: whoever fills in its arguments reads it.")
    return _read_signature(function, wrong)


def _read_signature(function: Callable[..., Any], wrong: Callable[[str, str], ConfigError]) -> _Signature:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise wrong(
            f"its types can't be read: {error}", "Import what they name at the top of the file."
        ) from error
    parameters, adapters, context = [], {}, None
    for each in inspect.signature(function).parameters.values():
        if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            raise wrong(
                f"its parameter {each.name!r} is no plain one", "Give each argument its own name and type."
            )
        if each.name not in hints:
            raise wrong(f"its parameter {each.name!r} has no type", f"Write one, such as `{each.name}: str`.")
        kind = hints[each.name]
        if getattr(kind, CONTEXT, False):
            context = (each.name, kind)
            continue
        adapters[each.name] = _adapter(each.name, kind, wrong)
        parameters.append(_parameter(each, kind, adapters[each.name], wrong))
    return _Signature(parameters=tuple(parameters), adapters=adapters, context=context)


def _wrong(name: str, function: Callable[..., Any], what: str, remedy: str) -> ConfigError:
    code = inspect.unwrap(function).__code__
    place = f"{code.co_filename}:{code.co_firstlineno}"
    return ConfigError(f"{place}: {function.__name__}: the tool {name!r} can't be used: {what}.", remedy=remedy)


def _adapter(name: str, kind: Any, wrong: Callable[[str, str], ConfigError]) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter[Any](kind)
        adapter.json_schema()
    except (PydanticUserError, TypeError) as error:
        raise wrong(
            f"no value in JSON can be made of the type of its parameter {name!r}",
            "Use plain types: str, int, float, bool, date, Literal, or a pydantic model of them.",
        ) from error
    return adapter


def _parameter(
    each: inspect.Parameter, kind: Any, adapter: TypeAdapter[Any], wrong: Callable[[str, str], ConfigError]
) -> Parameter:
    marked = next(_marks(kind), None)
    try:
        pattern = re.compile(marked.pattern, re.IGNORECASE) if marked else None
    except re.error as error:
        raise wrong(f"the pattern of its parameter {each.name!r} is none: {error}", "Mend the pattern.") from error
    schema = adapter.json_schema()
    return Parameter(
        name=each.name,
        about=marked.about if marked else str(schema.get("description") or each.name.replace("_", " ")),
        schema=schema,
        required=each.default is inspect.Parameter.empty,
        pattern=pattern,
    )


def _marks(kind: Any) -> Iterator[Any]:
    return (each for each in getattr(kind, "__metadata__", ()) if getattr(each, FOUND, False))
