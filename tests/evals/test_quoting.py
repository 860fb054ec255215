"""The local drafter before other organisations: what it quotes is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals import quoting
from evals.cli import FAILED_TO_RUN
from evals.heads.readings import Organisation, read_all
from tools.encoder.fake import HashingEncoder

pytestmark = pytest.mark.anyio
KITES = """
organisation: Gale, a shop for kites
articles:
  - title: Kites
    sections:
      - heading: Lines
        sentences:
          s1: A kite line is 40 metres long.
          s2: Spare lines cost 12 euros each.
          s4: A kite tail is 3 metres long.
      - heading: Wind
        sentences:
          s3: Kites must come down when the wind is above 60 km/h.
    questions:
      - {asked: how long is a kite line, answer: [s1], said: [], wrong: []}
      - {asked: what do spare lines cost and how long is a kite line, answer: [s2, s1], said: [], wrong: []}
      - {asked: zebra, answer: [s3], said: [], wrong: []}
      - {asked: how long is a kite tail, answer: [s4, s3], said: [], wrong: []}
      - {asked: what do spare lines cost, answer: [s3], said: [], wrong: []}
    unanswered: [who invented the umbrella]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kites.yaml").write_text(KITES)
    return tmp_path


async def test_each_question_is_found_missed_or_rightly_refused(folder: Path) -> None:
    [kites] = read_all(folder).values()
    found = [each async for each in quoting.drafts(kites, HashingEncoder())]
    assert [(each.answerable, sorted(each.told)) for each in found] == [
        (True, ["found", "whole"]),
        (True, ["found", "whole"]),
        (True, ["abstained"]),
        (True, ["found"]),
        (True, ["something else"]),
        (False, ["rightly abstained"]),
    ]
    measured = quoting.figures(found)
    assert {what: (round(figure.value, 2), figure.count) for what, figure in measured.items()} == {
        "found": (0.6, 5),
        "whole": (0.4, 5),
        "something else": (0.2, 5),
        "abstained": (0.2, 5),
        "rightly abstained": (1, 1),
    }


def test_an_article_is_written_as_a_knowledge_folder_has_it(folder: Path) -> None:
    kites: Organisation = read_all(folder)["kites"]
    assert quoting.markdown(kites.articles[0]) == (
        "# Kites\n\n## Lines\n\nA kite line is 40 metres long. Spare lines cost 12 euros each. "
        "A kite tail is 3 metres long.\n\n"
        "## Wind\n\nKites must come down when the wind is above 60 km/h.\n"
    )


def test_figures_are_shown_and_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoders: Path
) -> None:
    out = tmp_path / "figures.json"
    assert quoting.main(["--readings", str(folder), "--json", str(out), "--cache", str(encoders)]) == 0
    assert set(json.loads(out.read_text())) == set(quoting.MEANINGS)
    assert "abstains where no article answers" in capsys.readouterr().out


def test_a_reading_that_can_t_be_read_is_told(
    folder: Path, encoders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "kites.yaml").write_text("organisation: Gale\narticles: 7\n")
    assert quoting.main(["--readings", str(folder), "--cache", str(encoders)]) == FAILED_TO_RUN
    assert "kites.yaml is no reading" in capsys.readouterr().err
