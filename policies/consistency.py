"""What the files of an assistant say of each other: names in one that another must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from policies.bindings import KnownGuards, misbound
from policies.expressions import check_expression
from policies.folder import AssistantFile, IntentsFile, PolicyFile
from policies.guards import Stage
from policies.sections import GuardEntry, RuleEntry


@dataclass(frozen=True)
class Mistake:
    """Something that does not fit, at a place in policy.yaml."""

    where: tuple[str | int, ...]
    text: str


def mistakes(
    policy: PolicyFile, intents: IntentsFile, file: AssistantFile, guards: KnownGuards
) -> Iterator[Mistake]:
    """Yield what policy.yaml says that the other files, or the guards there are, do not bear out."""
    attributes = {str(name): str(each.type) for name, each in file.customer_attributes.items()}
    tools = sorted({tool for intent in intents.intents for tool in intent.tools})
    for number, rule in enumerate(policy.rules):
        if problem := check_expression(rule.when, rule.on, attributes):
            yield Mistake(("rules", number, "when"), problem)
        yield from _names(number, rule, policy, tools)
    known = {intent.name for intent in intents.intents}
    for name in policy.answers:
        if name not in known:
            text = f"there is no intent {name!r} in intents.yaml; mend the name or remove the answer"
            yield Mistake(("answers", name), text)
    yield from _misbound(policy.guards, guards)


def _misbound(entries: Sequence[GuardEntry], guards: KnownGuards) -> Iterator[Mistake]:
    taken: set[tuple[str, Stage]] = set()
    for number, entry in enumerate(entries):
        if wrong := misbound(entry, guards):
            yield Mistake(("guards", number, wrong[0]), wrong[1])
            continue
        places = [(entry.guard, stage) for stage in entry.stages or guards.usual(entry.guard)]
        if twice := [stage for guard, stage in places if (guard, stage) in taken]:
            text = f"{entry.guard!r} is bound at {twice[0]!r} above already; keep one, or give each its `stages`"
            yield Mistake(("guards", number, "guard"), text)
        taken |= {*places}


def _names(number: int, rule: RuleEntry, policy: PolicyFile, tools: list[str]) -> Iterator[Mistake]:
    if rule.template and rule.template not in policy.templates:
        known = ", ".join(policy.templates) or "none"
        text = f"there is no template {rule.template!r}; write it under `templates`, known are: {known}"
        yield Mistake(("rules", number, "template"), text)
    if rule.tool and rule.tool not in tools:
        text = f"no intent has the tool {rule.tool!r}; mend the name, known are: {', '.join(tools) or 'none'}"
        yield Mistake(("rules", number, "tool"), text)
