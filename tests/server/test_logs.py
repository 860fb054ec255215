"""A log line says which request, run and conversation it belongs to, and nothing about anybody."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from server.logs import JsonLines, TextLines
from tools.tracing import bound, current, note

TRACE = "0123456789abcdef0123456789abcdef"


@pytest.fixture(name="told")
def told_fixture() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    """Return a logger of ours whose lines are kept."""
    logger, kept = logging.getLogger("handrail.test_logs"), io.StringIO()
    handler = logging.StreamHandler(kept)
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, kept
    logger.removeHandler(handler)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_line_names_what_it_belongs_to(told: tuple[logging.Logger, io.StringIO], as_json: bool) -> None:
    logger, kept = told
    logger.handlers[0].setFormatter(JsonLines() if as_json else TextLines())
    with bound(request="req_1"):
        note(run="run_1", trace=TRACE)
        with bound(conversation="con_1"):
            logger.warning("it happened")
        logger.warning("after")
    logger.warning("outside")
    ids = {"request": "req_1", "run": "run_1", "trace": TRACE}
    lines = kept.getvalue().splitlines()
    if as_json:
        found = [{name: it for name, it in json.loads(line).items() if name != "at"} for line in lines]
        own = {"level": "warning", "logger": "handrail.test_logs"}
        assert found == [
            {**own, "message": "it happened", **ids, "conversation": "con_1"},
            {**own, "message": "after", **ids},
            {**own, "message": "outside"},
        ]
    else:
        assert [line.partition(": ")[2] for line in lines] == [
            f"it happened [request=req_1 run=run_1 trace={TRACE} conversation=con_1]",
            f"after [request=req_1 run=run_1 trace={TRACE}]",
            "outside",
        ]


def test_what_is_no_id_of_ours_is_not_bound() -> None:
    with bound(conversation="jo.bloggs@example.com", run=None):
        note(run="I am Jo")
        assert current() == {}
    note(run="run_1")
    assert current() == {}


@pytest.mark.parametrize("as_json", [True, False])
def test_personal_data_in_messages_and_errors_is_masked(
    told: tuple[logging.Logger, io.StringIO], as_json: bool
) -> None:
    logger, kept = told
    logger.handlers[0].setFormatter(JsonLines() if as_json else TextLines())
    customer = "jo.bloggs@example.com"
    try:
        raise ValueError(f"no such customer: {customer}")
    except ValueError:
        logger.exception("failed for %s", customer)
    text = kept.getvalue()
    assert "jo.bloggs" not in text
    assert text.count("[EMAIL_1]") == 2
    assert "ValueError: no such customer" in text
