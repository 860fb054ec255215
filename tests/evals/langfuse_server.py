"""The part of Langfuse's public API that pushing and pulling need, on the loopback, over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PROJECT = "project-1"
PUBLIC, SECRET = "pk-lf-here", "sk-lf-here"
LIMIT_SECONDS = 20.0
WHEN = "2026-11-01T12:00:00.000Z"
Answer = tuple[int, Any]


@dataclass
class FakeLangfuse:
    """What a project holds. Things that are sent twice with one id replace each other, as they do there."""

    url: str = ""
    status: int = 200
    """Anything else is what every request is answered."""
    breaks_after: int | None = None
    """So many items are taken before the server breaks down."""
    page: int = 100
    """The most items of a page."""
    rejected: int = 0
    """How many scores of each batch it refuses."""
    datasets: dict[str, str] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    spans: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path."""
    bodies: list[bytes] = field(default_factory=list)
    ingestion: set[str | None] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    """Requests wait for it; set unless the server is to hang."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, dataset: str, item_id: str, **content: Any) -> None:
        """Put an item into a dataset, as somebody does in the browser."""
        self.datasets.setdefault(dataset, f"dataset-{len(self.datasets) + 1}")
        given = {"input": None, "expectedOutput": None, "metadata": None, "status": "ACTIVE", **content}
        self.items[item_id] = {"id": item_id, "datasetName": dataset, **given}

    def writes(self, path: str = "") -> int:
        """Return how often something was written."""
        return sum(method == "POST" and path in where for method, where in self.requests)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        """Answer one request."""
        parts = urlsplit(target)
        self.requests.append((method, parts.path))
        self.bodies.append(body)
        if self.status != 200:
            return self.status, {"message": "So it is."}
        if headers["Authorization"] != f"Basic {base64.b64encode(f'{PUBLIC}:{SECRET}'.encode()).decode()}":
            return 401, {"message": "Invalid credentials."}
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        place = parts.path.removeprefix("/api/public/")
        if place == "otel/v1/traces":
            self.ingestion.add(headers["x-langfuse-ingestion-version"])
        return self._get(place, query) if method == "GET" else self._post(place, json.loads(body))

    def _get(self, place: str, query: dict[str, str]) -> Answer:
        if place == "projects":
            organization = {"id": "o", "name": "o"}
            return 200, {"data": [{"id": PROJECT, "name": "p", "organization": organization, "metadata": {}}]}
        if place == "dataset-items":
            return 200, self._listed(query["datasetName"], int(query["page"]), int(query["limit"]))
        name = unquote(place.removeprefix("v2/datasets/"))
        return (200, self._dataset(name)) if name in self.datasets else (404, {"message": "Dataset not found"})

    def _listed(self, dataset: str, page: int, limit: int) -> dict[str, Any]:
        limit = min(limit, self.page)
        found = [self._item(each) for each in self.items.values() if each["datasetName"] == dataset]
        meta = {"page": page, "limit": limit, "totalItems": len(found), "totalPages": -(-len(found) // limit)}
        return {"data": found[(page - 1) * limit : page * limit], "meta": meta}

    def _post(self, place: str, body: Any) -> Answer:
        if place == "v2/datasets":
            self.datasets[body["name"]] = f"dataset-{len(self.datasets) + 1}"
            return 200, self._dataset(body["name"])
        if place == "dataset-items":
            if self.breaks_after is not None and len(self.items) >= self.breaks_after:
                return 500, {"message": "It broke."}
            self.add(body["datasetName"], body["id"], **{name: body[name] for name in CONTENT})
            return 200, self._item(self.items[body["id"]])
        if place == "scores":
            self.scores |= {each["id"]: each for each in body}
            refused = {"accepted": len(body) - self.rejected, "rejected": self.rejected}
            return (207, {**refused, "errors": [{"message": "Too high"}]}) if self.rejected else (202, ACCEPTED)
        for resource in body["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                self.spans |= {(each["traceId"], each["spanId"]): _span(each) for each in scope["spans"]}
        return 200, {}

    def _dataset(self, name: str) -> dict[str, Any]:
        told = {"id": self.datasets[name], "name": name, "metadata": None, "projectId": PROJECT}
        return {**told, "createdAt": WHEN, "updatedAt": WHEN}

    def _item(self, item: dict[str, Any]) -> dict[str, Any]:
        dataset = self.datasets[item["datasetName"]]
        return {**item, "datasetId": dataset, "createdAt": WHEN, "updatedAt": WHEN, "mediaReferences": []}


CONTENT = ("input", "expectedOutput", "metadata")
ACCEPTED = {"message": "Accepted"}


def _span(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a span with its attributes as a mapping."""
    return sent | {"attributes": {each["key"]: each["value"]["stringValue"] for each in sent["attributes"]}}


@contextmanager
def langfuse_server() -> Iterator[FakeLangfuse]:
    """Serve an empty project at a free port."""
    project = FakeLangfuse()
    project.gate.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            project.gate.wait(LIMIT_SECONDS)
            with project.lock:
                status, found = project.answer(self.command, self.path, self.headers, body)
            answer = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, *_args: Any) -> None:
            """Write nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Take a client that leaves early for granted."""

    server = Server(("127.0.0.1", 0), Handler)
    project.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield project
    finally:
        project.gate.set()
        server.shutdown()
        server.server_close()
