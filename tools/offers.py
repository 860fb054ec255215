"""What an assistant offers to do: tools of its own, and those of the servers that it names."""

from __future__ import annotations

from pathlib import Path

from tools.actions import Action
from tools.assistants import Assistant
from tools.own_actions import load_actions


async def open_actions(assistant: Assistant, data: Path) -> dict[str, Action]:
    """Return what assistant.yaml offers, by name; ``data`` is where tools may keep something.

    Raises ``ConfigError`` for a function that is wrong, and for a server that does not answer in its time.
    """
    actions = load_actions(assistant, data)
    if assistant.file.mcp:
        # Its libraries take a second to load, which nobody waits for who names no server.
        from tools.mcp_servers import load_server_actions

        actions |= await load_server_actions(assistant)
    return actions
