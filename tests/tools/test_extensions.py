"""An assistant's Python files: loaded by path, each by itself, with errors that name file and line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.extensions import PREFIX, load_extension


def test_a_file_is_loaded_under_a_private_name_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "actions.py").write_text("from __future__ import annotations\nANSWER = 42\n")
    before = list(sys.path)
    module = load_extension(tmp_path, "actions.py")
    assert (module.ANSWER, module.__name__.startswith(PREFIX)) == (42, True)
    assert module.__file__ == str((tmp_path / "actions.py").resolve())
    assert [path.name for path in tmp_path.iterdir()] == ["actions.py"]
    assert (sys.path, "actions" in sys.modules) == (before, False)


def test_the_same_text_is_run_once_and_a_changed_one_anew(tmp_path: Path) -> None:
    path = tmp_path / "actions.py"
    path.write_text("STATE = []\n")
    first = load_extension(tmp_path, "actions.py")
    assert load_extension(tmp_path, "actions.py") is first
    path.write_text("STATE = [1]\n")
    second = load_extension(tmp_path, "actions.py")
    assert (first.STATE, second.STATE) == ([], [1])


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "actions.py").write_text("HERE = __file__\n")
    found = [load_extension(tmp_path / name, "actions.py").HERE for name in ("a", "b")]
    assert found == [str((tmp_path / name / "actions.py").resolve()) for name in ("a", "b")]


def test_types_of_a_file_are_found_by_its_private_name(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    b: int\n"
    )
    (tmp_path / "actions.py").write_text(text)
    assert load_extension(tmp_path, "actions.py").A(b=1).b == 1


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("x = 1\ny = (\n", 2, "SyntaxError"),
        ("x = 1\n\nimport no_such_package\n", 3, "No module named 'no_such_package'"),
        ("from . import prices\n", 1, "ImportError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("def broken():\n    return 1 / 0\n\nbroken()\n", 2, "ZeroDivisionError"),
    ],
)
def test_a_file_that_fails_names_its_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    (tmp_path / "actions.py").write_text(text)
    with pytest.raises(ConfigError) as failed:
        load_extension(tmp_path, "actions.py")
    assert failed.value.message.startswith(f"{(tmp_path / 'actions.py').resolve()}:{line}: ")
    assert problem in failed.value.message
    assert failed.value.remedy
    assert not [name for name, module in sys.modules.items() if name.startswith(PREFIX) and module is None]


@pytest.mark.parametrize("file", ["../outside.py", "/etc/passwd", "linked.py", "notes.txt"])
def test_a_file_outside_of_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "assistant"
    folder.mkdir()
    (tmp_path / "outside.py").write_text("x = 1\n")
    (folder / "linked.py").symlink_to(tmp_path / "outside.py")
    (folder / "notes.txt").write_text("x = 1\n")
    with pytest.raises(ConfigError, match="no Python file inside"):
        load_extension(folder, file)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        load_extension(tmp_path, "actions.py")


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    (tmp_path / "actions.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(ConfigError, match="can't be read"):
        load_extension(tmp_path, "actions.py")
