"""The demo: what Handrail does, in three conversations, on one's own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from handrail.door import Door, LocalClient
from handrail.terminal import show_ingest, show_turn

if TYPE_CHECKING:
    from graphs.settings import Settings

CONVERSATIONS = (
    ("A question that the articles answer", "How much is standard shipping to Canada?"),
    (
        "A request that a person approves first",
        "I want to return my boots but it's been 70 days, can you make an exception?",
    ),
    (
        "A message that goes to a person",
        "You sent me the wrong thing again, I want to talk to a human!",
    ),
)

TRY = """
Serving on {url} - try, in another terminal:
  handrail ask "How do I reset my password?"     (in .venv/bin)
  curl -s {url}/v1/reviews
  curl -s -X POST {url}/v1/reviews/{review}/decision \\
       -H 'Content-Type: application/json' -d '{{"decision": "approve"}}'
  {url}/openapi.json has the whole API. Ctrl-C stops.
"""


async def run_demo(settings: Settings, out: Console, *, once: bool) -> int:
    """Ingest, converse and, unless ``once``, serve; returns the exit code."""
    from graphs.assembly import open_product
    from server.run import serve_product

    with out.status("Starting ...") as status:
        opening = open_product(settings, renews=True, announce=lambda what: status.update(f"Starting: {what} ..."))
        product = await opening.__aenter__()
    try:
        client = LocalClient(product)
        await show_ingest(client, out, product.assistant.knowledge)
        review = await _converse(client, out)
        if not once:
            url = f"http://{settings.host}:{settings.port}"
            out.print(TRY.format(url=url, review=review), markup=False, soft_wrap=True)
            await serve_product(product)
    finally:
        await opening.__aexit__(None, None, None)
    return 0


async def _converse(client: Door, out: Console) -> str:
    """Hold the sample conversations; returns the id of a review that waits."""
    review = ""
    for title, text in CONVERSATIONS:
        out.rule(title)
        out.print(f"[bold]Customer:[/bold] {text}")
        run = await show_turn(client, out, await client.create_conversation(), text)
        out.print(f"[dim]outcome: {run['outcome']}[/dim]")
        review = run["review_id"] or review
    out.rule()
    return review
