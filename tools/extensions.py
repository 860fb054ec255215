"""An assistant's own Python files: loaded by path under a private name, never through the import path.

A file stands alone: it may import what is installed, and nothing that lies beside it. What runs is what the folder
holds; code that a database holds is never run.
"""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
import traceback
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from policies.errors import ConfigError

PREFIX = "handrail_extension_"
"""How the private names of such modules begin."""
_loaded: dict[str, ModuleType] = {}
_loading = threading.RLock()


def load_extension(folder: Path, file: str) -> ModuleType:
    """Return the module of a Python file of an assistant folder; ``file`` is its path inside the folder.

    The same text at the same place is run once in a process; a changed one becomes another module. Nothing is
    written beside it. Raises ``ConfigError`` that names file, line and remedy: when it lies outside of the folder,
    is missing, or fails to run.
    """
    path = extension_path(folder, file)
    text = extension_text(folder, file)
    name = PREFIX + hashlib.sha256(f"{path}\0{text}".encode()).hexdigest()[:24]
    with _loading:
        if name not in _loaded:
            _loaded[name] = _run(name, path, text)
        return _loaded[name]


def extension_path(folder: Path, file: str) -> Path:
    """Return where a Python file of a folder is, links followed; raises ``ConfigError`` when that is outside."""
    inside = folder.resolve()
    path = (inside / file).resolve()
    if not path.is_relative_to(inside) or path.suffix != ".py":
        raise ConfigError(
            f"{folder / file}: this is no Python file inside the assistant's folder.",
            remedy="Name a file of the folder, such as `actions.py`.",
        )
    return path


def extension_text(folder: Path, file: str) -> str:
    """Return the text of a Python file of a folder, line ends and all; raises ``ConfigError``."""
    path = extension_path(folder, file)
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{folder / file}: the file is missing.", remedy="Write it, or mend its name in assistant.yaml."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / file}: can't be read: {error}.", remedy="Save it as UTF-8 text.") from error


def _run(name: str, path: Path, text: str) -> ModuleType:
    module = module_from_spec(ModuleSpec(name, None, origin=str(path)))
    module.__file__ = str(path)
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    # Types are looked up by their module's name, by pydantic and by dataclasses.
    sys.modules[name] = module
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(
            f"{path}:{_line(error, path)}: the file can't be loaded: {type(error).__name__}: {error}.",
            remedy="Mend the file and start again; it may import what is installed, and no file beside it.",
        ) from error
    return module


def _line(error: BaseException, path: Path) -> int:
    """Return the line of a file at which an error arose, the innermost of several; 1 when it is not known."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] or 1 if lines else 1
