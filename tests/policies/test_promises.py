"""What policy forbids an answer to say is found, quotes and denials pass, and policy decides what that is."""

from __future__ import annotations

import time
from functools import cache

import anyio
import pytest
from pydantic import ValidationError

from policies.guards import Finding, GuardRequest
from policies.promises import FOUND, NOT_FOUND, SHIPPED, Prohibition, PromisesGuard, is_quoted, prohibited
from policies.sections import ProhibitionEntry
from policies.types import Reason
from tests.policies.redteam import cite, shares
from tools.guards.phrases import load_wording


@cache
def shipped() -> PromisesGuard:
    wording = load_wording("promises")
    return PromisesGuard(wording.prohibitions, wording.sets)


def guard_of(*entries: dict[str, object]) -> PromisesGuard:
    wording = load_wording("promises")
    few = [each for each in wording.prohibitions if each.id in ("names-a-competitor", "guarantees")]
    return PromisesGuard(
        prohibited([ProhibitionEntry.model_validate(each) for each in entries], few), wording.sets
    )


def judged(guard: PromisesGuard, text: str, *quotes: str, own: bool = False) -> Finding:
    citations = tuple(cite(each) for each in quotes)
    return anyio.run(guard, GuardRequest(stage="output", text=text, citations=citations, own=own))


def flags(guard: PromisesGuard, text: str, *quotes: str, own: bool = False) -> bool:
    return judged(guard, text, *quotes, own=own).score >= 0.5


def test_a_promise_is_found_with_its_place_and_a_reason_that_a_person_can_read() -> None:
    assert judged(shipped(), "Don't worry, we'll refund you today.") == Finding(
        guard="promises",
        score=FOUND,
        reason=Reason(
            code="guard.promises.promises-a-refund",
            text="Only a person may promise a refund.",
            rule_id="promises-a-refund",
        ),
        spans=((13, 29),),
    )
    assert judged(shipped(), "Refunds arrive within 5 days once we have the parcel.").score == NOT_FOUND


def test_what_is_quoted_whole_from_what_is_cited_may_be_said() -> None:
    sentence = "We will refund the order."
    assert flags(shipped(), sentence)
    assert not flags(shipped(), sentence, "Write to us. We will refund the order.")
    assert flags(shipped(), sentence, "We will refund the order if it is lost.")
    assert is_quoted("Fee: **$9**", [cite("fee: $9")])
    assert not is_quoted("...", [cite("...")])


def test_what_may_never_be_said_is_not_said_by_quoting_it() -> None:
    guard = guard_of({"id": "no-tents", "says": ["tents"], "reason": "No word of tents.", "unless": "never"})
    assert flags(guard, "We sell tents.", "We sell tents.")


def test_policys_own_words_may_promise() -> None:
    assert not flags(shipped(), "We will refund you today.", own=True)


def test_a_policy_adds_replaces_and_switches_off() -> None:
    guard = guard_of(
        {"id": "names-a-competitor", "says": ["summitco"]},
        {"id": "guarantees", "off": True},
        {"id": "speaks-of-stock", "matches": r"\b\d+ (left|in stock)\b", "reason": "Stock changes by the minute."},
    )
    assert flags(guard, "Summitco's tent is cheaper.")
    assert not flags(guard, "I guarantee it will fit.")
    assert judged(guard, "There are 3 left.").reason.text == "Stock changes by the minute."
    assert flags(guard_of(), "I guarantee it will fit.")


def test_the_shipped_prohibitions_are_those_that_are_named() -> None:
    found = load_wording("promises").prohibitions
    assert tuple(each.id for each in found) == SHIPPED
    assert [each.id for each in found if not each.says] == ["names-a-competitor"]


