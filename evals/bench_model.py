"""What a turn takes beside its language model: drafts from a streaming stub, and direct calls to the same stub."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import numpy as np
from rich.progress import Progress

from evals.bench import Timing, handrail, load_timed, read_questions, summary, wait_ready
from evals.postgres import free_port
from evals.stub_model import Body, Stub, quoting, serving
from graphs.settings import SAMPLE

JSON = dict[str, Any]
TOKEN_MS = (0, 20)
MODEL = """
models: {{small: {{name: "openai:stub", base_url: "{url}", concurrency: 64}}}}
tasks: {{draft: small}}
"""


@dataclass(frozen=True)
class Direct:
    """One call to the stub without us, in seconds."""

    first: float
    end: float


async def measure_model(turns: int, bar: Progress) -> JSON:
    """Run turns whose drafts come from the stub, at each speed of it, then the same requests directly."""
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        async with serving() as stub:
            assistant = _assistant(Path(folder) / "assistant", stub.url)
            data, port = Path(folder) / "data", free_port()
            await anyio.to_thread.run_sync(_ingest, data, assistant)
            command = ("serve", "--port", str(port), "--assistant", str(assistant))
            # The questions come again and again, and each is to be a call.
            with handrail(data, *command, HANDRAIL_MODEL_CACHE="0"):
                await anyio.to_thread.run_sync(wait_ready, port)
                return {f"{each}_ms_a_token": await _at_speed(stub, port, each, turns, bar) for each in TOKEN_MS}


def _assistant(folder: Path, url: str) -> Path:
    shutil.copytree(SAMPLE, folder)
    file = folder / "assistant.yaml"
    file.write_text(file.read_text(encoding="utf-8") + MODEL.format(url=url), encoding="utf-8")
    return folder


def _ingest(data: Path, assistant: Path) -> None:
    command = [sys.executable, "-m", "handrail", "ingest", "--data", str(data), "--assistant", str(assistant)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def _at_speed(stub: Stub, port: int, token_ms: int, turns: int, bar: Progress) -> JSON:
    stub.answer = lambda _call, body: quoting(body, token_ms / 1000)
    questions = read_questions()
    await load_timed(port, questions, 2, 10, bar)
    stub.bodies.clear()
    alone, _ = await load_timed(port, questions, 1, turns, bar)
    task = bar.add_task("direct calls", total=len(stub.bodies))
    direct = []
    for body in list(stub.bodies):
        direct.append(await _direct(stub.url, body))
        bar.advance(task)
    at_once, elapsed = await load_timed(port, questions, 20, turns, bar)
    return {
        "direct": _beside(direct),
        "one_client": summary(alone),
        "added_p50_ms": {"first_sentence": _added(alone, direct, "first"), "end": _added(alone, direct, "end")},
        "twenty_clients": {**summary(at_once), "turns_per_second": round(len(at_once) / elapsed, 1)},
    }


def _added(turns: list[Timing], direct: list[Direct], name: str) -> float:
    """Return the difference of the medians, in ms: the same questions, each asked once either way."""
    answered = [getattr(turn, name) for turn in turns if turn.outcome == "answered" and turn.first is not None]
    added = np.median(answered) - np.median([getattr(call, name) for call in direct])
    return round(float(added) * 1000, 1)


def _beside(direct: list[Direct]) -> JSON:
    first, end = (np.median([getattr(call, name) for call in direct]) * 1000 for name in ("first", "end"))
    return {
        "calls": len(direct),
        "first_sentence_p50_ms": round(float(first), 1),
        "end_p50_ms": round(float(end), 1),
    }


async def _direct(url: str, body: Body) -> Direct:
    """Time one call from the request to the end of its first sentence, and to the end of all."""
    text, first = "", None
    async with httpx.AsyncClient(timeout=60) as client:
        began = time.perf_counter()
        async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                text += _said(line)
                if first is None and "]" in text:
                    first = time.perf_counter() - began
        end = time.perf_counter() - began
    return Direct(first if first is not None else end, end)


def _said(line: str) -> str:
    data = line.removeprefix("data: ")
    if not data.startswith("{"):
        return ""
    choices = json.loads(data)["choices"]
    return str(choices[0]["delta"].get("content") or "") if choices else ""
