"""The graph by itself, without a server: `pytest` in this folder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from unittest.mock import Mock

from invoices import Invoice, Verdict, match_invoice
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

TEA = {"article": "tea", "quantity": 10, "price": "4.50"}
CUPS = {"article": "cups", "quantity": 2, "price": "30.00"}


def run(answer: str | None = None, **invoice: Any) -> dict[str, Any]:
    """Run the graph, and answer the question if it has one."""
    given = {"number": "R-1", "ordered": [TEA, CUPS], "lines": [TEA, CUPS], "total": "105.00", **invoice}
    graph = match_invoice().compile(checkpointer=InMemorySaver())
    how: Any = {"config": {"configurable": {"thread_id": "1"}}, "context": Mock()}
    state = graph.invoke(Invoice.model_validate(given).model_dump(), **how)
    return graph.invoke(Command(resume={"decision": answer}), **how) if "__interrupt__" in state else state


def test_what_agrees_is_approved() -> None:
    """Nothing is asked."""
    assert Verdict.model_validate(run()) == Verdict(status="approved", differences=[], payable=Decimal("105.00"))


def test_a_small_difference_is_flagged_and_paid() -> None:
    """Up to the tolerance."""
    dear = {**TEA, "price": "4.60"}
    state = run(lines=[dear, CUPS], total="106.00")
    assert (state["status"], state["differences"]) == ("flagged", ["tea: 10 at 4.60, ordered 10 at 4.50"])


def test_a_person_decides_on_a_large_one() -> None:
    """Either way."""
    more = {"lines": [TEA, {**CUPS, "quantity": 3}], "total": "135.00"}
    assert run("approve", **more)["payable"] == Decimal("135.00")
    assert run("reject", **more)["payable"] == 0
