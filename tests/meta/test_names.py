"""Our flat names belong to nobody else in this environment."""

from __future__ import annotations

from importlib.metadata import packages_distributions

OURS = {"agents", "evals", "graphs", "policies", "server", "tools"}


def test_nobody_else_installs_our_names() -> None:
    owners = packages_distributions()
    assert {name: owners[name] for name in OURS & owners.keys()} == {}
