"""The one way in: accept, follow, decide, cancel. Routes, CLI and evals call this and nothing below it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial

from graphs.accept import Accepted, Beginning, Request, accept, begin, cancel, decide, expire
from graphs.audit import Audit
from graphs.desk import Desk
from graphs.hub import Hub
from graphs.privacy import Privacy
from graphs.replay import RESYNC, next_of_run
from graphs.takeover import require_staff
from graphs.tracing import score_of
from graphs.usage import Usage
from graphs.views import (
    ConversationView,
    Reader,
    RunView,
    before_next,
    conversation_view,
    review_view,
    run_view,
)
from graphs.workflows.answering import KIND
from graphs.workflows.definitions import Workflow
from graphs.workflows.desk import Workflows
from graphs.workflows.plain import texts
from graphs.workflows.views import WorkflowRunView, workflow_run_view
from graphs.writing import findings, readable
from policies.attributes import require_declared
from policies.errors import Conflict, InputError, NotFound
from policies.personal_data import PersonalDataFinder
from policies.types import JSON, Principal
from tools.assistants import Assistant
from tools.jobs.ports import Jobs
from tools.storage import conversations, ledger, reviews, runs
from tools.storage.conversations import Conversation
from tools.storage.reviews import Review
from tools.storage.runs import Run
from tools.storage.store import Store, StoredEvent, Tx, Workspace
from tools.telemetry.spans import SILENCE, Score, Telemetry, here
from tools.tracing import note

ENDINGS = frozenset({"run.paused", "run.finished"})


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything a client may ask for. Every call takes the principal who asks."""

    store: Store
    hub: Hub
    jobs: Jobs
    assistant: Assistant
    prune: Callable[[str], Awaitable[None]]
    """Deletes the checkpoints of a run that has ended."""
    scrub: Callable[[], Awaitable[bool]]
    """Writes over what deleted rows left in files; returns whether that is done."""
    forget: Callable[[], None] | None = None
    """Drops what this process remembers of recent texts."""
    finder: PersonalDataFinder | None = None
    """Finds what is masked beside what patterns tell; looked for before a transaction, masked in it."""
    defined: Mapping[str, Workflow] = field(default_factory=dict)
    """The assistant's workflows."""
    telemetry: Telemetry = SILENCE
    """Is told what people thought of drafts."""

    @property
    def desk(self) -> Desk:
        """What the people who answer customers ask for."""
        return Desk(store=self.store, prune=self.prune, finder=self.finder)

    @property
    def audit(self) -> Audit:
        """What those who audit the ledger ask for."""
        return Audit(store=self.store, assistant=self.assistant, finder=self.finder)

    @property
    def privacy(self) -> Privacy:
        """What people may ask for who have their data here."""
        return Privacy(
            store=self.store, prune=self.prune, scrub=self.scrub, finder=self.finder, forget=self.forget
        )

    @property
    def workflows(self) -> Workflows:
        """What those ask for who run workflows."""
        return Workflows(store=self.store, jobs=self.jobs, assistant=self.assistant, defined=self.defined)

    @property
    def usage(self) -> Usage:
        """What those who watch the costs ask for."""
        return Usage(store=self.store)

    async def create_conversation(
        self,
        principal: Principal,
        *,
        customer: JSON | None = None,
        consent: JSON | None = None,
        idempotency_key: str | None = None,
    ) -> Conversation:
        """Begin a conversation with the assistant; ``customer`` is what the app knows about its user.

        ``consent`` is what this user agreed to; where it is silent, policy says what holds.
        """
        customer = customer or {}
        require_declared(self.assistant.file.customer_attributes, customer.get("attributes") or {})
        beginning = Beginning(
            assistant=self.assistant.name,
            customer=customer,
            consent=consent or {},
            otherwise=self.assistant.policy.consent.model_dump(),
        )
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.write(lambda tx: begin(tx, principal, beginning, idempotency_key))

    async def conversation(self, principal: Principal, conversation_id: str) -> Conversation:
        """Return a conversation without its messages; raises ``NotFound``."""
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.read(lambda tx: conversations.get(tx, conversation_id))

    async def get_conversation(self, principal: Principal, conversation_id: str) -> ConversationView:
        """Return a conversation with its messages."""
        workspace, staff = self.store.in_workspace(principal.workspace_id), principal.role != "customer"
        return await workspace.read(lambda tx: conversation_view(tx, conversation_id, staff=staff))

    async def post_message(
        self, principal: Principal, conversation_id: str, text: str, *, idempotency_key: str | None = None
    ) -> Accepted:
        """Accept a customer's message: message, run and job are on disk when this returns.

        Raises ``NotFound``, ``InputError`` for a text that is empty or too long, and ``IdempotencyMismatch``.
        """
        text = self._readable(text)
        workspace = self.store.in_workspace(principal.workspace_id)
        request = Request(
            principal=principal,
            conversation_id=conversation_id,
            assistant=self.assistant.name,
            text=text,
            key=idempotency_key,
            traceparent=here().traceparent,
        )
        limit = self.assistant.policy.limits.message_characters
        version = self.assistant.version
        found = await findings(self.finder, text)
        result = await workspace.write(
            lambda tx: accept(tx, request, version, limit=limit, jobs=self.jobs, found=found)
        )
        accepted = result.accepted
        note(run=accepted.run_id, conversation=accepted.conversation_id, trace=accepted.trace_id)
        for run_id in result.superseded:
            await self.prune(run_id)
        return accepted

    def _readable(self, text: str) -> str:
        limit = self.assistant.policy.limits.message_characters
        if len(text) > limit:
            raise InputError(
                f"The message has {len(text)} characters; at most {limit} are read.",
                remedy="Shorten it or send it in parts.",
                code="message.too_long",
            )
        return readable(text)

    async def conversation_events(
        self, principal: Principal, conversation_id: str, *, after: int = 0
    ) -> AsyncGenerator[list[StoredEvent]]:
        """Follow a conversation: what its reader may see after a number, then what comes, for ever.

        Events that were committed together come together, here and in the other streams. One ``resync`` stands
        for those that are kept no more.
        """
        workspace = self.store.in_workspace(principal.workspace_id)
        await workspace.read(lambda tx: conversations.get(tx, conversation_id))
        reader = Reader(principal)
        async for batch in self.hub.follow(workspace, conversation_id, after=after):
            if shown := await reader.show_all(workspace, batch):
                yield shown

    async def run_events(
        self, principal: Principal, run_id: str, *, after: int = 0
    ) -> AsyncGenerator[list[StoredEvent]]:
        """Follow a run, after its own number ``after``, until it pauses or ends.

        One ``resync`` stands for events that are kept no more, which only a run that has ended can lack.
        """
        await self.run(principal, run_id)
        workspace, reader = self.store.in_workspace(principal.workspace_id), Reader(principal)
        async with aclosing(self._run_batches(workspace, run_id, after)) as batches:
            async for batch in batches:
                if shown := await reader.show_all(workspace, batch):
                    yield shown

    async def _run_batches(
        self, workspace: Workspace, run_id: str, after: int
    ) -> AsyncGenerator[list[StoredEvent]]:
        run = await workspace.read(lambda tx: runs.get(tx, run_id))
        if run.status != "finished":
            if run.status == "waiting" and after >= run.last_event:
                return
            start = await workspace.read(lambda tx: before_next(tx, run_id, after))
            async for batch in self.hub.follow(workspace, run.conversation_id, after=start):
                if any(event.type == RESYNC for event in batch):
                    # It ended long ago, and its rows went under a very slow reader.
                    run = await workspace.read(lambda tx: runs.get(tx, run_id))
                    break
                own = [event for event in batch if event.run_id == run_id and (event.run_seq or 0) > after]
                yield own
                if await self._stops(workspace, own):
                    return
                after = max([after, *(event.run_seq or 0 for event in own)])
        while after < run.last_event:
            page = await workspace.read(partial(next_of_run, run=run, after=after))
            yield page
            after = page[-1].run_seq or run.last_event

    async def _stops(self, workspace: Workspace, own: list[StoredEvent]) -> bool:
        """Whether these events of a run are its last for now."""
        if any(event.type == "run.finished" for event in own):
            return True
        return any([await self._waits(workspace, event) for event in own if event.type == "run.paused"])

    async def _waits(self, workspace: Workspace, paused: StoredEvent) -> bool:
        """Whether a run still waits for the person that this event of it asked."""
        run = await workspace.read(lambda tx: runs.get(tx, str(paused.run_id)))
        return run.status == "waiting" and run.last_event == paused.run_seq

    async def answer_events(self, principal: Principal, accepted: Accepted) -> AsyncGenerator[list[StoredEvent]]:
        """Follow the run of a message that was just accepted until it pauses or ends.

        For the first request no look-up is needed: all that concerns it lies after ``accepted.after``.
        """
        if accepted.replayed:
            async for shown in self.run_events(principal, accepted.run_id):
                yield shown
            return
        workspace = self.store.in_workspace(principal.workspace_id)
        reader = Reader(principal)
        async for batch in self.hub.follow(workspace, accepted.conversation_id, after=accepted.after):
            own = [event for event in batch if event.run_id == accepted.run_id]
            if shown := await reader.show_all(workspace, own):
                yield shown
            if any(event.type in ENDINGS for event in own):
                return

    async def run(self, principal: Principal, run_id: str) -> Run:
        """Return a run's row; raises ``NotFound``, and refuses customers one of a workflow."""
        run = await self.store.in_workspace(principal.workspace_id).read(lambda tx: runs.get(tx, run_id))
        if run.alone:
            require_staff(principal)
        return run

    async def get_run(self, principal: Principal, run_id: str) -> RunView:
        """Return how a run stands and what it said; raises ``NotFound``, and ``Conflict`` for a workflow's run."""
        shown = await self.show_run(principal, run_id)
        if isinstance(shown, WorkflowRunView):
            raise Conflict(f"The run {run_id} is a workflow's.", code="run.workflow")
        return shown

    async def show_run(self, principal: Principal, run_id: str) -> RunView | WorkflowRunView:
        """Return how a run stands: what it said, or, of a workflow, what it was given and came to, for staff."""
        await self.run(principal, run_id)

        def read(tx: Tx) -> RunView | WorkflowRunView:
            run = runs.get(tx, run_id)
            return workflow_run_view(tx, run) if run.alone else run_view(tx, run_id)

        return await self.store.in_workspace(principal.workspace_id).read(read)

    async def explain(self, principal: Principal, run_id: str) -> list[JSON]:
        """Return the decisions of a run, in order, for staff; ``audit.explanation`` is for customers too."""
        require_staff(principal)

        def read(tx: Tx) -> list[JSON]:
            runs.get(tx, run_id)
            return ledger.of_run(tx, run_id)

        return await self.store.in_workspace(principal.workspace_id).read(read)

    async def cancel(self, principal: Principal, run_id: str) -> RunView | WorkflowRunView:
        """Stop a run; raises ``Conflict`` when it has ended already."""
        await self.run(principal, run_id)
        workspace = self.store.in_workspace(principal.workspace_id)
        await workspace.write(lambda tx: cancel(tx, run_id, principal))
        await self.prune(run_id)
        return await self.show_run(principal, run_id)

    async def list_reviews(
        self, principal: Principal, *, status: str | None = "open", limit: int = 100
    ) -> list[Review]:
        """Return the review queue, those due first first."""

        def read(tx: Tx) -> list[Review]:
            return [review_view(tx, each) for each in reviews.listed(tx, status=status, limit=limit)]

        return await self.store.in_workspace(principal.workspace_id).read(read)

    async def get_review(self, principal: Principal, review_id: str) -> Review:
        """Return one review; raises ``NotFound``."""
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.read(lambda tx: review_view(tx, reviews.get(tx, review_id)))

    async def decide(self, principal: Principal, review_id: str, answer: JSON) -> Review:
        """Answer a review, which resumes its run.

        One answer wins: a second raises ``Conflict`` carrying the first. An edited text is masked and checked
        for placeholders like any other.
        """
        workspace = self.store.in_workspace(principal.workspace_id)
        # An edited text is stripped before it is masked.
        said = str(answer.get("text") or "")
        found = await findings(self.finder, said.strip(), *texts(list(answer.values())))

        caller = here().traceparent

        def work(tx: Tx) -> tuple[Review, Score | None]:
            if reviews.get(tx, review_id).kind == KIND:
                require_staff(principal)
            closed = decide(tx, review_id, answer, principal.id, jobs=self.jobs, found=found, traceparent=caller)
            return review_view(tx, closed), score_of(tx, closed)

        review, score = await workspace.write(work)
        if score:
            self.telemetry.score(score)
        return review

    async def expire_review(self, args: JSON) -> None:
        """Do the job of a review whose time has run out: its breach action, unless somebody has answered it."""
        workspace = self.store.in_workspace(args["workspace_id"])
        with suppress(Conflict, NotFound):
            await workspace.write(lambda tx: expire(tx, args, jobs=self.jobs))
