"""Each way a turn ends is told in plain words, and to staff decision by decision."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from graphs.explaining import Told, details, story
from policies.types import JSON

UNDERSTOOD = "The message was understood to be about this: How tea is sent."
SEARCHED = "The articles were searched."
TAKEN = "The answer was taken from the articles “Delivery” and “Refunds”."
GATED = "Each drafted sentence was compared with the articles."
DRAWN = "Each drafted sentence was compared with what it was drawn from."
CHECKED = "The whole was checked: whether it answers the message, and whether the rules allow it."
SENT = "The answer was sent."


def decision(kind: str, outcome: str, *codes: str, node: str = "", **grounds: Any) -> JSON:
    """Return a decision as the ledger has it."""
    reasons = [{"code": code, "text": f"Secret {code}.", "rule_id": "r-1"} for code in codes]
    actor = {"type": "assistant", "id": "tea-shop", "version": "v1"}
    own = {"stream": "con_1", "kind": kind, "node": node or kind, "outcome": outcome, "reasons": reasons}
    return {**own, "actor": actor, "tier": "local", "latency_ms": 4.2, "at": "2026-01-05", **grounds}


ROUTE = decision("route", "retrieve", intent="delivery", confidence=0.9)
FOUND = decision("retrieve", "found", lineage=["doc_1:0", "doc_2:0"], index_version="idx_1")
GATE = decision("gate", "passed", sentences=2)
WHOLE = decision("verdict", "deliver", confidence=0.8)
ASKED = decision("approval", "asked", "rule.require", action="refund")
ASKED_SAYS = (
    "A person was asked whether something may be done, because a rule of this assistant asks for a person in such "
    "a case."
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A way a turn ends."""

    id: str
    outcome: str | None
    decisions: list[JSON]
    says: list[str]
    status: str = "finished"
    titles: tuple[str, ...] = ()
    asked_because: tuple[str, ...] = field(default=())
    looked_up: bool = False


def closed(outcome: str, *codes: str, node: str = "escalate") -> JSON:
    """Return the decision that ends a turn."""
    return decision("close", outcome, *codes, node=node)


