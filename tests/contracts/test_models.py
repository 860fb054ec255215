"""What the adapter to language models promises, whoever serves them: a script, or a server on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import anyio
import pytest

from evals.stub_model import Answer, serving
from tests.tools.models.requests import opened, opened_scripts, pieces_of, quick, request, tried
from tools.models import Models
from tools.models.fakes import Reply, ScriptedModel

pytestmark = pytest.mark.anyio

TEXT = "You may return it within 30 days."


@pytest.fixture(params=["script", "wire"])
async def models(request: pytest.FixtureRequest) -> AsyncIterator[Models]:
    """Serve a model that is sound in the tier large, and one that only fails in the tier small."""
    if request.param == "script":
        failing = ScriptedModel(lambda _: ConnectionError("down"))
        async with opened_scripts(small=failing, large=ScriptedModel(lambda _: Reply(text=TEXT))) as scripts:
            yield scripts
        return
    async with serving([Answer(status=500)]) as bad, serving([Answer(text=TEXT)]) as good:
        tiers = {"small": quick(url=bad.url), "large": quick(url=good.url)}
        async with opened({"small": tiers["small"], "large": tiers["large"]}) as wired:
            yield wired


async def test_the_pieces_make_up_the_reply_and_the_last_alone_says_how_it_ended(models: Models) -> None:
    *texts, last = await pieces_of(models, request(tiers=("large",)))
    assert "".join(each.text for each in texts) == TEXT
    assert [each.completion for each in texts] == [None] * len(texts)
    assert last.completion is not None
    assert (last.text, last.completion.text, last.completion.finish) == ("", TEXT, "stop")


async def test_a_whole_reply_is_the_one_that_streams(models: Models) -> None:
    completion = await models.complete(request(tiers=("large",)))
    assert (completion.text, completion.tier, completion.degraded) == (TEXT, "large", ())
    assert completion.usage.tokens > 0


async def test_a_model_that_fails_is_never_an_error(models: Models) -> None:
    completion = await models.complete(request(tiers=("small",)))
    assert (completion.tier, completion.text) == ("local", None)
    assert [(tier, calls) for tier, _, calls in tried(completion)] == [("small", 3)]
    assert (await models.complete(request())).tier == "large"


async def test_after_the_deadline_nobody_is_asked(models: Models) -> None:
    completion = await models.complete(request(seconds=-1))
    assert (completion.calls, tried(completion)) == (0, [("small", "model.deadline", 0)])


async def test_callers_at_the_same_time_get_their_own_replies(models: Models) -> None:
    texts: list[str | None] = []

    async def ask(number: int) -> None:
        texts.append((await models.complete(request(tiers=("large",), prompt_version=str(number)))).text)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask, number)
    assert texts == [TEXT] * 10


async def test_a_stream_may_be_left_at_any_piece(models: Models) -> None:
    for stop in range(3):
        asked = request(tiers=("large",), prompt_version=str(stop))
        async with aclosing(models.stream(asked)) as pieces:
            for _ in range(stop):
                await anext(pieces)
    assert (await models.complete(request(tiers=("large",)))).text == TEXT
