"""The wheel owns one name, carries the data files, and lives beside an app with names like ours."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
APP = """
import tools
from handrail import Client
import agents, server
assert Client.open and (tools.MINE, agents.MINE, server.MINE) == (1, 2, 3)
"""
OURS = """
import handrail
handrail.use_own_packages()
from handrail.cli import app
from policies.types import Autonomy
from graphs.settings import Settings
assert (Settings().assistant / "knowledge").is_dir(), Settings().assistant
assert "_root" in __import__("policies").__file__
"""


@pytest.fixture(name="wheel", scope="module")
def wheel_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the backend that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--no-index", "-w", str(folder), str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_owns_one_name(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"handrail"}


def test_the_wheel_carries_what_is_not_python(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "handrail/samples/support/intents.yaml",
        "handrail/samples/support/knowledge/returns-policy.md",
        "handrail/samples/blank/policy.yaml",
        "handrail/_root/agents/prompts/draft.md",
        "handrail/_root/tools/encoder/heads/matching.npz",
        "handrail/_root/tools/storage/migrations/versions/0001_the_first_tables.py",
    } <= names


def test_the_installed_wheel_works_and_leaves_an_apps_own_names_alone(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    app = tmp_path / "app"
    for number, name in enumerate(("tools", "agents", "server"), start=1):
        (app / name).mkdir(parents=True)
        (app / name / "__init__.py").write_text(f"MINE = {number}\n")
    for program, path in ((APP, f"{app}:{site}"), (OURS, f"{app}:{site}")):
        subprocess.run([sys.executable, "-c", program], check=True, cwd=app, env={"PYTHONPATH": path})