CASES = [
    Case(
        id="answered",
        outcome="answered",
        decisions=[ROUTE, FOUND, GATE, WHOLE, closed("answered", node="deliver")],
        titles=("Delivery", "Refunds"),
        says=[UNDERSTOOD, TAKEN, GATED, CHECKED, SENT],
    ),
    Case(
        id="answered with an action and a sentence less",
        outcome="answered",
        decisions=[ROUTE, FOUND, decision("action", "done"), decision("gate", "refused some"), WHOLE],
        titles=("Delivery",),
        says=[
            UNDERSTOOD,
            "What had to be looked up or done for it was done.",
            "The answer was taken from the article “Delivery”.",
            "Each drafted sentence was compared with the articles; what has no support there was left out.",
            CHECKED,
            SENT,
        ],
    ),
    Case(
        id="done once a person had approved it",
        outcome="answered",
        decisions=[
            ROUTE,
            FOUND,
            decision("action", "done", action="order"),
            ASKED,
            decision("review", "approve", "review.approve", action="refund"),
            decision("action", "done", action="refund"),
            GATE,
            WHOLE,
        ],
        looked_up=True,
        says=[
            UNDERSTOOD,
            "What needed nobody's approval was looked up or done.",
            ASKED_SAYS,
            "A person approved it.",
            "Then it was done.",
            "The answer was taken from what was looked up or done for it.",
            DRAWN,
            CHECKED,
            SENT,
        ],
    ),
    Case(
        id="approved and refused",
        outcome="handed_over",
        decisions=[
            ROUTE,
            ASKED,
            decision("review", "approve", "review.approve", action="refund"),
            decision("action", "refused", "act.refused", action="refund"),
            closed("handed_over", "act.refused"),
        ],
        says=[
            UNDERSTOOD,
            ASKED_SAYS,
            "A person approved it.",
            "It was refused all the same, and nothing was done.",
            "A person was asked to answer, because something that had to be done for it needs a person.",
        ],
    ),
    Case(
        id="approved and cut off",
        outcome="handed_over",
        decisions=[
            ROUTE,
            ASKED,
            decision("review", "approve", "review.approve", action="refund"),
            decision("action", "unknown", "act.unknown", action="refund"),
            closed("handed_over", "act.unknown"),
        ],
        says=[
            UNDERSTOOD,
            ASKED_SAYS,
            "A person approved it.",
            "It was begun and could not be finished.",
            "A person was asked to answer, because something that had to be done for it needs a person.",
        ],
    ),
    Case(
        id="waiting for an approval",
        outcome=None,
        status="waiting",
        decisions=[ROUTE, FOUND, decision("action", "done", action="order"), ASKED],
        says=[
            UNDERSTOOD,
            SEARCHED,
            "What needed nobody's approval was looked up or done.",
            ASKED_SAYS,
            "It waits for that person now.",
        ],
    ),
    Case(
        id="reviewed",
        outcome="reviewed",
        decisions=[ROUTE, FOUND, GATE, WHOLE, decision("review", "approve", "review.approve")],
        titles=("Delivery", "Refunds"),
        says=[
            UNDERSTOOD,
            TAKEN,
            GATED,
            CHECKED,
            "A person was asked to look before anything is sent, because a person looks first at answers on this "
            "subject.",
            "A person looked at the draft and approved it.",
            "Then the answer was sent.",
        ],
    ),
    Case(
        id="waiting",
        outcome=None,
        status="waiting",
        decisions=[ROUTE, FOUND, GATE, WHOLE],
        asked_because=("rule.review",),
        says=[
            UNDERSTOOD,
            SEARCHED,
            DRAWN,
            CHECKED,
            "A person was asked to look before anything is sent, because a rule of this assistant asks for a "
            "person in such a case.",
            "It waits for that person now.",
        ],
    ),
    Case(
        id="said",
        outcome="said",
        decisions=[decision("route", "say", "rule.say", intent="delivery"), closed("said", node="deliver")],
        says=[
            UNDERSTOOD,
            "A prepared text was sent instead of a draft, because the policy of this assistant has one for this.",
        ],
    ),
    Case(
        id="out of scope",
        outcome="handed_over",
        decisions=[
            decision("route", "escalate", "route.out_of_scope", intent=None),
            closed("handed_over", "router.nearest", "route.out_of_scope"),
        ],
        says=[
            "The message was taken to be about nothing that this assistant answers.",
            "A person was asked to answer, because it is about nothing that this assistant answers.",
        ],
    ),
    Case(
        id="unclear",
        outcome="handed_over",
        decisions=[
            decision("route", "escalate", "route.unsure", intent="delivery"),
            closed("handed_over", "route.unsure"),
        ],
        says=[
            "It was not clear enough what the message is about.",
            "A person was asked to answer, because it was not clear enough what it is about.",
        ],
    ),
    Case(
        id="nothing found",
        outcome="handed_over",
        decisions=[ROUTE, decision("retrieve", "found", lineage=[]), closed("handed_over", "retrieve.nothing")],
        says=[
            UNDERSTOOD,
            "The articles were searched, and none has anything on it.",
            "A person was asked to answer, because no article has anything on it.",
        ],
    ),
    Case(
        id="no draft",
        outcome="handed_over",
        decisions=[ROUTE, FOUND, decision("abstain", "escalate"), closed("handed_over", "draft.no_answer")],
        says=[
            UNDERSTOOD,
            SEARCHED,
            "A person was asked to answer, because the articles do not answer it clearly enough.",
        ],
    ),
    Case(
        id="rejected",
        outcome="handed_over",
        decisions=[
            ROUTE,
            decision("verdict", "review", "rule.review"),
            decision("review", "reject", "review.reject"),
            closed("handed_over", "rule.review", "review.reject"),
        ],
        says=[
            UNDERSTOOD,
            CHECKED,
            "A person was asked to look before anything is sent, because a rule of this assistant asks for a "
            "person in such a case.",
            "A person looked at the draft and did not approve it.",
            "A person was asked to answer, because a person who looked at the draft wanted to answer in person.",
        ],
    ),
    Case(
        id="unknown reason",
        outcome="handed_over",
        decisions=[closed("handed_over", "new.code")],
        says=["A person was asked to answer, because this assistant was not sure enough to answer alone."],
    ),
    Case(
        id="taken over",
        outcome="handed_over",
        decisions=[ROUTE, closed("handed_over", "deliver.handed_over", node="demote")],
        says=[UNDERSTOOD, "A person took the conversation over before the answer was sent."],
    ),
    Case(
        id="with a person already",
        outcome="handed_over",
        decisions=[],
        says=["A person has the conversation and answers."],
    ),
    Case(
        id="degraded",
        outcome="degraded",
        decisions=[ROUTE, closed("degraded", "segment.failed")],
        says=[UNDERSTOOD, "Something did not work here, so a person was asked to answer."],
    ),
    Case(
        id="superseded",
        outcome="superseded",
        decisions=[],
        says=["A newer message came before anything was shown; both are answered together."],
    ),
    Case(
        id="stale",
        outcome="stale",
        decisions=[ROUTE],
        says=[UNDERSTOOD, "A newer message came first, so this answer was not sent."],
    ),
    Case(
        id="cancelled",
        outcome="cancelled",
        decisions=[decision("cancel", "cancelled", "run.cancelled")],
        says=["The work on it was stopped before an answer was sent."],
    ),
    Case(id="at work", outcome=None, status="running", decisions=[], says=["It is being worked on."]),
    Case(
        id="reversed",
        outcome="cancelled",
        decisions=[
            decision("reversal", "reversed", reverses={"seq": 1, "kind": "cancel", "outcome": "cancelled"})
        ],
        says=[
            "The work on it was stopped before an answer was sent.",
            "Later a person reversed a decision that was made here; that is on record and changes nothing else.",
        ],
    ),
]


