"""The vault: the values behind a conversation's placeholders, encrypted and erasable."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from tools.storage import tables
from tools.storage.store import Tx

_v = tables.vault.c


def values(tx: Tx, conversation_id: str) -> dict[str, str]:
    """Return the value behind each placeholder of a conversation."""
    rows = tx.all(
        select(_v.placeholder, _v.ciphertext)
        .where(_v.workspace_id == tx.workspace_id, _v.conversation_id == conversation_id)
        .order_by(_v.placeholder)
    )
    return {row["placeholder"]: tx.sealer.open(row["ciphertext"]) for row in rows}


def put(tx: Tx, conversation_id: str, new: Mapping[str, str]) -> None:
    """Store new values by placeholder."""
    rows = [
        {
            "workspace_id": tx.workspace_id,
            "conversation_id": conversation_id,
            "placeholder": placeholder,
            "kind": placeholder[1:].split("_")[0],
            "digest": tx.sealer.digest(value),
            "ciphertext": tx.sealer.seal(value),
            "created_at": tx.now(),
        }
        for placeholder, value in new.items()
    ]
    if rows:
        tx.run(insert(tables.vault), rows)


def erase(tx: Tx, conversation_id: str) -> int:
    """Forget a conversation's personal data and the salt of its digests; return how many values went."""
    salt = tables.content_salt.c
    tx.run(
        delete(tables.content_salt).where(
            salt.workspace_id == tx.workspace_id, salt.conversation_id == conversation_id
        )
    )
    return tx.run(
        delete(tables.vault).where(_v.workspace_id == tx.workspace_id, _v.conversation_id == conversation_id)
    )
