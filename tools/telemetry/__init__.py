"""Traces: what a request, a run, its steps, model calls, actions and guards did and how long it took.

``spans`` is what the seams call; it costs next to nothing where nobody records. ``opening`` makes the recorder
that sends spans away, over OpenTelemetry's own library, which is imported there and then only.
"""

from __future__ import annotations
