"""Segments: from the claim of a run to its end or its next question to a person."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Durability

from agents.escalation import EscalationRequest, LocalEscalation
from graphs.approval import after_approval, approved_anew, asked_about
from graphs.delivery import Handover, demote, finished, hand_over, pause
from graphs.effects import abandon, standing
from graphs.faults import Faults, NoFaults
from graphs.nodes import after_review
from graphs.state import State
from graphs.support import SupportGraph
from graphs.team import Team
from graphs.tracing import segment_of, tell_ending, user_of
from graphs.turn import Turn
from graphs.withdrawal import withdraw_shown
from policies.errors import Fenced, HandrailError, NotFound, Overtaken, Unavailable
from policies.types import JSON, Autonomy, Owner, Reason, to_json
from policies.types import Turn as Said
from tools.jobs.ports import Jobs
from tools.metrics import DEGRADED, SEGMENT_SECONDS
from tools.storage import conversations, events, reviews, runs, vault
from tools.storage.checkpoints import Checkpoints, LateSaver
from tools.storage.conversations import Conversation
from tools.storage.events import NewEvent
from tools.storage.reviews import Review
from tools.storage.runs import Pending, Run
from tools.storage.store import Store, Tx, Workspace
from tools.telemetry.spans import SILENCE, Span, Telemetry, here
from tools.tracing import bound, note

log = logging.getLogger("handrail.segments")
PRUNE_SECONDS = 2.0
LOCAL_SECONDS = 5.0
"""What is kept of a segment's time for the local tier, where models take long."""


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What one transaction reads when an attempt begins."""

    run: Run
    conversation: Conversation
    history: tuple[Said, ...]
    placeholders: frozenset[str]
    previous_intent: str | None
    turns: int


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Works on one segment at a time; whatever fails in it ends with a person, never with silence."""

    store: Store
    graph: SupportGraph
    """Compiled without a checkpointer: each attempt has its own."""
    checkpoints: Checkpoints
    jobs: Jobs
    team_of: Callable[[str], Awaitable[Team]]
    """Returns the team of an assistant version."""
    deadline: float
    """Seconds after which a segment is given to a person."""
    attempts: int
    faults: Faults = field(default_factory=NoFaults)
    at_work: dict[str, anyio.CancelScope] = field(default_factory=dict)
    telemetry: Telemetry = SILENCE

    async def work(self, args: JSON) -> None:
        """Do a segment's job: run it to its end. A stale attempt stops silently; nothing else does.

        Raises ``Unavailable`` when not even a handover could be stored.
        """
        args = dict(args)
        traceparent = args.pop("traceparent", None)
        pending = Pending(**args)
        ids = {"run": pending.run_id, "conversation": pending.conversation_id}
        with anyio.CancelScope() as scope, bound(**ids):
            self.at_work[pending.run_id] = scope
            try:
                await self._work(pending, traceparent)
            finally:
                self.at_work.pop(pending.run_id, None)

    def stop(self, run_id: str) -> None:
        """Stop working on a run that has been ended in the rows; does nothing for one that is not at work here."""
        if scope := self.at_work.get(run_id):
            scope.cancel()

    async def _work(self, pending: Pending, traceparent: str | None) -> None:
        workspace = self.store.in_workspace(pending.workspace_id)
        try:
            claimed = await workspace.write(lambda tx: claim(tx, pending), durable=False)
        except (Fenced, NotFound):
            return
        if claimed is None:
            return
        note(trace=claimed.run.trace_id)
        who = claimed.conversation
        user = user_of(self.store.sealer, workspace.id, who.customer)
        about = segment_of(claimed.run, who=who.assistant, user=user, traceparent=traceparent)
        with self.telemetry.segment(about) as span:
            await self._work_on(workspace, claimed, span)

    async def _work_on(self, workspace: Workspace, claimed: Claimed, span: Span) -> None:
        await self.faults.at("claimed")
        turn = await self._turn(workspace, claimed)
        try:
            waits = await self._to_its_end(turn, claimed)
            tell_ending(span, turn, waits=waits)
        except Fenced:
            # Its checkpoints are left alone: they may be those of the attempt that owns the run by now.
            await self._require_newer(workspace, claimed.run)
            log.info("run %s: it ended, or a newer attempt took over", claimed.run.id)
            return
        if not waits and turn.leaves_checkpoints:
            await self.prune(claimed.run.id)

    async def _require_newer(self, workspace: Workspace, claimed: Run) -> None:
        """Make sure that a fence came from a newer attempt; ``Unavailable`` when a failover has lost the claim."""
        run = await workspace.read(lambda tx: runs.get(tx, claimed.id))
        if run.status in runs.UNFINISHED and run.epoch < claimed.epoch:
            raise Unavailable("The database has lost the claim of a run.", remedy="The run is tried again.")

    async def prune(self, run_id: str) -> None:
        """Delete the checkpoints of a run; what fails here, or takes long, is done by house-keeping."""
        with anyio.move_on_after(PRUNE_SECONDS, shield=True):
            try:
                await self.checkpoints.prune(run_id)
            except Exception as error:
                log.warning("run %s keeps its checkpoints for now: %s", run_id, error)

    async def prune_finished(self) -> int:
        """Delete the checkpoints of all runs that have ended; return of how many."""
        threads = await self.checkpoints.threads()
        ended = threads - await self.store.in_all_workspaces(runs.unfinished_ids)
        for run_id in ended:
            await self.prune(run_id)
        return len(ended)

    async def _to_its_end(self, turn: Turn, claimed: Claimed) -> bool:
        """Advance, and end with a person what can't be advanced; returns whether the run waits for one."""
        try:
            with anyio.move_on_after(self.deadline), SEGMENT_SECONDS.labels(claimed.run.graph).time():
                return await self._advance(turn, claimed)
            await self._degrade(turn, claimed, "segment.deadline", f"No answer within {self.deadline:g} seconds.")
        except Fenced:
            raise
        except Overtaken as overtaken:
            await demote(turn, tuple(turn.passed), overtaken)
        except Unavailable:
            # What is away for a moment is no reason for a person: the job is tried again, and tries are counted.
            raise
        except Exception as error:
            log.exception("run %s failed", claimed.run.id)
            code = error.code if isinstance(error, HandrailError) else "segment.failed"
            await self._degrade(turn, claimed, code, f"A step failed: {type(error).__name__}.")
        return False

    async def _turn(self, workspace: Workspace, claimed: Claimed) -> Turn:
        run = claimed.run
        saver = self.checkpoints.saver(workspace.id, run.id, run.epoch)
        first = run.resume is None and run.attempts == 1
        return Turn(
            # Most first attempts leave nothing that anybody could go on from.
            saver=LateSaver(saver, run.id) if first else saver,
            workspace=workspace,
            conversation=claimed.conversation,
            run=claimed.run,
            team=await self.team_of(claimed.run.assistant_version),
            deadline=self._models_until(),
            known_placeholders=claimed.placeholders,
            message_id=self.store.ids.new("msg"),
            intent=claimed.run.intent,
            faults=self.faults,
        )

    def _models_until(self) -> datetime:
        """Return until when models may be asked: what is left then is for the local tier."""
        reserve = min(LOCAL_SECONDS, self.deadline / 5)
        return self.store.clock.now() + timedelta(seconds=self.deadline - reserve)

    async def _advance(self, turn: Turn, claimed: Claimed) -> bool:
        if claimed.run.attempts > self.attempts:
            await self._degrade(turn, claimed, "segment.attempts", f"Gave up after {self.attempts} attempts.")
            return False
        graph = self.graph.copy({"checkpointer": turn.saver})
        config: RunnableConfig = {"configurable": {"thread_id": turn.run.id}}
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(turn.flush_slowly)
                given = await self._input(graph, turn, claimed, config)
                result = await graph.ainvoke(given, config, context=turn, durability=_durability(turn.team))
                watch.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise _cause(group) from group
        if asked := result.get("__interrupt__"):
            if isinstance(turn.saver, LateSaver):
                await turn.saver.last()
            return await pause(turn, asked[0].value, self.jobs)
        return False

    async def _input(
        self, graph: SupportGraph, turn: Turn, claimed: Claimed, config: RunnableConfig
    ) -> State | Command[str] | None:
        """Return what the graph goes on with: the question, a person's answer, or its own checkpoint.

        A second attempt at a question begins anew where no step has effects: what its steps noted is lost.
        """
        answer = claimed.run.resume
        if answer is None:
            return await self._question(graph, turn, claimed, config)
        held = await graph.aget_state(config)
        review = await turn.workspace.read(lambda tx: reviews.latest_of_run(tx, claimed.run.id))
        # What a person has approved is what the row says, whoever wrote the checkpoint.
        true = review is None or not held.interrupts or asked_about(held.values, review.kind) == review.draft
        if held.tasks and true:
            return Command(resume=answer) if held.interrupts else None
        await self._prune_own(turn)
        if review and review.kind == reviews.APPROVE_ACTION:
            if answer["decision"] == "approve":
                return _initial(claimed) | approved_anew(review.draft[0])
            step = after_approval({**_initial(claimed), "pending": review.draft[0]}, answer)
            await graph.aupdate_state(config, _initial(claimed) | step, as_node="approve")
            return None
        await graph.aupdate_state(config, _rebuilt(claimed, review, answer), as_node="review")
        return None

    async def _prune_own(self, turn: Turn) -> None:
        await turn.workspace.read(lambda tx: runs.require_claim(tx, turn.run))
        await self.checkpoints.prune(turn.run.id)

    async def _question(
        self, graph: SupportGraph, turn: Turn, claimed: Claimed, config: RunnableConfig
    ) -> State | None:
        """Return the question, or None where a run that may have had effects goes on from its checkpoint."""
        if claimed.run.attempts > 1:
            held = await graph.aget_state(config)
            if held.tasks and turn.team.resumes:
                _take_up(turn, held.values)
                return None
            await self._prune_own(turn)
        return _initial(claimed)

    async def _degrade(self, turn: Turn, claimed: Claimed, code: str, text: str) -> None:
        """Tell the customer that something broke and hand over; ``Unavailable`` asks for another attempt."""
        policy = turn.team.assistant.policy
        reason = Reason(code=code, text=text)
        stands = await turn.workspace.read(lambda tx: standing(tx, claimed.run.id))
        # Not the team's own agent: it may be what failed.
        brief = await LocalEscalation()(
            EscalationRequest(
                question=claimed.run.input["question"],
                history=claimed.history,
                route=None,
                passages=(),
                sentences=(),
                reasons=(reason, *stands.unknown),
                queue=policy.default_queue,
                priority="high",
                customer_message=policy.messages.degraded,
                done=stands.done,
            )
        )
        turn.note("degraded", {"dependency": code, "fallback": "a person"})
        DEGRADED.labels(code).inc()
        here().fail(code)
        await hand_over(turn, Handover(brief=brief, sentences=(), outcome="degraded"))


