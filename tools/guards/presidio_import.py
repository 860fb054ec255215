"""Imports Presidio without what it drags in: spaCy and, behind it, torch and transformers.

Presidio's recognisers work on the text alone, but its package imports every engine for languages that it can use:
4 s and 410 MB. Here stand-ins take the places of those libraries while it is imported: 0.4 s and 35 MB. They are
gone afterwards, and other threads are never refused what they import.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, MutableSequence, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

_NAMED = frozenset({"spacy", "thinc"})
"""Imported by name at the top of Presidio's modules, and used by engines that are never made."""
_OPTIONAL = frozenset({"torch", "transformers", "stanza", "spacy_stanza", "gliner", "langextract", "azure"})
"""Presidio does without these."""
_lock = threading.Lock()


class _Anything(type):
    """The type of what stands in for a class: its attributes are decorators that do nothing."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_args, **_options: lambda decorated: decorated


class _StandIn(ModuleType):
    """A module in which every name is an empty class."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - what a package has

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Away(MetaPathFinder, Loader):
    """Stands before the other finders while one thread imports."""

    def __init__(self, named: frozenset[str]) -> None:
        self._named = named
        self._thread = threading.get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give a stand-in, or say that a module is not installed; to other threads, nothing."""
        del path, target
        top = fullname.partition(".")[0]
        if threading.get_ident() != self._thread:
            return None
        if top in _OPTIONAL:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return ModuleSpec(fullname, self, is_package=True) if top in self._named else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a stand-in."""
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""


def spacy_model() -> str | None:
    """Return the name of an English spaCy model that is installed, told by what packages declare of themselves."""
    names = sorted(each.name for each in entry_points(group="spacy_models"))
    return next((name for name in names if name.startswith("en_")), None)


def import_presidio() -> ModuleType:
    """Import Presidio, whole where a spaCy model is installed. Blocks for 0.4 s; for 4 s where it is."""
    with _lock:
        if spacy_model() is None and "presidio_analyzer" not in sys.modules:
            with _without_engines():
                import presidio_analyzer
        import presidio_analyzer
    return presidio_analyzer


@contextmanager
def _without_engines() -> Iterator[None]:
    loaded = {name.partition(".")[0] for name in sys.modules}
    away = _Away(frozenset(_NAMED - loaded))
    sys.meta_path.insert(0, away)
    try:
        yield
    finally:
        sys.meta_path.remove(away)
        for name, module in list(sys.modules.items()):
            if isinstance(module, _StandIn):
                del sys.modules[name]
