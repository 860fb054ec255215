"""The page of public results names suites and metrics that there are, and says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.metrics import share
from evals.results import PAGE, SUITES, Protocol, Published, read_protocols, render, suites_of
from evals.runner import RunReport
from evals.suite import DATA, load_suite

PROTOCOLS = read_protocols()
PUBLIC = sorted(
    path.stem
    for path in SUITES.glob("*.yaml")
    if DATA in path.read_text(encoding="utf-8") and not path.stem.startswith("redteam-")
)


def test_every_public_suite_is_on_the_page() -> None:
    assert sorted(path.stem for path in suites_of(PROTOCOLS)) == PUBLIC


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.folder)
def test_what_the_page_shows_is_measured_by_its_suite(protocol: Protocol, tmp_path: Path) -> None:
    for row in protocol.rows:
        suite = load_suite(SUITES / f"{row.suite}.yaml", tmp_path)
        shown = {row.metric, *row.beside, *([row.paired] if row.paired else [])}
        assert shown <= set(suite.metrics)
        written = [each for each in suite.file.dataset if isinstance(each, str)]
        assert all(each.startswith(f"{DATA}/{protocol.folder.split('/')[0]}") for each in written)


def test_a_line_has_our_figure_what_stood_beside_it_and_what_others_have() -> None:
    row = Published(
        suite="router-hwu64-5",
        what="accuracy",
        metric="accuracy",
        beside=["baseline_accuracy"],
        paired="accuracy - baseline_accuracy",
        published={"USE": 0.778},
    )
    report = RunReport(
        suite=load_suite(SUITES / "router-hwu64-5.yaml", Path("/data")),
        results=(),
        figures={
            "accuracy": share(80, 100),
            "baseline_accuracy": share(75, 100),
            "accuracy - baseline_accuracy": share(5, 100),
        },
        tags={},
        verdicts=(),
        concurrency=1,
        seconds=1.0,
    )
    page = render([Protocol(title="Intents", folder="intents/hwu64", rows=[row])], {"router-hwu64-5": report})
    line = (
        "| accuracy | **80.0** (71.1 to 86.7; 100) | logistic regression 75.0 | +5.0 (+2.2 to +11.2) | USE 77.8 | "
        "`router-hwu64-5` |"
    )
    assert line in page


def test_the_page_has_every_protocol() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [each.title for each in PROTOCOLS if f"## {each.title}\n" not in page] == []
