"""README can't lie: its commands exist, the settings are the program's, its front door stays short.

``python tests/meta/test_readme.py`` writes the table of settings.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer
import yaml
from pydantic import SecretStr

from graphs.models import models_settings
from graphs.settings import Settings
from handrail.cli import app
from policies.folder import AssistantFile, PolicyFile

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
SETTINGS = ROOT / "design" / "settings.md"
BEGIN, END = "<!-- settings: written by tests/meta/test_readme.py -->\n", "<!-- end of settings -->"
COMMANDS = [line.strip() for line in README.read_text().splitlines() if line.startswith("    ")]


def settings_table() -> str:
    """Return the table of settings as design/settings.md shows it."""
    lines = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        shown = "the sample shop" if name == "assistant" else field.default
        default = "" if shown is None else f"`{shown}`" if name != "assistant" else shown
        lines.append(f"| `HANDRAIL_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def test_readme_is_a_short_front_door() -> None:
    assert len(README.read_text().splitlines()) <= 120


def test_the_settings_that_there_are_are_shown() -> None:
    assert "`design/settings.md`" in README.read_text()
    text = SETTINGS.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == settings_table()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_readme_exists(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert words[0] == ".venv/bin/handrail"
    group: click.Command = typer.main.get_command(app)
    rest = words[1:]
    while isinstance(group, click.Group):
        group = group.commands[rest.pop(0)]
    group.make_parser(click.Context(group)).parse_args(args=rest)


@pytest.mark.parametrize("lines", re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL))
def test_what_readme_writes_into_an_assistants_files_is_read(lines: str) -> None:
    written = yaml.safe_load(lines)
    consent = {"consent": written.pop("consent")}
    head = {"name": "shop", "title": "Shop", "greeting": "Hello!"}
    assert len(lines.splitlines()) == 3
    assert models_settings(AssistantFile.model_validate({**head, **written}), lambda _: SecretStr("sk-1"))
    assert PolicyFile.model_validate(consent).consent.third_party_llm == ("openai" in lines)


def test_make_help_lists_the_verbs() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    verbs = [line.split()[1] for line in done.stdout.splitlines()]
    assert verbs == ["help", "setup", "demo", "test", "check", "fmt", "bench", "soak", "eval", "results", "heads"]


if __name__ == "__main__":
    old = SETTINGS.read_text()
    SETTINGS.write_text(old[: old.index(BEGIN) + len(BEGIN)] + settings_table() + old[old.index(END) :])
