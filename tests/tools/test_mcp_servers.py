"""Tools of servers that speak MCP, with a real one over standard input and output."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from agents.arguments import ArgumentsRequest, LocalArguments
from evals.postgres import free_port
from policies.errors import ConfigError
from tests.journeys.shop import FILES
from tools.actions import ActionRequest, TakesArguments
from tools.assistants import Assistant, load_assistant
from tools.offers import open_actions

pytestmark = pytest.mark.anyio
SERVER = Path(__file__).with_name("mcp_server.py")
ROOT = SERVER.parent.parent.parent


@pytest.fixture(name="written")
def written_fixture(tmp_path: Path) -> Callable[[str], Assistant]:
    """Return a function that writes an assistant with a server and reads it."""

    def written(server: str) -> Assistant:
        for name in ("assistant.yaml", "intents.yaml", "policy.yaml"):
            (tmp_path / name).write_text(FILES[name])
        (tmp_path / "knowledge").mkdir(exist_ok=True)
        with (tmp_path / "assistant.yaml").open("a") as file:
            file.write(f"mcp:\n  warehouse:\n{server}")
        return load_assistant(tmp_path)

    return written


def command(*more: str) -> str:
    return f"    command: {[sys.executable, str(SERVER), *more]}\n"


def asked(**arguments: object) -> ActionRequest:
    return ActionRequest(
        key="run_1:act:act",
        workspace_id="default",
        conversation_id="con_1",
        run_id="run_1",
        intent="delivery",
        question="?",
        language="en",
        locale=None,
        attributes={},
        arguments=arguments,
    )


async def test_listed_tools_of_a_server_are_actions(written: Callable[[str], Assistant], tmp_path: Path) -> None:
    listed = f"""\
    env: {{RESERVED: "{tmp_path / "reserved"}"}}
    tools:
      stock_level:
        tool: stock
        effect: false
        arguments: {{item: {{pattern: 'tent|stove', about: an item}}}}
      reserve: {{idempotent: true, timeout: 30, arguments: {{count: {{pattern: '\\d+', about: how many}}}}}}
"""
    actions = await open_actions(written(command() + listed), tmp_path)
    stock, reserve = actions["stock_level"], actions["reserve"]
    assert [(each.name, each.effect, each.idempotent) for each in (stock, reserve)] == [
        ("stock_level", False, False),
        ("reserve", True, True),
    ]
    assert isinstance(stock, TakesArguments)
    assert isinstance(reserve, TakesArguments)
    fill = LocalArguments()
    told = await fill(ArgumentsRequest(action=stock, question="Is there a tent left?"))
    assert (told.said, stock.description) == ({"item": "tent"}, "Say how many of an item are left.")
    lacking = await fill(ArgumentsRequest(action=reserve, question="Reserve 2 of them", only_now=True))
    assert (lacking.said, [each.name for each in lacking.missing]) == ({"count": 2}, ["item"])
    left: object = await stock(asked(**told.said))
    assert left == "There are 7 of tent left."
    assert await reserve(asked(item="stove", count=2)) == {"item": "stove", "reserved": 2}
    assert (tmp_path / "reserved").read_text() == "2 stove\n"


async def test_a_tool_that_fails_raises(written: Callable[[str], Assistant], tmp_path: Path) -> None:
    actions = await open_actions(written(command() + "    tools: {fail: {effect: false}}\n"), tmp_path)
    with pytest.raises(Exception, match="no such shelf"):
        await actions["fail"](asked())


@pytest.fixture(name="address")
def address_fixture() -> Iterator[str]:
    """Start the server on a port, and return its address."""
    port = free_port()
    with subprocess.Popen([sys.executable, str(SERVER), "port", str(port)]) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            else:
                pytest.fail("the server has not opened its port")
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


KEY = """    headers: {Authorization: "Bearer ${WAREHOUSE_KEY}"}
    tools: {key: {effect: false}}
