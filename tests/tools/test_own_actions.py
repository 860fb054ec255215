"""Tools of one's own: what a signature asks for, what is refused on load, and what comes back from a call."""

from __future__ import annotations

import math
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from policies.errors import ConfigError, Refused
from policies.types import JSON
from tests.journeys.shop import FILES
from tools.actions import Action, ActionRequest, TakesArguments, parameters_of
from tools.assistants import Assistant, load_assistant
from tools.offers import require_known_arguments
from tools.own_actions import LARGEST_RESULT, facts_from, load_actions, result_of

pytestmark = pytest.mark.anyio

HEAD = """\
from __future__ import annotations
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from pydantic import BaseModel
from handrail import Found, Refused, ToolContext, tool
"""


@pytest.fixture(name="written")
def written_fixture(tmp_path: Path) -> Callable[..., Assistant]:
    """Return a function that writes an assistant with a file of tools and reads it."""

    def written(code: str, *names: str) -> Assistant:
        folder = tmp_path / "tea-shop"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "knowledge").mkdir(parents=True)
        for name in ("assistant.yaml", "intents.yaml", "policy.yaml"):
            (folder / name).write_text(FILES[name])
        listed = "".join(f"  {name}: actions.py\n" for name in names or ("act",))
        with (folder / "assistant.yaml").open("a") as file:
            file.write(f"tools:\n{listed}")
        (folder / "actions.py").write_text(HEAD + code)
        return load_assistant(folder)

    return written


Written = Callable[..., Assistant]


def loaded(assistant: Assistant, tmp_path: Path) -> Action:
    """Return the only tool."""
    [action] = load_actions(assistant, tmp_path / "data").values()
    return action


def asked(**arguments: Any) -> ActionRequest:
    return ActionRequest(
        key="run_1:act:act",
        workspace_id="default",
        conversation_id="con_1",
        run_id="run_1",
        intent="delivery",
        question="Where is it?",
        language="en",
        locale=None,
        attributes={"member": True},
        customer_id="c-1",
        arguments=arguments,
    )


async def test_a_function_is_called_with_its_arguments_as_their_types(written: Written, tmp_path: Path) -> None:
    code = """
@tool(effect=True, idempotent=True, timeout=2)
def act(day: date, amount: Decimal, size: Literal["s", "l"] = "s") -> dict[str, object]:
    '''Do it.'''
    return {"say": [f"{day:%d.%m.%Y}, {amount + 1} and {size}."]}
"""
    action = loaded(written(code), tmp_path)
    assert (action.name, action.effect, action.idempotent, action.timeout) == ("act", True, True, 2)
    assert isinstance(action, TakesArguments)
    assert [(each.name, each.required) for each in parameters_of(action)] == [
        ("day", True),
        ("amount", True),
        ("size", False),
    ]
    given: JSON = {"day": action.read("day", "2026-05-03"), "amount": action.read("amount", "12.50")}
    assert given == {"day": "2026-05-03", "amount": 12.5}
    assert await action(asked(**given)) == {"say": ["03.05.2026, 13.5 and s."]}
    for name, value in (("day", "soon"), ("amount", "nan"), ("amount", "much"), ("size", "m")):
        with pytest.raises(ValueError, match=r"."):
            action.read(name, value)


async def test_a_function_may_be_async_and_told_who_asks(written: Written, tmp_path: Path) -> None:
    code = """
@tool
async def act(context: ToolContext) -> list[str]:
    '''Do it.'''
    (context.data / "here").write_text("x")
    return [context.key, context.customer_id or "", str(context.attributes["member"])]
"""
    action = loaded(written(code), tmp_path)
    assert parameters_of(action) == ()
    found: Any = await action(asked())
    assert found == ["run_1:act:act", "c-1", "True"]
    assert (tmp_path / "data" / "tools" / "tea-shop" / "here").read_text() == "x"


async def test_a_function_that_blocks_is_run_in_a_thread_and_given_up_in_time(
    written: Written, tmp_path: Path
) -> None:
    code = """
import threading
GO = threading.Event()
@tool
def act() -> str:
    '''Do it.'''
    GO.wait(20)
    return threading.current_thread().name
"""
    action = loaded(written(code), tmp_path)
    with anyio.move_on_after(0.05) as scope:
        await action(asked())
    assert scope.cancelled_caught
    release(action)
    assert str(await action(asked())) != threading.main_thread().name


