"""Langfuse as a store of cases and results: its own SDK's client, with errors that say what to do.

Every request is bounded in time and tells at once how it went, which what the SDK sends from threads does not.
Importing this takes a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import anyio
import httpx
from langfuse.api import (
    AsyncLangfuseAPI,
    CreateScoreBatchResults,
    DatasetItem,
    NotFoundError,
)
from langfuse.api.core import ApiError
from pydantic import ValidationError

from policies.errors import ConfigError, HandrailError, InputError, Unavailable
from policies.types import JSON
from tools.telemetry.opening import Langfuse

SECONDS = 10
"""How long Langfuse may take to connect, and to answer."""
CALL_SECONDS = 150
"""How long a request may take with its repetitions, which wait as long as Langfuse asks, a minute at most."""
RETRIES = 2
"""How often a request is repeated when Langfuse is overloaded or breaks down."""
PAGE = 100
SDK = version("langfuse")
_REFUSED = (401, 403)
_TOO_MANY = 429
_BROKEN = 500


class Connection:
    """A project at Langfuse. Its methods raise ``HandrailError`` when they can't do what they say."""

    def __init__(self, api: AsyncLangfuseAPI, url: str, retries: int) -> None:
        self._api = api
        self.url = url.rstrip("/")
        self._options: JSON = {"max_retries": retries}

    async def project_id(self) -> str:
        """Return the id of the project that the keys are of."""
        with self._asking():
            found = await self._api.projects.get(request_options=self._options)
        if not found.data:
            raise ConfigError(f"The keys belong to no project of {self.url}.", remedy="Take keys of a project.")
        return str(found.data[0].id)

    async def dataset_id(self, name: str) -> str | None:
        """Return the id of a dataset, or None if there is none of the name."""
        try:
            with self._asking():
                found = await self._api.datasets.get(quote(name, safe=""), request_options=self._options)
        except _Absent:
            return None
        return str(found.id)

    async def add_dataset(self, name: str) -> str:
        """Add an empty dataset and return its id."""
        with self._asking():
            made = await self._api.datasets.create(name=name, request_options=self._options)
        return str(made.id)

    async def items(self, dataset: str) -> dict[str, DatasetItem]:
        """Return the items of a dataset by id, archived ones too."""
        found: dict[str, DatasetItem] = {}
        page = total = 1
        while page <= total:
            with self._asking():
                answer = await self._api.dataset_items.list(
                    dataset_name=dataset, page=page, limit=PAGE, request_options=self._options
                )
            found |= {each.id: each for each in answer.data}
            page, total = page + 1, answer.meta.total_pages
        if len(found) != answer.meta.total_items:
            told = f"The dataset {dataset!r} changed while it was read: {len(found)} items of "
            raise Unavailable(f"{told}{answer.meta.total_items} were found.", remedy="Try again.")
        return found

    async def put_item(self, dataset: str, item_id: str, content: JSON) -> None:
        """Add an item, or replace the one of this id; ``content`` is input, expected output and metadata."""
        with self._asking():
            await self._api.dataset_items.create(
                dataset_name=dataset, id=item_id, **content, request_options=self._options
            )

    async def send_spans(self, spans: Sequence[JSON]) -> None:
        """Send spans, in the JSON of OpenTelemetry; one that was sent before is replaced."""
        told: Any = {
            "resource": {"attributes": attributes({"service.name": "handrail"})},
            "scopeSpans": [{"scope": {"name": "langfuse-sdk", "version": SDK}, "spans": spans}],
        }
        # Without the header spans are shown minutes later.
        options = {**self._options, "additional_headers": {"x-langfuse-ingestion-version": "4"}}
        with self._asking():
            await self._api.opentelemetry.export_traces(resource_spans=[told], request_options=options)

    async def send_scores(self, scores: Sequence[JSON]) -> None:
        """Send scores; one that was sent before with the same id and time is replaced."""
        # As JSON, which is how the SDK sends its own: its models take milliseconds each to be written.
        told: Any = scores
        with self._asking():
            answer = await self._api.scores.create(request=told, request_options=self._options)
        if isinstance(answer, CreateScoreBatchResults) and answer.rejected:
            why = answer.errors[0].message if answer.errors else "it does not say why"
            told = f"Langfuse took {answer.accepted} scores and refused {answer.rejected}: {why}."
            raise InputError(told, remedy="Mend what it says, such as a score config of the same name.")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Bound a request, and tell in plain words why it failed."""
        try:
            with anyio.fail_after(CALL_SECONDS):
                yield
        except (TimeoutError, httpx.TimeoutException) as error:
            told = f"Langfuse at {self.url} does not answer in time."
            raise Unavailable(told, remedy="Try again later.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            remedy = "Check LANGFUSE_BASE_URL and that the server runs."
            raise Unavailable(f"Langfuse at {self.url} can't be reached: {error}.", remedy=remedy) from error
        except NotFoundError as error:
            told = f"{self.url} does not know the address of this request."
            remedy = "Check LANGFUSE_BASE_URL, and that Langfuse there is of version 4 or later."
            raise _Absent(told, remedy=remedy) from error
        except ApiError as error:
            raise self._refusal(error) from error
        except ValidationError as error:
            told = f"What {self.url} answers is not Langfuse's: {error.error_count()} fields are wrong or missing."
            raise ConfigError(told, remedy="Check LANGFUSE_BASE_URL.") from error

    def _refusal(self, error: ApiError) -> HandrailError:
        status = error.status_code or 0
        if status in _REFUSED:
            remedy = (
                "Check LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY, and that they are of the Langfuse at this "
                "address, which is LANGFUSE_BASE_URL."
            )
            return ConfigError(f"Langfuse at {self.url} refuses the keys ({status}).", remedy=remedy)
        if status == _TOO_MANY or status >= _BROKEN:
            told = f"Langfuse at {self.url} answered {status}."
            return Unavailable(told, remedy="Try again later; what it has already is not kept twice.")
        why = error.body.get("message") if isinstance(error.body, dict) else None
        told = f"Langfuse at {self.url} answered {status}{f': {why}' if why else ''}."
        return InputError(told, remedy="Check LANGFUSE_BASE_URL, and mend what it says.")


class _Absent(InputError):
    """Langfuse does not know what was asked for."""

    code = "not_found"


def attributes(values: Mapping[str, str | None]) -> list[JSON]:
    """Return texts by name as attributes of a span, without those that are None."""
    return [{"key": name, "value": {"stringValue": text}} for name, text in values.items() if text is not None]


@asynccontextmanager
async def connected(
    settings: Langfuse, *, retries: int = RETRIES, seconds: float = SECONDS
) -> AsyncIterator[Connection]:
    """Yield the project that the settings name; nothing is asked of it yet."""
    async with httpx.AsyncClient(timeout=seconds) as http:
        api = AsyncLangfuseAPI(
            base_url=settings.url,
            username=settings.public_key,
            password=settings.secret_key.get_secret_value(),
            x_langfuse_sdk_name="python",
            x_langfuse_sdk_version=SDK,
            x_langfuse_public_key=settings.public_key,
            httpx_client=http,
            timeout=seconds,
        )
        yield Connection(api, settings.url, retries)
