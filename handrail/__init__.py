"""Handrail: AI workflow assistants with people in the loop, self-hosted.

An app imports ``Client`` from here, and its assistant's Python files import ``tool`` and what goes with it; that
brings none of our flat package names (``agents``, ``tools``, ``server`` ...) into its process. The command line
and the server call ``use_own_packages`` first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handrail.client import Client
    from handrail.graphing import WorkflowContext, ask, graph
    from handrail.tooling import Found, Refused, ToolContext, tool

__all__ = [
    "Client",
    "Found",
    "Refused",
    "ToolContext",
    "WorkflowContext",
    "ask",
    "graph",
    "tool",
    "use_own_packages",
]
__version__ = "0.1.0"


def use_own_packages() -> None:
    """Put our packages first on the import path: the checkout's, or ``handrail/_root`` of an installed wheel."""
    here = Path(__file__).resolve().parent
    root = here / "_root"
    sys.path.insert(0, str(root if root.is_dir() else here.parent))


def __getattr__(name: str) -> Any:
    if name == "Client":
        from handrail.client import Client

        return Client
    if name in ("Found", "Refused", "ToolContext", "tool"):
        from handrail import tooling

        return getattr(tooling, name)
    if name in ("WorkflowContext", "ask", "graph"):
        from handrail import graphing

        return getattr(graphing, name)
    raise AttributeError(f"module 'handrail' has no attribute {name!r}")
