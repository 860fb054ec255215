"""Keeps replies, to give them again to exactly the same request of the same workspace."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import asdict, dataclass, replace

import anyio
import orjson
from pydantic import BaseModel

from tools.models.ports import Completion, ModelRequest, Usage
from tools.models.prompts import Prompt
from tools.models.settings import ModelSettings

NOTHING = Usage()


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What kept replies have saved one workspace."""

    calls: int = 0
    usage: Usage = NOTHING


@dataclass(frozen=True, kw_only=True)
class _Kept:
    completion: Completion
    until: float
    workspace_id: str


class ExactCache:
    """A bounded number of replies, in memory, each for a limited time; the one used longest ago goes first."""

    def __init__(self, entries: int, seconds: float) -> None:
        self._entries = entries
        self._seconds = seconds
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._saved: dict[str, Saved] = {}

    def get(self, key: str) -> Completion | None:
        """Return a kept reply, with what it cost when it was asked for, and count that as saved."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= anyio.current_time():
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        before, usage = self.saved(kept.workspace_id), kept.completion.usage
        self._saved[kept.workspace_id] = Saved(calls=before.calls + 1, usage=before.usage + usage)
        return replace(kept.completion, cached=True, calls=0, value=_copied(kept.completion.value), degraded=())

    def put(self, key: str, completion: Completion, request: ModelRequest) -> None:
        """Keep a reply that was whole."""
        if self._entries < 1 or not completion.whole:
            return
        self._kept[key] = _Kept(
            completion=replace(completion, value=_copied(completion.value)),
            until=anyio.current_time() + self._seconds,
            workspace_id=request.account.workspace_id,
        )
        self._kept.move_to_end(key)
        if len(self._kept) > self._entries:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Drop all replies, as after an erasure: they may say again what somebody wrote."""
        self._kept.clear()

    def saved(self, workspace_id: str) -> Saved:
        """Return what kept replies have saved a workspace since the process began."""
        return self._saved.get(workspace_id, Saved())


def cache_key(
    settings: ModelSettings, request: ModelRequest, prompt: Prompt, schema: type[BaseModel] | None
) -> str:
    """Return a digest of everything that a reply depends on or that decides who may see it."""
    parts = [
        request.account.workspace_id,
        [settings.name, settings.base_url, settings.max_tokens, settings.temperature, settings.structured],
        repr(sorted(settings.options.items())),
        [request.task, request.prompt_version, request.policy_version],
        request.passages,
        [sorted((name, repr(value)) for name, value in request.consent.items()), request.private_only],
        [asdict(each) for each in prompt.messages],
        None if schema is None else [schema.__name__, schema.model_json_schema()],
    ]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _copied(value: BaseModel | None) -> BaseModel | None:
    return None if value is None else value.model_copy(deep=True)
