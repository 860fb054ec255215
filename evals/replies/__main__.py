"""Prints every reply as a JSON line: ``python -m evals.replies``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import orjson

from evals.replies.bad import all_replies


def lines() -> Iterator[bytes]:
    """Yield the replies, good and bad."""
    for reply in all_replies():
        yield orjson.dumps(reply.model_dump()) + b"\n"


if __name__ == "__main__":
    for line in lines():
        sys.stdout.buffer.write(line)
