"""The vault: the values behind a conversation's placeholders, encrypted and erasable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import bindparam, delete, insert, select

from policies.personal_data import Found, mask
from tools.storage import tables
from tools.storage.store import Tx

_v = tables.vault.c
_t = tables.content_salt.c
_NAME = "[NAME_"
_OF_IT = (_v.workspace_id == bindparam("ws"), _v.conversation_id == bindparam("conversation"))

_INSERT = insert(tables.vault)
_VALUES = select(_v.placeholder, _v.ciphertext).where(*_OF_IT).order_by(_v.placeholder)
_VALUES_BEHIND = _VALUES.where(_v.placeholder.in_(bindparam("wanted", expanding=True)))
_BY_DIGEST = select(_v.digest, _v.placeholder).where(*_OF_IT, _v.digest.in_(bindparam("digests", expanding=True)))
_PLACEHOLDERS = select(_v.placeholder).where(*_OF_IT)
_ERASE = delete(tables.vault).where(*_OF_IT)
_ERASE_SALT = delete(tables.content_salt).where(
    _t.workspace_id == bindparam("ws"), _t.conversation_id == bindparam("conversation")
)


def values(tx: Tx, conversation_id: str, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Return the value behind each placeholder of a conversation, or behind those that are wanted."""
    if wanted is None:
        rows = tx.all(_VALUES, conversation=conversation_id)
    else:
        rows = tx.all(_VALUES_BEHIND, conversation=conversation_id, wanted=sorted(wanted)) if wanted else []
    return {row["placeholder"]: tx.sealer.open(row["ciphertext"]) for row in rows}


def placeholders(tx: Tx, conversation_id: str) -> frozenset[str]:
    """Return the placeholders that stand for something in a conversation."""
    return frozenset(row["placeholder"] for row in tx.all(_PLACEHOLDERS, conversation=conversation_id))


def masked(
    tx: Tx,
    conversation_id: str,
    text: str,
    found: Sequence[Found] | None = None,
    *,
    keep: Collection[str] = (),
) -> str:
    """Return a text with placeholders for its personal data, whose values are stored when they are new.

    ``found`` is what a finder found in this very text, before the transaction; without it, patterns alone are
    looked for. A value that the conversation knows keeps its placeholder; it is found by digest, and only names,
    which are written in many ways, are decrypted. The placeholders to ``keep`` stay as they are.
    """
    first = mask(text, {}, found, keep)
    if not first.values:
        return first.text
    result = mask(text, _known(tx, conversation_id, first.values), found, keep)
    put(tx, conversation_id, result.values)
    return result.text


def _known(tx: Tx, conversation_id: str, found: Mapping[str, str]) -> dict[str, str]:
    """Return the placeholders of values that are stored, and the last of each kind, after which new ones go on."""
    stored = sorted(placeholders(tx, conversation_id), key=_number)
    last = {each.split("_")[0]: each for each in stored}
    digests = {tx.sealer.digest(value): value for value in found.values()}
    rows = tx.all(_BY_DIGEST, conversation=conversation_id, digests=list(digests))
    known = {each: each for each in last.values()} | {digests[row["digest"]]: row["placeholder"] for row in rows}
    if any(each.startswith(_NAME) for each in found):
        names = [each for each in stored if each.startswith(_NAME)]
        known |= {name: each for each, name in values(tx, conversation_id, names).items()}
    return known


def _number(placeholder: str) -> int:
    return int(placeholder[1:-1].split("_")[1])


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
