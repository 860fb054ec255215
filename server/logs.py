"""Logs on standard error: plain or JSON, one line for each record, never a request's content.

A line names the request, run, conversation and trace that it belongs to. Whatever looks like personal data in a
message or in the text of an error becomes a placeholder, whoever wrote it there.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

from policies.personal_data import mask
from tools.tracing import current


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _masked(record.getMessage()),
            **current(),
        }
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


class TextLines(logging.Formatter):
    """Writes a record as text, with its ids at the end of the first line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        # Masked as a whole: another handler may have left the text of the error in the record.
        first, newline, rest = _masked(super().format(record)).partition("\n")
        ids = " ".join(f"{name}={text}" for name, text in current().items())
        return first + (f" [{ids}]" if ids else "") + newline + rest


def _masked(text: str) -> str:
    return mask(text, {}).text


def write_logs(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """Send Handrail's log, and warnings of everything else, to standard error; replaces what was set up before."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("handrail").setLevel(level)
