"""Rules fail closed, and the strictest holds whatever their order."""

from __future__ import annotations

import timeit
from collections.abc import Sequence
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from policies.expressions import FACTS, attributes_in, check_expression
from policies.folder import RuleEntry
from policies.rules import EFFECTS, STRICTNESS, Rule, RuleOutcome, amounts, compile_rule, evaluate
from policies.rulings import action_facts, after_check, after_route, answer_facts, route_facts
from policies.types import Autonomy, Outcome, Reason, Route, Sentence

EMPTY: dict[str, Any] = dict.fromkeys(FACTS, "") | {
    "amounts": [],
    "attributes": {},
    "turns": 0,
    "confidence": 0.0,
    "in_scope": 1.0,
}
ODD = 'attributes.exists(name, name == "odd") || turns + 1'
"""An expression that only turns out to be no truth value when it is run."""


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
    assert evaluate([a_rule("odd", ODD, "block")], EMPTY).outcome is Outcome.BLOCK


@pytest.mark.parametrize("when", ['attributes.member == "yes"', ODD])
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


def test_a_rule_may_require_a_person_for_an_action_and_says_why() -> None:
    rules = [
        a_rule("often", "turns == 0", "require", tool="send_money"),
        a_rule("never", "turns == 1", "require", tool="send_mail"),
        a_rule("lacks", "attributes.vip", "require", tool="send_word", queue="care"),
    ]
    found = evaluate(rules, EMPTY)
    assert found.outcome is Outcome.PASS
    assert found.requires == {
        "send_money": Reason(code="rule.require", text="often", rule_id="often"),
        "send_word": Reason(
            code="rule.require",
            text="lacks (the rule could not be computed: it lacks 'vip', which counts as fired)",
            rule_id="lacks",
        ),
    }


def test_a_rule_can_ask_whether_there_is_an_attribute() -> None:
    rule = a_rule("vip", "has(attributes.vip) && attributes.vip", "review")
    asked = [{}, {"vip": False}, {"vip": True}]
    assert [evaluate([rule], {**EMPTY, "attributes": each}).outcome for each in asked] == [
        Outcome.PASS,
        Outcome.PASS,
        Outcome.REVIEW,
    ]


WHEN = st.sampled_from(["true", "false", "turns > 1", "attributes.vip", 'text.contains("a")', "amounts[0] > 5.0"])
GIVEN = st.fixed_dictionaries(
    {
        "turns": st.integers(0, 3),
        "text": st.sampled_from(["", "abc"]),
        "amounts": st.lists(st.sampled_from([1.0, 9.0]), max_size=1),
        "attributes": st.sampled_from([{}, {"vip": True}, {"vip": "text"}]),
    }
)


@st.composite
def rules_(draw: st.DrawFn) -> list[Rule]:
    rules = []
    for number in range(draw(st.integers(0, 4))):
        effect = draw(st.sampled_from(sorted(EFFECTS)))
        more = {"say": {"say": "Hello."}, "require": {"tool": draw(st.sampled_from(["mail", "money"]))}}
        rules.append(a_rule(f"r{number}", draw(WHEN), effect, **more.get(effect, {})))
    return rules


def ending(autonomy: Autonomy, doubted: bool, rules: Sequence[Rule], facts: dict[str, Any]) -> int:
    """Return how strict what follows is, from the route to the answer."""
    outcome, left = after_route(autonomy, evaluate(rules, facts), doubted)
    stops = outcome in (Outcome.ESCALATE, Outcome.BLOCK)
    return STRICTNESS.index(outcome if stops else after_check(left, outcome))


@given(rules_(), GIVEN, st.sampled_from(Autonomy), st.booleans(), st.randoms())
def test_no_order_of_rules_makes_a_stricter_outcome_laxer(
    rules: list[Rule], given_: dict[str, Any], autonomy: Autonomy, doubted: bool, random: Random
) -> None:
    facts, shuffled = {**EMPTY, **given_}, list(rules)
    random.shuffle(shuffled)
    found, other = evaluate(rules, facts), evaluate(shuffled, facts)
    assert (found.outcome, set(found.reasons), found.requires.keys()) == (
        other.outcome,
        set(other.reasons),
        other.requires.keys(),
    )
    assert ending(autonomy, doubted, rules, facts) == ending(autonomy, doubted, shuffled, facts)


