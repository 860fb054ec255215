"""A mistake in a workflow is told when its file is loaded, with file, line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphs.workflows.definitions import load_workflows
from policies.errors import ConfigError
from tests.journeys.flows import ERRANDS, write_errands
from tools.assistants import load_assistant


def told(folder: Path) -> str:
    """Load the workflows of a folder and return what is wrong with them."""
    with pytest.raises(ConfigError) as error:
        load_workflows(load_assistant(folder))
    return str(error.value).replace(f"{folder}/", "")


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


MARKED = line_of(ERRANDS, "@graph(")
CASES = {
    "not marked": (
        "@graph(input=Errand, output=Done)\n",
        "",
        "assistant.yaml:10: workflows.errand: errands.py has no function 'errand' marked with @graph; none there "
        "is marked.",
    ),
    "compiled": (
        "    return steps",
        "    return steps.compile()",
        f"errands.py:{MARKED}: errand returns a CompiledStateGraph. Return the StateGraph itself, before .comp",
    ),
    "raises": (
        "    steps = StateGraph(",
        "    raise OSError('no')\n    steps = StateGraph(",
        f"errands.py:{line_of(ERRANDS, '    steps = StateGraph(')}: errand can't be called: OSError: no.",
    ),
    "no model": ("input=Errand", "input=dict", f"errands.py:{MARKED}: the input of errand is no pydantic model."),
    "no place": (
        "    how: str = ",
        "    haste: int = 1\n    how: str = ",
        f"errands.py:{MARKED + 1}: the state of the graph has no 'haste'.",
    ),
    "no edge": (
        '    steps.add_edge(START, "begin")\n',
        "",
        f"errands.py:{MARKED}: the graph does not hold together:",
    ),
    "no Python": (
        "import os\n",
        "import os +\n",
        f"errands.py:{line_of(ERRANDS, 'import os')}: the file can't be",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_names_file_line_and_remedy(case: str, tmp_path: Path) -> None:
    old, new, said = CASES[case]
    folder = write_errands(tmp_path)
    assert ERRANDS.count(old) >= 1
    (folder / "errands.py").write_text(ERRANDS.replace(old, new, 1))
    assert said in told(folder)


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    folder = write_errands(tmp_path)
    (folder / "errands.py").unlink()
    with pytest.raises(ConfigError, match=r"errands\.py: the file is missing"):
        load_assistant(folder)


def test_no_workflow_is_called_like_the_graph_of_conversations(tmp_path: Path) -> None:
    folder = write_errands(tmp_path)
    file = folder / "assistant.yaml"
    file.write_text(file.read_text().replace("  errand:\n", "  support:\n"))
    assert "assistant.yaml:9: workflows.support: conversations have a graph of that name." in told(folder)


def test_the_file_of_a_workflow_is_part_of_the_version(tmp_path: Path) -> None:
    folder = write_errands(tmp_path)
    before = load_assistant(folder).version
    (folder / "errands.py").write_text(f"{ERRANDS}\n")
    assert load_assistant(folder).version != before


def test_they_are_listed_as_they_are_written(tmp_path: Path) -> None:
    found = load_workflows(load_assistant(write_errands(tmp_path)))
    assert [(each.name, each.queue, each.priority, each.seconds) for each in found.values()] == [
        ("errand", "care", "normal", None),
        ("brief-errand", "general", "normal", 1.5),
    ]
