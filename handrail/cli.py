"""The command line. Everything heavy is imported inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import typer.core
from rich.console import Console

from handrail import use_own_packages
from handrail.evaluation import evals

T = TypeVar("T")
# Plain help shows Typer's escapes for Rich ("\\[required]") as they are, unless it thinks Rich away.
typer.core.HAS_RICH = False

app = typer.Typer(
    help="Handrail: AI workflow assistants with people in the loop, self-hosted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(evals, name="eval")
database = typer.Typer(help="Look after the database.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(database, name="db")
ledger = typer.Typer(help="Verify, export and read the ledger.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger, name="ledger")
policies = typer.Typer(help="Check and explain policies.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(policies, name="policy")

privacy = typer.Typer(help="Give people their data, or erase it.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(privacy, name="privacy")

workflows = typer.Typer(help="Run an assistant's own workflows.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(workflows, name="workflow")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

AssistantOption = Annotated[
    Path | None, typer.Option("--assistant", help="The assistant's folder; the sample shop by default.")
]
DataOption = Annotated[Path | None, typer.Option("--data", help="The data folder; .data by default.")]
FAULTS = (
    "model-timeout, vector-store-down, database-restart[:SECONDS], guard-crash, slow-disk, kill:POINT[:N]; "
    "design/failure.md says what each does."
)
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault", help=f"Let something go wrong on purpose (HANDRAIL_MODE=development only), repeatable: {FAULTS}"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Where to write the new assistant.")]) -> None:
    """Write the folder of a new assistant, ready to edit."""
    from handrail.scaffold import command, data_beside, program, write_assistant

    made = _guarded(lambda: write_assistant(folder))
    for path in made:
        out.print(f"  {path}", markup=False, soft_wrap=True)
    data = data_beside(folder)
    lines = ["Edit these, then:"]
    lines += [f"  {command(verb, folder, data)}" for verb in ("doctor", "ingest", "chat")]
    lines += [f"  {shlex.join([program(), 'eval', 'run', str(folder / 'evals' / 'questions.yaml')])}"]
    out.print("\n".join(lines), markup=False, soft_wrap=True)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the conversations.")] = False,
    data: DataOption = None,
    port: Annotated[int | None, typer.Option(help="The port to serve on.")] = None,
) -> None:
    """Ingest the sample shop, hold three conversations, then serve it."""
    from handrail.demo import run_demo

    _run(lambda: run_demo(_settings(None, data, port=port), out, once=once))


@app.command()
def serve(
    assistant: AssistantOption = None,
    data: DataOption = None,
    host: Annotated[str | None, typer.Option(help="The address to serve on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to serve on.")] = None,
    fault: FaultOption = None,
) -> None:
    """Serve an assistant over HTTP."""
    from graphs.sabotage import plan_sabotage
    from server.run import serve as serve_http

    def work() -> None:
        settings = _settings(assistant, data, host=host, port=port)
        serve_http(settings, sabotage=plan_sabotage(fault or (), settings))

    _guarded(work)


@app.command()
def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=256, help="Segments at once; 16 by default.")
    ] = None,
    queues: Annotated[str, typer.Option(help="Queues, separated by commas; all by default.")] = "",
    metrics_port: Annotated[int | None, typer.Option(help="Serve /metrics on this port of 127.0.0.1.")] = None,
    assistant: AssistantOption = None,
    data: DataOption = None,
    fault: FaultOption = None,
) -> None:
    """Work on what servers have accepted; needs PostgreSQL."""
    from graphs.sabotage import plan_sabotage
    from handrail.worker import run_worker

    named = [name.strip() for name in queues.split(",") if name.strip()]

    async def work() -> None:
        settings = _settings(assistant, data, concurrency=concurrency)
        await run_worker(settings, named, metrics_port, plan_sabotage(fault or (), settings))

    _run(work)


@app.command()
def chat(assistant: AssistantOption = None, data: DataOption = None) -> None:
    """Talk to an assistant in the terminal."""
    from handrail.terminal import hold_chat

    _run(lambda: hold_chat(_settings(assistant, data), out))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="What a customer would ask.")],
    as_json: JsonOption = False,
    assistant: AssistantOption = None,
    data: DataOption = None,
) -> None:
    """Ask one question; the answer streams sentence by sentence."""
    from handrail.terminal import ask_once

    _guarded(lambda: _said(question, "question"))
    _run(lambda: ask_once(_settings(assistant, data), out, question, as_json=as_json))


@app.command()
def ingest(
    folder: Annotated[Path | None, typer.Argument(help="The documents; the assistant's own by default.")] = None,
    assistant: AssistantOption = None,
    data: DataOption = None,
) -> None:
    """Bring an assistant's knowledge up to date; a running server shows it in the next question."""
    from handrail.terminal import ingest_folder

    named = folder.resolve() if folder else None
    _run(lambda: ingest_folder(_settings(assistant, data), out, named))


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, max=50, help="How many passages.")] = 5,
    as_json: JsonOption = False,
    assistant: AssistantOption = None,
    data: DataOption = None,
) -> None:
    """Search an assistant's knowledge as staff see it."""
    from handrail.terminal import show_search

    _guarded(lambda: _said(query, "query"))
    _run(lambda: show_search(_settings(assistant, data), out, query, limit=limit, as_json=as_json))


