"""Rules fail closed, and the strictest holds whatever their order."""

from __future__ import annotations

import timeit
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.folder import RuleEntry
from policies.rules import FACTS, STRICTNESS, Rule, RuleOutcome, amounts, check_expression, compile_rule, evaluate
from policies.types import Outcome, Reason

EMPTY = dict.fromkeys(FACTS, "") | {
    "amounts": [],
    "attributes": {},
    "turns": 0,
    "confidence": 0.0,
    "in_scope": 1.0,
}


def a_rule(identifier: str, when: str, effect: str, **more: str) -> Rule:
    return compile_rule(
        RuleEntry.model_validate({"id": identifier, "when": when, "effect": effect, "reason": identifier, **more})
    )


def test_no_rule_that_fires_is_a_pass() -> None:
    assert evaluate([a_rule("never", "false", "block")], EMPTY) == RuleOutcome()


def test_a_rule_that_fires_names_itself_and_its_queue() -> None:
    rule = a_rule("big", "amounts.exists(a, a > 100.0)", "escalate", queue="returns")
    assert evaluate([rule], {**EMPTY, "amounts": [20.0, 250.0]}) == RuleOutcome(
        outcome=Outcome.ESCALATE,
        reasons=(Reason(code="rule.escalate", text="big", rule_id="big"),),
        queue="returns",
    )


def test_a_rule_that_lacks_a_fact_counts_as_fired() -> None:
    outcome = evaluate([a_rule("lacks", 'attributes.member == "yes"', "review")], EMPTY)
    assert outcome.outcome is Outcome.REVIEW
    assert "could not be computed" in outcome.reasons[0].text


def test_a_rule_that_answers_no_truth_value_counts_as_fired() -> None:
    assert evaluate([a_rule("odd", "turns + 1", "block")], EMPTY).outcome is Outcome.BLOCK


@pytest.mark.parametrize("when", ['attributes.member == "yes"', "turns + 1"])
def test_a_say_rule_that_can_not_be_computed_says_nothing_and_calls_a_person(when: str) -> None:
    found = evaluate([a_rule("greets", when, "say", say="Welcome back!")], EMPTY)
    assert (found.outcome, found.say, found.reasons[0].code) == (Outcome.REVIEW, None, "rule.review")


def test_a_say_rule_that_fires_says_its_text() -> None:
    found = evaluate([a_rule("greets", "turns == 0", "say", say="Welcome!")], EMPTY)
    assert (found.outcome, found.say, found.reasons[0].code) == (Outcome.SAY, "Welcome!", "rule.say")


def test_a_rule_on_the_answer_can_not_say_something() -> None:
    with pytest.raises(ValidationError, match="can't `say`"):
        a_rule("late", "true", "say", say="x", on="answer")


def test_the_strictest_rule_holds_in_any_order() -> None:
    rules = [
        a_rule("s", "true", "say", say="hello"),
        a_rule("r", "true", "review"),
        a_rule("e", "true", "escalate", queue="q"),
    ]
    for order in permutations(rules):
        found = evaluate(order, EMPTY)
        assert (found.outcome, found.queue, found.say) == (Outcome.ESCALATE, "q", None)


@given(st.lists(st.sampled_from(["say", "review", "escalate", "block"]), max_size=5))
def test_another_rule_never_makes_the_outcome_laxer(effects: list[str]) -> None:
    rules = [
        a_rule(f"r{number}", "true", effect, **({"say": "x"} if effect == "say" else {}))
        for number, effect in enumerate(effects)
    ]
    before = evaluate(rules[:-1], EMPTY).outcome
    assert STRICTNESS.index(evaluate(rules, EMPTY).outcome) >= STRICTNESS.index(before)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("text.contains(", "this is not a CEL expression"),
        ("weather == 'bad'", "'weather' is no fact"),
    ],
)
def test_a_rule_that_can_not_work_is_refused_on_load(expression: str, complaint: str) -> None:
    assert complaint in str(check_expression(expression))


@pytest.mark.parametrize(
    "expression",
    ["text.matches('refund')", "amounts.exists(a, a > 5.0)", "intent in ['a', 'b'] && size(text) > 3", "true"],
)
def test_rules_over_known_facts_are_accepted(expression: str) -> None:
    assert check_expression(expression) is None


def test_amounts_are_found_with_and_without_a_sign() -> None:
    assert amounts("I paid $1,250.50 and then 30 dollars, in all £12 for 3 boots") == [1250.5, 30.0, 12.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [("1.2.3 dollars", []), ("1,111,111 usd", [1111111.0]), ("x 5.00 euros", [5.0]), ("$ 7 and €8.5", [7.0, 8.5])],
)
def test_amounts_are_whole_numbers_of_the_text(text: str, found: list[float]) -> None:
    assert amounts(text) == found


@pytest.mark.parametrize("piece", ["1", "1,111", "1.", "1 ", "$1,"])
def test_amounts_of_a_long_message_are_found_at_once(piece: str) -> None:
    text = (piece * 4000)[:4000]
    assert min(timeit.repeat(lambda: amounts(text), number=1, repeat=3)) < 0.05
