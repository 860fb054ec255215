"""The doctor: looks at what Handrail needs and says how to mend what is missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from handrail.scaffold import command
from policies.errors import HandrailError

if TYPE_CHECKING:
    from graphs.settings import Settings

NEEDED = ("chromadb", "fastapi", "langgraph", "onnxruntime", "sentence_transformers", "sklearn", "sqlalchemy")
FREE_BYTES = 500_000_000
NOTHING_YET = "nothing ingested yet"
WARNING = "! "
MOST_SHOWN = 3


def examine(load: Callable[[], Settings], out: Console) -> bool:
    """Print one line a check; returns whether all is well."""
    try:
        settings = load()
    except HandrailError as error:
        out.print(f"[red]✗[/red] {escape(str(error))}", soft_wrap=True)
        return False
    wrong: set[str] = set()
    for check in CHECKS:
        _tell(check, settings, out, wrong)
    return not wrong


def _tell(check: Callable[[Settings], str], settings: Settings, out: Console, wrong: set[str]) -> None:
    """Print what a check says, and add what is wrong; the same mistake is printed once."""
    try:
        told = check(settings)
    except HandrailError as error:
        if str(error) not in wrong:
            out.print(f"[red]✗[/red] {escape(str(error))}", soft_wrap=True)
        wrong.add(str(error))
        return
    if told.startswith(WARNING):
        out.print(f"[yellow]{escape(told)}[/yellow]", soft_wrap=True)
    elif told:
        sign = "[dim]-[/dim]" if told.startswith(NOTHING_YET) else "[green]✓[/green]"
        out.print(f"{sign} {escape(told)}", soft_wrap=True)


def _variables(_settings: Settings) -> str:
    from graphs.settings import unknown_variables

    if unknown := unknown_variables():
        names = ", ".join(unknown)
        raise HandrailError(
            f"No setting is called {names}.", remedy="Mend the spelling; design/settings.md lists them."
        )
    return "settings are known"


def _python(_settings: Settings) -> str:
    return f"Python {sys.version.split()[0]}"


def _packages(_settings: Settings) -> str:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise HandrailError(f"Packages are missing: {', '.join(missing)}.", remedy="Run `make setup`.")
    return "packages are installed"


def _weights(_settings: Settings) -> str:
    from tools.encoder.minilm import SHA256, packaged_folder, verify

    verify(packaged_folder() / "model.safetensors", SHA256)
    return "the encoder's weights are the published ones"


def _disk(settings: Settings) -> str:
    folder = settings.data if settings.data.exists() else settings.data.absolute().parent
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        raise HandrailError(f"Only {free / 1e9:.1f} GB are free for {settings.data}.", remedy="Make room.")
    return f"{free / 1e9:.0f} GB free for {settings.data}"


def _assistant(settings: Settings) -> str:
    from tools.assistants import load_assistant

    assistant = load_assistant(settings.assistant)
    return f"assistant {assistant.name}: {len(assistant.intents)} intents, {len(assistant.rules)} rules"


def _workflows(settings: Settings) -> str:
    from tools.assistants import load_assistant

    assistant = load_assistant(settings.assistant)
    if not assistant.file.workflows:
        return "no workflows"
    from graphs.workflows.definitions import load_workflows

    return f"workflows {', '.join(load_workflows(assistant))}"


def _tools(settings: Settings) -> str:
    """Load the assistant's own tools, and name those of servers, which are not asked."""
    from tools.assistants import load_assistant, require_offered
    from tools.offers import require_known_arguments
    from tools.own_actions import load_actions

    assistant = load_assistant(settings.assistant)
    actions = load_actions(assistant, settings.data)
    served = [name for server in assistant.file.mcp.values() for name in server.tools]
    require_offered(assistant, {*actions, *served})
    require_known_arguments(assistant, actions)
    return f"tools {', '.join([*actions, *served])}" if actions or served else "no tools"


