"""Segments of workflows: from the claim of a run to its end or its next question to a person."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, StateSnapshot
from pydantic import ValidationError

from graphs.tracing import segment_of
from graphs.turn import STEPS_PER_ATTEMPT
from graphs.views import revealed
from graphs.workflows.attempt import Attempt, Context
from graphs.workflows.contained import StepBroke
from graphs.workflows.definitions import Compiled, Workflow
from graphs.workflows.ending import BadQuestion, digests_of, fail, finish, mark_of, pause, question_of
from graphs.workflows.sealed import SealedSaver
from policies.errors import Fenced, HandrailError, NotFound, Unavailable
from policies.personal_data import PersonalDataFinder
from policies.types import JSON
from tools.assistants import Assistant
from tools.jobs.ports import Jobs
from tools.metrics import SEGMENT_SECONDS
from tools.models.mandate import Mandate
from tools.models.ports import Account, Models
from tools.storable import said_by
from tools.storage import events, ledger, runs, workflows
from tools.storage.checkpoints import Checkpoints
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.runs import Pending, Run
from tools.storage.store import Store, Tx, Workspace
from tools.storage.workflows import Kept
from tools.telemetry import names
from tools.telemetry.spans import SILENCE, Span, Telemetry
from tools.tracing import bound, note

log = logging.getLogger("handrail.workflows")


class _Given(HandrailError):
    """A run ends for a reason that has a name."""


@dataclass(frozen=True, kw_only=True)
class WorkflowSegments:
    """Works on one segment of a run at a time; whatever fails in it ends the run as failed, never in silence."""

    store: Store
    workflows: Mapping[str, Workflow]
    assistant: Assistant
    checkpoints: Checkpoints
    jobs: Jobs
    prune: Callable[[str], Awaitable[None]]
    """Deletes the checkpoints of a run."""
    deadline: float
    """Seconds after which a segment is given up, where assistant.yaml does not say."""
    attempts: int
    finder: PersonalDataFinder | None = None
    models: Models | None = None
    """The assistant's language models, which steps may ask; None where it names none."""
    at_work: dict[str, anyio.CancelScope] = field(default_factory=dict)
    telemetry: Telemetry = SILENCE

    async def work(self, args: JSON) -> None:
        """Do a segment's job. A stale attempt stops silently; nothing else does.

        Raises ``Unavailable`` when what happened could not be stored: the job is tried again.
        """
        pending = Pending(**{name: args[name] for name in ("workspace_id", "run_id", "conversation_id")})
        with anyio.CancelScope() as scope, bound(run=pending.run_id):
            self.at_work[pending.run_id] = scope
            try:
                await self._work(pending, args.get("traceparent"))
            finally:
                self.at_work.pop(pending.run_id, None)

    def stop(self, run_id: str) -> None:
        """Stop working on a run that has been ended in the rows; does nothing for one that is not at work here."""
        if scope := self.at_work.get(run_id):
            scope.cancel()

    async def _work(self, pending: Pending, traceparent: str | None) -> None:
        workspace = self.store.in_workspace(pending.workspace_id)
        try:
            begin = partial(claim, pending=pending, assistant=self.assistant)
            run, kept = await workspace.write(begin, durable=False)
        except (Fenced, NotFound):
            return
        note(trace=run.trace_id)
        attempt = Attempt(
            workspace=workspace,
            run=run,
            kept=kept,
            assistant=self.assistant.name,
            version=self.assistant.version,
            finder=self.finder,
        )
        about = segment_of(run, who=self.assistant.name, user=None, traceparent=traceparent)
        with self.telemetry.segment(about) as span:
            await self._work_on(attempt, span)

    async def _work_on(self, attempt: Attempt, span: Span) -> None:
        workspace, run = attempt.workspace, attempt.run
        try:
            waits = await self._to_its_end(attempt)
            span.set({names.OUTCOME: "waiting" if waits else "ended"})
        except Fenced:
            await self._require_newer(workspace, run)
            log.info("run %s: it ended, or a newer attempt took over", run.id)
            return
        if not waits:
            await self.prune(run.id)

    async def _require_newer(self, workspace: Workspace, claimed: Run) -> None:
        """Make sure that a fence came from a newer attempt; ``Unavailable`` when a failover has lost the claim."""
        run = await workspace.read(lambda tx: runs.get(tx, claimed.id))
        if run.status in runs.UNFINISHED and run.epoch < claimed.epoch:
            raise Unavailable("The database has lost the claim of a run.", remedy="The run is tried again.")

    async def _to_its_end(self, attempt: Attempt) -> bool:
        """Advance, and end as failed what can't be advanced; returns whether the run waits for a person."""
        run = attempt.run
        workflow = self.workflows.get(run.graph)
        if workflow is None:
            await fail(attempt, "workflow.unknown", f"This assistant has no workflow {run.graph!r} any more.")
            return False
        if run.attempts > self.attempts:
            text = f"Gave up after {self.attempts} attempts; the latest ones were cut off."
            await fail(attempt, "workflow.attempts", text)
            return False
        seconds = workflow.seconds or self.deadline
        try:
            with anyio.move_on_after(seconds), SEGMENT_SECONDS.labels("workflow").time():
                return await self._advance(attempt, workflow)
            text = f"No end within {seconds:g} seconds; {attempt.at} was at work."
            await fail(attempt, "workflow.deadline", text)
        except (Fenced, Unavailable):
            # What is away for a moment is no reason to give up: the job is tried again, and tries are counted.
            raise
        except (_Given, BadQuestion) as error:
            await fail(attempt, error.code, error.message)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            await self._failed(attempt, workflow, error)
        return False

    async def _failed(self, attempt: Attempt, workflow: Workflow, error: BaseException) -> None:
        """End a run whose graph raised something; what the error says may be personal: the ledger has it not."""
        cause = _cause(error)
        where = _where(cause, workflow)
        text = f"{attempt.at} failed: {type(cause).__name__}{where}."
        log.warning("run %s: the workflow %s: %s", attempt.run.id, workflow.name, text)
        said = said_by(cause)
        await fail(attempt, "workflow.failed", text, f"{text} It says: {said}" if said else None)

    async def _advance(self, attempt: Attempt, workflow: Workflow) -> bool:
        run, sealer = attempt.run, self.store.sealer
        saver = SealedSaver(self.checkpoints.saver(attempt.workspace.id, run.id, run.epoch), sealer)
        graph: Compiled = workflow.graph.copy({"checkpointer": saver})
        config: RunnableConfig = {"configurable": {"thread_id": run.id}}
        state = await self._resting(graph, config, attempt)
        # ``next`` leaves out a step whose result is stored and whose checkpoint was cut off.
        if state is None or state.tasks:
            given = await self._input(attempt, workflow, state)
            if given is not _ASKED:
                await self._run(graph, config, attempt, given, workflow.seconds or self.deadline)
            state = await graph.aget_state(config)
        if state.interrupts:
            question = question_of(state.interrupts[0], workflow)
            await pause(attempt, question, self.jobs, self.assistant.policy.sla)
            return True
        await finish(attempt, self._output(workflow, state))
        return False

    async def _resting(self, graph: Compiled, config: RunnableConfig, attempt: Attempt) -> StateSnapshot | None:
        """Return where an earlier segment or attempt came to, or None when nothing was begun."""
        if attempt.run.resume is None and attempt.run.attempts == 1:
            return None
        state = await graph.aget_state(config)
        if state.created_at is not None:
            return state
        if attempt.run.resume is None:
            return None
        raise _Given(
            "What this run had come to is lost, and its steps may have had effects; it is not begun anew.",
            code="workflow.lost",
        )

    async def _input(self, attempt: Attempt, workflow: Workflow, state: StateSnapshot | None) -> Any:
        """Return what the graph goes on with: the input, a person's answer, or None for its own checkpoint."""
        if state is None:
            plain = orjson.loads(self.store.sealer.open(attempt.kept.input))
            # As plain data: a class of the developer's file may be another one by the time that the run goes on.
            return workflow.input.model_validate(plain).model_dump()
        if not state.interrupts:
            return None
        resume = attempt.run.resume
        answered = [each for each in state.interrupts if resume and mark_of(each) == resume["mark"]]
        if not answered or resume is None:
            return _ASKED
        answer = await attempt.workspace.read(lambda tx: revealed(tx, attempt.run.id, resume["answer"]))
        return Command(resume={answered[0].id: answer})

    async def _run(
        self, graph: Compiled, config: RunnableConfig, attempt: Attempt, given: Any, seconds: float
    ) -> None:
        context = Context(
            run_id=attempt.run.id,
            workspace_id=attempt.workspace.id,
            attempt=attempt,
            models=self.models,
            mandate=self._mandate(attempt, seconds) if self.models else None,
        )
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(attempt.flush_slowly)
                async for told in graph.astream(
                    given, config, context=context, stream_mode="tasks", durability="sync"
                ):
                    attempt.stepped(told)
                    # The next attempt goes on after this step, so what it noted must not be lost.
                    await attempt.flush()
                watch.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise _cause(group) from group

    def _mandate(self, attempt: Attempt, seconds: float) -> Mandate:
        """Return what steps need to ask language models: at whose cost, and until when."""
        policy, workspace = self.assistant.policy, attempt.workspace
        account = Account(
            workspace_id=workspace.id, conversation_id=attempt.run.id, run_id=attempt.run.id, intent=""
        )
        return Mandate(
            account=account,
            deadline=workspace.store.clock.now() + timedelta(seconds=seconds),
            note=attempt.asked,
            consent=policy.consent.model_dump(),
            policy_version=attempt.version,
            budgets=policy.budgets,
        )

    def _output(self, workflow: Workflow, state: StateSnapshot) -> JSON:
        try:
            return workflow.result(state.values)
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            places = ", ".join(sorted({".".join(map(str, each["loc"])) or "the whole" for each in wrong}))
            text = f"What the graph came to is not what {workflow.name!r} returns; wrong: {places}."
            raise _Given(text, code="workflow.output") from error


