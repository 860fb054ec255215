"""A small server that speaks MCP over its standard input and output, or on a port, run by the tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("warehouse")


@server.tool()
def stock(item: str) -> str:
    """Say how many of an item are left."""
    return f"There are 7 of {item} left."


@server.tool()
def reserve(item: str, count: int) -> dict[str, int | str]:
    """Set some of an item aside."""
    with Path(os.environ["RESERVED"]).open("a") as kept:
        kept.write(f"{count} {item}\n")
    return {"item": item, "reserved": count}


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no such shelf")


@server.tool()
def key(context: Context) -> str:  # type: ignore[type-arg]  # its parameters are those of the session
    """Say which key the call came with."""
    request = context.request_context.request
    return str(request.headers.get("authorization", "none")) if request else "none"


if __name__ == "__main__":
    if "slow" in sys.argv:
        time.sleep(60)
    if "port" in sys.argv:
        server.settings.port = int(sys.argv[-1])
        server.run("streamable-http")
    server.run()
