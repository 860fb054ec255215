"""What concerns a whole installation: which key its vault was sealed with, and which one signs its ledger."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select

from policies.errors import ConfigError
from tools.storage import tables
from tools.storage.sealing import Sealer

_i = tables.installation.c
_NAME = "vault_key"
_LEDGER_KEY = "ledger_key"
_VALUE = select(_i.value).where(_i.name == bindparam("name"))


def require_key(connection: Connection, sealer: Sealer) -> None:
    """Note the key of a new database; raises ``ConfigError`` when a database was sealed with another one."""
    found = connection.execute(select(_i.value).where(_i.name == _NAME)).scalar_one_or_none()
    digest = sealer.digest("which key is this")
    if found is None:
        connection.execute(insert(tables.installation), [{"name": _NAME, "value": digest}])
    elif found != digest:
        raise ConfigError(
            "The vault key is not the one that this database was sealed with.",
            remedy="Give this process the key of the others: HANDRAIL_VAULT_KEY, or the file vault.key in the "
            "data folder.",
            code="vault.key",
        )


def noted_ledger_key(connection: Connection) -> str | None:
    """Return the public key that this database's ledger is signed with, or None before the first signature."""
    return connection.execute(_VALUE, {"name": _LEDGER_KEY}).scalar_one_or_none()


def require_ledger_key(connection: Connection, public_key: str) -> None:
    """Note the key of a first signature; raises ``ConfigError`` when the ledger is signed with another one."""
    found = noted_ledger_key(connection)
    if found is None:
        connection.execute(insert(tables.installation), [{"name": _LEDGER_KEY, "value": public_key}])
    elif found != public_key:
        raise ConfigError(
            "The ledger key is not the one that this database's ledger is signed with.",
            remedy="Give this process the key of the others: HANDRAIL_LEDGER_KEY, or the file ledger.key in the "
            "data folder.",
            code="ledger.key",
        )
