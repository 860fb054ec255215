"""What an assistant's files say to every customer, put to the guards that need no model.

The server puts the same texts to all guards when it starts; here what they would say is known before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from policies.bindings import bind
from policies.errors import ConfigError
from policies.folder import AssistantFile, PolicyFile
from policies.guards import Binding, GuardRequest, guarding
from policies.leaks import LeakGuard
from policies.tone import ToneGuard
from tools.assistants import Assistant, line_of
from tools.guards.phrases import load_wording
from tools.guards.registry import KNOWN


@dataclass(frozen=True, kw_only=True)
class FixedText:
    """A text that is the same for every customer."""

    file: Path
    line: int
    field: str
    text: str


def require_own_words(assistant: Assistant) -> None:
    """Make sure that what an assistant's files say may leave; raises ``ConfigError`` with what may not."""
    models: dict[str, BaseModel] = {"assistant.yaml": assistant.file, "policy.yaml": assistant.policy}
    texts = [
        text
        for name, model in models.items()
        for text in fixed_texts(assistant.folder / name, assistant.files[name], model)
    ]
    require_decent(texts, assistant.bindings)


def fixed_texts(path: Path, source: str, model: BaseModel) -> Iterator[FixedText]:
    """Yield the texts for every customer that a file has."""
    for location, text in _said(model):
        field = ".".join(map(str, location))
        yield FixedText(file=path, line=line_of(source, location), field=field, text=text)


def _said(model: BaseModel) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(model, AssistantFile):
        yield ("greeting",), model.greeting
    if isinstance(model, PolicyFile):
        yield from ((("messages", name), text) for name, text in model.messages)
        yield from ((("answers", name), text) for name, text in model.answers.items())
        yield from ((("templates", name), text) for name, text in model.templates.items())
        yield from ((("rules", place, "say"), rule.say) for place, rule in enumerate(model.rules) if rule.say)


def require_decent(texts: Iterable[FixedText], bindings: Sequence[Binding] | None = None) -> None:
    """Make sure that texts hold no key and are decent; raises ``ConfigError`` with file, line and field of others.

    ``bindings`` say which guards policy has at the answer; without them they are as by default.
    """
    guards = _guards()
    bound = [each for each in (bind((), KNOWN) if bindings is None else bindings) if each.stage == "output"]
    wrong = []
    for each in texts:
        request = GuardRequest(stage="output", text=each.text, own=True)
        found = guarding(
            (binding, guards[binding.guard].judge(request)) for binding in bound if binding.guard in guards
        )
        wrong += [f"{each.file}:{each.line}: {each.field}: {finding.reason.text}" for finding in found.failed]
    if wrong:
        raise ConfigError("\n".join(wrong), remedy="Write it otherwise, or change the guard in `guards`.")


def _guards() -> dict[str, ToneGuard | LeakGuard]:
    tone, leaks = load_wording("tone"), load_wording("leaks")
    return {
        ToneGuard.name: ToneGuard(tone.prohibitions, tone.sets),
        LeakGuard.name: LeakGuard(leaks.prohibitions, leaks.sets),
    }