def told(case: Case) -> Told:
    return Told(
        status=case.status,
        outcome=case.outcome,
        decisions=[{**each, "seq": seq} for seq, each in enumerate(case.decisions, start=1)],
        titles=case.titles,
        subjects={"delivery": "How tea is sent."},
        asked_because=case.asked_because,
        looked_up=case.looked_up,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_ending_is_told(case: Case) -> None:
    assert story(told(case)) == case.says


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_story_gives_nothing_away(case: Case) -> None:
    text = " ".join(story(told(case)))
    assert not re.search(r"secret|r-1|delivery\b(?!”)|doc_|idx_|local|tea-shop|\d", text)


def test_a_subject_that_is_not_known_any_more_is_not_named() -> None:
    found = replace(told(CASES[0]), subjects={})
    assert story(found)[0] == "The message was understood to be about a subject that this assistant knows."


def test_staff_read_each_decision_with_its_grounds() -> None:
    reverses = {"seq": 1, "kind": "route", "outcome": "escalate"}
    person = {"type": "staff", "id": "ann"}
    decisions = [
        {**decision("route", "escalate", "route.unsure", intent="delivery", confidence=0.41), "seq": 1},
        {**FOUND, "seq": 2},
        {**decision("guard", "escalate", node="intake"), "seq": 3},
        {**decision("reversal", "reversed", reverses=reverses, actor=person, tier="person"), "seq": 4},
    ]
    grounds = "(assistant tea-shop version v1, tier local, after 4.2 ms, 2026-01-05)"
    assert [(each.seq, each.says, each.reversed_by) for each in details(decisions)] == [
        (
            1,
            "The router found delivery with a confidence of 41%; next is escalate. "
            f"Why: Secret route.unsure. [route.unsure; rule r-1] {grounds}",
            4,
        ),
        (2, f"Search in index idx_1 found 2 passages: doc_1:0, doc_2:0. {grounds}", None),
        (3, f"The step intake decided (guard): escalate. {grounds}", None),
        (
            4,
            "Decision 1 (route: escalate) is reversed; nothing else changed by that. "
            "(staff ann, tier person, after 4.2 ms, 2026-01-05)",
            None,
        ),
    ]
