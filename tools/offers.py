"""What an assistant offers to do: tools of its own, and those of the servers that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from policies.errors import ConfigError
from policies.expressions import arguments_in, facts_in
from tools.actions import Action, HasFacts, parameters_of
from tools.assistants import Assistant, line_of
from tools.own_actions import load_actions

Secret = Callable[[str], SecretStr | None]
"""Says what an environment variable holds."""


async def open_actions(assistant: Assistant, data: Path, secret: Secret = lambda _name: None) -> dict[str, Action]:
    """Return what assistant.yaml offers, by name; ``data`` is where tools may keep something.

    ``secret`` knows the variables that headers of servers are made of. Raises ``ConfigError`` for a function that
    is wrong, for a variable that is not set, and for a server that does not answer in its time.
    """
    actions = load_actions(assistant, data)
    if assistant.file.mcp:
        # Its libraries take a second to load, which nobody waits for who names no server.
        from tools.mcp_servers import load_server_actions

        actions |= await load_server_actions(assistant, secret)
    require_known_arguments(assistant, actions)
    return actions


def require_known_arguments(assistant: Assistant, actions: Mapping[str, Action]) -> None:
    """Make sure that rules on one action name arguments that it takes, and facts only where it has any.

    Raises ``ConfigError`` with the line.
    """
    for number, rule in enumerate(assistant.policy.rules):
        if rule.on != "action" or rule.tool is None or rule.tool not in actions:
            continue
        action = actions[rule.tool]
        line = line_of(assistant.files["policy.yaml"], ("rules", number, "when"))
        place = f"{assistant.folder / 'policy.yaml'}:{line}: rules.{number}.when"
        taken = [each.name for each in parameters_of(action)]
        for name in arguments_in(rule.when):
            if name not in taken:
                raise ConfigError(
                    f"{place}: the tool {rule.tool!r} takes no argument {name!r}.",
                    remedy=f"Mend the name; it takes: {', '.join(taken) or 'none'}.",
                )
        if "facts" in facts_in(rule.when) and not (isinstance(action, HasFacts) and action.has_facts):
            raise ConfigError(
                f"{place}: the tool {rule.tool!r} has no facts.",
                remedy="Give it some, `@tool(effect=True, facts=FUNCTION)`, or leave them out of the rule.",
            )
