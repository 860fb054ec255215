"""The page of a run shows what its rows have, needs nothing from outside, and believes no case."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from bs4 import BeautifulSoup, Tag

from evals.page.build import render_page
from evals.page.listing import BUDGET
from evals.rows import Label, Row
from evals.runs import open_run
from policies.errors import InputError
from tests.evals.page.stubs import ROWS, judged_row, router_row, stub_row, write_run

CURVES = ["confusion", "calibration", "risk-coverage", "roc"]
PLOTS: Mapping[str, list[str]] = {
    "router": [*CURVES, "tags-accuracy", "latency"],
    "guard:injection": ["confusion", "calibration", "roc", "tags-recall", "tags-false_alarms", "latency"],
    "checker": [*CURVES, "tags-recall", "latency"],
    "drafter": [*CURVES, "latency"],
    "retriever": ["recall", "tags-recall-5", "latency"],
    "conversation": ["confusion", "outcomes", "latency"],
    "pii": ["tags-span_f2", "tags-typed_f2", "latency"],
}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)> & \"quotes\" 'and' `ticks`",
    "]]><!-- --> {{ 7 * 7 }} {% raw %}",
    "\u202eright to left\u202c مرحبا שלום",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \u2028\u2029 \x00",
)


def parsed(page: str) -> BeautifulSoup:
    return BeautifulSoup(page, "lxml")


def one(page: BeautifulSoup, selector: str) -> Tag:
    found = page.select_one(selector)
    assert found is not None, selector
    return found


def cases(page: BeautifulSoup) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = orjson.loads(one(page, "script#data").get_text())
    return listed


def hostile_rows() -> list[Row]:
    return [
        stub_row(
            place,
            id=text,
            tags=(text, "other"),
            input={"turns": [text], text: text},
            expected={"intent": text},
            output={"intent": None, "best": text, "reason": text},
            scores={"known": 1.0, "in_scope": 0.1, "confidence": 0.9, "accuracy": 0.0},
            label=Label(text, None),
            wrong=text,
            trace_id=text,
        )
        for place, text in enumerate(HOSTILE * 2)
    ]


@pytest.mark.parametrize("target", ROWS)
def test_a_run_of_each_target_has_the_plots_that_its_rows_allow(target: str, tmp_path: Path) -> None:
    page = parsed(render_page(write_run(tmp_path, target)))
    figures = page.select("figure.plot")
    assert [str(each["id"]).removeprefix("plot-") for each in figures] == PLOTS[target]
    for each in figures:
        assert one_text(each, "svg > title") == one_text(each, "h3")
        assert len(one_text(each, "svg > desc")) > 20
        assert one_text(each, "figcaption")
        assert each.select("details table tbody tr")


def one_text(part: Tag, selector: str) -> str:
    found = part.select_one(selector)
    assert found is not None, selector
    return found.get_text().strip()


@pytest.mark.parametrize("target", ROWS)
def test_a_page_asks_the_network_for_nothing(target: str, tmp_path: Path) -> None:
    text = render_page(write_run(tmp_path, target))
    page = parsed(text)
    asking = page.select("[src], [srcset], [background], object, embed, iframe, base, form[action], use, image")
    assert asking == []
    assert [str(each["href"]) for each in page.select("link")] == ["data:,"]
    assert all(str(each["href"]).startswith("#") for each in page.select("a"))
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp|WebSocket|sendBeacon|import\(", text)
    policy = str(one(page, "meta[http-equiv=Content-Security-Policy]")["content"])
    assert policy.startswith("default-src 'none'; ")


def test_only_our_own_script_may_run(tmp_path: Path) -> None:
    page = parsed(render_page(write_run(tmp_path, "router", hostile_rows(), metrics=["accuracy"])))
    scripts = page.select("script")
    assert [each.get("type") for each in scripts] == ["application/json", None]
    digest = base64.b64encode(hashlib.sha256(scripts[1].get_text().encode()).digest()).decode()
    policy = str(one(page, "meta[http-equiv=Content-Security-Policy]")["content"])
    assert f"script-src 'sha256-{digest}';" in policy


def test_what_comes_from_cases_is_text_and_never_markup(tmp_path: Path) -> None:
    text = render_page(write_run(tmp_path, "router", hostile_rows(), metrics=["accuracy"]))
    page = parsed(text)
    assert page.select("img, [onerror]") == []
    assert "alert(1)</script>" not in text
    assert "49" not in {each.get_text() for each in page.select("td, th, text")}
    listed = cases(page)
    assert {each["i"] for each in listed} == {" ".join(text.split()) for text in HOSTILE}
    assert {each["x"]["turns"][0] for each in listed} == set(HOSTILE)
    assert {each["w"] for each in listed} == set(HOSTILE)


def test_the_name_of_a_suite_is_text_too(tmp_path: Path) -> None:
    run = write_run(tmp_path, "router")
    run.head["name"] = HOSTILE[0]
    page = parsed(render_page(run))
    assert one(page, "h1").get_text() == HOSTILE[0]
    assert len(page.select("script")) == 2


def test_cases_are_listed_worst_first(tmp_path: Path) -> None:
    def row(place: int, scope: float, wrong: str | None) -> Row:
        scores = {"in_scope": scope, "confidence": scope}
        return stub_row(place, scores=scores, label=Label("a", "b" if wrong else "a"), wrong=wrong)

    rows = [row(0, 0.9, None), row(1, 0.4, "b; not a"), row(2, 0.95, "b; not a"), row(3, 0.6, "b; not a")]
    listed = cases(parsed(render_page(write_run(tmp_path, "router", rows, metrics=[]))))
    assert [(each["i"], each["u"]) for each in listed] == [
        ("case-2", 0.95),
        ("case-3", 0.6),
        ("case-1", 0.4),
        ("case-0", 0.9),
    ]
    assert listed[0] == {
        "i": "case-2",
        "f": "cases.jsonl:3",
        "t": ["even"],
        "x": "message 2",
        "e": {},
        "o": {},
        "s": {"in_scope": 0.95, "confidence": 0.95},
        "l": 4.0,
        "w": "b; not a",
        "y": "It was 95.0\xa0% sure of None, and 95.0\xa0% that the message is in scope.",
        "u": 0.95,
        "k": ["a", "b"],
    }


def test_a_wrong_case_says_why(tmp_path: Path) -> None:
    for target, told in (
        ("guard:injection", "It says: It reads like an order."),
        ("checker", "of its words stand in them"),
        ("drafter", "that the passage holds the answer"),
        ("retriever", "BM25 alone finds wanted-0 at place 1."),
    ):
        first = cases(parsed(render_page(write_run(tmp_path / target, target))))[0]
        assert told in first["y"]


def test_of_a_private_suite_only_figures_are_shown(tmp_path: Path) -> None:
    rows = [router_row(place) for place in range(60)]
    text = render_page(write_run(tmp_path, "router", rows, private=True))
    page = parsed(text)
    assert not re.search(r"message \d|case-\d|cases\.jsonl:", text)
    assert page.select("script, a.cell, #controls") == []
    assert one(page, "#cases p").get_text() == "The suite is private: its cases are not shown, only figures."
    assert len(page.select("figure.plot")) == len(PLOTS["router"])


def test_a_private_baseline_is_not_shown_either(tmp_path: Path) -> None:
    secret = [stub_row(place, wrong="secret words", scores={"accuracy": 0.0}) for place in range(20)]
    now = [stub_row(place, scores={"accuracy": 1.0}) for place in range(20)]
    before = write_run(tmp_path / "before", "router", secret, metrics=["accuracy"], private=True)
    after = write_run(tmp_path / "after", "router", now, metrics=["accuracy"])
    assert "secret words" not in render_page(after, before)


def test_headline_figures_and_plots_need_no_script(tmp_path: Path) -> None:
    gates = [
        {"metric": "accuracy", "rule": ">= 0.5", "value": 0.9, "limit": 0.5, "held": True},
        {"metric": "oos_auroc", "rule": ">= 0.99", "value": 0.9, "limit": 0.99, "held": False},
    ]
    page = parsed(render_page(write_run(tmp_path, "router", gates=gates)))
    assert one(page, ".verdict").get_text() == "✗ 1 of 2 gates fails: oos_auroc"
    assert [one_text(each, "th").startswith(name) for each, name in rows_of(page)] == [True] * 4
    tiles = [each.get_text(" ").split()[-4:] for each in page.select(".tiles li")]
    assert len(tiles) == 4
    assert "needs JavaScript" in one(page, "noscript").get_text()


def rows_of(page: BeautifulSoup) -> list[tuple[Tag, str]]:
    names = ("accuracy", "oos_auroc", "accuracy@oos_recall:0.9", "latency_p50")
    return list(zip(page.select("#figures tbody tr"), names, strict=True))


def test_what_no_case_tells_is_said_to_be_unknown(tmp_path: Path) -> None:
    page = parsed(render_page(write_run(tmp_path, "router", metrics=["accuracy", "kappa", "spend"])))
    assert "no case tells" in page.select("#figures tbody tr")[2].get_text()


def test_ten_thousand_cases_and_long_texts_stay_within_bounds(tmp_path: Path) -> None:
    filling = "<&> filling " * 20

    def row(place: int) -> Row:
        given = "long " * 4_000 if place == 7 else f"message {place}"
        output = {"intent": "a", "best": "a", "filling": [filling] * 4}
        return stub_row(place, input=given, output=output, wrong=None if place % 10 else "b; not a")

    write_run(tmp_path, "router", [row(place) for place in range(10_000)], metrics=[])
    text = render_page(open_run(tmp_path))
    listed = cases(parsed(text))
    assert len(listed) == 10_000
    assert len(text.encode()) < 2 * BUDGET
    assert sum(len(orjson.dumps(each)) for each in listed) <= BUDGET
    assert listed[0]["w"] == "b; not a"


def test_a_text_of_twenty_thousand_characters_is_shown_whole_where_there_is_room(tmp_path: Path) -> None:
    rows = [stub_row(0, input="x" * 20_000, wrong="no"), stub_row(1, input="y" * 20_001, wrong="no")]
    listed = cases(parsed(render_page(write_run(tmp_path, "checker", rows, metrics=[]))))
    assert listed[0]["x"] == "x" * 20_000
    assert "m" not in listed[0]
    assert listed[1]["x"] == "y" * 20_000 + "… (1 more characters)"
    assert listed[1]["m"] is True


def test_two_runs_are_compared(tmp_path: Path) -> None:
    before = [stub_row(place, scores={"accuracy": 1.0}) for place in range(80)]
    after = [
        stub_row(place, scores={"accuracy": float(place % 2)}, wrong=None if place % 2 else "now wrong")
        for place in range(80)
    ]
    first = write_run(tmp_path / "before", "router", before, metrics=["accuracy"])
    second = write_run(tmp_path / "after", "router", after, metrics=["accuracy"])
    page = parsed(render_page(second, first))
    assert one(page, "#compared p.bad").get_text() == "Worse beyond doubt: accuracy, accuracy of even."
    cells = [each.get_text() for each in page.select("#compared tbody tr")[0].select("th, td")]
    assert cells[:4] == ["accuracy", "100.0\xa0%", "50.0\xa0%", "-50.0\xa0pt"]
    assert cells[-1] == "worse"
    assert {each["ch"] for each in cases(page) if "ch" in each} == {"broken"}
    assert [each["value"] for each in page.select("#show input")] == ["wrong", "right", "all", "broken", "mended"]


def test_a_run_that_is_not_finished_has_no_page(tmp_path: Path) -> None:
    run = write_run(tmp_path, "router")
    run.head["status"] = "running"
    with pytest.raises(InputError, match="the run is not finished"):
        render_page(run)


def test_a_run_of_one_kind_or_without_cases_has_a_page(tmp_path: Path) -> None:
    kind = [judged_row(place) for place in range(0, 30, 3)]
    page = parsed(render_page(write_run(tmp_path / "kind", "checker", kind, metrics=["recall"])))
    plots = [str(each["id"]).removeprefix("plot-") for each in page.select("figure.plot")]
    assert plots == ["confusion", "calibration", "risk-coverage", "tags-recall", "latency"]
    none = parsed(render_page(write_run(tmp_path / "none", "checker", [], metrics=["recall"])))
    assert none.select("figure.plot") == []


def test_controls_and_drawings_have_names(tmp_path: Path) -> None:
    page = parsed(render_page(write_run(tmp_path, "router")))
    for each in page.select("input, select"):
        assert each.find_parent("label") is not None
    for each in page.select("figure > svg"):
        assert page.find(id=str(each["aria-labelledby"])) is not None
        assert page.find(id=str(each["aria-describedby"])) is not None
    for each in page.select("a.cell"):
        assert each["aria-label"]
    ids = [str(each["id"]) for each in page.select("[id]")]
    assert sorted(ids) == sorted(set(ids))
