"""The vault: the values behind a conversation's placeholders, encrypted and erasable."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Integer, bindparam, cast, delete, func, insert, null, select, union_all

from policies.personal_data import Found, Placeholders, Spotted, kind_of, spot, value_key
from tools.storage import tables
from tools.storage.store import Tx

_v = tables.vault.c
_t = tables.content_salt.c
_AT_ONCE = 5_000
"""Values in one statement: databases take 32,766 at most."""
_OF_IT = (_v.workspace_id == bindparam("ws"), _v.conversation_id == bindparam("conversation"))

_INSERT = insert(tables.vault)
_VALUES = select(_v.placeholder, _v.ciphertext).where(*_OF_IT).order_by(_v.placeholder)
_VALUES_BEHIND = _VALUES.where(_v.placeholder.in_(bindparam("wanted", expanding=True)))
# What stands between "[KIND_" and "]".
_NUMBER = cast(
    func.substr(_v.placeholder, func.length(_v.kind) + 3, func.length(_v.placeholder) - func.length(_v.kind) - 3),
    Integer,
)
_KNOWN = union_all(
    select(_v.kind, _v.digest, _v.placeholder, null().label("last")).where(
        *_OF_IT, _v.digest.in_(bindparam("digests", expanding=True))
    ),
    select(_v.kind, null(), null(), func.max(_NUMBER)).where(*_OF_IT).group_by(_v.kind),
)
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
    looked for. A value that the conversation knows keeps its placeholder. Those to ``keep`` stay as they are.
    """
    return _replaced(tx, conversation_id, [spot(text, found, keep)])[0]


def all_masked(
    tx: Tx, conversation_id: str, texts: Iterable[str], found: Mapping[str, Sequence[Found]]
) -> dict[str, str]:
    """Return several texts masked as ``masked`` does it, by text, at the cost of one; ``found`` is by text too."""
    several = list(dict.fromkeys(texts))
    done = _replaced(tx, conversation_id, [spot(text, found.get(text)) for text in several])
    return dict(zip(several, done, strict=True))


def _replaced(tx: Tx, conversation_id: str, texts: Sequence[Spotted]) -> list[str]:
    if not any(each.found for each in texts):
        return [each.text for each in texts]
    placeholders = _known(tx, conversation_id, {value_key(*each) for text in texts for each in text.values()})
    done = [placeholders.put_into(each) for each in texts]
    put(tx, conversation_id, placeholders.new)
    return done


def _known(tx: Tx, conversation_id: str, keys: Collection[str]) -> Placeholders:
    """Return the placeholders of values that are stored, and the last number of each kind; opens nothing."""
    digests = {tx.sealer.digest(key): key for key in keys}
    wanted = sorted(digests)
    rows = [
        row
        for first in range(0, len(wanted), _AT_ONCE)
        for row in tx.all(_KNOWN, conversation=conversation_id, digests=wanted[first : first + _AT_ONCE])
    ]
    return Placeholders(
        known={digests[row["digest"]]: row["placeholder"] for row in rows if row["digest"] is not None},
        highest={row["kind"]: row["last"] for row in rows if row["digest"] is None},
    )


def put(tx: Tx, conversation_id: str, new: Mapping[str, str]) -> None:
    """Store new values by placeholder."""
    rows = [
        {
            "conversation_id": conversation_id,
            "placeholder": placeholder,
            "kind": kind_of(placeholder),
            "digest": tx.sealer.digest(value_key(kind_of(placeholder), value)),
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
