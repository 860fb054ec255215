"""What an app may tell about its customer: attributes that assistant.yaml declares, of their types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.errors import InputError
from policies.folder import Attribute

_TYPES: dict[str, type | tuple[type, ...]] = {"string": str, "number": (int, float), "boolean": bool}


def require_declared(declared: Mapping[str, Attribute], given: Mapping[str, Any]) -> None:
    """Raise ``InputError`` when an attribute is not declared or has another type."""
    for name, value in given.items():
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise InputError(f"The customer attribute {name!r} is not known.", remedy=f"Known are: {known}.")
        kind = declared[name].type
        # To Python, True is a number too.
        if not isinstance(value, _TYPES[kind]) or isinstance(value, bool) != (kind == "boolean"):
            raise InputError(f"The customer attribute {name!r} must be a {kind}.")
