"""What the commands show in a terminal: streamed answers, citations, progress and search results."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from handrail.door import Door, connect

if TYPE_CHECKING:
    from graphs.settings import Settings

JSON = dict[str, Any]


@asynccontextmanager
async def entered(settings: Settings, *, quiet: bool = False, renews: bool = False) -> AsyncIterator[Door]:
    """Reach the server or open the service here, as ``connect`` does; a terminal's stderr says what is loaded."""
    told = Console(stderr=True, quiet=quiet)
    async with AsyncExitStack() as stack:
        with told.status("Starting ...") as status:
            opening = connect(settings, lambda what: status.update(f"Starting: {what} ..."), renews=renews)
            door = await stack.enter_async_context(opening)
        yield door


async def ask_once(settings: Settings, out: Console, question: str, *, as_json: bool) -> int:
    """Ask one question, of the running server if there is one; returns the exit code."""
    async with entered(settings, quiet=as_json) as client:
        await ensure_knowledge(client, settings, out if not as_json else None)
        conversation_id = await client.create_conversation()
        if not as_json:
            await show_turn(client, out, conversation_id, question)
            return 0
        run_id = None
        async for event in client.send(conversation_id, question):
            run_id = event.get("run_id") or run_id
        run = await client.get_run(str(run_id))
    keys = ("text", "citations", "outcome", "route", "run_id", "conversation_id", "review_id", "trace_id")
    print_json(out, {key: run[key] for key in keys})
    return 0


async def hold_chat(settings: Settings, out: Console) -> int:
    """Hold one conversation until the input ends; returns the exit code."""
    async with entered(settings) as client:
        await ensure_knowledge(client, settings, out)
        conversation_id = await client.create_conversation()
        out.print("Write a message; an empty line or Ctrl-D ends the chat.", style="dim")
        out.print(f"[bold green]Assistant:[/bold green] {escape(await client.greeting())}", soft_wrap=True)
        lines = typed_lines(sys.stdin.fileno())
        while True:
            out.print("[bold]You:[/bold] ", end="")
            text = await anext(lines, "")
            if not text.strip():
                return 0
            await show_turn(client, out, conversation_id, text)


async def typed_lines(source: int) -> AsyncIterator[str]:
    """Yield the lines of an open file.

    No thread waits for them, since a thread that waits in ``input()`` keeps Ctrl-C from ending the process.
    """
    import anyio

    held, read = b"", b"\n"
    while read:
        try:
            await anyio.wait_readable(source)
        except OSError:
            # A plain file can't be waited for, and need not be.
            await anyio.lowlevel.checkpoint()
        read = os.read(source, 65_536)
        *lines, held = (held + read).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if held:
        yield held.decode(errors="replace")


async def show_turn(client: Door, out: Console, conversation_id: str, text: str) -> JSON:
    """Send a message, print what comes as it comes, and return the run."""
    citations: list[JSON] = []
    run_id = ""
    async for event in client.send(conversation_id, text):
        run_id = event.get("run_id") or run_id
        match event["type"]:
            case "message.created" if event["author"] == "bot":
                out.print("[bold green]Assistant:[/bold green] ", end="")
            case "message.delta":
                out.print(escape(event["text"]), end="", soft_wrap=True)
            case "message.completed":
                out.print()
                citations = event["citations"]
            case "message.replaced":
                out.print(f"\n[yellow](taken back: {event['reason']})[/yellow]")
            case "run.paused":
                out.print(f"[yellow]{escape(event['text'])}[/yellow]")
            case "handoff":
                out.print(f"[yellow]-> handed to a person, queue {event['queue']}[/yellow]")
    for number, citation in enumerate(citations, start=1):
        place = f"{citation['document']}, characters {citation['start']}-{citation['end']}"
        out.print(f"  [dim]\\[{number}] {escape(citation['title'])} ({escape(place)})[/dim]", soft_wrap=True)
    return await client.get_run(run_id)


async def ensure_knowledge(client: Door, settings: Settings, out: Console | None) -> None:
    """Ingest the assistant's own documents if nothing was ever ingested."""
    if not await client.search("anything", 1):
        await show_ingest(client, out or Console(stderr=True), settings.assistant / "knowledge")


async def ingest_folder(settings: Settings, out: Console, folder: Path | None) -> int:
    """Ingest a folder; returns 1 when a document could not be read, though the rest went in."""
    async with entered(settings, renews=True) as client:
        report = await show_ingest(client, out, folder or settings.assistant / "knowledge")
    return 1 if report["failed"] else 0


async def show_ingest(client: Door, out: Console, folder: Path) -> JSON:
    """Ingest a folder with a progress bar and print what was done."""
    report: JSON = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, disable=not out.is_terminal) as bar:
        task = bar.add_task("Ingesting", total=None, rate="")
        async for event in client.ingest(folder):
            if event["type"] == "report":
                report = event
                continue
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{event['done'] / elapsed:.0f} chunks/s" if elapsed else ""
            bar.update(task, completed=event["done"], total=event["total"], rate=rate)
    changes = ", ".join(f"{len(report[name])} {name}" for name in ("added", "changed", "removed"))
    out.print(
        f"Knowledge: {changes}, {report['unchanged']} unchanged; {report['chunks']} chunks "
        f"in {report['seconds']:.1f} s (index {report['index_version']}).",
        soft_wrap=True,
    )
    if report["skipped"]:
        out.print(f"  skipped {report['skipped']} of a kind that is not read (Markdown, HTML, PDF and text are)")
    for path, reason in report["failed"]:
        out.print(f"  left out {escape(path)}: {escape(reason)}", style="red")
    return report


async def show_search(settings: Settings, out: Console, query: str, *, limit: int, as_json: bool) -> int:
    """Print the passages nearest to a query; returns the exit code."""
    async with entered(settings, quiet=as_json) as client:
        await ensure_knowledge(client, settings, None if as_json else out)
        passages = await client.search(query, limit)
    if as_json:
        print_json(out, {"query": query, "passages": passages})
        return 0
    for passage in passages:
        out.print(f"[bold]{escape(passage['title'])}[/bold] · {escape(passage['heading'])} ", end="")
        out.print(f"[dim]{escape(passage['document'])} {passage['score']:.3f}[/dim]")
        out.print(escape(passage["text"].strip()), soft_wrap=True)
        out.print()
    return 0


def print_json(out: Console, value: JSON) -> None:
    """Print one JSON object on one line, without colour or wrapping."""
    out.print(json.dumps(value, ensure_ascii=False), markup=False, soft_wrap=True)
