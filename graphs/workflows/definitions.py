"""The workflows of an assistant: what its files define, checked when they are loaded.

What runs is what the folder holds. A run that waits goes on with the graph as the folder has it by then; the
decisions name the version.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel, ValidationError

from graphs.workflows.contained import contain
from graphs.workflows.plain import jsonable
from policies.errors import ConfigError, HandrailError, InputError, NotFound
from policies.folder import WorkflowEntry
from policies.types import JSON
from tools.assistants import Assistant, line_of
from tools.extensions import load_extension

MARK = "__handrail_graph__"
Compiled = CompiledStateGraph[Any, Any, Any, Any]


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """One workflow, ready to run."""

    name: str
    description: str
    input: type[BaseModel]
    output: type[BaseModel]
    graph: Compiled
    """Compiled without a checkpointer: each attempt has its own."""
    file: Path
    queue: str
    """Who is asked where the graph does not say."""
    priority: str
    seconds: float | None = None
    """After how many seconds a segment is given up, if not after the setting's."""

    @property
    def schemas(self) -> JSON:
        """Name, description and JSON Schemas, as clients see them."""
        return {
            "name": self.name,
            "description": self.description,
            "input": self.input.model_json_schema(),
            "output": self.output.model_json_schema(mode="serialization"),
        }

    def checked(self, given: Any, pointer: str = "/input") -> BaseModel:
        """Return an input as its model has it; raises ``InputError`` that points at what is wrong."""
        try:
            return self.input.model_validate(given)
        except ValidationError as error:
            wrong = [_told(each, pointer) for each in error.errors(include_url=False, include_input=False)]
        raise InputError(
            f"The input is not what {self.name!r} takes.",
            remedy="Mend what `errors` names.",
            code="workflow.input",
            errors=wrong,
        )

    def result(self, state: Mapping[str, Any]) -> JSON:
        """Return the output in a final state as plain JSON; raises ``ValidationError``."""
        given = {name: state[name] for name in self.output.model_fields if name in state}
        found: JSON = jsonable(self.output.model_validate(given))
        return found


def _told(error: Mapping[str, Any], pointer: str) -> dict[str, str]:
    place = "".join([pointer, *(f"/{each}" for each in error["loc"])])
    return {"in": "body", "pointer": place, "detail": error["msg"]}


def named(workflows: Mapping[str, Workflow], name: str) -> Workflow:
    """Return a workflow; raises ``NotFound``."""
    if name not in workflows:
        known = ", ".join(sorted(workflows)) or "none"
        raise NotFound(f"There is no workflow {name!r}.", remedy=f"There are: {known}.", code="workflow.unknown")
    return workflows[name]


def load_workflows(assistant: Assistant) -> Mapping[str, Workflow]:
    """Return the workflows of an assistant by name.

    Raises ``ConfigError`` that names, for every mistake, file, line and what to do.
    """
    found, wrong = dict[str, Workflow](), list[HandrailError]()
    for name, entry in assistant.file.workflows.items():
        try:
            found[name] = _loaded(assistant, name, entry)
        except ConfigError as error:
            wrong.append(error)
    if wrong:
        remedies = dict.fromkeys(each.remedy for each in wrong if each.remedy)
        raise ConfigError("\n".join(each.message for each in wrong), remedy=" ".join(remedies))
    return found


def _loaded(assistant: Assistant, name: str, entry: WorkflowEntry) -> Workflow:
    if name == "support":
        path, line = (
            assistant.folder / "assistant.yaml",
            line_of(assistant.files["assistant.yaml"], ("workflows", name)),
        )
        raise ConfigError(
            f"{path}:{line}: workflows.{name}: conversations have a graph of that name.",
            remedy="Choose another name.",
        )
    module = load_extension(assistant.folder, entry.path)
    function = _function(assistant, name, entry, module)
    path, line = Path(str(module.__file__)), function.__code__.co_firstlineno
    declared = getattr(function, MARK)
    for which in ("input", "output"):
        if not _is_model(getattr(declared, which)):
            raise ConfigError(
                f"{path}:{line}: the {which} of {function.__name__} is no pydantic model.",
                remedy="Give @graph two classes that derive from pydantic's BaseModel.",
            )
    builder = _built(path, line, function)
    _require_fields(path, line, builder, declared.input, declared.output)
    return Workflow(
        name=name,
        description=entry.description or (function.__doc__ or "").strip(),
        input=declared.input,
        output=declared.output,
        graph=_compiled(path, line, builder),
        file=path,
        queue=entry.queue or assistant.policy.default_queue,
        priority=entry.priority,
        seconds=entry.seconds,
    )


def _is_model(given: Any) -> bool:
    return isinstance(given, type) and issubclass(given, BaseModel)


def _function(assistant: Assistant, name: str, entry: WorkflowEntry, module: ModuleType) -> Any:
    called = entry.function(name)
    function = getattr(module, called, None)
    if hasattr(function, MARK):
        return function
    line = line_of(assistant.files["assistant.yaml"], ("workflows", name, "file"))
    marked = sorted(each for each, value in vars(module).items() if hasattr(value, MARK))
    known = f"marked there are: {', '.join(marked)}" if marked else "none there is marked"
    raise ConfigError(
        f"{assistant.folder / 'assistant.yaml'}:{line}: workflows.{name}: {entry.path} has no function "
        f"{called!r} marked with @graph; {known}.",
        remedy="Mark it with @graph(input=..., output=...) from handrail, or mend the name.",
    )


def _built(path: Path, line: int, function: Any) -> StateGraph[Any, Any, Any, Any]:
    try:
        builder = function()
    except Exception as error:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(path)]
        raise ConfigError(
            f"{path}:{lines[-1] if lines else line}: {function.__name__} can't be called: "
            f"{type(error).__name__}: {error}.",
            remedy="It takes nothing and returns a StateGraph.",
        ) from error
    if not isinstance(builder, StateGraph):
        raise ConfigError(
            f"{path}:{line}: {function.__name__} returns a {type(builder).__name__}.",
            remedy="Return the StateGraph itself, before .compile(): each run has a checkpointer of its own.",
        )
    return builder


def _require_fields(
    path: Path,
    line: int,
    builder: StateGraph[Any, Any, Any, Any],
    given: type[BaseModel],
    wanted: type[BaseModel],
) -> None:
    """Make sure that the state has a place for the input, and what the output must have."""
    required = {name for name, field in wanted.model_fields.items() if field.is_required()}
    missing = sorted((set(given.model_fields) | required) - set(builder.channels))
    if missing:
        raise ConfigError(
            f"{path}:{line}: the state of the graph has no {', '.join(map(repr, missing))}.",
            remedy="The state's keys are the fields of input and output, and what else the steps need.",
        )


def _compiled(path: Path, line: int, builder: StateGraph[Any, Any, Any, Any]) -> Compiled:
    try:
        graph = builder.compile()
    except Exception as error:
        raise ConfigError(
            f"{path}:{line}: the graph does not hold together: {error}", remedy="Mend its edges."
        ) from error
    contain(builder)
    return graph
