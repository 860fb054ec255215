"""What the sample shop can look up and do, over a small database of its own.

``orders.csv`` fills it on first use. Who asks is who the app says: a visitor whom it does not name hears how an
order stands and nothing else, and a customer hears nothing of another one's order.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from handrail import Found, Refused, ToolContext, tool

Order = Annotated[str, Found(r"\bLO-\d{4,}\b", "an order number such as LO-10234")]
# The quantifiers give nothing back, so that no shorter amount is found where a longer one does not fit.
AMOUNT = (
    r"\$\s?+([-+]?+(?:\d++(?:\.\d\d)?+|\.\d++))"
    r"|([-+]?+\d++(?:\.\d\d)?+)\s?+(?:dollars?|bucks|usd)\b(?!\s(?:and\s)?\d)"
)
Dollars = Annotated[float, Field(gt=0, le=10_000), Found(AMOUNT, "an amount such as $40")]

SEED = Path(__file__).with_name("orders.csv")
TABLES = """
CREATE TABLE IF NOT EXISTS orders ("order" TEXT PRIMARY KEY, customer TEXT, placed TEXT, items TEXT, total REAL,
  status TEXT, shipped TEXT, carrier TEXT, tracking TEXT, delivered TEXT, came_back TEXT);
CREATE TABLE IF NOT EXISTS returns (key TEXT PRIMARY KEY, "order" TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS refunds (key TEXT PRIMARY KEY, "order" TEXT, amount REAL);
"""
STANDING = {
    "processing": "Order {order} is being processed and has not been packed yet.",
    "packed": "Order {order} is packed and waits for the carrier.",
    "shipped": "Order {order} was shipped on {shipped}.",
    "delivered": "Order {order} was delivered on {delivered}.",
    "cancelled": "Order {order} was cancelled.",
}


@tool
def order_status(order: Order, context: ToolContext) -> dict[str, Any]:
    """Look up how one order stands."""
    with opened(context) as db:
        found = looked_up(db, order, context)
        said = [STANDING[found["status"]].format(**written(found))]
        if context.customer_id and found["status"] == "shipped":
            said.append("It is on its way with {carrier}, tracking number {tracking}.".format(**found))
        return {"say": said, "_status": found["status"]}


@tool(effect=True, idempotent=True)
def start_return(order: Order, context: ToolContext) -> dict[str, Any]:
    """Open a return for an order that was delivered."""
    with opened(context) as db:
        found = own(db, order, context)
        if found["status"] != "delivered":
            raise Refused(f"Order {found['order']} has not been delivered, so it can't be returned yet.")
        db.execute("INSERT OR IGNORE INTO returns VALUES (?, ?)", (context.key, found["order"]))
        number = db.execute('SELECT rowid FROM returns WHERE "order" = ?', (found["order"],)).fetchone()[0]
        return {"say": [f"A return is open for order {found['order']}, with the return number {70_000 + number}."]}


def refunded(order: Order, context: ToolContext) -> dict[str, float | bool]:
    """Say how much was sent back for an order before, in dollars; what this refund itself sent does not count."""
    with opened(context) as db:
        return {"refunded": sent_back(db, order, context)}


@tool(effect=True, idempotent=True, facts=refunded)
def issue_refund(order: Order, amount: Dollars, context: ToolContext) -> dict[str, Any]:
    """Send money back for an order whose goods have come back."""
    with opened(context) as db:
        found = own(db, order, context)
        if db.execute("SELECT 1 FROM refunds WHERE key = ?", (context.key,)).fetchone() is None:
            before = sent_back(db, order, context)
            if before != context.facts.get("refunded", before):
                raise Refused(f"Something else was sent back for order {found['order']} at the same time.")
            if not found["came_back"]:
                raise Refused(f"Nothing of order {found['order']} has come back yet.")
            if round(amount, 2) > round(found["total"] - before, 2):
                raise Refused(f"Order {found['order']} has ${found['total'] - before:.2f} left to send back.")
            db.execute("INSERT INTO refunds VALUES (?, ?, ?)", (context.key, found["order"], amount))
        return {
            "say": [f"A refund of ${amount:.2f} for order {found['order']} was sent to the card it was paid with."]
        }


@contextmanager
def opened(context: ToolContext) -> Iterator[sqlite3.Connection]:
    """Open the database for one piece of work, which is kept if it ends well; it is filled on first use."""
    db = sqlite3.connect(context.data / "orders.sqlite", timeout=3, isolation_level=None)
    db.row_factory = sqlite3.Row
    try:
        db.execute("BEGIN IMMEDIATE")
        for statement in TABLES.split(";"):
            db.execute(statement)
        if db.execute("SELECT 1 FROM orders").fetchone() is None:
            with SEED.open(encoding="utf-8", newline="") as file:
                rows = [tuple(row.values()) for row in csv.DictReader(file)]
            db.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * 11)})", rows)
        yield db
        db.execute("COMMIT")
    finally:
        # What was not committed is rolled back.
        db.close()


def looked_up(db: sqlite3.Connection, order: str, context: ToolContext) -> dict[str, Any]:
    """Return an order that who asks may hear of; another customer's is as unknown as one that does not exist."""
    row = db.execute('SELECT * FROM orders WHERE "order" = ?', (order.upper(),)).fetchone()
    if row is None or (context.customer_id and context.customer_id != row["customer"]):
        raise Refused(f"There is no order {order.upper()} of this customer.")
    return dict(row)


def sent_back(db: sqlite3.Connection, order: str, context: ToolContext) -> float:
    """Return what other refunds have sent back for an order."""
    row = db.execute(
        'SELECT total(amount) FROM refunds WHERE "order" = ? AND key != ?', (order.upper(), context.key)
    ).fetchone()
    return round(float(row[0]), 2)


def own(db: sqlite3.Connection, order: str, context: ToolContext) -> dict[str, Any]:
    """Return an order of the customer's own; nobody else may change anything about it."""
    if not context.customer_id:
        raise Refused("The app has not said who asks, so nothing is changed about an order.")
    return looked_up(db, order, context)


def written(found: dict[str, Any]) -> dict[str, Any]:
    """Return an order with its dates as people write them."""
    days = {name: date.fromisoformat(found[name]) for name in ("shipped", "delivered") if found[name]}
    return {**found, **{name: f"{day.day} {day:%B} {day.year}" for name, day in days.items()}}