@given(rules_(), GIVEN, st.sampled_from(Autonomy), st.booleans())
def test_another_rule_never_makes_the_outcome_laxer(
    rules: list[Rule], given_: dict[str, Any], autonomy: Autonomy, doubted: bool
) -> None:
    facts = {**EMPTY, **given_}
    before, after = evaluate(rules[:-1], facts), evaluate(rules, facts)
    assert STRICTNESS.index(after.outcome) >= STRICTNESS.index(before.outcome)
    assert before.requires.keys() <= after.requires.keys()
    assert ending(autonomy, doubted, rules, facts) >= ending(autonomy, doubted, rules[:-1], facts)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("text.contains(", "this is not a CEL expression"),
        ("weather == 'bad'", "'weather' is no fact"),
        ("reply.contains('x')", "write `on: answer`"),
        ("text.contians('x')", "there is no function 'contians'"),
        ("text.matches('(')", "is no regular expression"),
        ("turns + 1", "it must answer true or false and answers 2"),
        ("amounts > 5.0", "do not fit together"),
        ("turns + 1.0 > 2.0", "do not fit together"),
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


@pytest.mark.parametrize(
    ("expression", "attributes"),
    [
        ("attributes.vip", ("vip",)),
        ("has(attributes.vip) && attributes['home country'] == 'x'", ("vip", "home country")),
        ("'vip' in attributes && attributes.exists(name, name == 'attributes.other')", ("vip",)),
        ("attributes.size() > 2", ()),
    ],
)
def test_the_attributes_that_an_expression_names_are_found(expression: str, attributes: tuple[str, ...]) -> None:
    assert set(attributes_in(expression)) == set(attributes)


def test_an_attribute_must_be_declared_and_fit() -> None:
    declared = {"vip": "boolean", "visits": "number"}
    assert check_expression("attributes.vip && attributes.visits > 3", attributes=declared) is None
    assert "declares no customer attribute 'vpi'" in str(check_expression("attributes.vpi", attributes=declared))
    assert "do not fit" in str(check_expression("attributes.vip > 3", attributes=declared))


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"effect": "say"}, "has a text"),
        ({"effect": "say", "say": "a", "template": "b"}, "has a text"),
        ({"effect": "review", "template": "b"}, "has a text"),
        ({"effect": "require"}, "names its `tool`"),
        ({"effect": "review", "tool": "mail"}, "names its `tool`"),
        ({"effect": "review", "on": "action"}, "can't `review`"),
        ({"effect": "say", "say": "no", "on": "action"}, "can't `say`"),
        ({"effect": "require", "on": "action"}, "names its `tool`"),
        ({"effect": "require", "tool": "mail", "on": "answer"}, "can't `require`"),
        ({"effect": "say", "say": "Dear [EMAIL_1]"}, "stands for nothing here"),
    ],
)
def test_an_effect_has_what_it_needs_and_no_more(more: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        RuleEntry.model_validate({"id": "a", "when": "true", "reason": "r", **more})


def test_the_facts_of_a_message_are_those_documented() -> None:
    found = Route(intent="a", queue="q", priority="low", confidence=0.5, in_scope=0.9, autonomy=Autonomy.AUTO)
    facts = route_facts("Pay [CARD_1] $5", found, customer={"attributes": {"visits": 3, "vip": True}}, turns=2)
    assert list(facts) == [name for name, fact in FACTS.items() if fact.only is None]
    assert (facts["text"], facts["personal_data"], facts["amounts"]) == ("pay [card_1] $5", ["card"], [5.0])
    assert facts["attributes"] == {"visits": 3.0, "vip": True}
    assert isinstance(facts["attributes"]["visits"], float)
    answered = answer_facts((Sentence(text="It is $7."),), 0.8)
    assert answered == {"reply": "It is $7.", "reply_amounts": [7.0], "sources": [], "support": 0.8}
    assert list(answered) == [name for name, fact in FACTS.items() if fact.only == "answer"]
    done = action_facts("pay", {"amount": 5, "to": {"urgent": True, "shares": [1, "a"]}}, {"paid": 2})
    assert done == {
        "action": "pay",
        "arguments": {"amount": 5.0, "to": {"urgent": True, "shares": [1.0, "a"]}},
        "facts": {"paid": 2.0},
    }
    assert "facts" not in action_facts("pay", {})
    assert isinstance(done["arguments"]["amount"], float)
    assert list(done) == [name for name, fact in FACTS.items() if fact.only == "action"]
