"""A tea shop with workflows: graphs that do what their input says, one of which may end its process."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.shop import FILES

WORKFLOWS = """\
workflows:
  errand:
    file: errands.py
    queue: care
  brief-errand: {file: "errands.py:errand", seconds: 1.5}
"""
ERRANDS = '''\
"""Errands."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, TypedDict

import anyio
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from handrail import WorkflowContext, ask, graph


class Errand(BaseModel):
    name: str = Field(max_length=100)
    how: str = "plainly"
    calls: str | None = None


class Done(BaseModel):
    text: str | None
    key: str


class Sum(BaseModel):
    euros: int = Field(ge=0)


class State(TypedDict, total=False):
    name: str
    how: str
    calls: str | None
    key: str
    text: Any


def begin(state: State, runtime: Runtime[WorkflowContext]) -> State:
    runtime.context.note("Begun for eve@example.com", place=3)
    runtime.context.decide("choice", "by foot", ["It is near."], confidence=0.5)
    if state["calls"]:
        with Path(state["calls"]).open("a") as file:
            file.write(f"{state['name']}\\n")
    return {"key": runtime.context.key("parcel")}


async def carry(state: State, runtime: Runtime[WorkflowContext]) -> State:
    said = f"{state['name']} is there"
    match state["how"]:
        case "raise":
            raise ValueError(f"{state['name']} of eve@example.com is too heavy")
        case "rubbish":
            return {"text": {"no": "text"}}
        case "hang":
            await anyio.sleep_forever()
        case "ask":
            answer = ask(f"May eve@example.com have {state['name']}?", details={"name": state["name"]})
            return {"text": f"{answer['decision']}: {answer.get('note', '')}"}
        case "ask a model":
            return {"text": await runtime.context.complete("Say what is to be carried.", said)}
        case "ask how much":
            given = ask("How much?", answer=Sum, priority="urgent")
            return {"text": f"{given.euros} euros"}
        case "ask twice":
            first, second = ask("Once?")["decision"], ask("Twice?")["decision"]
            return {"text": f"{first}, {second}"}
        case "ask in vain":
            return {"text": ask("Anybody?", otherwise={"decision": "reject"})["decision"]}
        case "die" if Path(state["calls"] + ".dies").exists():
            Path(state["calls"] + ".dies").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"text": said}


@graph(input=Errand, output=Done)
def errand() -> StateGraph:
    """Carry something somewhere."""
    steps = StateGraph(State, context_schema=WorkflowContext)
    steps.add_node("begin", begin)
    steps.add_node("carry", carry)
    steps.add_edge(START, "begin")
    steps.add_edge("begin", "carry")
    steps.add_edge("carry", END)
    return steps
'''


def write_errands(folder: Path) -> Path:
    """Write the shop's folder with its workflows."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (WORKFLOWS if name == "assistant.yaml" else ""))
    (folder / "errands.py").write_text(ERRANDS)
    return folder
