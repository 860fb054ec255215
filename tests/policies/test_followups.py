from __future__ import annotations

import pytest

from policies.followups import standalone
from policies.types import Turn

EARLIER = (Turn(author="customer", text="How much is shipping to Ohio?"), Turn(author="bot", text="$6.95."))


@pytest.mark.parametrize(
    "question", ["and to Canada?", "What about Norway, where my cousin lives with her family?"]
)
def test_a_follow_up_is_read_with_the_question_before_it(question: str) -> None:
    assert standalone(question, EARLIER) == f"How much is shipping to Ohio? {question}"


def test_a_question_of_its_own_stands_alone() -> None:
    question = "My tent arrived with a broken pole, how do I get a new one?"
    assert standalone(question, EARLIER) == question


def test_the_first_message_stands_alone() -> None:
    assert standalone("and to Canada?", ()) == "and to Canada?"
