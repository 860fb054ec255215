"""The local router: which intent a message is about, how sure that is, and how far we may go alone.

No language model: sentence vectors and a calibrated classifier over the intents' examples. Whatever is not
clear makes the route stricter, never laxer: ``design/router.md`` has the reasons and the figures.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import anyio
import anyio.to_thread
import numpy as np

from policies.questions import says_something
from policies.types import Autonomy, Intent, Reason, Route, Turn
from tools.classifier import Corpus, Guess, TextClassifier, fit_classifier
from tools.encoder.ports import Encoder, Vectors
from tools.known import NONE_KNOWN, KnownQuestions
from tools.learned import lesson_key, load, save
from tools.models.mandate import Mandate

STRICTNESS = tuple(Autonomy)
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|\n+|(?<!\s),?\s++(?=(?:and )?also\b)", re.IGNORECASE)
_WORD = re.compile(r"[\w']+")
_FOLLOW_UP = re.compile(
    r"(and|but|or|so|also|then|what about|how about|what if|why"
    r"|it|its|it's|that|that's|this|those|these|they|them|same)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class RouteRequest:
    """One customer message with what came before it."""

    text: str
    history: tuple[Turn, ...] = ()
    """Earlier messages, oldest first, without this one."""
    previous_intent: str | None = None
    mandate: Mandate | None = None


@dataclass(frozen=True, kw_only=True)
class RouterSettings:
    """Where the router draws its lines; ``design/router.md`` says on which data they were chosen."""

    in_scope: float = 0.75
    """Below this probability of any intent, the route has none."""
    sure: float = 0.6
    """Below this confidence, rivals count and the strictest of them decides the autonomy."""
    rival: float = 0.15
    """An intent with at least this probability is a rival of the best one."""
    second_question: float = 0.45
    """A sentence this sure of a stricter intent makes the whole message stricter."""
    follow_up_words: int = 7
    """A message with more words stands for itself."""
    previous_intent: float = 2.0
    """How many times likelier a follow-up makes the previous intent."""
    nearest: int = 3
    """How many examples a route shows."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A route, and what else the message may be about."""

    route: Route
    rivals: tuple[str, ...] = ()
    """Intents that it could be instead, likeliest first."""
    asked_too: tuple[str, ...] = ()
    """Intents of its sentences taken alone, the best one among them as a rule."""


class LocalRouter:
    """Routes messages by the intents' examples; make one with ``LocalRouter.fit``."""

    def __init__(
        self,
        *,
        intents: Sequence[Intent],
        examples: Sequence[tuple[int, str]],
        classifier: TextClassifier,
        encoder: Encoder,
        fallback_queue: str,
        settings: RouterSettings,
    ) -> None:
        self._intents = tuple(intents)
        self._examples = tuple(examples)
        self._classifier = classifier
        self._encoder = encoder
        self._fallback_queue = fallback_queue
        self._settings = settings
        self._numbers = {intent.name: number for number, intent in enumerate(self._intents)}

    @classmethod
    async def fit(
        cls,
        intents: Sequence[Intent],
        out_of_scope: Sequence[str],
        encoder: Encoder,
        *,
        fallback_queue: str = "general",
        settings: RouterSettings | None = None,
        known: KnownQuestions = NONE_KNOWN,
        cache: Path | None = None,
    ) -> Self:
        """Learn the intents; ``out_of_scope`` are texts that belong to none and may be empty.

        Known questions that name an intent are examples of it. With ``cache``, what was learned is kept in that
        folder and the same lesson is not learned twice. Needs at least two intents, each with an example; raises
        ``ValueError`` otherwise.
        """
        if len(intents) < 2 or not all(intent.examples for intent in intents):
            raise ValueError("The router needs at least two intents, each with an example.")
        numbers = {intent.name: number for number, intent in enumerate(intents)}
        further = [(numbers[each.intent], each) for each in known.examples() if each.intent in numbers]
        own = [(number, text) for number, intent in enumerate(intents) for text in intent.examples]
        named = [(number, text) for number, intent in enumerate(intents) for text in _said_of(intent)]
        examples = [*((number, each.asked) for number, each in further), *own]
        taught = [*((number, each.read) for number, each in further), *own, *named]
        learned = await _learned(taught, out_of_scope, encoder, cache, [each.vector for _, each in further])
        return cls(
            intents=intents,
            examples=examples,
            classifier=learned,
            encoder=encoder,
            fallback_queue=fallback_queue,
            settings=settings or RouterSettings(),
        )

    async def __call__(self, request: RouteRequest) -> Route:
        """Route one message."""
        return (await self.read(request)).route

    async def read(self, request: RouteRequest) -> Reading:
        """Route one message, and say what else it may be about."""
        joined = self._joined(request)
        sentences = _sentences(request.text)
        texts = (joined or request.text, *sentences)
        vectors = await self._encoder.encode(texts)
        guess, *seconds = self._classifier.guess_all(Corpus(texts=texts, vectors=vectors))
        if joined is not None:
            guess = self._with_previous(guess, request.previous_intent)
        route = self._decide(guess, seconds)
        if joined is not None:
            reason = Reason(code="router.follow_up", text="Read together with the customer's previous message.")
            route = _with_reason(route, reason)
        return Reading(
            route=route,
            rivals=tuple(each.name for each in self._rivals(guess)),
            asked_too=tuple(each.name for each in self._asked_too(seconds)),
        )

    def _joined(self, request: RouteRequest) -> str | None:
        """Return the message with the one before it, if it only makes sense after that."""
        earlier = [turn.text for turn in request.history if turn.author == "customer"]
        words = len(_WORD.findall(request.text))
        if not earlier or words > self._settings.follow_up_words or not _FOLLOW_UP.match(request.text.strip()):
            return None
        return f"{earlier[-1]} {request.text}"

    def _with_previous(self, guess: Guess, previous: str | None) -> Guess:
        number = self._numbers.get(previous or "")
        if number is None:
            return guess
        odds = guess.probabilities.copy()
        odds[number] *= self._settings.previous_intent
        return replace(guess, probabilities=odds / odds.sum())

    def _decide(self, guess: Guess, seconds: Sequence[Guess]) -> Route:
        nearest = self._nearest(guess)
        if guess.in_scope < self._settings.in_scope:
            return self._rejected(guess, nearest)
        best = self._intents[int(guess.probabilities.argmax())]
        confidence = float(guess.probabilities.max() * guess.in_scope)
        reasons = [self._nearest_reason(nearest)]
        autonomy = best.autonomy
        if confidence < self._settings.sure:
            rivals = self._rivals(guess)
            reasons.append(_unsure(best, rivals, confidence))
            autonomy, stricter = _strictest(autonomy, rivals)
            reasons += stricter
        autonomy, stricter = _strictest(autonomy, self._asked_too(seconds), code="router.second_question")
        return Route(
            intent=best.name,
            queue=best.queue,
            priority=best.priority,
            confidence=confidence,
            in_scope=guess.in_scope,
            autonomy=autonomy,
            reasons=(*reasons, *stricter),
            nearest=tuple(self._examples[n][1] for n in nearest),
        )

    def _rejected(self, guess: Guess, nearest: Sequence[int]) -> Route:
        reason = Reason(
            code="router.out_of_scope",
            text=f"It is like none of the intents ({guess.in_scope:.0%} that it belongs to one).",
        )
        return Route(
            intent=None,
            queue=self._fallback_queue,
            priority="normal",
            confidence=1.0 - guess.in_scope,
            in_scope=guess.in_scope,
            autonomy=Autonomy.HUMAN,
            reasons=(reason, self._nearest_reason(nearest)),
            nearest=tuple(self._examples[n][1] for n in nearest),
        )

    def _rivals(self, guess: Guess) -> list[Intent]:
        order = np.argsort(-guess.probabilities)[1:]
        return [self._intents[n] for n in order if guess.probabilities[n] >= self._settings.rival]

    def _asked_too(self, seconds: Sequence[Guess]) -> list[Intent]:
        sure = [g for g in seconds if g.probabilities.max() * g.in_scope >= self._settings.second_question]
        return [self._intents[int(g.probabilities.argmax())] for g in sure]

    def _nearest(self, guess: Guess) -> list[int]:
        # The names and descriptions that were learned too come after the examples.
        nearness = guess.similar[: len(self._examples)]
        count = min(self._settings.nearest, len(nearness))
        best = np.argpartition(-nearness, count - 1)[:count]
        return [int(n) for n in best[np.argsort(-nearness[best])]]

    def _nearest_reason(self, nearest: Sequence[int]) -> Reason:
        number, text = self._examples[nearest[0]]
        return Reason(
            code="router.nearest", text=f"The nearest example is “{text}” ({self._intents[number].name})."
        )


