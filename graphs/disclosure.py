"""What is told of a subject: everything that is kept of a conversation, personal data put back, in plain JSON.

The page on privacy (``design/privacy.md``) documents the shape; ``FORMAT`` rises when it changes.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from graphs.consent import CHANGED
from graphs.explaining import details
from graphs.views import revealed
from graphs.workflows.views import workflow_run_view
from policies.errors import NotFound
from policies.types import JSON
from tools.storage import conversations, runs, subjects, vault
from tools.storage.audit import listing
from tools.storage.audit.listing import Wanted
from tools.storage.conversations import Conversation
from tools.storage.store import Tx

FORMAT = 1
MOST_DECISIONS = 100_000


def conversation_of(tx: Tx, conversation_id: str) -> JSON:
    """Return all that is kept of one conversation; raises ``NotFound``."""
    conversation = conversations.get(tx, conversation_id)
    decisions = listing.listed(tx, Wanted(stream=conversation_id), most=MOST_DECISIONS)
    parts = subjects.parts_of(tx, conversation_id)
    told = {
        "messages": _messages(tx, conversation_id, parts["runs"], decisions),
        **parts,
        "decisions": _decisions(decisions),
        "consent_history": _consents(conversation, decisions),
    }
    values = vault.values(tx, conversation_id)
    return {
        **asdict(conversation),
        **revealed(tx, conversation_id, told),
        "personal_data": sorted(values.values()),
    }


def workflow_run_of(tx: Tx, run_id: str) -> JSON | None:
    """Return all that is kept of one run of a workflow, or None when it is gone."""
    try:
        view = workflow_run_view(tx, runs.get(tx, run_id))
    except NotFound:
        return None
    decisions = listing.listed(tx, Wanted(stream=run_id), most=MOST_DECISIONS)
    parts = subjects.parts_of(tx, run_id)
    told = {"reviews": parts["reviews"], "actions": parts["actions"], "decisions": _decisions(decisions)}
    values = vault.values(tx, run_id)
    return {**asdict(view), **revealed(tx, run_id, told), "personal_data": sorted(values.values())}


def _messages(tx: Tx, conversation_id: str, runs: list[JSON], decisions: list[JSON]) -> list[JSON]:
    """Return the messages, each with who wrote it: an assistant's version, or the person whom the ledger names."""
    versions = {run["id"]: run["assistant_version"] for run in runs}
    writers = {each.get("message"): each["actor"].get("id") for each in decisions if each["kind"] == "reply"}
    told = []
    for message in conversations.messages(tx, conversation_id):
        version = versions.get(message.run_id or "") if message.author == "bot" else None
        source = {"assistant_version": version, "person": writers.get(message.id)}
        told.append({**asdict(message), "source": source})
    return told


def _decisions(decisions: list[JSON]) -> list[JSON]:
    says = details(decisions)
    return [
        {"at": each["at"], "seq": each["seq"], "run_id": each["run_id"], "kind": each["kind"], "says": said.says}
        for each, said in zip(decisions, says, strict=True)
    ]


def _consents(conversation: Conversation, decisions: list[JSON]) -> list[JSON]:
    """Return what the customer agreed to over time, what the conversation began with first."""
    changes = [each for each in decisions if each["kind"] == CHANGED]
    first: Any = changes[0]["before"] if changes else conversation.consent
    later = [{"at": each["at"], "by": each["actor"], "consent": each["after"]} for each in changes]
    return [{"at": conversation.created_at, "by": None, "consent": first}, *later]
