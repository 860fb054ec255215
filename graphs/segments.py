"""Segments: from the claim of a run to its end or its next question to a person."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command

from agents.escalation import EscalationRequest
from graphs.delivery import Handover, hand_over, pause
from graphs.state import State
from graphs.support import SupportGraph
from graphs.team import Team
from graphs.turn import Turn
from policies.errors import Fenced, HandrailError
from policies.types import Reason, to_json
from policies.types import Turn as Said
from tools.metrics import SEGMENT_SECONDS
from tools.storage import conversations, events, runs, vault
from tools.storage.conversations import Conversation
from tools.storage.events import NewEvent
from tools.storage.runs import Pending, Run
from tools.storage.store import Store, Tx, Workspace

log = logging.getLogger("handrail.segments")


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What one transaction reads when an attempt begins."""

    run: Run
    conversation: Conversation
    history: tuple[Said, ...]
    placeholders: frozenset[str]
    previous_intent: str | None


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Works on one segment at a time; whatever fails in it ends with a person, never with silence."""

    store: Store
    graph: SupportGraph
    checkpoints: BaseCheckpointSaver[Any]
    team_of: Callable[[str], Team]
    """Returns the team of an assistant version."""
    deadline: float
    """Seconds after which a segment is given to a person."""
    attempts: int

    async def work(self, pending: Pending) -> None:
        """Run a segment to its end. A stale attempt stops silently; nothing else does.

        Raises ``Unavailable`` when not even a handover could be stored.
        """
        workspace = self.store.in_workspace(pending.workspace_id)
        try:
            claimed = await workspace.write(lambda tx: claim(tx, pending.run_id), durable=False)
        except Fenced:
            return
        turn = self._turn(workspace, claimed)
        try:
            with anyio.fail_after(self.deadline), SEGMENT_SECONDS.labels(claimed.run.graph).time():
                await self._advance(turn, claimed)
        except Fenced:
            log.info("run %s: a newer attempt took over", claimed.run.id)
        except TimeoutError:
            await self._degrade(turn, claimed, "segment.deadline", f"No answer within {self.deadline:g} seconds.")
        except Exception as error:
            log.exception("run %s failed", claimed.run.id)
            code = error.code if isinstance(error, HandrailError) else "segment.failed"
            await self._degrade(turn, claimed, code, f"A step failed: {type(error).__name__}.")

    def _turn(self, workspace: Workspace, claimed: Claimed) -> Turn:
        return Turn(
            workspace=workspace,
            conversation=claimed.conversation,
            run=claimed.run,
            team=self.team_of(claimed.run.assistant_version),
            known_placeholders=claimed.placeholders,
            message_id=self.store.ids.new("msg"),
            intent=claimed.run.intent,
        )

    async def _advance(self, turn: Turn, claimed: Claimed) -> None:
        if claimed.run.attempts > self.attempts:
            await self._degrade(turn, claimed, "segment.attempts", f"Gave up after {self.attempts} attempts.")
            return
        config: RunnableConfig = {"configurable": {"thread_id": turn.run.id}}
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(turn.flush_slowly)
                result = await self.graph.ainvoke(
                    await self._input(claimed, config), config, context=turn, durability="exit"
                )
                watch.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise _cause(group) from group
        if asked := result.get("__interrupt__"):
            await pause(turn, asked[0].value)
        else:
            await self.checkpoints.adelete_thread(turn.run.id)

    async def _input(self, claimed: Claimed, config: RunnableConfig) -> State | Command[str] | None:
        """Return what the graph goes on with: a fresh question, a person's answer, or its own checkpoint."""
        if claimed.run.resume is not None:
            return Command(resume=claimed.run.resume)
        if claimed.run.epoch > 1 and (await self.graph.aget_state(config)).next:
            return None
        return _initial(claimed)

    async def _degrade(self, turn: Turn, claimed: Claimed, code: str, text: str) -> None:
        """Tell the customer that something broke and hand over; ``Unavailable`` asks for another attempt."""
        policy = turn.team.assistant.policy
        reason = Reason(code=code, text=text)
        brief = await turn.team.escalation(
            EscalationRequest(
                question=claimed.run.input["question"],
                history=claimed.history,
                route=None,
                passages=(),
                sentences=(),
                reasons=(reason,),
                queue=policy.default_queue,
                priority="high",
                customer_message=policy.messages.degraded,
            )
        )
        turn.note("degraded", {"dependency": code, "fallback": "a person"})
        try:
            await hand_over(turn, Handover(brief=brief, sentences=(), outcome="degraded"))
        except Fenced:
            log.info("run %s: a newer attempt took over", turn.run.id)


def claim(tx: Tx, run_id: str) -> Claimed:
    """Take a run and read what its segment needs; announces the run, or that it is tried again."""
    run = runs.claim(tx, run_id)
    if run.epoch == 1:
        data = {"run_id": run.id, "trace_id": run.trace_id, "assistant_version": run.assistant_version}
        events.append(
            tx, run.conversation_id, [NewEvent(type="run.started", data=data)], run_id=run.id, epoch=run.epoch
        )
    elif run.attempts > 1:
        again = NewEvent(type="retry", data={"run_id": run.id, "attempt": run.attempts})
        events.append(tx, run.conversation_id, [again], run_id=run.id, epoch=run.epoch)
    conversation = conversations.get(tx, run.conversation_id)
    if run.resume is None:
        runs.follow_version(tx, run.id, conversation.version)
    return Claimed(
        run=run,
        conversation=conversation,
        history=conversations.history(tx, conversation.id, before_run=run.id),
        placeholders=vault.placeholders(tx, conversation.id),
        previous_intent=runs.last_intent(tx, conversation.id),
    )


def _cause(error: Exception) -> Exception:
    """Return the first error in a group, which is what a step raised."""
    return _cause(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _initial(claimed: Claimed) -> State:
    return {
        "question": claimed.run.input["question"],
        "history": [to_json(said) for said in claimed.history],
        "previous_intent": claimed.previous_intent,
        "customer": claimed.conversation.customer,
    }
