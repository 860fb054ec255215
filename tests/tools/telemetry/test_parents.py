from __future__ import annotations

import pytest

from tools.telemetry.parents import caller_in, trace_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [
        VALID,
        f"00-{TRACE}-{SPAN}-00",
        f"00-{TRACE}-{SPAN}-ff",
        # Versions to come may say more after what this one says.
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
)
def test_a_valid_header_names_the_trace(header: str) -> None:
    caller = caller_in([header])
    assert caller is not None
    assert trace_of(caller) == TRACE


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        [VALID, VALID],
        [f"{VALID}, {VALID}"],
        [VALID.upper()],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"00-{TRACE}0-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN[1:]}-01"],
        [f"00-{TRACE}-{SPAN}-1"],
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"00-{TRACE}-{SPAN}-01-"],
        [f"cc-{TRACE}-{SPAN}-01.what"],
        [f"0-{TRACE}-{SPAN}-01"],
        [f"00-{'g' * 32}-{SPAN}-01"],
        [f"00_{TRACE}_{SPAN}_01"],
        ["00-" + "a" * 10_000],
    ],
)
def test_any_other_header_names_none(headers: list[str]) -> None:
    assert caller_in(headers) is None
