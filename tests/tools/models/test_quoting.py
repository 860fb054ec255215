"""The quoting script drafts from what it is given, in the grammar that drafts have."""

from __future__ import annotations

import pytest
from langchain_core.messages import HumanMessage

from tools.models.ports import Data, Message
from tools.models.prompts import to_prompt
from tools.models.quoting import quoting

PASSAGES = (
    Data(kind="passage", id="p1", text="Returns > Tents\nTents go back within **30 days**. Keep the box."),
    Data(kind="passage", id="p2", text="Stores\nThe store in Bend opens at 10 a.m."),
)


@pytest.mark.parametrize(
    ("question", "refused", "reply"),
    [
        ("when do tents go back", (), "Tents go back within 30 days. [p1]"),
        ("when does the bend store open", (), "The store in Bend opens at 10 a.m. [p2]"),
        ("who won the game", (), "[abstain]"),
        ("when do tents go back", ("Tents go back within 30 days.",), "[abstain]"),
    ],
)
def test_it_quotes_what_answers_with_the_id_of_its_passage(
    question: str, refused: tuple[str, ...], reply: str
) -> None:
    more = [Data(kind="refused", text=text) for text in refused]
    data = (*PASSAGES, *more, Data(kind="message", text=question))
    prompt = to_prompt([Message(role="user", text="All of it:", data=data)])
    assert quoting(prompt.to_langchain()) == reply


def test_what_is_no_request_for_a_draft_gets_no_draft() -> None:
    assert quoting([HumanMessage("Sort this.")]) == "[abstain]"