_ASKED = object()
"""Stands for a question that is still to be asked: the process died between the graph's stop and the review."""


def claim(tx: Tx, pending: Pending, assistant: Assistant) -> tuple[Run, Kept]:
    """Take a run and read what its segment needs; announces the run, or that it is tried again."""
    run = runs.claim(tx, pending.run_id)
    kept = workflows.get(tx, run.id)
    if kept is None:
        raise NotFound(f"The run {run.id} is no workflow's.")
    data: JSON = {"run_id": run.id}
    if run.epoch == 1:
        data |= {"workflow": run.graph, "trace_id": run.trace_id, "assistant_version": run.assistant_version}
        _append(tx, run, "run.started", data)
        body: JSON = {
            "actor": {"type": "assistant", "id": assistant.name, "version": assistant.version},
            "outcome": "started",
            "reasons": [],
            "rules": [],
            "for": run.principal,
            "workflow": run.graph,
            "batch_id": kept.batch_id,
            "trace_id": run.trace_id,
            "digests": digests_of(tx, run.id, kept.input),
            "tier": "local",
            "cost": 0,
        }
        decision = Decision(node="workflow", kind="started", body=body, step=run.epoch * STEPS_PER_ATTEMPT)
        ledger.append(tx, run.id, run.id, [decision])
    elif run.attempts > 1:
        _append(tx, run, "retry", {**data, "attempt": run.attempts})
    return run, kept


def _append(tx: Tx, run: Run, kind: str, data: JSON) -> None:
    new = NewEvent(type=kind, data=data, audience="staff")
    events.append(tx, run.id, [new], run_id=run.id, epoch=run.epoch)


def _cause(error: BaseException) -> BaseException:
    """Return what a step raised: the first error in a group, or what would have ended the process."""
    if isinstance(error, StepBroke) and error.__cause__ is not None:
        return error.__cause__
    return _cause(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _where(error: BaseException, workflow: Workflow) -> str:
    """Return at which line of the workflow's own file an error arose, if it did there."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [each.lineno for each in frames if each.filename == str(workflow.file)]
    return f" at {workflow.file.name}:{lines[-1]}" if lines else ""