def release(action: Action) -> None:
    """Let the blocked function go on."""
    vars(action)["_function"].__globals__["GO"].set()


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ("raise Refused('Not today.')", Refused, "Not today."),
        ("raise Refused('half \\ud800 and null \\x00')", Refused, "^half  and null $"),
        ("raise Refused('word ' * 1_000_000)", Refused, "^(word ){98}word$"),
        ("raise Refused('x' * 5_000_000)", Refused, "^x{500}$"),
        ("raise SystemExit(3)", RuntimeError, "end the process"),
        ("raise KeyboardInterrupt", RuntimeError, "end the process"),
        ("raise BaseException('odd')", RuntimeError, "end the process"),
        ("raise ValueError('bad')", ValueError, "bad"),
        (f"return 'x' * {LARGEST_RESULT}", ValueError, "at most"),
        ("return object()", ValueError, "at most"),
    ],
)
async def test_what_a_tool_raises(
    written: Written, tmp_path: Path, body: str, kind: type[Exception], says: str
) -> None:
    action = loaded(written(f"@tool\ndef act() -> object:\n    '''Do it.'''\n    {body}\n"), tmp_path)
    with pytest.raises(kind, match=says):
        await action(asked())


async def test_a_refusal_whose_words_can_not_be_had_is_one_all_the_same(written: Written, tmp_path: Path) -> None:
    code = """
class Mute(Refused):
    def __str__(self) -> str:
        raise ValueError("no words")

@tool
async def act() -> None:
    "Do it."
    raise Mute
"""
    action = loaded(written(code), tmp_path)
    with pytest.raises(Refused) as refused:
        await action(asked())
    assert refused.value.message == ""


async def test_arguments_of_an_earlier_version_that_do_not_fit_any_more_are_refused(
    written: Written, tmp_path: Path
) -> None:
    action = loaded(written("@tool(effect=True)\ndef act(day: date) -> None:\n    '''Do it.'''\n"), tmp_path)
    for arguments in ({}, {"day": "soon"}, {"day": "2026-01-01", "hour": 3}):
        with pytest.raises(Refused):
            await action(asked(**arguments))


def test_a_result_is_json_that_every_database_keeps() -> None:
    assert result_of({"a": math.nan, "b": "x\x00y\ud800", 3: (1, {"c"})}, effect=False) == {
        "a": None,
        "b": "xy",
        "3": [1, ["c"]],
    }
    assert result_of("x" * LARGEST_RESULT, effect=True) == {}
    assert result_of(None, effect=False) is None


@pytest.mark.parametrize(
    ("code", "line", "says"),
    [
        ("@tool\ndef act(order: str) -> None:\n    pass\n", 7, "has no docstring"),
        ("@tool\ndef act(order) -> None:\n    '''Do it.'''\n", 7, "'order' has no type"),
        ("@tool\ndef act(*orders: str) -> None:\n    '''Do it.'''\n", 7, "is no plain one"),
        ("@tool\ndef act(order: Order) -> None:\n    '''Do it.'''\n", 7, "types can't be read"),
        ("@tool\ndef act(order: threading.Lock) -> None:\n    '''Do it.'''\n", 7, "types can't be read"),
        ("class Lock: ...\n@tool\ndef act(lock: Lock) -> None:\n    '''Do it.'''\n", 8, "no value in JSON"),
        ("@tool(timeout=0)\ndef act() -> None:\n    '''Do it.'''\n", 7, "timeout"),
        ("@tool\ndef act(o: Annotated[str, Found('(', 'x')]) -> None:\n    '''Do it.'''\n", 7, "pattern"),
    ],
)
def test_a_signature_that_can_not_be_used_names_file_line_and_function(
    written: Written, tmp_path: Path, code: str, line: int, says: str
) -> None:
    assistant = written(code)
    with pytest.raises(ConfigError) as failed:
        load_actions(assistant, tmp_path)
    path = (assistant.folder / "actions.py").resolve()
    assert failed.value.message.startswith(f"{path}:{line}: act: the tool 'act' can't be used: ")
    assert says in failed.value.message
    assert failed.value.remedy


