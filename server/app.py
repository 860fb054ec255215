"""The HTTP application."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware import Middleware

from graphs.assembly import Product
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.settings import Settings
from server import documentation, problems
from server.gate import LOOPBACK, Catch, Gate
from server.lifecycle import Lifecycle
from server.routes import (
    conversations,
    decisions,
    desk,
    health,
    knowledge,
    messages,
    privacy,
    reviews,
    runs,
    usage,
    workflows,
)
from server.trace import Trace

DESCRIPTION = "Workflow assistants with people in the loop: checked, cited, durable, explained."


def create_app(
    source: Settings | Product,
    *,
    url: str | None = None,
    on_failure: Callable[[], None] = lambda: None,
    sabotage: Sabotage = NO_SABOTAGE,
) -> FastAPI:
    """Make the application.

    From settings, it opens the product when it starts and answers 503 until that is done; ``url`` is left in the
    data folder for those who find it in use, ``on_failure`` is told when the product can't be opened, and
    ``sabotage`` goes wrong on purpose. From an open product, it serves that and leaves closing it to whoever
    opened it.
    """
    settings = source if isinstance(source, Settings) else source.settings
    lifecycle = Lifecycle(None if isinstance(source, Settings) else source, sabotage)
    app = FastAPI(
        title="Handrail",
        version=version("handrail"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(lifecycle.lifespan, settings, url, on_failure) if isinstance(source, Settings) else None,
        # It would record paths, bodies that it refuses and the texts of errors, wherever the process records.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=[Middleware(Trace), Middleware(Catch), Middleware(Gate, hosts=host_names(settings.host))],
    )
    app.state.lifecycle = lifecycle
    talk = (conversations, messages, desk, runs, reviews)
    for module in (health, *talk, workflows, decisions, knowledge, privacy, usage):
        app.include_router(module.router)
    problems.install(app)
    documentation.install(app)
    return app


def host_names(host: str) -> Collection[str] | None:
    """Return the names that requests may be addressed to: on a loopback address its names, else any."""
    return LOOPBACK if host in LOOPBACK else None
