"""An invoice against its purchase order: approved where they agree, flagged or asked about where they do not."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel, Field

from handrail import WorkflowContext, ask, graph

Amount = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=4)]


class Line(BaseModel):
    """So many of one article at a price."""

    article: Annotated[str, Field(min_length=1, max_length=100)]
    quantity: Amount
    price: Amount


class Invoice(BaseModel):
    """What arrives: an invoice, and what was ordered."""

    number: Annotated[str, Field(min_length=1, max_length=50)]
    ordered: Annotated[list[Line], Field(min_length=1, max_length=500)]
    lines: Annotated[list[Line], Field(min_length=1, max_length=500)]
    total: Amount
    tolerance: Amount = Decimal("5")


class Verdict(BaseModel):
    """What becomes of it."""

    status: Literal["approved", "flagged", "rejected"]
    differences: list[str]
    payable: Decimal


class State(TypedDict, total=False):
    """What the steps work on: the fields of input and output, and the sum that is in question."""

    number: str
    ordered: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    total: Decimal
    tolerance: Decimal
    differences: list[str]
    excess: Decimal
    status: str
    payable: Decimal


def compare(state: State, runtime: Runtime[WorkflowContext]) -> State:
    """Find every difference, and what the invoice asks for beyond what was ordered."""
    invoice = Invoice.model_validate(state)
    ordered = {line.article: line for line in invoice.ordered}
    found, excess = [], Decimal(0)
    for line in invoice.lines:
        order = ordered.pop(line.article, Line(article=line.article, quantity=Decimal(0), price=Decimal(0)))
        if (line.quantity, line.price) != (order.quantity, order.price):
            agreed = f"{order.quantity} at {order.price}"
            found.append(f"{line.article}: {line.quantity} at {line.price}, ordered {agreed}")
            excess += max(line.quantity * line.price - order.quantity * order.price, Decimal(0))
    found += [f"{article}: ordered, and not on the invoice" for article in ordered]
    summed = sum((line.quantity * line.price for line in invoice.lines), Decimal(0))
    if summed != invoice.total:
        found.append(f"total: {invoice.total}, the lines come to {summed}")
        excess += max(invoice.total - summed, Decimal(0))
    status = "flagged" if found else "approved"
    runtime.context.decide("match", status if excess <= invoice.tolerance else "in question", found)
    return {"differences": found, "excess": excess, "status": status, "payable": invoice.total}


def settle(state: State) -> State:
    """Ask a person whether to pay what goes beyond the tolerance."""
    question = f"Invoice {state['number']} asks for {state['excess']} more than was ordered. Pay it?"
    answer = ask(question, details={"differences": state["differences"], "total": str(state["total"])})
    paid = answer["decision"] == "approve"
    return {"status": "approved" if paid else "rejected", "payable": state["total"] if paid else Decimal(0)}


@graph(input=Invoice, output=Verdict)
def match_invoice() -> StateGraph[State, WorkflowContext, State, State]:
    """Match an invoice with its purchase order."""
    steps = StateGraph(State, context_schema=WorkflowContext)
    steps.add_node("compare", compare)
    steps.add_node("settle", settle)
    steps.add_edge(START, "compare")
    steps.add_conditional_edges("compare", lambda it: "settle" if it["excess"] > it["tolerance"] else END)
    steps.add_edge("settle", END)
    return steps