@app.command()
def doctor(assistant: AssistantOption = None, data: DataOption = None) -> None:
    """Say what is missing and how to mend it."""
    from handrail.doctor import examine

    healthy = examine(lambda: _settings(assistant, data), out)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def usage(
    by: Annotated[
        Literal["day", "intent", "conversation", "run"], typer.Option(help="What the sums are of.")
    ] = "day",
    first: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="The first day, in UTC.")
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="The last day, which counts too."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many sums.")] = 100,
    after: Annotated[str | None, typer.Option(help="Go on behind this name.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Say what language models cost, and what kept replies have saved."""
    from handrail.usage import show_usage
    from tools.models.costs import Wanted

    days = {"first": first and first.date(), "last": last and last.date()}
    wanted = Wanted(by=by, after=after, limit=limit, **days)
    _run(lambda: show_usage(_settings(None, data), out, wanted, as_json=as_json))


@database.command("upgrade")
def db_upgrade(data: DataOption = None) -> None:
    """Make the tables, or bring them to this version; on PostgreSQL before the first start and after updates."""
    from handrail.database import upgrade_database

    _run(lambda: upgrade_database(_settings(None, data), out))


@database.command("stats")
def db_stats(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Say what is stored, how much room it takes and what waits."""
    from handrail.database import show_stats

    _guarded(lambda: show_stats(_settings(None, data), out, as_json))


@ledger.command("verify")
def ledger_verify(
    file: Annotated[Path | None, typer.Option(help="Verify this export instead of the database.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare the database with this earlier export.")] = None,
    public_key: Annotated[str | None, typer.Option(help="The key that heads must be signed with.")] = None,
    contents: Annotated[bool, typer.Option(help="Compare messages with their digests too.")] = True,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute every chain of decisions; exits 0 when nothing is wrong, 2 with findings, 1 for errors."""
    from handrail.ledger import verify

    how: dict[str, Any] = {"file": file, "against": against, "public_key": public_key, "contents": contents}
    raise typer.Exit(_guarded(lambda: verify(_settings(None, data), out, **how, as_json=as_json)))


@ledger.command("export")
def ledger_export(
    file: Annotated[Path | None, typer.Option("--out", help="The file; standard output by default.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this day or time on.")] = None,
    stream: Annotated[str | None, typer.Option(help="Only this conversation, run or `workspace`.")] = None,
    data: DataOption = None,
) -> None:
    """Write decisions, heads and signed records as JSON lines, to verify elsewhere and to compare with later."""
    from handrail.ledger import export

    _guarded(lambda: export(_settings(None, data), err, path=file, since=since, stream=stream))


@ledger.command("sign")
def ledger_sign(data: DataOption = None) -> None:
    """Sign the heads of all chains now; a running server does so once a day."""
    from handrail.ledger import sign

    _run(lambda: sign(_settings(None, data), out))


@ledger.command("show")
def ledger_show(
    name: Annotated[str, typer.Argument(help="A run, a conversation or `workspace`.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print decisions in words."""
    from handrail.ledger import show

    _guarded(lambda: show(_settings(None, data), out, name, as_json=as_json))


@policies.command("check")
def policy_check(
    path: Annotated[Path, typer.Argument(help="An assistant's folder, or its policy.yaml.")],
) -> None:
    """Say what is wrong with a policy, with file, line, field and remedy; exits 0 when nothing is, else 1."""
    from handrail.policy import check_policy

    _guarded(lambda: check_policy(path, out))


@policies.command("explain")
def policy_explain(
    text: Annotated[str, typer.Option("--input", help="What a customer would write.")],
    attributes: Annotated[
        str | None, typer.Option("--attributes", help="What the app knows of the customer, a JSON object.")
    ] = None,
    locale: Annotated[str | None, typer.Option("--locale", help="The customer's locale.")] = None,
    intent: Annotated[str | None, typer.Option("--intent", help="What it is about; asks no router.")] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.0, max=1.0, help="How sure --intent is.")
    ] = 1.0,
    reply: Annotated[str | None, typer.Option("--reply", help="An answer to try the rules on.")] = None,
    as_json: JsonOption = False,
    assistant: AssistantOption = None,
    data: DataOption = None,
) -> None:
    """Say what an assistant's policy makes of a message: each rule, what it saw and what follows."""
    from handrail.policy import Message, explain_policy, read_attributes

    async def work() -> None:
        _said(text, "input")
        message = Message(
            text=text,
            attributes=read_attributes(attributes),
            locale=locale,
            intent=intent,
            confidence=confidence,
            reply=reply,
        )
        await explain_policy(_settings(assistant, data), message, out, as_json=as_json)

    _run(work)


SubjectOption = Annotated[
    str, typer.Option("--subject", help="The customer's id, as the app gave it with the conversations.")
]
WorkspaceOption = Annotated[
    str | None, typer.Option("--workspace", help="The workspace; HANDRAIL_WORKSPACE by default.")
]


@privacy.command("export")
def privacy_export(
    subject: SubjectOption,
    file: Annotated[Path | None, typer.Option("--out", help="The file; standard output by default.")] = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
) -> None:
    """Write all that is kept of a person as JSON."""
    from handrail.privacy import export_subject

    _run(lambda: export_subject(_settings(None, data, workspace=workspace), err, subject, file))


@privacy.command("erase")
def privacy_erase(
    subject: SubjectOption,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why, for the ledger, which keeps it: name nobody in it.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
) -> None:
    """Erase all that is kept of a person; it can't be undone."""
    from handrail.privacy import erase_subject

    if not yes:
        typer.confirm(f"Erase all that is kept of {subject!r}? This can't be undone.", abort=True, err=True)
    _run(lambda: erase_subject(_settings(None, data, workspace=workspace), out, subject, reason))


@privacy.command("withdraw")
def privacy_withdraw(
    subject: SubjectOption,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="third_party_llm or train_eval, repeatable; both by default."),
    ] = None,
    workspace: WorkspaceOption = None,
    data: DataOption = None,
) -> None:
    """Note that a person takes consent back, in all of their conversations."""
    from handrail.privacy import withdraw_consent

    _run(lambda: withdraw_consent(_settings(None, data, workspace=workspace), out, subject, scopes or ()))


@workflows.command("run")
def workflow_run(
    name: Annotated[str, typer.Argument(help="The workflow, as assistant.yaml names it.")],
    file: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", help="JSON lines, one input on each.")],
    result: Annotated[Path | None, typer.Option("--out", help="The file; standard output by default.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Run anew what was run already today.")] = False,
    assistant: AssistantOption = None,
    data: DataOption = None,
) -> None:
    """Run a workflow on every line; exits 0 when none failed, 2 when some did, 1 for errors.

    A repeated call goes on where the first one stopped, within a day.
    """
    from handrail.workflow import run_file

    _run(lambda: run_file(_settings(assistant, data), err, name, file, out=result, again=again))


@workflows.command("list")
def workflow_list(assistant: AssistantOption = None, data: DataOption = None) -> None:
    """Say which workflows an assistant has."""
    from handrail.workflow import list_workflows

    _run(lambda: list_workflows(_settings(assistant, data), out))


def main() -> None:
    """Run the command line."""
    use_own_packages()
    app()


def _settings(assistant: Path | None, data: Path | None, **more: Any) -> Any:
    from graphs.settings import read_settings

    given = {"assistant": assistant and assistant.resolve(), "data": data, **more}
    return read_settings(**{name: value for name, value in given.items() if value is not None})


def _said(words: str, name: str) -> None:
    from policies.errors import InputError

    if not words.strip():
        raise InputError(f"The {name} is empty.", remedy="Write it in quotes after the command.")


def _run(work: Callable[[], Awaitable[int | None]]) -> None:
    import anyio

    code = _guarded(lambda: anyio.run(work, backend_options={"use_uvloop": True}))
    raise typer.Exit(code or 0)


def _guarded(work: Callable[[], T]) -> T:
    """Run a command; an error with a name is told in plain words and exits with 1."""
    try:
        return work()
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BaseException as error:
        found = _named(error)
        if found is None:
            raise
        err.print(str(found), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _named(error: BaseException) -> BaseException | None:
    """Return the error with a name in what may be a group of errors."""
    from handrail.client import RequestFailed
    from policies.errors import HandrailError

    if isinstance(error, (HandrailError, RequestFailed)):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _named(each))), None)
    return None
