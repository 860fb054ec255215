"""``handrail eval report`` writes a page into the run's folder, or where it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from handrail.cli import app
from tests.evals.page.stubs import write_run


def report(*arguments: Path | str) -> tuple[int, list[str]]:
    found = CliRunner().invoke(app, ["eval", "report", *map(str, arguments)])
    return found.exit_code, found.output.splitlines()


def test_the_page_of_a_run_stands_in_its_folder(tmp_path: Path) -> None:
    write_run(tmp_path, "router")
    assert report(tmp_path) == (0, [str(tmp_path / "report.html")])
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


def test_the_page_can_be_written_elsewhere(tmp_path: Path) -> None:
    write_run(tmp_path / "run", "guard:injection")
    out = tmp_path / "pages" / "guard.html"
    assert report(tmp_path / "run", "--out", out) == (0, [str(out)])
    assert out.exists()


def test_each_of_several_runs_gets_its_page_and_its_own_baseline(tmp_path: Path) -> None:
    for name in ("before", "after"):
        write_run(tmp_path / name / "one", "router")
        write_run(tmp_path / name / "two", "pii")
    code, lines = report(tmp_path / "after", "--baseline", tmp_path / "before")
    pages = [tmp_path / "after" / name / "report.html" for name in ("one", "two")]
    assert (code, lines) == (0, [str(page) for page in pages])
    assert all("Compared with an earlier run" in page.read_text() for page in pages)


def test_several_runs_do_not_fit_into_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, "pii")
    code, lines = report(tmp_path, "--out", tmp_path / "page.html")
    assert code == 1
    assert "holds 2 runs" in " ".join(lines) + capsys.readouterr().err


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    code, _ = report(tmp_path / "nothing")
    assert code == 1
