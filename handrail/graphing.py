"""How a developer adds a workflow: a function that returns a LangGraph graph, marked with ``@graph``.

Nothing here imports anything of ours, so that an app can test its graphs in a process of its own. What becomes of
a marked function is told by ``graphs/workflows/definitions.py``, which knows it by its mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])
DECISION: Mapping[str, Any] = {
    "type": "object",
    "required": ["decision"],
    "properties": {
        "decision": {"enum": ["approve", "reject"]},
        "note": {"type": "string", "maxLength": 1000, "description": "Why, for the ledger."},
    },
    "additionalProperties": False,
}
"""What a person answers when ``ask`` is not told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What ``@graph`` says of a function."""

    input: type[BaseModel]
    output: type[BaseModel]


def graph(*, input: type[BaseModel], output: type[BaseModel]) -> Callable[[F], F]:  # noqa: A002
    """Mark a function as a workflow: it takes nothing and returns a ``StateGraph`` that is not compiled.

    The fields of ``input`` are put into the state before the first step, as plain data; those of ``output`` are
    taken from it after the last. Both are checked. What steps put into the state is plain data too.
    """

    def marked(function: F) -> F:
        function.__handrail_graph__ = Declared(input=input, output=output)  # type: ignore[attr-defined]
        return function

    return marked


def ask(
    question: str,
    *,
    details: Any = None,
    answer: type[BaseModel] | Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: str | None = None,
    otherwise: BaseModel | Mapping[str, Any] | None = None,
) -> Any:
    """Ask a person, from within a step, and return the answer; the run waits meanwhile as rows alone.

    ``answer`` is a model, whose instance is returned, or a JSON Schema of an object; without it a person answers
    ``{"decision": "approve" | "reject", "note": ...}``. ``otherwise`` is what stands when nobody answers in time;
    without it the run ends as expired then. The step begins again from its top once the answer is there, so what
    has effects comes after the question, or in another step. A question has at most 64 KB, details included.
    """
    from langgraph.types import interrupt

    asked = {
        "__handrail_ask__": question,
        "details": details,
        "queue": queue,
        "priority": priority,
        "otherwise": otherwise,
    }
    schema: Any = dict(DECISION) if answer is None else answer
    return interrupt(asked, response_schema=schema)


class WorkflowContext(Protocol):
    """What a step gets of its run: ``def step(state: State, runtime: Runtime[WorkflowContext])``."""

    run_id: str
    workspace_id: str

    def note(self, text: str, **data: Any) -> None:
        """Tell those who follow the run something, as an event ``note``; personal data is masked."""
        ...

    def decide(
        self, kind: str, outcome: str, reasons: Sequence[str] = (), *, confidence: float | None = None
    ) -> None:
        """Put a decision on record in the ledger, for good; personal data is masked.

        ``kind`` is one word of up to 40 letters, digits, ``-`` and ``_``; ``outcome`` has up to 200 characters.
        """
        ...

    async def complete(
        self, prompt: str, text: str, *, tiers: Sequence[Literal["small", "large"]] = ("large",)
    ) -> str | None:
        """Ask a language model about a text, which is data to it, within the assistant's budgets and consent.

        None when no model answers, or there is none. Personal data goes to it as placeholders and comes back.
        """
        ...

    def key(self, name: str) -> str:
        """Return a key for one effect outside, the same whenever this run tries it again."""
        ...
