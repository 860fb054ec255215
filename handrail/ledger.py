"""What the commands do with the ledger: verify, export, sign, show. Reading happens beside a running server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from handrail.terminal import print_json
from policies.errors import ConfigError, InputError, NotFound
from tools.storage.audit import reading
from tools.storage.audit.check import check_workspace
from tools.storage.audit.export import write_export
from tools.storage.audit.exported import anchor_of, check_file, header
from tools.storage.audit.findings import Finding, Report
from tools.storage.audit.keys import is_public_key
from tools.storage.store import stamp

if TYPE_CHECKING:
    from graphs.settings import Settings
    from tools.storage.audit.records import SignedHeads

FOUND = 2
"""The exit code of a verification with findings."""


def verify(
    settings: Settings,
    out: Console,
    *,
    file: Path | None,
    against: Path | None,
    public_key: str | None,
    contents: bool,
    as_json: bool,
) -> int:
    """Verify the database, or an export by itself; returns the exit code.

    Raises ``InputError`` for options that exclude each other or a key that is none.
    """
    if file is not None and against is not None:
        raise InputError(
            "--file and --against exclude each other.", remedy="Verify the file first, then the database."
        )
    if public_key is not None and not is_public_key(public_key):
        raise InputError(
            "--public-key is no key.", remedy="Give 32 bytes in base64, as a signed record shows them."
        )
    with _progress("verifying", quiet=as_json) as told:
        if file is not None:
            report = check_file(file, public_key=public_key, progress=told)
        else:
            report = _database(settings, against, public_key, contents, told)
    if as_json:
        print_json(out, {"clean": report.clean, **asdict(report)})
    else:
        _print(out, report)
    return 0 if report.clean else FOUND


def _database(
    settings: Settings, against: Path | None, public_key: str | None, contents: bool, told: _Told
) -> Report:
    first = _export_of(settings, against, public_key) if against is not None else ()
    with reading.opened_to_read(place(settings)) as connection:
        told.expect(reading.count(connection, settings.workspace))
        report = check_workspace(
            connection,
            settings.workspace,
            public_key=public_key,
            contents=contents,
            anchor=anchor_of(against) if against is not None else None,
            progress=told,
        )
    return replace(report, findings=(*first, *report.findings))


def _export_of(settings: Settings, path: Path, public_key: str | None) -> tuple[Finding, ...]:
    """Return what is wrong with the export that the database is compared with."""
    if (other := header(path)["workspace_id"]) != settings.workspace:
        raise ConfigError(
            f"{path} is of the workspace {other!r}, not of {settings.workspace!r}.",
            remedy="Set HANDRAIL_WORKSPACE, or name another file.",
        )
    return check_file(path, public_key=public_key).findings


def place(settings: Settings) -> Path | str:
    """Return where the ledger is: a file, or a URL."""
    url = settings.database_url
    return settings.data / "handrail.db" if url is None else url.get_secret_value()


def _print(out: Console, report: Report) -> None:
    say = partial(out.print, markup=False, soft_wrap=True)
    say(
        f"{report.decisions:,} decisions in {report.streams:,} streams of the workspace {report.workspace_id!r}, "
        f"{report.records:,} signed records; {report.unsigned:,} decisions came after the latest."
    )
    if report.checked or report.erased:
        say(f"Contents of {report.checked:,} decisions compared; those of {report.erased:,} are erased.")
    for finding in report.findings:
        say(f"- {finding}", style="red")
    if report.more:
        say(f"- and {report.more:,} more", style="red")
    say("Nothing is wrong." if report.clean else f"{len(report.findings) + report.more:,} findings.")
    say("What this can't prove:")
    for line in report.not_proven:
        say(f"- {line}")


def export(settings: Settings, err: Console, *, path: Path | None, since: str | None, stream: str | None) -> None:
    """Write the ledger as JSON lines to a file, whole or not at all, or to standard output."""
    moment = _moment(since) if since is not None else None
    if path is None:
        counts = _export(settings, sys.stdout.buffer, moment, stream)
        sys.stdout.buffer.flush()
    else:
        scratch = path.with_name(f".{path.name}.part")
        try:
            with scratch.open("wb") as file:
                counts = _export(settings, file, moment, stream)
            scratch.replace(path)
        except OSError as error:
            raise ConfigError(
                f"{path} can't be written: {error.strerror}.", remedy="Name another file."
            ) from error
        finally:
            scratch.unlink(missing_ok=True)
    err.print(
        f"{counts.get('decision', 0):,} decisions, {counts.get('head', 0):,} heads, "
        f"{counts.get('signed', 0):,} signed records.",
        markup=False,
    )


def _export(settings: Settings, file: BinaryIO, since: str | None, stream: str | None) -> dict[str, int]:
    at = stamp(datetime.now(UTC))
    with reading.opened_to_read(place(settings)) as connection, _progress("exporting") as told:
        told.expect(reading.count(connection, settings.workspace))
        return write_export(
            connection, settings.workspace, file.write, at=at, since=since, stream=stream, progress=told
        )


def _moment(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time.", remedy="Write it as 2026-01-31 or 2026-01-31T12:00+00:00."
        ) from error
    return stamp(found if found.tzinfo else found.replace(tzinfo=UTC))


async def sign(settings: Settings, out: Console) -> None:
    """Sign all heads now; raises ``ConfigError`` while a server owns the data folder."""
    from graphs.signing import sign_now

    record: SignedHeads = await sign_now(settings)
    out.print(
        f"Record {record.number} of {record.day} signs {record.heads_count:,} heads with the public key "
        f"{record.public_key}.",
        markup=False,
        soft_wrap=True,
    )


def show(settings: Settings, out: Console, name: str, *, as_json: bool) -> None:
    """Print the decisions of a run, a conversation or the workspace; raises ``NotFound`` when there are none."""
    from graphs.explaining import details

    with reading.opened_to_read(place(settings)) as connection:
        decisions = reading.decisions(connection, settings.workspace, name)
    if not decisions:
        raise NotFound(f"There are no decisions of {name!r}.", remedy="Name a run, a conversation or `workspace`.")
    if as_json:
        print_json(out, {"decisions": decisions})
        return
    table = Table("#", "at", "step", "outcome", "in words", box=None, pad_edge=False)
    for decision, each in zip(decisions, details(decisions), strict=True):
        at = decision["at"][:19].replace("T", " ")
        says = each.says if each.reversed_by is None else f"{each.says} REVERSED by {each.reversed_by}."
        step = f"{decision['node']}/{decision['kind']}"
        table.add_row(str(each.seq), at, step, str(decision.get("outcome", "")), _plain(says))
    out.print(table)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


class _Told:
    """Moves a progress bar."""

    def __init__(self, expect: Callable[[int], None], advance: Callable[[int], None]) -> None:
        self.expect = expect
        self._advance = advance

    def __call__(self, count: int) -> None:
        """Move it on."""
        self._advance(count)


@contextmanager
def _progress(what: str, *, quiet: bool = False) -> Iterator[_Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, quiet=quiet)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield _Told(lambda total: bar.update(task, total=total), lambda count: bar.advance(task, count))
