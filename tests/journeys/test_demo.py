"""The demo as a newcomer runs it, in a process of its own, with every way out of the machine watched."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
WATCH = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" and isinstance(arguments[1], tuple) else arguments[0]
        if isinstance(host, str) and not host.startswith(("127.", "::1", "localhost")):
            sys.stderr.write(f"REACHED OUT: {event} {host}\\n")
            raise OSError("no way out")

sys.addaudithook(watch)
"""


@pytest.fixture(name="handrail", scope="module")
def handrail_fixture(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the start of a command line whose process is watched, over one data folder."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "watched.py").write_text(WATCH + "\nfrom handrail.cli import main\nmain()\n")
    return [sys.executable, str(folder / "watched.py")]


def run(handrail: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    data = Path(handrail[1]).parent / "data"
    command = [*handrail, *arguments, "--data", str(data)]
    return subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=110
    )


def test_the_demo_holds_its_three_conversations_and_nothing_reaches_out(handrail: list[str]) -> None:
    done = run(handrail, "demo", "--once")
    assert done.returncode == 0, done.stderr
    assert "REACHED OUT" not in done.stderr
    outcomes = [line for line in done.stdout.splitlines() if line.startswith("outcome:")]
    assert outcomes == ["outcome: answered", "outcome: review", "outcome: handed_over"]
    assert "[1] " in done.stdout
    assert "added" in done.stdout


def test_one_question_is_one_json_object(handrail: list[str]) -> None:
    done = run(handrail, "ask", "--json", "How much is standard shipping to Canada?")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer) >= {"text", "citations", "outcome", "route", "run_id"}
    assert answer["outcome"] == "answered"
    assert "CA$14.95" in answer["text"]
    for citation in answer["citations"]:
        assert set(citation) >= {"document", "title", "quote"}
        source = (ROOT / "handrail/samples/support/knowledge" / citation["document"]).read_text()
        assert source[citation["start"] : citation["end"]]


def test_search_shows_passages(handrail: list[str]) -> None:
    done = run(handrail, "search", "--json", "--limit", "3", "wash a down jacket")
    passages = json.loads(done.stdout)["passages"]
    assert len(passages) == 3
    assert passages[0]["document"] == "product-care-down-waterproofing-tents.md"


@pytest.mark.parametrize(("key", "code"), [(b"\x03", 130), (b"\x04", 0)], ids=["Ctrl-C", "Ctrl-D"])
def test_a_chat_greets_and_ends_at_once(handrail: list[str], key: bytes, code: int) -> None:
    keyboard, terminal = pty.openpty()
    chat = subprocess.Popen(
        [*handrail, "chat", "--data", str(Path(handrail[1]).parent / "data")],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        preexec_fn=_own_terminal,
    )
    assert chat.stdout is not None
    shown = b""
    while not shown.endswith(b"You: "):
        shown += os.read(chat.stdout.fileno(), 4096)
    assert b"Assistant: Hello!" in shown
    os.write(keyboard, key)
    _, errors = chat.communicate(timeout=60)
    assert (chat.returncode, errors) == (code, b"")
    os.close(keyboard)
    os.close(terminal)


def _own_terminal() -> None:
    """Let Ctrl-C on standard input reach this process, also below a shell that lets it be ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_the_doctor_finds_all_well(handrail: list[str]) -> None:
    done = run(handrail, "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout


def test_a_broken_assistant_is_told_in_plain_words(handrail: list[str], tmp_path: Path) -> None:
    done = run(handrail, "ask", "--assistant", str(tmp_path / "nowhere"), "hello")
    assert done.returncode == 1
    assert "There is no assistant folder" in done.stderr
    assert "Traceback" not in done.stderr
