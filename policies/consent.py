"""Consent: what the customer of a conversation agreed to, and what follows for those who would use it."""

from __future__ import annotations

from collections.abc import Mapping

SCOPES = ("third_party_llm", "train_eval")


def may_use(consent: Mapping[str, object], model_private: bool) -> bool:
    """Whether a model may read the conversation: one marked private always, one of others with consent alone.

    Whatever is not plainly a yes is a no.
    """
    return model_private or consent.get("third_party_llm") is True


def changed(before: Mapping[str, bool], given: Mapping[str, bool | None]) -> dict[str, bool]:
    """Return the consent that holds once a customer has said more; where ``given`` is silent, ``before`` stays."""
    return {scope: _said(before.get(scope), given.get(scope)) for scope in SCOPES}


def _said(before: bool | None, given: bool | None) -> bool:
    return given if given is not None else before is True
