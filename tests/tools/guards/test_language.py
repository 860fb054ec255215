"""An answer is in the customer's language, short sentences and names notwithstanding."""

from __future__ import annotations

import time

import anyio
import pytest

from policies.guards import Finding, GuardRequest
from tests.policies.redteam import shares
from tools.guards.language import LanguageGuard, identify_language


def judged(text: str, language: str = "en", *, own: bool = False) -> Finding:
    return anyio.run(LanguageGuard(), GuardRequest(stage="output", text=text, language=language, own=own))


def test_a_sentence_in_another_language_is_told() -> None:
    found = judged("Die Rückerstattung dauert etwa fünf Werktage und ist kostenlos.")
    assert (found.score, found.reason.text) == (
        0.95,
        "The sentence seems to be in 'de', and the customer's language is 'en'.",
    )
    assert judged("You can return the item within 60 days.", "de").score >= 0.5
    assert judged("Вы можете вернуть товар.").score >= 0.5
    assert judged("You can return it.", "ja").score >= 0.5


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("OK.", "en"),
        ("Size M, color Sage", "en"),
        ("The Fjällräven tent and the Haglöfs pack are in stock.", "en"),
        ("See https://example.com/de/hilfe/der-die-das and write to [EMAIL_1].", "en"),
        ('Open "Die Hilfe und das Konto" in the app.', "en"),
        ("Sie können die Ware zurückgeben.", "de"),
        ("Le remboursement prend cinq jours.", "fr-CA"),
        ("商品は返品できます。", "ja"),
        ("Whatever language it is.", ""),
    ],
)
def test_what_is_in_the_language_or_in_none_passes(text: str, language: str) -> None:
    assert judged(text, language).score < 0.5


def test_policys_own_words_are_in_the_language_they_are_in() -> None:
    assert judged("Ein Kollege wird sich bei Ihnen melden.", own=True).score < 0.5


def test_the_language_of_a_message_is_english_when_in_doubt() -> None:
    assert [identify_language(each) for each in ("hola", "Wo bleibt denn nun mein schönes Paket?")] == ["en", "de"]


def test_the_figures_hold_on_the_red_team_file() -> None:
    found = shares(LanguageGuard(), "language")
    assert found.recall >= 0.93
    assert found.false_alarms == 0


def test_a_text_without_words_takes_no_longer_than_a_sentence() -> None:
    judged("Hello there, how are you?", "en")
    started = time.thread_time()
    for text in ("1" * 100_000, "AB" * 50_000, "ab-" * 30_000, "а" * 100_000, " " * 100_000):
        judged(text, "en")
        identify_language(text)
    assert time.thread_time() - started < 3


def test_a_long_text_is_judged_by_its_beginning() -> None:
    assert judged("Sie können die Ware zurückgeben. " * 200, "en").score >= 0.5
    assert judged(" " * 5_000 + "Sie können die Ware zurückgeben.", "en").score >= 0.5
    assert identify_language("Wo bleibt denn nun mein schönes Paket? " * 200) == "de"
