"""``make bench``: latency, throughput, step budget, memory and start-up of a running server; JSON on stdout.

The load comes from this process over HTTP with server-sent events, so client and server share the machine. All
loops are bounded in count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import h11
import httpx
import numpy as np
from anyio.abc import SocketStream
from rich.console import Console
from rich.progress import Progress

from evals.postgres import free_port, private_postgres
from graphs.settings import SAMPLE

JSON = dict[str, Any]
QUESTIONS = SAMPLE / "evals" / "answerable-dev.jsonl"
READY_SECONDS = 120
QUIET = subprocess.DEVNULL
STEPS = ("intake", "route", "retrieve", "draft", "check")
STAGES = ("input", "passage", "tool", "output")


@dataclass
class Timing:
    """One turn as its client saw it, in seconds; ``first`` is None when no sentence came."""

    first: float | None
    end: float
    outcome: str


@dataclass
class Wire:
    """One keep-alive connection, spoken with h11 so that the client costs little of the shared machine."""

    stream: SocketStream
    host: str
    state: h11.Connection = field(default_factory=lambda: h11.Connection(h11.CLIENT))

    async def request(self, path: str, body: JSON, accept: str) -> None:
        """Send one POST."""
        data = json.dumps(body).encode()
        headers = [
            ("Host", self.host),
            ("Accept", accept),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(data))),
        ]
        head = self.state.send(h11.Request(method="POST", target=path, headers=headers))
        payload = self.state.send(h11.Data(data=data))
        end = self.state.send(h11.EndOfMessage())
        await self.stream.send(b"".join(part for part in (head, payload, end) if part))

    async def event(self) -> h11.Response | h11.Data | h11.EndOfMessage:
        """Return the next part of the answer."""
        while (found := self.state.next_event()) is h11.NEED_DATA:
            self.state.receive_data(await self.stream.receive())
        if isinstance(found, h11.EndOfMessage):
            self.state.start_next_cycle()
        assert isinstance(found, (h11.Response, h11.Data, h11.EndOfMessage))
        return found


async def turn(wire: Wire, question: str) -> Timing:
    """Create a conversation, then time one message in it from the request to the last event."""
    await wire.request("/v1/conversations", {}, "application/json")
    conversation = json.loads(await _body(wire))["id"]
    began = time.perf_counter()
    await wire.request(f"/v1/conversations/{conversation}/messages", {"text": question}, "text/event-stream")
    first, seen = None, b""
    while not isinstance(part := await wire.event(), h11.EndOfMessage):
        if isinstance(part, h11.Data):
            seen += bytes(part.data)
            if first is None and b"event: message.delta" in seen:
                first = time.perf_counter() - began
    outcome = re.findall(rb'"outcome":\s*"(\w+)"', seen)
    return Timing(first, time.perf_counter() - began, outcome[-1].decode() if outcome else "review")


async def _body(wire: Wire) -> bytes:
    body = b""
    while not isinstance(part := await wire.event(), h11.EndOfMessage):
        if isinstance(part, h11.Data):
            body += bytes(part.data)
    return body


async def load(port: int, questions: list[str], clients: int, turns: int, bar: Progress) -> JSON:
    """Run ``turns`` turns from ``clients`` clients at once and sum up."""
    timings, elapsed = await load_timed(port, questions, clients, turns, bar)
    return {"clients": clients, "turns_per_second": round(len(timings) / elapsed, 1), **summary(timings)}


async def load_timed(
    port: int, questions: list[str], clients: int, turns: int, bar: Progress
) -> tuple[list[Timing], float]:
    """Run ``turns`` turns from ``clients`` clients at once; return each and the seconds that all took."""
    timings: list[Timing] = []
    left = iter(range(turns))
    task = bar.add_task(f"{clients} clients", total=turns)

    async def client() -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            stream.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
            wire = Wire(stream, f"127.0.0.1:{port}")
            for number in left:
                timings.append(await turn(wire, questions[number % len(questions)]))
                bar.advance(task)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(clients):
            tasks.start_soon(client)
    return timings, time.perf_counter() - began


def summary(timings: list[Timing]) -> JSON:
    """Return percentiles over the turns that were answered, and how all ended."""
    answered = [timing for timing in timings if timing.outcome == "answered" and timing.first is not None]
    return {
        "turns": len(timings),
        "first_sentence_ms": _percentiles([timing.first for timing in answered if timing.first is not None]),
        "end_ms": _percentiles([timing.end for timing in answered]),
        "outcomes": {name: sum(each.outcome == name for each in timings) for name in {t.outcome for t in timings}},
    }


def _percentiles(seconds: list[float]) -> JSON:
    if not seconds:
        return {"n": 0}
    values = np.percentile(np.array(seconds) * 1000, [50, 95, 99])
    return {"n": len(seconds), **{f"p{p}": round(float(v), 1) for p, v in zip((50, 95, 99), values, strict=True)}}


@contextmanager
def handrail(data: Path, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of ours beside this process and stop it in the end."""
    whole = [sys.executable, "-m", "handrail", *command, "--data", str(data)]
    process = subprocess.Popen(whole, stdout=QUIET, env={**os.environ, **environment})  # noqa: TID251
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Running:
    """What is measured: a server, and who works for it (itself when embedded)."""

    port: int
    metrics_port: int
    pids: dict[str, int]