async def _learned(
    taught: Sequence[tuple[int, str]],
    outside: Sequence[str],
    encoder: Encoder,
    cache: Path | None,
    encoded: Sequence[Vectors],
) -> TextClassifier:
    """Fit the classifier, or take what the cache has of the lesson; the first texts may be encoded already."""
    texts, labels = tuple(text for _, text in taught), [number for number, _ in taught]
    path = cache and cache / f"router-{lesson_key(encoder.id, texts, labels, outside)}.npz"
    if path and (known := await anyio.to_thread.run_sync(load, path)):
        return known
    vectors = np.vstack([*encoded, await encoder.encode([*texts[len(encoded) :], *outside])])
    inside = Corpus(texts=texts, vectors=vectors[: len(texts)])
    beyond = Corpus(texts=tuple(outside), vectors=vectors[len(texts) :])
    fitted = await anyio.to_thread.run_sync(partial(fit_classifier, inside, labels, beyond))
    if path:
        await anyio.to_thread.run_sync(save, path, fitted)
    return fitted


def _strictest(
    autonomy: Autonomy, others: Sequence[Intent], *, code: str = "router.stricter"
) -> tuple[Autonomy, list[Reason]]:
    """Return the strictest autonomy of all, with a reason if that changes it."""
    strictest = max(others, key=lambda intent: STRICTNESS.index(intent.autonomy), default=None)
    if strictest is None or STRICTNESS.index(strictest.autonomy) <= STRICTNESS.index(autonomy):
        return autonomy, []
    text = f"It may be about {strictest.name} too, which allows only {strictest.autonomy}."
    return strictest.autonomy, [Reason(code=code, text=text)]


def _unsure(best: Intent, rivals: Sequence[Intent], confidence: float) -> Reason:
    others = ", ".join(intent.name for intent in rivals[:3])
    text = f"Only {confidence:.0%} sure of {best.name}" + (f"; it could be {others}." if others else ".")
    return Reason(code="router.unsure", text=text)


def _with_reason(route: Route, reason: Reason) -> Route:
    return replace(route, reasons=(*route.reasons, reason))


def _sentences(text: str) -> list[str]:
    """Return the message's sentences of three words or more, if there are at least two."""
    parts = [part.strip() for part in _SENTENCE_END.split(text)]
    parts = [part for part in parts if says_something(part)]
    return parts if len(parts) > 1 else []


def _said_of(intent: Intent) -> list[str]:
    """Return what the intent's author says of it, which teaches as much as an example."""
    name = intent.name.replace("_", " ").replace("-", " ").lower()
    described = intent.description and intent.description.lower() != name
    return [name, intent.description] if described else [name]
