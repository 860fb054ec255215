"""The drafter on models: sentences as they come, each with what bears it out; in doubt, a person answers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import anyio
import pytest

from agents.drafter import DraftRequest, LocalDrafter
from agents.model_drafter import LONGEST_REPLY, MOST_SENTENCES, ModelDrafter, support_in
from agents.prompts import load_prompt
from evals.stub_model import Answer, serving
from policies.types import Abstention, Autonomy, Citation, Passage, Route, Sentence, Turn
from tests.agents.mandates import TIERS, a_mandate, a_passage, told
from tests.tools.models.requests import opened, opened_scripts, quick
from tools.encoder.fake import HashingEncoder
from tools.models import Models
from tools.models.fakes import Reply, ScriptedFault, ScriptedModel
from tools.models.mandate import Asked

pytestmark = pytest.mark.anyio

ROUTE = Route(
    intent="returns", queue="general", priority="normal", confidence=0.9, in_scope=0.9, autonomy=Autonomy.AUTO
)
TENTS = a_passage("0", "Tents can be returned within **30 days**. They must be unused. A receipt is needed.")
BOOTS = a_passage("1", "Boots have a trial of 60 days. Mud is fine.", title="Trial", start=900)
GOOD = "You can send a tent back for 30 days. [p1] For boots it is 60 days. [p2]"
QUOTES = ("Tents can be returned within 30 days.", "Boots have a trial of 60 days.")
PROMPT = load_prompt("draft").id


def request(noted: list[Asked] | None = None, **more: Any) -> DraftRequest:
    given: dict[str, Any] = {"history": (), "route": ROUTE, "passages": (TENTS, BOOTS), "language": "en"}
    given |= {"question": "within how many days can tents be returned?", "mandate": a_mandate(noted)}
    return DraftRequest(**given | more)


def drafter(models: Models) -> ModelDrafter:
    return ModelDrafter(LocalDrafter(HashingEncoder()), models, TIERS)


async def drafted(models: Models, wanted: DraftRequest) -> list[Sentence | Abstention]:
    async with aclosing(drafter(models)(wanted)) as items:
        return [item async for item in items]


async def drafted_from(script: Sequence[Reply | str | Exception], **more: Any) -> list[Sentence | Abstention]:
    async with opened_scripts(small=ScriptedModel(script)) as models:
        return await drafted(models, request(**more))


def texts(items: Sequence[Sentence | Abstention]) -> list[str]:
    return [item.code if isinstance(item, Abstention) else item.text for item in items]


async def test_each_sentence_cites_the_words_of_its_passage_that_bear_it_out() -> None:
    first, second = await drafted_from([GOOD])
    assert first == Sentence(
        text="You can send a tent back for 30 days.",
        citations=(
            Citation(
                passage_id="doc:0",
                document="returns.md",
                document_version="dv_1",
                title="Returns",
                quote=QUOTES[0],
                start=100,
                end=100 + TENTS.text.index(" They"),
            ),
        ),
    )
    assert isinstance(second, Sentence)
    assert [(each.passage_id, each.quote, each.start) for each in second.citations] == [("doc:1", QUOTES[1], 900)]


async def test_what_the_model_reads_stands_in_blocks_of_data_and_the_ledger_knows_the_prompt() -> None:
    model, noted = ScriptedModel([GOOD]), list[Asked]()
    history = (
        Turn(author="customer", text="hello"),
        Turn(author="human", text="Hi, I am [NAME_1].", handed_back=True),
    )
    async with opened_scripts(small=model) as models:
        await drafted(models, request(noted, history=history, rejected=("It is free.",)))
    system, said = (str(each.content) for each in model.log.calls[0])
    assert system.startswith(load_prompt("draft").text)
    assert "Language of the reply: en." in system
    blocks = [line for line in said.splitlines() if line.startswith("<data")]
    assert blocks == [
        '<data kind="passage" id="p1">',
        '<data kind="passage" id="p2">',
        '<data kind="customer">',
        '<data kind="colleague">',
        '<data kind="note">',
        '<data kind="refused">',
        '<data kind="message">',
    ]
    assert "how many days" not in system
    assert told(noted) == [("draft", PROMPT, "small", [])]


async def test_a_sentence_is_yielded_before_the_next_one_is_written() -> None:
    replies = [Reply(text="Tents go back. [p1] " + "and more " * 50, token_seconds=0.2)]
    async with opened_scripts(small=ScriptedModel(replies)) as models:
        with anyio.fail_after(30):
            async with aclosing(drafter(models)(request())) as items:
                assert texts([await anext(items)]) == ["Tents go back."]


async def test_without_a_mandate_or_passages_the_local_drafter_works_alone() -> None:
    model = ScriptedModel(["never"])
    async with opened_scripts(small=model) as models:
        assert texts(await drafted(models, request(mandate=None)))[0] in QUOTES
        assert texts(await drafted(models, request(passages=()))) == ["draft.no_answer"]
    assert model.log.calls == []


@pytest.mark.parametrize(
    ("reply", "given"),
    [
        ("Tents go back. [p7]", "Tents go back."),
        ("Tents go back. [p1][p7]", "Tents go back."),
        ("Tents go back.", "Tents go back."),
        ("Tents go back. [Returns]", "Tents go back."),
    ],
)
async def test_a_sentence_without_a_mark_or_with_an_unknown_id_cites_nothing(reply: str, given: str) -> None:
    found = await drafted_from([reply])
    assert found[0] == Sentence(text=given)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (Reply(text="[abstain]"), ["draft.abstained"]),
        (Reply(text="I'm afraid I can't tell. [abstain]"), ["draft.abstained"]),
        (Reply(text="Tents go back. [p1] [abstain]"), ["Tents go back.", "draft.abstained"]),
        (Reply(text="[p1] [p2]"), ["draft.empty"]),
        (Reply(text="Tents may be sent back as long as", finish="length"), ["draft.cut"]),
        (Reply(text="Tents go back. [p1] Boots as long", finish="length"), ["Tents go back."]),
        (Reply(text="Tents go back. [p1] Boots as long", finish="content_filter"), ["Tents go back."]),
        (Reply(text="It is refused. [p1]"), ["draft.empty"]),
        (Reply(text="It is refused. [p1] Tents go back. [p1]"), ["Tents go back."]),
    ],
)
async def test_how_a_reply_may_end(reply: Reply, found: list[str]) -> None:
    assert texts(await drafted_from([reply], rejected=("It is refused.",))) == found


async def test_a_reply_that_breaks_off_before_a_sentence_is_whole_is_begun_anew() -> None:
    broken = Reply(text="Tents go back within", fault=ScriptedFault(500), after_tokens=3)
    noted: list[Asked] = []
    async with opened_scripts(small=ScriptedModel([broken, GOOD])) as models:
        found = await drafted(models, request(noted))
    assert texts(found) == ["You can send a tent back for 30 days.", "For boots it is 60 days."]
    assert told(noted) == [("draft", PROMPT, "small", [])]


async def test_a_reply_that_breaks_off_after_a_sentence_was_yielded_is_given_up() -> None:
    broken = Reply(text=f"{GOOD} And more. [p1]", fault=ScriptedFault(500), after_tokens=12)
    small, large, noted = ScriptedModel([broken, GOOD, GOOD]), ScriptedModel([GOOD]), list[Asked]()
    async with opened_scripts(small=small, large=large) as models:
        found = await drafted(models, request(noted))
    assert texts(found) == ["You can send a tent back for 30 days.", "draft.broken_off"]
    assert (len(small.log.calls), len(large.log.calls)) == (1, 0)
    assert told(noted) == [("draft", PROMPT, "local", [("small", "model.broken_off", 1)])]


async def test_whoever_stops_early_ends_the_reply_and_it_is_noted() -> None:
    model, noted = ScriptedModel([Reply(text=f"{GOOD} " * 20, token_seconds=0.05)]), list[Asked]()
    async with opened_scripts(small=model) as models:
        async with aclosing(drafter(models)(request(noted))) as items:
            await anext(items)
        assert (model.log.running, model.log.cancelled) == (0, 1)
    assert [(each.completion.tier, each.completion.finish) for each in noted] == [("small", "left")]
    assert noted[0].completion.usage.estimated


@pytest.mark.parametrize(
    ("line", "code", "calls"),
    [
        (ScriptedFault(500), "model.failed", 3),
        (ScriptedFault(429), "model.rate_limited", 3),
        (ScriptedFault(401), "model.key", 1),
        (Reply(text=""), "model.empty", 3),
        (Reply(text="Tents go", finish=""), "model.cut", 3),
    ],
)
async def test_where_no_model_answers_the_local_drafter_does(
    line: Reply | Exception, code: str, calls: int
) -> None:
    noted: list[Asked] = []
    async with opened_scripts(small=ScriptedModel([line] * calls)) as models:
        found = await drafted(models, request(noted))
    assert texts(found)[0] in QUOTES
    assert told(noted) == [("draft", PROMPT, "local", [("small", code, calls), ("large", "model.none", 0)])]


async def test_a_slow_model_is_asked_until_the_deadline_and_not_longer() -> None:
    model, noted = ScriptedModel([Reply(text=GOOD, first_seconds=30)]), list[Asked]()
    async with opened_scripts(small=model, large=ScriptedModel(["never"])) as models:
        with anyio.fail_after(10):
            found = await drafted(models, request(mandate=a_mandate(noted, seconds=0.1)))
    assert texts(found)[0] in QUOTES
    assert len(model.log.calls) <= 1
    assert [each[1] for each in told(noted)[0][3]] == ["model.deadline", "model.deadline"]


async def test_after_the_deadline_no_model_is_asked() -> None:
    model = ScriptedModel(["never"])
    async with opened_scripts(small=model) as models:
        found = await drafted(models, request(mandate=a_mandate(seconds=-1)))
    assert texts(found)[0] in QUOTES
    assert model.log.calls == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(text=GOOD), ["You can send a tent back for 30 days.", "For boots it is 60 days."]),
        (Answer(text=GOOD, cut_after=14), ["You can send a tent back for 30 days.", "draft.broken_off"]),
        (Answer(status=500), [QUOTES[0]]),
        (Answer(status=429, retry_after="60"), [QUOTES[0]]),
        (Answer(broken_json=True), [QUOTES[0]]),
    ],
)
async def test_over_the_wire(answer: Answer, found: list[str]) -> None:
    async with serving([answer]) as stub, opened({"small": quick(url=stub.url)}) as models:
        assert texts(await drafted(models, request()))[: len(found)] == found


def test_two_sentences_are_quoted_where_one_does_not_hold_it_all() -> None:
    both = support_in(TENTS, "Tents can be returned within 30 days and must be unused.")
    assert both.quote == "Tents can be returned within 30 days. They must be unused."
    assert TENTS.text[both.start - 100 : both.end - 100].endswith("unused.")


def test_a_passage_without_sentences_is_quoted_whole() -> None:
    plain: Passage = replace(TENTS, text="Final sale", sentences=(), end=110)
    assert support_in(plain, "It is on final sale.").quote == "Final sale"


async def test_a_reply_ends_with_its_twelfth_sentence_and_nobody_reads_on() -> None:
    found = await drafted_from(["".join(f"Tent {n} goes back. [p1]\n" for n in range(500))])
    assert texts(found) == [f"Tent {n} goes back." for n in range(MOST_SENTENCES)]


async def test_an_endless_reply_is_cut_and_what_is_whole_of_it_stays() -> None:
    found = await drafted_from([f"Tents go back. [p1] {'and so on ' * LONGEST_REPLY}"])
    assert texts(found) == ["Tents go back."]
    assert texts(await drafted_from(["1" * 10 * LONGEST_REPLY])) == ["draft.cut"]
