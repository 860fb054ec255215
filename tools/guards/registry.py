"""The guards there are: where each can stand, and how it is used where policy says nothing."""

from __future__ import annotations

from policies.bindings import KnownGuards
from policies.guards import Binding, Stage
from policies.types import Outcome

REVISE, ESCALATE = Outcome.REVISE, Outcome.ESCALATE
DEFAULTS: dict[str, dict[Stage, tuple[float, Outcome]]] = {
    "groundedness": {"output": (0.5, REVISE)},
    "injection": {"input": (0.5, ESCALATE), "passage": (0.5, REVISE), "tool": (0.5, REVISE)},
    "language": {"output": (0.5, REVISE)},
    "leaks": {"output": (0.5, REVISE), "tool": (0.5, REVISE)},
    "personal_data": {"output": (0.5, REVISE)},
    "promises": {"output": (0.5, REVISE)},
    "tone": {"output": (0.5, REVISE)},
}
"""By name and stage: from which score on a text has failed, and what follows."""
BESIDES: dict[str, tuple[Stage, ...]] = {"personal_data": ("passage", "tool"), "tone": ("input",)}
"""Where guards can stand besides, if policy puts them there."""

KNOWN = KnownGuards(
    stages={name: (*stages, *BESIDES.get(name, ())) for name, stages in DEFAULTS.items()},
    defaults=tuple(
        Binding(guard=name, stage=stage, threshold=threshold, effect=effect)
        for name, stages in DEFAULTS.items()
        for stage, (threshold, effect) in stages.items()
    ),
)
