"""What a process counts and times, for /metrics and for ``make bench``; Prometheus's own library keeps it."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

_FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.07, 0.1, 0.2, 0.5, 1, 5, 30)

WRITE_SECONDS = Histogram(
    "handrail_write_seconds", "From asking for a write transaction until it is on disk.", buckets=_FINE
)
COMMIT_SIZE = Histogram(
    "handrail_commit_size", "Write transactions that shared one commit.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
CHECKPOINT_SECONDS = Histogram(
    "handrail_checkpoint_seconds", "One call of the checkpointer.", ["call"], buckets=_FINE
)
STEP_SECONDS = Histogram("handrail_step_seconds", "One step of a turn.", ["step"], buckets=_FINE)
SEGMENT_SECONDS = Histogram(
    "handrail_segment_seconds", "From the claim of a run to its end or pause.", ["graph"], buckets=_FINE
)
GUARD_SECONDS = Histogram("handrail_guard_seconds", "One guard on one text.", ["guard"], buckets=_FINE)
GUARDING_SECONDS = Histogram(
    "handrail_guarding_seconds", "All guards of a place together on one text.", ["stage"], buckets=_FINE
)
MODEL_REQUESTS = Counter(
    "handrail_model_requests",
    "Models that were to be asked, by how that ended: answered, cached, cancelled, or the code of why not.",
    ["tier", "outcome"],
)
MODEL_CALLS = Counter("handrail_model_calls", "Calls to providers, retries and second tries included.", ["tier"])
MODEL_TOKENS = Counter("handrail_model_tokens", "Tokens read and written by models.", ["tier", "direction"])
MODEL_MONEY = Counter("handrail_model_money", "What models cost, as far as their price is known.", ["tier"])
MODEL_SECONDS = Histogram(
    "handrail_model_seconds",
    "One request to one model, retries included.",
    ["tier"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
)
DEGRADED = Counter("handrail_degraded", "Segments that something broke in, by the code of what.", ["code"])
FALLBACKS = Counter("handrail_fallbacks", "Times that something was done without a dependency.", ["dependency"])
