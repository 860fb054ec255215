"""The drafter: an answer made of quoted sentences, or an abstention."""

from __future__ import annotations

from dataclasses import dataclass

from policies.types import Passage, Route, Turn


@dataclass(frozen=True, kw_only=True)
class DraftRequest:
    """What a draft is made from."""

    question: str
    history: tuple[Turn, ...]
    passages: tuple[Passage, ...]
    route: Route
    rejected: tuple[str, ...] = ()
    """Sentences that a check refused; the draft must do without them."""