"""


async def test_a_server_by_address_is_called_with_its_headers(
    written: Callable[[str], Assistant], tmp_path: Path, address: str
) -> None:
    keys = {"WAREHOUSE_KEY": SecretStr("hush")}
    actions = await open_actions(written(f"    url: {address}\n{KEY}"), tmp_path, keys.get)
    said: object = await actions["key"](asked())
    assert said == "Bearer hush"


async def test_a_header_whose_variable_is_not_set_is_told_with_its_line(
    written: Callable[[str], Assistant], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as failed:
        await open_actions(written(f"    url: http://127.0.0.1:9/mcp\n{KEY}"), tmp_path)
    assert failed.value.message == (
        f"{tmp_path / 'assistant.yaml'}:9: mcp.warehouse: a header needs the environment variable WAREHOUSE_KEY, "
        "which is not set."
    )
    assert failed.value.remedy == "Set WAREHOUSE_KEY, or take the header out."


@pytest.mark.parametrize(
    ("headers", "held", "says"),
    [
        ("Authorization: '${WAREHOUSE_KEY}'", "hush\nhush", "a header can't hold what the environment variable"),
        ("Authorization: '${WAREHOUSE_KEY}'", "h\u00fcsh", "a header can't hold what the environment variable"),
        ("Authorization: '${WAREHOUSE-KEY}'", "hush", "a header has a `${` that names no variable"),
    ],
)
async def test_a_header_that_can_not_be_sent_is_told_without_its_value(
    written: Callable[[str], Assistant], tmp_path: Path, headers: str, held: str, says: str
) -> None:
    server = f"    url: http://127.0.0.1:9/mcp\n    headers: {{{headers}}}\n    tools: {{key: {{}}}}\n"
    with pytest.raises(ConfigError, match=re.escape(says)) as failed:
        await open_actions(written(server), tmp_path, {"WAREHOUSE_KEY": SecretStr(held)}.get)
    assert "sh" not in f"{failed.value}".replace("warehouse", "")


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (command() + "    tools: {fly: {}}\n", "the server has no tool 'fly'"),
        (command("slow") + "    start_seconds: 0.2\n    tools: {stock: {}}\n", "said nothing for 0.2 seconds"),
        ("    command: [/no/such/program]\n    tools: {stock: {}}\n", "can't be reached"),
        ("    url: http://127.0.0.1:9/mcp\n    tools: {stock: {}}\n", "can't be reached"),
    ],
)
async def test_a_server_that_is_not_as_listed_is_told_with_its_line(
    written: Callable[[str], Assistant], tmp_path: Path, server: str, says: str
) -> None:
    assistant = written(server)
    with pytest.raises(ConfigError) as failed:
        await open_actions(assistant, tmp_path)
    assert failed.value.message.startswith(f"{tmp_path / 'assistant.yaml'}:9: mcp.warehouse: ")
    assert says in failed.value.message
    assert failed.value.remedy


@pytest.mark.parametrize(
    "server",
    [
        "    tools: {stock: {}}\n",
        "    command: [a]\n    url: http://b\n    tools: {stock: {}}\n",
        "    command: [a]\n    tools: {}\n",
        "    command: [a]\n    headers: {A: b}\n    tools: {stock: {}}\n",
        "    url: http://b\n    headers: {'A B': c}\n    tools: {stock: {}}\n",
        "    command: [a]\n    tools: {stock: {arguments: {item: {pattern: '(', about: b}}}}\n",
    ],
)
def test_an_entry_that_can_not_be_is_refused_on_load(written: Callable[[str], Assistant], server: str) -> None:
    with pytest.raises(ConfigError, match="mcp"):
        written(server)


def test_who_names_no_server_loads_nothing_of_it() -> None:
    code = (
        "import sys, anyio; from pathlib import Path; from tools.assistants import load_assistant;"
        "from tools.offers import open_actions;"
        "anyio.run(open_actions, load_assistant(Path('handrail/samples/blank')), Path('.'));"
        "print([name for name in sys.modules if name.split('.')[0] in ('mcp', 'langchain_mcp_adapters')])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
