"""Guards as validators of guardrails-ai: registered by name, run side by side at each place, failing closed.

Which guard is bound where, from which score on and what follows is policy's; what the library would do of its own
(correct, ask again, tell its makers) is off. Importing this takes the best part of a second.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

import anyio

from policies.errors import ConfigError
from policies.guards import Binding, Finding, Guard, Guarding, GuardRequest, Stage, guarding
from policies.types import Reason
from tools.encoder.ports import Forgetful
from tools.imports import without
from tools.metrics import GUARD_SECONDS, GUARDING_SECONDS
from tools.telemetry import names
from tools.telemetry.spans import Attributes, span

with without("rfc3987_syntax"), warnings.catch_warnings():
    # It builds command lines at import in a way that its own dependency has retired.
    warnings.simplefilter("ignore", DeprecationWarning)
    from guardrails.classes.history import Iteration
    from guardrails.settings import settings
    from guardrails.types import OnFailAction
    from guardrails.utils.hub_telemetry_utils import HubTelemetry
    from guardrails.validator_base import Validator, register_validator
    from guardrails.validator_service import async_validate
    from guardrails_ai.types import FailResult, PassResult, ValidationResult

log = logging.getLogger("handrail.guards")
settings.rc.enable_metrics = False
settings.disable_tracing = True
# Every new guard turns on what tells the makers of the library, until it is configured; this one has no wire.
HubTelemetry._instance = object.__new__(HubTelemetry)

PREFIX = "handrail"
WHOLE = "$"
CRASHED = "guard.crashed"
REMEMBERED = 4_096
"""Passages whose findings are kept: the same ones are retrieved again and again."""


class _Rail(Validator):  # type: ignore[misc]  # untyped
    """One guard at one place."""

    def __init__(self, guard: Guard, binding: Binding) -> None:
        super().__init__(on_fail=OnFailAction.NOOP, use_local=True)
        self._guard = guard
        self._binding = binding
        self._seconds = GUARD_SECONDS.labels(guard.name)

    async def async_validate(self, value: str, metadata: dict[str, Any]) -> ValidationResult:  # noqa: ARG002
        """Judge a text; what can't be judged, or not in time, has failed."""
        bound = self._binding
        about: Attributes = {
            names.GUARD: bound.guard,
            names.STAGE: bound.stage,
            names.THRESHOLD: bound.threshold,
        }
        with span("guard", f"guard {bound.guard}", about) as it:
            finding = await self._judged(metadata["request"])
            passed = finding.score < bound.threshold
            it.set({names.SCORE: float(finding.score), names.OUTCOME: "passed" if passed else str(bound.effect)})
            if finding.reason.code == CRASHED:
                it.fail(CRASHED)
        metadata["findings"].append((bound, finding))
        if passed:
            return PassResult()
        return FailResult(error_message=finding.reason.text)

    async def _judged(self, request: GuardRequest) -> Finding:
        began = perf_counter()
        try:
            with anyio.move_on_after(self._binding.seconds), self._seconds.time():
                finding = await self._guard(request)
                # What works in a thread, or without a pause, is not cut off: it comes late, which is failed too.
                if perf_counter() - began < self._binding.seconds:
                    return _crashed(self._guard.name, "gave no number") if math.isnan(finding.score) else finding
            problem = f"took longer than {self._binding.seconds:g} s"
        except Exception:
            log.exception("the guard %s crashed", self._guard.name)
            problem = "crashed"
        return _crashed(self._guard.name, problem)


class Rails:
    """The guards that a policy binds, by place."""

    def __init__(self, guards: Iterable[Guard], bindings: Iterable[Binding]) -> None:
        """Raises ``ConfigError`` for a binding to a guard that there is not, or where it can't be used."""
        by_name = {guard.name: guard for guard in guards}
        self._forgetful = [guard for guard in by_name.values() if isinstance(guard, Forgetful)]
        bound: dict[Stage, list[Binding]] = defaultdict(list)
        for binding in bindings:
            _require(by_name, binding)
            bound[binding.stage].append(binding)
        self._bound: Mapping[Stage, list[Binding]] = dict(bound)
        self._rails = {stage: _rail(by_name, those) for stage, those in bound.items()}
        self._recent: OrderedDict[str, Guarding] = OrderedDict()

    def bound(self, stage: Stage) -> Sequence[Binding]:
        """Return what is bound at a place."""
        return self._bound.get(stage, [])

    def forget(self) -> None:
        """Let guards drop what they remember of recent texts; what was found in articles stays."""
        for guard in self._forgetful:
            guard.forget()

    async def check(self, request: GuardRequest) -> Guarding:
        """Let all guards of the request's place judge its text; the strictest effect of those that fail holds."""
        if request.stage not in self._rails:
            return Guarding()
        if request.stage != "passage":
            return await self._checked(request)
        if (known := self._recent.get(request.text)) is not None:
            self._recent.move_to_end(request.text)
            return known
        found = await self._checked(request)
        if not any(each.reason.code == CRASHED for each in found.failed):
            self._remember(request.text, found)
        return found

    async def _checked(self, request: GuardRequest) -> Guarding:
        findings: list[tuple[Binding, Finding]] = []
        with GUARDING_SECONDS.labels(request.stage).time():
            await self._run(request, findings)
        ran = dict(findings)
        bound = self.bound(request.stage)
        return guarding([(each, ran.get(each) or _crashed(each.guard, "could not be run")) for each in bound])

    async def _run(self, request: GuardRequest, findings: list[tuple[Binding, Finding]]) -> None:
        try:
            # Its validators alone: what an ``AsyncGuard`` does around them is for texts that it asked a model for.
            about = {"request": request, "findings": findings}
            await async_validate(request.text, about, self._rails[request.stage], Iteration())
        except Exception:
            log.exception("the guards could not be run")
            findings.clear()

    def _remember(self, text: str, found: Guarding) -> None:
        self._recent[text] = found
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


def _rail(guards: Mapping[str, Guard], bindings: Sequence[Binding]) -> dict[str, list[_Rail]]:
    """Return the validators of a place by what they judge, which is the whole text."""
    return {WHOLE: [_validator(guards[each.guard], each) for each in bindings]}


def _validator(guard: Guard, binding: Binding) -> _Rail:
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


def _crashed(guard: str, problem: str) -> Finding:
    text = f"The guard {guard} {problem}, which counts as failed."
    return Finding(guard=guard, score=1.0, reason=Reason(code=CRASHED, text=text))