def claim(tx: Tx, pending: Pending) -> Claimed | None:
    """Take a run and read what its segment needs; announces the run, or that it is tried again.

    What an earlier attempt has shown is taken back. Returns None, and ends the run, when by now a person owns
    the conversation; an answer that a person gave goes on, to become a suggestion.
    """
    conversation = conversations.lock(tx, pending.conversation_id)
    run = runs.claim(tx, pending.run_id)
    if run.released:
        withdraw_shown(tx, run, "retried")
        conversation = conversations.get(tx, conversation.id)
    if conversation.owner is not Owner.BOT and run.resume is None:
        runs.end(tx, run.id, "handed_over")
        abandon(tx, run)
        events.append(tx, conversation.id, [finished("handed_over")], run_id=run.id)
        return None
    _announce(tx, run)
    if run.resume is None:
        runs.follow_version(tx, run.id, conversation.version)
    return Claimed(
        run=run,
        conversation=conversation,
        history=conversations.history(
            tx, conversation.id, before_run=run.id, returned_after=conversation.returned_after
        ),
        placeholders=vault.placeholders(tx, conversation.id),
        # What led to a person must not lead the next question there as well.
        previous_intent=runs.last_intent(tx, conversation.id, since=conversation.owner_since),
        turns=conversations.asked_before(tx, conversation.id, before_run=run.id),
    )


