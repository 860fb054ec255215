"""``python -m handrail`` is the command line."""

from __future__ import annotations

from handrail.cli import main

main()
