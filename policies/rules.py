"""Rules: CEL expressions over facts, the strictest effect wins.

A rule that errors or lacks a fact counts as fired: a policy that can't be computed must not let anything pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from policies.expressions import Stage, compiled
from policies.types import Autonomy, Outcome, Reason

Effect = Literal["block", "escalate", "review", "require", "say"]

EFFECTS: dict[str, str] = {
    "block": "The customer reads `messages.blocked` and a person gets the conversation, in `queue` if named.",
    "escalate": "A person gets the conversation, in `queue` if named.",
    "review": "A person reads the answer before it leaves; not laxer than the intent's autonomy.",
    "require": "A person must approve the action `tool` before it is done: the run waits for that, with the "
    "rule's reason.",
    "say": "The answer is the text of `say`, or of the `template` named, and no draft; the intent's autonomy and "
    "the rules on the answer hold for it as for any other.",
}
"""What follows when a rule fires, strictest first; ``require`` goes with any of the others."""

STRICTNESS = (Outcome.PASS, Outcome.SAY, Outcome.REVISE, Outcome.REVIEW, Outcome.ESCALATE, Outcome.BLOCK)
ALONE = {
    Autonomy.AUTO: Outcome.PASS,
    Autonomy.REVIEW: Outcome.REVIEW,
    Autonomy.SUGGEST: Outcome.ESCALATE,
    Autonomy.HUMAN: Outcome.ESCALATE,
}
"""What becomes of an answer by the autonomy of its intent alone."""
_MONEY = re.compile(
    r"[$€£]\s?(\d[\d,]*(?:\.\d+)?)"
    r"|(?<![\d,])(?<!\d\.)(\d[\d,]*+(?:\.\d++)?)\s?(?:dollars|bucks|usd|euros?|pounds|cad)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of policy, compiled."""

    id: str
    on: Stage
    when: str
    effect: Effect
    reason: str
    queue: str | None = None
    say: str | None = None
    tool: str | None = None
    """What it is about: the action that a person must approve, or the only one that a rule holds for."""
    program: Any = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What became of one rule."""

    rule: Rule
    fired: bool
    problem: str = ""
    """Why it could not be computed, which counts as fired."""

    @property
    def outcome(self) -> Outcome:
        """What it asks for; a person, where its words were meant for a case that nobody has established."""
        if not self.fired or self.rule.effect == "require":
            return Outcome.PASS
        if self.rule.effect == "say" and self.problem:
            return Outcome.REVIEW
        return Outcome(self.rule.effect)

    @property
    def reason(self) -> Reason:
        """Say why, for a person."""
        effect = self.rule.effect if self.outcome is Outcome.PASS else self.outcome
        why = f" ({self.problem}, which counts as fired)" if self.problem else ""
        return Reason(code=f"rule.{effect}", text=self.rule.reason + why, rule_id=self.rule.id)


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """What the rules ask for together, and each rule's part in it."""

    outcome: Outcome = Outcome.PASS
    reasons: tuple[Reason, ...] = ()
    queue: str | None = None
    say: str | None = None
    requires: Mapping[str, Reason] = field(default_factory=dict)
    """Actions that a person must approve first, by name."""


def strictest(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the strictest of some outcomes; nothing at all is a pass."""
    return max(outcomes, key=STRICTNESS.index, default=Outcome.PASS)


def compile_rule(entry: Any, templates: Mapping[str, str] | None = None) -> Rule:
    """Make a rule of an entry of policy.yaml."""
    return Rule(
        id=entry.id,
        on=entry.on,
        when=entry.when,
        effect=entry.effect,
        reason=entry.reason,
        queue=entry.queue,
        say=(templates or {})[entry.template] if entry.template else entry.say,
        tool=entry.tool,
        program=compiled(entry.when),
    )


def evaluate(rules: Sequence[Rule], facts: Mapping[str, Any]) -> RuleOutcome:
    """Run rules over facts; of several that fire, the strictest holds and all are named."""
    fired = [trial for trial in try_rules(rules, facts) if trial.fired]
    if not fired:
        return RuleOutcome()
    outcome = strictest([trial.outcome for trial in fired])
    deciding = next(trial for trial in fired if trial.outcome is outcome)
    needed = [(trial.rule.tool, trial.reason) for trial in reversed(fired) if trial.rule.effect == "require"]
    return RuleOutcome(
        outcome=outcome,
        reasons=tuple(trial.reason for trial in fired),
        queue=deciding.rule.queue,
        say=deciding.rule.say if outcome is Outcome.SAY else None,
        requires={tool: reason for tool, reason in needed if tool is not None},
    )


def about_action(rules: Sequence[Rule], name: str) -> list[Rule]:
    """Return the rules to run before an action is done: those on actions, and not on another one alone."""
    return [rule for rule in rules if rule.on == "action" and rule.tool in (None, name)]


def try_rules(rules: Sequence[Rule], facts: Mapping[str, Any]) -> list[Trial]:
    """Run each rule over facts, in their order."""
    given = dict(facts)
    return [_tried(rule, given) for rule in rules]


def _tried(rule: Rule, facts: dict[str, Any]) -> Trial:
    try:
        result = rule.program.execute(facts)
    except Exception as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return Trial(rule=rule, fired=True, problem=f"the rule could not be computed: {lacks}")
    if isinstance(result, bool):
        return Trial(rule=rule, fired=result)
    return Trial(rule=rule, fired=True, problem="the rule answered neither true nor false")


def amounts(text: str) -> list[float]:
    """Return the amounts of money that a text names."""
    found = (first or second for first, second in _MONEY.findall(text))
    return [float(each.replace(",", "")) for each in found if each.strip(",")]
