"""The soak: processes are killed, connections cut and turns repeated until a promise breaks, or none does."""

from __future__ import annotations
