"""The parts of the product that a suite can measure."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from evals.suite import MODELS, Suite
from evals.targets.base import Prepared


def prepare(suite: Suite) -> Prepared:
    """Read everything that a suite names; raises ``ConfigError`` for the first thing wrong.

    A target is imported only here: each brings its part of the product along, and runs that are there already are
    read and compared without.
    """
    name = suite.file.target if suite.file.target in MODELS else "guard"
    found: Callable[[Suite], Prepared] = import_module(f"evals.targets.{name}").prepare
    return found(suite)