@contextmanager
def installation(data: Path, *, postgres: bool) -> Iterator[Running]:
    """Start a server over a filled data folder; over PostgreSQL, a worker beside it."""
    port, metrics_port = free_port(), free_port()
    serve = ("serve", "--port", str(port))
    if not postgres:
        subprocess.run([sys.executable, "-m", "handrail", "ingest", "--data", str(data)], check=True, stdout=QUIET)
        with handrail(data, *serve) as server:
            yield Running(port, port, {"server": server.pid})
        return
    with private_postgres(durable=True) as database:
        shared = {"HANDRAIL_DATABASE_URL": database.create("bench")}
        for command in (("db", "upgrade"), ("ingest",)):
            with handrail(data, *command, **shared) as process:
                process.wait(READY_SECONDS)
        work = ("worker", "--metrics-port", str(metrics_port))
        with handrail(data, *work, **shared) as worker, handrail(data, *serve, **shared) as server:
            wait_ready(metrics_port, "/metrics")
            yield Running(port, metrics_port, {"server": server.pid, "worker": worker.pid})


def wait_ready(port: int, path: str = "/readyz") -> float:
    """Return the seconds until a process says it is ready; raises ``TimeoutError`` after a while."""
    began = time.perf_counter()
    while time.perf_counter() - began < READY_SECONDS:
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200:
                return time.perf_counter() - began
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"The server was not ready after {READY_SECONDS} s.")


def scrape(port: int) -> dict[str, float]:
    """Return the sums and counts of the server's metrics."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs if "_bucket" not in name}


def budget(before: dict[str, float], after: dict[str, float], turns: int) -> JSON:
    """Return the mean milliseconds a turn by step and for persistence, and what is left for everything else."""

    def spent(name: str) -> float:
        return round((after.get(name, 0.0) - before.get(name, 0.0)) * 1000 / turns, 2)

    def mean(name: str) -> float | None:
        total, count = (after.get(key, 0.0) - before.get(key, 0.0) for key in map(name.format, ("_sum", "_count")))
        return round(total * 1000 / count, 2) if count else None

    steps = {step: spent(f'handrail_step_seconds_sum{{step="{step}"}}') for step in STEPS}
    calls = ("get", "put", "put_writes", "prune")
    checkpoints = {call: spent(f'handrail_checkpoint_seconds_sum{{call="{call}"}}') for call in calls}
    writes = spent("handrail_write_seconds_sum")
    return {
        "steps_ms": steps,
        "guards_ms": {stage: spent(f'handrail_guarding_seconds_sum{{stage="{stage}"}}') for stage in STAGES},
        "each_guard_ms": {
            name.split('"')[1]: spent(name)
            for name in sorted(after)
            if name.startswith("handrail_guard_seconds_sum")
        },
        "guards_a_sentence_ms": mean('handrail_guarding_seconds{}{{stage="output"}}'),
        "writes_ms": writes,
        "checkpoints_ms": round(sum(checkpoints.values()), 2),
        "persistence_ms": round(writes + sum(checkpoints.values()), 2),
        "segment_ms": spent('handrail_segment_seconds_sum{graph="support"}'),
        "writes_a_turn": round(
            (after["handrail_write_seconds_count"] - before.get("handrail_write_seconds_count", 0)) / turns, 2
        ),
    }


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return round(int(found.group(1)) / 1024, 1) if found else float("nan")


def read_questions() -> list[str]:
    """Return the sample's dev questions."""
    return [json.loads(line)["input"]["turns"][-1] for line in QUESTIONS.read_text().splitlines()]


async def measure(running: Running, turns: int, out: Console) -> JSON:
    """Warm up, then measure at each number of clients; the budget is taken at one client."""
    questions = read_questions()
    results: JSON = {"loads": []}
    with Progress(console=out) as bar:
        await load(running.port, questions, 2, 20, bar)
        for clients in (1, 20, 60):
            before = scrape(running.metrics_port)
            results["loads"].append(await load(running.port, questions, clients, turns, bar))
            if clients == 1:
                results["budget_1_client"] = budget(before, scrape(running.metrics_port), turns)
    results["resident_mb"] = {name: resident_mb(pid) for name, pid in running.pids.items()}
    return results


def main() -> None:
    """Run the benchmark and print its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=200, help="turns at each number of clients")
    parser.add_argument("--postgres", action="store_true", help="over PostgreSQL, with one server and one worker")
    parser.add_argument("--model", action="store_true", help="drafts by a streaming stub of a language model")
    arguments = parser.parse_args()
    out = Console(stderr=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    if arguments.model:
        from evals.bench_model import measure_model

        with Progress(console=out) as bar:
            found = anyio.run(measure_model, arguments.turns, bar)
        print(json.dumps({"machine": machine, "model": "stub, 60 tokens", **found}, indent=2))  # noqa: T201
        return
    with (
        tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder,
        installation(Path(folder), postgres=arguments.postgres) as running,
    ):
        ready = wait_ready(running.port)
        results = anyio.run(measure, running, arguments.turns, out)
    where = "postgresql, one worker" if arguments.postgres else "sqlite, embedded"
    print(  # noqa: T201
        json.dumps({"machine": machine, "storage": where, "ready_seconds": round(ready, 2), **results}, indent=2)
    )


if __name__ == "__main__":
    main()
