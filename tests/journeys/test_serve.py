"""A server as a process: it answers while it starts, owns its data folder and goes in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from policies.errors import ConfigError
from tools.storage.lock import Serving, owned, running_server, serving

ROOT = Path(__file__).resolve().parent.parent.parent
SERVE = "from graphs.settings import Settings; from server.run import serve; serve(Settings())"


@pytest.fixture
def server(assistant_folder: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server on a free port; yields its process and address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HANDRAIL_ASSISTANT": str(assistant_folder),
        "HANDRAIL_DATA": str(tmp_path / "data"),
        "HANDRAIL_PORT": str(port),
    }
    command = [sys.executable, "-c", SERVE]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def wait_until_ready(url: str) -> set[str]:
    """Ask until the server is ready; returns the codes that it answered meanwhile."""
    codes: set[str] = set()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            response = httpx.get(f"{url}/readyz", timeout=10)
        except httpx.TransportError:
            time.sleep(0.05)
            continue
        if response.status_code == 200:
            return codes
        codes.add(response.json()["code"])
        time.sleep(0.02)
    raise AssertionError("the server did not get ready")


def test_it_owns_its_data_and_ends_open_streams_in_order(
    server: tuple[subprocess.Popen[str], str], assistant_folder: Path, tmp_path: Path
) -> None:
    process, url = server
    assert wait_until_ready(url) <= {"starting"}
    data = tmp_path / "data"
    assert serving(data) == Serving(url=url, assistant="tea-shop", folder=assistant_folder.resolve())
    with pytest.raises(ConfigError, match=f"Ask it at {url}"), owned(data):
        pass
    with httpx.Client(base_url=url, timeout=10) as http:
        conversation = http.post("/v1/conversations").json()["id"]
        with http.stream("GET", f"/v1/conversations/{conversation}/events") as response:
            assert response.status_code == 200
            process.send_signal(signal.SIGTERM)
            assert response.read() == b""
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0
    assert " ERROR " not in log
    assert "Traceback" not in log
    assert running_server(data) is None
    assert not (data / "server.json").exists()
    with owned(data):
        pass
