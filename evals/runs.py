"""The folder of a run: ``run.json`` says what was measured and what came out, ``cases.jsonl`` has a row a case.

Rows are appended as cases finish and reach the disk a second later at most, so a run that was killed goes on where
it stood. ``design/evals.md`` describes the files.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
import portalocker

from evals.figures import SEED
from evals.guards import assistant_folder
from evals.rows import Row, parse_row
from evals.suite import GuardSuite, RepliesSuite, Suite
from evals.targets.base import Prepared
from policies.errors import ConfigError, InputError
from policies.types import JSON
from tools.assistants import load_assistant
from tools.knowledge.folder import sources

FORMAT = 1
HEAD, CASES = "run.json", "cases.jsonl"
SOURCES = ("intents", "out_of_scope", "knowledge")
_SYNC_SECONDS = 1.0


class Run:
    """A run's folder. Reading needs nothing else; ``writing`` must be entered before rows are appended."""

    def __init__(self, folder: Path, head: JSON) -> None:
        self.folder = folder
        self.head = head
        self._file: int | None = None
        self._synced = 0.0
        self._entered = 0.0
        self._before = float(head.get("seconds", 0.0))

    @property
    def seconds(self) -> float:
        """How long it has been written to, this sitting and those before."""
        return self._before + time.monotonic() - self._entered

    @property
    def finished(self) -> bool:
        """Whether all its cases are there and were measured."""
        return bool(self.head["status"] == "finished")

    def require_finished(self) -> None:
        """Raise ``InputError`` unless it is; figures over some of the cases would be taken for the whole."""
        if not self.finished:
            held = f"{self.count()} of {self.head['expected_rows']} cases"
            remedy = "Go on with the command that began it: `handrail eval run SUITE --out FOLDER`."
            raise InputError(f"{self.folder}: the run is not finished; it holds {held}.", remedy=remedy)

    def count(self) -> int:
        """Return how many rows are there."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows in the order in which cases finished."""
        path = self.folder / CASES
        if not path.exists():
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # cut off in the middle of a write: that case counts as not run
                yield _row(path, number, line)

    def append(self, row: Row, /) -> None:
        """Write a row."""
        assert self._file is not None, "writing() was not entered"
        os.write(self._file, row.to_line())
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()
            self._note_seconds()

    def __enter__(self) -> Run:
        """Begin to write; raises ``InputError`` if another process does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / CASES
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            portalocker.lock(self._file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException as error:
            os.close(self._file)
            remedy = "Wait for it, or name another folder with --out."
            raise InputError(f"{self.folder}: another process writes this run.", remedy=remedy) from error
        os.ftruncate(self._file, _whole_lines(path))
        self._entered = time.monotonic()
        self._write_head()
        return self

    def __exit__(self, *_: object) -> None:
        """End writing."""
        assert self._file is not None
        if not self.finished:
            self._note_seconds()
        os.fsync(self._file)
        os.close(self._file)
        self._file = None

    def finish(self, found: Mapping[str, Any]) -> None:
        """Put what was measured into the head."""
        self.head |= {"status": "finished", "finished_at": now(), **found}
        self._write_head()

    def _note_seconds(self) -> None:
        """Put the time so far into the head, for the case that the process is killed."""
        self.head["seconds"] = round(self.seconds, 3)
        self._write_head()

    def _write_head(self) -> None:
        path = self.folder / f"{HEAD}.new"
        path.write_bytes(orjson.dumps(self.head, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY) + b"\n")
        path.replace(self.folder / HEAD)


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        return parse_row(line)
    except (ValueError, TypeError, KeyError) as error:
        remedy = "Run the suite again into another folder."
        raise InputError(f"{path}:{number}: this is no row of a run: {error}.", remedy=remedy) from error


def _whole_lines(path: Path) -> int:
    """Return how many bytes of a file are lines with an end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while size:
            step = min(size, 65_536)
            file.seek(size - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                return size - step + found + 1
            size -= step
    return 0


def open_run(folder: Path) -> Run:
    """Open a run to read it; raises ``InputError`` if there is none."""
    path = folder / HEAD
    try:
        head = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        remedy = "Name a folder that `handrail eval run SUITE --out FOLDER` has written."
        raise InputError(f"{folder} is no run: {error}.", remedy=remedy) from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise InputError(f"{path}: the format is not {FORMAT}.", remedy="Run the suite again with this version.")
    return Run(folder, head)


def find_runs(folder: Path) -> list[Run]:
    """Return the run in a folder, or the runs in the folders in it, by name."""
    if (folder / HEAD).exists():
        return [open_run(folder)]
    return [open_run(path.parent) for path in sorted(folder.glob(f"*/{HEAD}"))] or [open_run(folder)]


def begin_run(folder: Path, prepared: Prepared, settings: JSON, *, resume: bool = False) -> Run:
    """Return the run of a suite in a folder: the one that was begun there, or a new one.

    Raises ``ConfigError`` if another suite, other cases, another version or other settings were begun there, and
    with ``resume`` if nothing was.
    """
    head = new_head(prepared, settings)
    if not (folder / HEAD).exists():
        if resume:
            raise ConfigError(f"{folder} holds no run to resume.", remedy="Leave --resume out to begin one.")
        return Run(folder, head)
    run = open_run(folder)
    if not run.finished and next(iter(run), None) is None:
        return Run(folder, head)  # it was broken off before its first case
    for part in ("digests", "versions", "settings"):
        before, after = run.head[part], head[part]
        differ = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        differ = [name for name in differ if name != "concurrency"]
        if differ:
            told = f"{folder} holds a run with another {', '.join(differ)}"
            raise ConfigError(f"{told}.", remedy="Name another folder with --out, or remove this one.")
    return run


def new_head(prepared: Prepared, settings: JSON) -> JSON:
    """Return the head of a run that has not begun."""
    suite = prepared.suite
    return {
        "format": FORMAT,
        "name": suite.file.name,
        "target": suite.file.target,
        "suite": str(suite.path),
        "private": suite.file.private,
        "status": "running",
        "began_at": now(),
        "finished_at": None,
        "seconds": 0.0,
        "versions": versions_of(suite),
        "digests": digests_of(prepared),
        "settings": {"encoder": suite.file.encoder, **settings},
        "seed": SEED,
        "expected_rows": len(prepared.cases) * settings["repeat"],
    }


def versions_of(suite: Suite) -> JSON:
    """Return which versions are measured, as far as that is known."""
    folder = _assistant_of(suite)
    found = None if folder is None else load_assistant(folder).version
    try:
        package: str | None = version("handrail")
    except PackageNotFoundError:
        package = None
    return {"handrail": package, "python": platform.python_version(), "assistant": found, **_commit(suite.path)}


def _assistant_of(suite: Suite) -> Path | None:
    """Return the folder of the assistant that is measured; where guards or replies name none, the sample's."""
    written = getattr(suite.file, "assistant", None)
    if written is not None:
        return suite.locate(written, "assistant")
    return assistant_folder() if isinstance(suite.file, GuardSuite | RepliesSuite) else None


def _commit(path: Path) -> JSON:
    """Return the commit of the checkout that a file is in, and whether anything there has changed since."""

    def ask(*words: str) -> str | None:
        command = ["git", "-C", str(path.resolve().parent), *words]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return None

    commit = ask("rev-parse", "HEAD")
    return {"git_commit": commit, "git_changed": bool(ask("status", "--porcelain", "-uno")) if commit else None}


def digests_of(prepared: Prepared) -> JSON:
    """Return digests of the suite, of its cases and of what a part learns from or searches in.

    An assistant's version leaves its articles out, so they are here.
    """
    suite = prepared.suite
    cases = hashlib.sha256()
    for case in prepared.cases:
        cases.update(orjson.dumps([case.data.id, case.raw, list(case.data.tags)], option=orjson.OPT_SORT_KEYS))
    found = {"suite": _digest(suite.path), "cases": cases.hexdigest()}
    for name in SOURCES:
        written = getattr(suite.file, name, None)
        if written is not None:
            found[name] = _digest(suite.locate(written, name))
    folder = _assistant_of(suite)
    return found if folder is None else {**found, "knowledge": _digest(folder / "knowledge")}


def _digest(path: Path) -> str:
    """Return the digest of a file, or of all documents in a folder with their names."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    documents = [[each.path, each.content_hash, each.problem] for each in sources(path)]
    return hashlib.sha256(orjson.dumps(documents)).hexdigest()


def now() -> str:
    """Return the time as an ISO text in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
