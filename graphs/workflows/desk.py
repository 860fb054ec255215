"""What clients ask of workflows: what there is, to run one, to run a batch, and how that stands.

Every call takes the principal who asks; customers may do nothing here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from graphs.takeover import require_staff
from graphs.workflows.accepting import Batch, Given, Order, Started, start, start_batch
from graphs.workflows.definitions import Workflow, named
from graphs.workflows.plain import canonical, require_plain
from graphs.workflows.views import BatchView, batch_view, progress
from policies.errors import InputError
from policies.types import JSON, Principal
from tools.assistants import Assistant
from tools.jobs.ports import Jobs
from tools.storage import workflows
from tools.storage.store import Store
from tools.telemetry.spans import here
from tools.tracing import note

MOST_ITEMS = 1000
MOST_ERRORS = 100
LOOK_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Item:
    """One input, with whom it is about and what the client calls it."""

    input: Any
    subject: str | None = None
    id: str | None = None

    @property
    def body(self) -> JSON:
        """What an Idempotency-Key is bound to."""
        named = {"subject": self.subject, "id": self.id}
        return {"input": self.input, **{name: it for name, it in named.items() if it is not None}}


@dataclass(frozen=True, kw_only=True)
class Workflows:
    """The workflows of an assistant; ``product.service.workflows``."""

    store: Store
    jobs: Jobs
    assistant: Assistant
    defined: Mapping[str, Workflow]

    def listed(self, principal: Principal) -> list[JSON]:
        """Return names, descriptions and schemas."""
        require_staff(principal)
        return [each.schemas for each in self.defined.values()]

    async def check(self, principal: Principal, name: str, inputs: Sequence[Any]) -> list[JSON]:
        """Return what is wrong with inputs, by index, at most ``MOST_ERRORS``; nothing is run.

        Raises ``NotFound``.
        """
        require_staff(principal)
        return await anyio.to_thread.run_sync(self._wrong, named(self.defined, name), inputs)

    def _wrong(self, workflow: Workflow, inputs: Sequence[Any]) -> list[JSON]:
        wrong: list[JSON] = []
        for index, each in enumerate(inputs):
            try:
                require_plain(each, "")
                workflow.checked(each, "")
            except InputError as error:
                places = error.data["errors"]
                wrong += [{"index": index, "pointer": it["pointer"], "detail": it["detail"]} for it in places]
        return wrong[:MOST_ERRORS]

    async def start(
        self, principal: Principal, name: str, item: Item, *, idempotency_key: str | None = None
    ) -> Started:
        """Take one input in: run and job are on disk when this returns.

        Raises ``NotFound``, ``InputError`` that points at what is wrong, and ``IdempotencyMismatch``.
        """
        require_staff(principal)
        given = self._given(named(self.defined, name), item, "")
        order = self._order(principal, name, idempotency_key)
        workspace = self.store.in_workspace(principal.workspace_id)
        started = await workspace.write(lambda tx: start(tx, order, given, self.jobs))
        note(run=started.run_id, trace=started.trace_id)
        return started

    async def start_batch(
        self, principal: Principal, name: str, items: Sequence[Item], *, idempotency_key: str | None = None
    ) -> Batch:
        """Take up to ``MOST_ITEMS`` inputs in, all or none; raises as ``start`` does."""
        require_staff(principal)
        if not 1 <= len(items) <= MOST_ITEMS:
            remedy = "Send it in parts."
            raise InputError(f"A batch has 1 to {MOST_ITEMS} items.", remedy=remedy, code="batch.size")
        workflow = named(self.defined, name)
        given = await anyio.to_thread.run_sync(self._all_given, workflow, items)
        order = self._order(principal, name, idempotency_key)
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.write(lambda tx: start_batch(tx, order, given, self.jobs))

    async def batch(self, principal: Principal, batch_id: str) -> BatchView:
        """Return how a batch stands, item by item; raises ``NotFound``."""
        require_staff(principal)
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.read(partial(batch_view, batch_id=batch_id))

    async def follow_batch(self, principal: Principal, batch_id: str) -> AsyncIterator[dict[str, int]]:
        """Yield the progress of a batch whenever it has changed, until nothing goes on without a person."""
        require_staff(principal)
        workspace = self.store.in_workspace(principal.workspace_id)
        before: dict[tuple[str, str | None], int] = {}
        while True:
            standing = await workspace.read(partial(workflows.standing, batch_id=batch_id))
            if standing != before:
                yield progress(standing)
            if not any(status in ("queued", "running") for status, _ in standing):
                return
            before = standing
            await anyio.sleep(LOOK_SECONDS)

    def _order(self, principal: Principal, name: str, key: str | None) -> Order:
        return Order(
            principal=principal,
            assistant=self.assistant.name,
            version=self.assistant.version,
            workflow=name,
            key=key,
            traceparent=here().traceparent,
        )

    def _all_given(self, workflow: Workflow, items: Sequence[Item]) -> list[Given]:
        """Check all items, and name what is wrong in all of them."""
        given, wrong = list[Given](), list[JSON]()
        for position, item in enumerate(items):
            try:
                given.append(self._given(workflow, item, f"/items/{position}"))
            except InputError as error:
                wrong += error.data["errors"]
        if wrong:
            raise InputError(
                f"Some items are not what {workflow.name!r} takes; nothing was begun.",
                remedy="Mend what `errors` names.",
                code="workflow.input",
                errors=wrong[:MOST_ERRORS],
            )
        return given

    def _given(self, workflow: Workflow, item: Item, at: str) -> Given:
        require_plain(item.input, f"{at}/input")
        workflow.checked(item.input, f"{at}/input")
        sealed = self.store.sealer.seal(canonical(item.input))
        return Given(body=item.body, sealed=sealed, subject=item.subject, item_id=item.id)
