"""Guards as validators of guardrails-ai: registered by name, run together at each place, failing closed.

The library runs the validators of a place side by side. Which guard is bound where, from which score on and what
follows is policy's; what the library would do of its own (correct, ask again, tell its makers) is off.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import anyio
from guardrails import AsyncGuard
from guardrails.settings import settings
from guardrails.types import OnFailAction
from guardrails.validator_base import Validator, register_validator
from guardrails_ai.types import FailResult, PassResult, ValidationResult

from policies.errors import ConfigError
from policies.guards import Binding, Finding, Guard, Guarding, GuardRequest, Stage
from policies.rules import strictest
from policies.types import Reason
from tools.metrics import GUARD_SECONDS

log = logging.getLogger("handrail.guards")
settings.rc.enable_metrics = False
settings.disable_tracing = True
PREFIX = "handrail"


class _Rail(Validator):  # type: ignore[misc]  # untyped
    """One guard at one place."""

    def __init__(self, guard: Guard, binding: Binding) -> None:
        super().__init__(on_fail=OnFailAction.NOOP, use_local=True)
        self._guard = guard
        self._binding = binding

    async def async_validate(self, value: str, metadata: dict[str, Any]) -> ValidationResult:  # noqa: ARG002
        """Judge a text; what can't be judged, or not in time, has failed."""
        finding = await self._judge(metadata["request"])
        if finding.score < self._binding.threshold:
            return PassResult()
        metadata["failed"].append((self._binding, finding))
        return FailResult(error_message=finding.reason.text)

    async def _judge(self, request: GuardRequest) -> Finding:
        try:
            with anyio.move_on_after(self._binding.seconds), GUARD_SECONDS.labels(self._guard.name).time():
                return await self._guard(request)
            problem = f"took longer than {self._binding.seconds:g} s"
        except Exception:
            log.exception("the guard %s crashed", self._guard.name)
            problem = "crashed"
        text = f"The guard {self._guard.name} {problem}, which counts as failed."
        return Finding(guard=self._guard.name, score=1.0, reason=Reason(code="guard.failed", text=text))


class Rails:
    """The guards that a policy binds, by place."""

    def __init__(self, guards: Iterable[Guard], bindings: Iterable[Binding]) -> None:
        """Raises ``ConfigError`` for a binding to a guard that there is not, or where it can't be used."""
        by_name = {guard.name: guard for guard in guards}
        bound: dict[Stage, list[Binding]] = defaultdict(list)
        for binding in bindings:
            _require(by_name, binding)
            bound[binding.stage].append(binding)
        self._bound: Mapping[Stage, list[Binding]] = dict(bound)
        self._rails = {
            stage: AsyncGuard(history_max_length=1).use(*(_rail(by_name[each.guard], each) for each in those))
            for stage, those in bound.items()
        }
        for rail in self._rails.values():
            rail.configure(allow_metrics_collection=False)

    def bound(self, stage: Stage) -> list[Binding]:
        """Return what is bound at a place."""
        return self._bound.get(stage, [])

    async def check(self, request: GuardRequest) -> Guarding:
        """Let all guards of the request's place judge its text; the strictest effect of those that fail holds."""
        rail = self._rails.get(request.stage)
        if rail is None:
            return Guarding()
        failed: list[tuple[Binding, Finding]] = []
        try:
            await rail.validate(request.text, metadata={"request": request, "failed": failed})
        except Exception:
            log.exception("the guards could not be run")
            failed = [(each, _not_run(each)) for each in self.bound(request.stage)]
        return Guarding(
            outcome=strictest([binding.effect for binding, _ in failed]),
            findings=tuple(finding for _, finding in failed),
        )


def _rail(guard: Guard, binding: Binding) -> _Rail:
    """Register a guard under its own name, which the library wants of each kind of validator."""
    kind = type(f"Rail_{guard.name}", (_Rail,), {})
    return register_validator(name=f"{PREFIX}/{guard.name}", data_type="string")(kind)(guard, binding)  # type: ignore[no-any-return]


def _require(known: Mapping[str, Guard], binding: Binding) -> None:
    guard = known.get(binding.guard)
    if guard is None:
        raise ConfigError(
            f"There is no guard {binding.guard!r}.", remedy=f"There are: {', '.join(sorted(known)) or 'none'}."
        )
    if binding.stage not in guard.stages:
        raise ConfigError(
            f"The guard {binding.guard!r} can't be used at {binding.stage!r}.",
            remedy=f"Bind it at {' or '.join(sorted(guard.stages))}.",
        )


def _not_run(binding: Binding) -> Finding:
    text = f"The guard {binding.guard} could not be run, which counts as failed."
    return Finding(guard=binding.guard, score=1.0, reason=Reason(code="guard.failed", text=text))
