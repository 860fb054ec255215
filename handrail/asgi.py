"""The application for an ASGI server of one's own: ``uvicorn handrail.asgi:app``."""

from __future__ import annotations

from handrail import use_own_packages

use_own_packages()

from graphs.settings import read_settings  # noqa: E402
from server.app import create_app  # noqa: E402

app = create_app(read_settings())