def _announce(tx: Tx, run: Run) -> None:
    if run.epoch == 1:
        data = {"run_id": run.id, "trace_id": run.trace_id, "assistant_version": run.assistant_version}
        new = NewEvent(type="run.started", data=data)
    elif run.attempts > 1:
        new = NewEvent(type="retry", data={"run_id": run.id, "attempt": run.attempts})
    else:
        return
    events.append(tx, run.conversation_id, [new], run_id=run.id, epoch=run.epoch)


def _durability(team: Team) -> Durability:
    """Say when checkpoints are written: after each step if a step may not be run twice, else at the end."""
    return "sync" if team.resumes else "exit"


def _take_up(turn: Turn, held: JSON) -> None:
    """Tell a new attempt what the route step told the earlier one."""
    turn.intent = held["route"]["intent"] if "route" in held else None
    turn.streams = held.get("autonomy") == Autonomy.AUTO and turn.team.assistant.streams


def _cause(error: Exception) -> Exception:
    """Return the first error in a group, which is what a step raised."""
    return _cause(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _initial(claimed: Claimed) -> State:
    return {
        "question": claimed.run.input["question"],
        "history": [to_json(said) for said in claimed.history],
        "previous_intent": claimed.previous_intent,
        "turns": claimed.turns,
        "too_long": claimed.run.input.get("too_long", False),
        "consent": claimed.conversation.consent,
    }


def _rebuilt(claimed: Claimed, review: Review | None, answer: JSON) -> State:
    """Return the state that a lost checkpoint held, from the review's row, as it stands after the answer."""
    state = _initial(claimed)
    if review:
        state |= {"sentences": review.draft, "reasons": review.reasons}
        state |= {"queue": review.queue, "priority": review.priority}
    return state | after_review(state, answer)