def test_new_words_leave_nothing_of_the_old_ones() -> None:
    before = Prohibition(id="guarantees", reason="No.", says=("swear",), allows=("if",), unless="never")
    entry = ProhibitionEntry.model_validate({"id": "guarantees", "says": ["promise"]})
    assert prohibited([entry], [before]) == (
        Prohibition(id="guarantees", reason="No.", says=("promise",), unless="never"),
    )


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"id": "own", "says": ["a (b"], "reason": "No."}, "bracket that is not closed"),
        ({"id": "own", "matches": "(", "reason": "No."}, "is no regular expression"),
        ({"id": "own", "says": ["a word"]}, "has a `reason`"),
        ({"id": "own", "reason": "No."}, "`says` or `matches`"),
        ({"id": "own", "off": True}, "no prohibition 'own' is shipped"),
        ({"id": "own", "say": ["a word"], "reason": "No."}, "Extra inputs"),
    ],
)
def test_an_entry_that_can_not_work_is_told(entry: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ProhibitionEntry.model_validate(entry)


def test_a_policys_pattern_takes_linear_time() -> None:
    guard = guard_of({"id": "own", "matches": r"(a+)+b", "reason": "No."})
    started = time.thread_time()
    assert not flags(guard, "a" * 20_000)
    assert time.thread_time() - started < 8


def test_the_figures_hold_on_the_red_team_file() -> None:
    found = shares(shipped(), "promises")
    assert found.recall >= 0.95
    assert found.false_alarms <= 0.012


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("We will **refund** you $50 today.", "We will **refund** you"),
        ("We will\nrefund\nyou $50.", "We will\nrefund\nyou"),
        ("We will re\u00adfund you.", "We will re\u00adfund you"),
        ("We w\u0456ll [refund](https://x.example) you.", "We w\u0456ll [refund](https://x.example) you"),
        ("Ｗｅ ｗｉｌｌ ｒｅｆｕｎｄ ｙｏｕ.", "Ｗｅ ｗｉｌｌ ｒｅｆｕｎｄ ｙｏｕ"),
        ("Good news\nWe will refund you\nThanks", "We will refund you"),
    ],
)
def test_a_promise_that_is_written_to_be_missed_is_found_at_its_place(text: str, place: str) -> None:
    start, end = judged(shipped(), text).spans[0]
    assert text[start:end] == place


def test_a_denial_reaches_over_the_end_of_a_line() -> None:
    assert not flags(shipped(), "We will not\nrefund you.")


def test_a_pattern_sees_what_is_read_too() -> None:
    guard = guard_of({"id": "mine", "reason": "R.", "matches": "(?i)moonbeam"})
    assert flags(guard, "Buy a moon\u200bbeam.")
    assert flags(guard, "Buy a **moonbeam**.")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"id": "guarantees", "off": True, "says": ["we swear"]}, "a prohibition that is off says nothing"),
        ({"id": "guarantees", "says": []}, "`says: []` forbids nothing"),
        ({"id": "mine", "reason": "R.", "matches": "a*"}, "matches the empty text"),
    ],
)
def test_an_entry_that_forbids_nothing_or_everything_is_told(entry: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem.replace("[", r"\[").replace("]", r"\]")):
        ProhibitionEntry.model_validate(entry)


@pytest.mark.parametrize(
    "text",
    [
        "Your return has been started.",
        "Your card was charged.",
        "I have cancelled your order.",
        "We've updated your shipping address.",
        "Your subscription has now been cancelled.",
        "You have been unsubscribed.",
        "Shipping costs CA$14.95; your card was charged.",
    ],
)
def test_an_effect_may_be_claimed_only_as_what_is_cited_has_it(text: str) -> None:
    assert judged(shipped(), text).reason.code == "guard.promises.claims-an-effect"
    assert not flags(shipped(), text, text)


@pytest.mark.parametrize(
    "text",
    [
        "Tell us your password to start a return.",
        "Reply with your card number to start a return.",
        "Please send us your full credit card number.",
        "Email your password and PIN to us.",
        "We need your card number and CVV.",
        "Could you share your CVV with me?",
        "What's your PIN?",
        "Customers confirm their password by email.",
        "Verify your card at larkspur-pay.example.",
    ],
)
def test_secrets_are_never_asked_for_even_where_an_article_does(text: str) -> None:
    assert judged(shipped(), text, text).reason.code == "guard.promises.asks-for-secrets"


@pytest.mark.parametrize(
    "text",
    [
        "Never send your card number by email.",
        "We'll never ask for your password.",
        "Your card is charged when your order ships.",
        "Your card was charged when the order shipped.",
        "Once your return has been started, print the label.",
        "Enter your gift card number and PIN at checkout.",
        "We will email you a link to reset your password.",
        "Give us the last four digits of your card number.",
        "Log in with your email address and password.",
        "Your order has not been cancelled.",
        "You are charged $2 per withdrawal.",
        "Your order is confirmed by email.",
        "Provide your current password and a new email address, and click Save.",
    ],
)
def test_what_only_speaks_of_effects_and_secrets_passes(text: str) -> None:
    assert not flags(shipped(), text)
