"""Handrail: AI workflow assistants with people in the loop, self-hosted.

Importing this package makes the rest importable by flat names (``agents``, ``graphs``, ``tools``, ...):
from the checkout in development, from ``handrail/_root`` in an installed wheel, which therefore owns one
top-level name only.
"""

from __future__ import annotations

import sys
from pathlib import Path

__version__ = "0.1.0"

_here = Path(__file__).resolve().parent
_root = _here / "_root"
sys.path.insert(0, str(_root if _root.is_dir() else _here.parent))
