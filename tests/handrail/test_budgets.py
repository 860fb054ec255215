"""``handrail policy explain`` shows what an assistant may spend."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from handrail.cli import app
from tests.journeys.shop import FILES


def test_a_policy_that_has_budgets_shows_them(tmp_path: Path) -> None:
    for name, words in {**FILES, "policy.yaml": "budgets: {day: {money: 25, at_100: escalate}}\n"}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words)
    asked = ["policy", "explain", "--assistant", str(tmp_path), "--input", "Where is it?", "--intent", "delivery"]
    done = CliRunner().invoke(app, asked)
    assert "budget of a day: money 25.0; at 80 % warn, at 100 % escalate" in done.stdout, done.output
    found = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert found["budgets"] == {"day": {"money": 25.0, "at_80": "warn", "at_100": "escalate"}}
