"""Which guards stand where: defaults hold until policy changes them, and names must be known."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from policies.bindings import KnownGuards, bind, misbound, needs_whole_answer
from policies.guards import Binding
from policies.sections import GuardEntry
from policies.types import Outcome

INJECTION = Binding(guard="injection", stage="input", threshold=0.8, effect=Outcome.ESCALATE)
IN_PASSAGES = Binding(guard="injection", stage="passage", threshold=0.6, effect=Outcome.REVISE)
TONE = Binding(guard="tone", stage="output", threshold=0.7, effect=Outcome.REVISE)
KNOWN = KnownGuards(
    stages={"injection": {"input", "passage", "tool"}, "tone": {"output"}, "promise": {"output"}},
    defaults=(TONE, INJECTION, IN_PASSAGES),
)


def bound(*entries: dict[str, object]) -> tuple[Binding, ...]:
    return bind([GuardEntry.model_validate(each) for each in entries], KNOWN)


def test_without_a_word_the_defaults_are_on() -> None:
    assert bound() == (INJECTION, IN_PASSAGES, TONE)


def test_an_entry_changes_what_it_names_and_nothing_else() -> None:
    assert bound({"guard": "injection", "stages": ["input"], "threshold": 0.5, "effect": "block"}) == (
        Binding(guard="injection", stage="input", threshold=0.5, effect=Outcome.BLOCK),
        IN_PASSAGES,
        TONE,
    )


def test_an_entry_without_stages_is_about_those_where_the_guard_stands_by_default() -> None:
    assert bound({"guard": "injection", "seconds": 1}) == (
        Binding(guard="injection", stage="input", threshold=0.8, effect=Outcome.ESCALATE, seconds=1),
        Binding(guard="injection", stage="passage", threshold=0.6, effect=Outcome.REVISE, seconds=1),
        TONE,
    )


def test_a_guard_can_be_turned_off_and_on() -> None:
    assert bound({"guard": "injection", "effect": "off"}) == (TONE,)
    assert bound({"guard": "promise", "effect": "review"})[2] == Binding(
        guard="promise", stage="output", threshold=0.5, effect=Outcome.REVIEW
    )


def test_only_what_may_hold_all_of_an_answer_back_needs_all_of_it() -> None:
    assert not needs_whole_answer(bound())
    assert not needs_whole_answer(bound({"guard": "injection", "stages": ["input"], "effect": "block"}))
    assert needs_whole_answer(bound({"guard": "tone", "effect": "review"}))


def test_what_a_customer_wrote_is_not_revised() -> None:
    with pytest.raises(ValidationError, match="is not revised"):
        bound({"guard": "injection", "stages": ["input"], "effect": "revise"})
    assert bound({"guard": "injection", "effect": "revise"})[0].effect is Outcome.ESCALATE


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ({"guard": "tone"}, None),
        (
            {"guard": "tune"},
            ("guard", "there is no guard 'tune'; mend the name, known are: injection, promise, tone"),
        ),
        (
            {"guard": "tone", "stages": ["input"]},
            ("stages", "'tone' can't be used at 'input'; it can at: output"),
        ),
    ],
)
def test_what_can_not_be_bound_is_told(entry: dict[str, object], wrong: tuple[str, str] | None) -> None:
    assert misbound(GuardEntry.model_validate(entry), KNOWN) == wrong
