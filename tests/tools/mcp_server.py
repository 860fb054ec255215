"""A small server that speaks MCP over its standard input and output, run by the tests."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mcp.server.fastmcp import FastMCP

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


if __name__ == "__main__":
    if "slow" in sys.argv:
        time.sleep(60)
    server.run()
