"""Rules: CEL expressions over facts, the strictest effect wins.

A rule that errors or lacks a fact counts as fired: a policy that can't be computed must not let anything pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cel

from policies.types import Outcome, Reason

FACTS: dict[str, str] = {
    "text": "the customer's message, lower case, personal data as placeholders",
    "intent": "the intent's name, empty when out of scope",
    "confidence": "the router's probability for it, 0 to 1",
    "in_scope": "probability that the message belongs to any intent, 0 to 1",
    "autonomy": "auto, review, suggest or human",
    "priority": "low, normal, high or urgent",
    "language": "ISO 639-1 code of the message's language",
    "locale": "the customer's locale, empty when unknown",
    "attributes": "what the app told about the customer, by name",
    "amounts": "amounts of money in the message, as numbers",
    "turns": "how many messages the customer sent before this one",
    "reply": "the drafted answer; only rules with `on: answer` have it",
}

STRICTNESS = (Outcome.PASS, Outcome.SAY, Outcome.REVISE, Outcome.REVIEW, Outcome.ESCALATE, Outcome.BLOCK)
_IDENTIFIER = re.compile(r"(?<![\w.\"'])([a-zA-Z_]\w*)\b(?!\s*\()")
_LITERAL = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_WORDS = frozenset({"true", "false", "null", "in"})
_BOUND = re.compile(r"\.(?:exists|all|exists_one|filter|map)\(\s*([a-zA-Z_]\w*)\s*,")
_MONEY = re.compile(
    r"[$€£]\s?(\d[\d,]*(?:\.\d+)?)"
    r"|(?<![\d,])(?<!\d\.)(\d[\d,]*+(?:\.\d++)?)\s?(?:dollars|bucks|usd|euros?|pounds|cad)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of policy, compiled."""

    id: str
    on: str
    when: str
    effect: Outcome
    reason: str
    queue: str | None = None
    say: str | None = None
    program: Any = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """What the rules ask for together, and each rule's part in it."""

    outcome: Outcome = Outcome.PASS
    reasons: tuple[Reason, ...] = ()
    queue: str | None = None
    say: str | None = None


def strictest(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the strictest of some outcomes; nothing at all is a pass."""
    return max(outcomes, key=STRICTNESS.index, default=Outcome.PASS)


def check_expression(expression: str) -> str | None:
    """Say what is wrong with an expression, or None: it must compile and use known facts only."""
    try:
        cel.compile(expression)
    except Exception as error:
        return f"this is not a CEL expression: {error}"
    bare = _LITERAL.sub("''", expression)
    known = FACTS.keys() | _WORDS | set(_BOUND.findall(bare))
    for name in _IDENTIFIER.findall(bare):
        if name not in known:
            return f"{name!r} is no fact; known are {', '.join(FACTS)}"
    return None


def compile_rule(entry: Any) -> Rule:
    """Make a rule of an entry of policy.yaml."""
    return Rule(
        id=entry.id,
        on=entry.on,
        when=entry.when,
        effect=Outcome(entry.effect),
        reason=entry.reason,
        queue=entry.queue,
        say=entry.say,
        program=cel.compile(entry.when),
    )


def evaluate(rules: Sequence[Rule], facts: Mapping[str, Any]) -> RuleOutcome:
    """Run rules over facts; of several that fire, the strictest holds and all are named."""
    fired = [each for rule in rules if (each := _fired(rule, facts)) is not None]
    if not fired:
        return RuleOutcome()
    outcome = strictest([rule.effect for rule, _ in fired])
    deciding = next(rule for rule, _ in fired if rule.effect is outcome)
    reasons = tuple(
        Reason(code=f"rule.{rule.effect}", text=rule.reason + why, rule_id=rule.id) for rule, why in fired
    )
    return RuleOutcome(outcome=outcome, reasons=reasons, queue=deciding.queue, say=deciding.say)


def _fired(rule: Rule, facts: Mapping[str, Any]) -> tuple[Rule, str] | None:
    """Return None when the rule does not fire, else the rule to hold and what to add to its reason."""
    try:
        result = rule.program.execute(dict(facts))
    except Exception as error:
        why = f" (the rule could not be computed, which counts as fired: {error})"
    else:
        if result is False:
            return None
        if result is True:
            return rule, ""
        why = " (the rule answered neither true nor false, which counts as fired)"
    if rule.effect is Outcome.SAY:
        # Its words were meant for a case that nobody has established.
        rule = replace(rule, effect=Outcome.REVIEW, say=None)
    return rule, why


def amounts(text: str) -> list[float]:
    """Return the amounts of money that a text names."""
    found = (first or second for first, second in _MONEY.findall(text))
    return [float(each.replace(",", "")) for each in found if each.strip(",")]
