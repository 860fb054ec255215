"""The vault: the values behind a conversation's placeholders, encrypted and erasable."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, insert, select

from tools.storage import tables
from tools.storage.store import Tx

_v = tables.vault.c
_t = tables.content_salt.c
_OF_IT = (_v.workspace_id == bindparam("ws"), _v.conversation_id == bindparam("conversation"))

_INSERT = insert(tables.vault)
_VALUES = select(_v.placeholder, _v.ciphertext).where(*_OF_IT).order_by(_v.placeholder)
_PLACEHOLDERS = select(_v.placeholder).where(*_OF_IT)
_ERASE = delete(tables.vault).where(*_OF_IT)
_ERASE_SALT = delete(tables.content_salt).where(
    _t.workspace_id == bindparam("ws"), _t.conversation_id == bindparam("conversation")
)


def values(tx: Tx, conversation_id: str) -> dict[str, str]:
    """Return the value behind each placeholder of a conversation."""
    rows = tx.all(_VALUES, conversation=conversation_id)
    return {row["placeholder"]: tx.sealer.open(row["ciphertext"]) for row in rows}


def placeholders(tx: Tx, conversation_id: str) -> frozenset[str]:
    """Return the placeholders that stand for something in a conversation."""
    return frozenset(row["placeholder"] for row in tx.all(_PLACEHOLDERS, conversation=conversation_id))


def put(tx: Tx, conversation_id: str, new: Mapping[str, str]) -> None:
    """Store new values by placeholder."""
    rows = [
        {
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
        tx.insert(_INSERT, rows)


def erase(tx: Tx, conversation_id: str) -> int:
    """Forget a conversation's personal data and the salt of its digests; return how many values went."""
    tx.change(_ERASE_SALT, conversation=conversation_id)
    return tx.change(_ERASE, conversation=conversation_id)