@pytest.mark.parametrize(
    ("code", "says"), [("x = 1\n", "is missing"), ("def act() -> None:\n    '''Do it.'''\n", "is not marked")]
)
def test_a_tool_that_is_not_there_names_the_line_that_lists_it(
    written: Written, tmp_path: Path, code: str, says: str
) -> None:
    assistant = written(code)
    with pytest.raises(ConfigError) as failed:
        load_actions(assistant, tmp_path)
    assert failed.value.message.startswith(
        f"{assistant.folder / 'assistant.yaml'}:9: tools.act: the function 'act'"
    )
    assert says in failed.value.message


def test_the_version_of_an_assistant_is_that_of_its_python_files_too(written: Written) -> None:
    one, two = (written(f"@tool\ndef act() -> None:\n    '''{said}'''\n") for said in ("One.", "Two."))
    assert one.version != two.version
    assert sorted(one.files) == ["actions.py", "assistant.yaml", "intents.yaml", "policy.yaml"]


def test_a_listed_file_that_is_missing_is_told_on_load(written: Written) -> None:
    folder = written("@tool\ndef act() -> None:\n    '''Do it.'''\n").folder
    (folder / "actions.py").unlink()
    with pytest.raises(ConfigError, match=r"actions\.py: the file is missing"):
        load_assistant(folder)


def test_a_rule_on_an_action_names_arguments_that_it_takes(written: Written, tmp_path: Path) -> None:
    assistant = written("@tool(effect=True)\ndef act(amount: float) -> None:\n    '''Do it.'''\n")
    intents = FILES["intents.yaml"].replace("  autonomy: auto\n", "  autonomy: auto\n  tools: [act]\n")
    (assistant.folder / "intents.yaml").write_text(intents)
    rule = (
        "rules:\n- id: much\n  on: action\n  tool: act\n  effect: require\n  reason: Much.\n"
        "  when: arguments.{} > 5.0\n"
    )
    for name, wrong in (("amount", False), ("amuont", True)):
        (assistant.folder / "policy.yaml").write_text(rule.format(name))
        loaded = load_assistant(assistant.folder)
        if not wrong:
            require_known_arguments(loaded, load_actions(loaded, tmp_path))
            continue
        with pytest.raises(
            ConfigError, match=r"policy\.yaml:7: rules\.0\.when: the tool 'act' takes no argument 'amuont'"
        ):
            require_known_arguments(loaded, load_actions(loaded, tmp_path))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("@tool(facts=known)\ndef act() -> None:\n    '''Do it.'''\n", "changes nothing"),
        ("@tool(effect=True, facts=known)\ndef act() -> None:\n    '''Do it.'''\n", "ask for 'order'"),
        ("@tool(effect=True, facts=3)\ndef act() -> None:\n    '''Do it.'''\n", "are no function"),
    ],
)
def test_facts_that_can_not_be_asked_for_are_refused_on_load(
    written: Written, tmp_path: Path, code: str, says: str
) -> None:
    known = "def known(order: str) -> dict[str, float]:\n    return {}\n"
    with pytest.raises(ConfigError, match=says):
        load_actions(written(known + code), tmp_path)


@pytest.mark.parametrize("given", ["text", math.nan, math.inf, None, [1]])
def test_facts_are_numbers_and_truth_values(given: Any) -> None:
    assert facts_from({"a": 1, "b": True}) == {"a": 1, "b": True}
    for wrong in (given, {"a": given}):
        with pytest.raises(ValueError, match="fact"):
            facts_from(wrong)


def test_a_rule_asks_for_facts_where_there_are_any(written: Written, tmp_path: Path) -> None:
    folder = written("@tool(effect=True)\ndef act() -> None:\n    '''Do it.'''\n").folder
    rule = "{id: much, on: action, tool: act, effect: require, reason: Much., when: facts.sent > 5.0}"
    policy = FILES["policy.yaml"]
    (folder / "policy.yaml").write_text(f"rules:\n- {rule}\n{policy}")
    intents = FILES["intents.yaml"].replace("  autonomy: auto\n", "  autonomy: auto\n  tools: [act]\n")
    (folder / "intents.yaml").write_text(intents)
    assistant = load_assistant(folder)
    with pytest.raises(ConfigError, match=r"policy\.yaml:2: rules\.0\.when: the tool 'act' has no facts"):
        require_known_arguments(assistant, load_actions(assistant, tmp_path))
