"""What routes ask for: the open product and who calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from graphs.assembly import Product
from policies.types import Principal
from server.lifecycle import Lifecycle
from tools.tracing import note


async def lifecycle(request: Request) -> Lifecycle:
    """Return the process's state."""
    found: Lifecycle = request.app.state.lifecycle
    return found


async def product(request: Request) -> Product:
    """Return the open product; raises ``Unavailable`` until there is one."""
    found: Lifecycle = request.app.state.lifecycle
    note(run=request.path_params.get("run_id"), conversation=request.path_params.get("conversation_id"))
    return found.require()


async def principal(request: Request) -> Principal:
    """Return who calls: the local admin, until there is sign-in."""
    return (await product(request)).principal


Open = Annotated[Product, Depends(product)]
Caller = Annotated[Principal, Depends(principal)]
State = Annotated[Lifecycle, Depends(lifecycle)]