def _questions(settings: Settings) -> str:
    """Look whether the documents still say what answers the known questions; the folder is read, not the index."""
    from tools.assistants import QUESTIONS, load_assistant
    from tools.known import said_in, unsaid

    assistant = load_assistant(settings.assistant)
    if not assistant.questions:
        return ""
    missing = unsaid(assistant.questions, said_in(assistant.knowledge))
    if not missing:
        return f"known questions: {len(assistant.questions)}, each with what answers it"
    shown = "; ".join(f"{document}: “{sentence}”" for document, sentence in missing[:MOST_SHOWN])
    more = f"; and {len(missing) - MOST_SHOWN} more." if len(missing) > MOST_SHOWN else ""
    return (
        f"{WARNING}{assistant.folder / QUESTIONS}: the documents do not say {shown}{more} "
        "Write them as an answer quotes them: without markup, a table's row as `Column: value; ...`."
    )


def _models(settings: Settings) -> str:
    """Look at names, packages and keys; no provider is asked."""
    from graphs.models import models_settings
    from graphs.settings import secret
    from tools.assistants import load_assistant
    from tools.models.providers import check_provider

    assistant = load_assistant(settings.assistant)
    file = assistant.file
    found = models_settings(file, secret)
    if found is None:
        return "no language models: every task is done locally"
    for models in found.tiers.values():
        for each in models:
            check_provider(each)
    named = "; ".join(f"{tier}: {', '.join(each.name for each in found.tiers[tier])}" for tier in found.tiers)
    told = f"language models {named}; they serve {', '.join(file.tasks) or 'no task'}"
    hosted = [each.name for models in found.tiers.values() for each in models if not each.stays_here]
    if not hosted or assistant.policy.consent.third_party_llm:
        return told
    return (
        f"{told}; hosted elsewhere: {', '.join(dict.fromkeys(hosted))}, and the policy gives no consent: "
        "no conversation without its own consent will be shown to them"
    )


def _data(settings: Settings) -> str:
    if settings.database_url is not None:
        return _postgres(settings.database_url.get_secret_value(), settings.lease_seconds)
    database = settings.data / "handrail.db"
    if not database.exists():
        # A new folder is no fault: the first question ingests too.
        return f"{NOTHING_YET}; run: {command('ingest', settings.assistant, settings.data)}"
    return f"data folder {settings.data}: {database.stat().st_size / 1e6:.1f} MB of rows"


def _postgres(url: str, lease: float) -> str:
    from sqlalchemy.exc import OperationalError

    from tools.jobs.schema import count_workers, require_schema
    from tools.storage.database import named
    from tools.storage.migrations import require_current
    from tools.storage.postgres import postgres_engine

    engine = postgres_engine(url)
    try:
        with engine.connect() as connection:
            require_current(connection)
            require_schema(connection)
            workers = count_workers(connection, lease)
    except OperationalError as error:
        raise named(error) from error
    finally:
        engine.dispose()
    hint = "" if workers else "; what is accepted waits: run `handrail worker`"
    return f"PostgreSQL answers and has this version's tables; {workers} workers are alive{hint}"


def _server(settings: Settings) -> str:
    from tools.storage.lock import running_server

    if settings.database_url is not None:
        return "servers over PostgreSQL are reached at their own addresses"
    url = running_server(settings.data)
    return f"a server runs on {url}" if url else "no server runs on this data folder"


def _other(settings: Settings) -> str:
    """Warn of a server on the data folder that serves another assistant; usually there is nothing to say."""
    from handrail.door import require_served
    from tools.assistants import load_assistant
    from tools.storage.lock import serving

    server = serving(settings.data) if settings.database_url is None else None
    if server is None:
        return ""
    # A folder that is wrong is no warning.
    load_assistant(settings.assistant)
    try:
        require_served(settings, server)
    except HandrailError as error:
        return f"{WARNING}{error}"
    return ""


CHECKS = (
    _variables,
    _python,
    _packages,
    _weights,
    _disk,
    _assistant,
    _questions,
    _models,
    _data,
    _server,
    _other,
    _tools,
    _workflows,
)
