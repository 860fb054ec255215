"""Turns with language models: real provider clients against a server on the loopback that fails as it is told."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from httpx_sse import aconnect_sse

from agents.checker import SentenceRequest
from agents.drafter import DraftRequest
from agents.prompts import load_prompt
from evals.stub_model import Answer, Body, Stub, serving
from graphs.assembly import Product, open_product
from graphs.fakes import ScriptedChecker
from graphs.settings import Settings
from policies.budgets import BudgetOutcome
from policies.types import Outcome, Reason, Sentence, Verdict
from tests.journeys.shop import FILES, JSON, NewPlace, OpenShop, Shop, served
from tools.models import Completion, InMemorySpending, ModelsSettings, open_models
from tools.models.mandate import Asked

pytestmark = pytest.mark.anyio

MODELS = """
models:
  small:
    name: "openai:stub"
    base_url: "{url}"
    price: {{input: 1000, output: 2000}}
    first_token_seconds: 0.4
    total_seconds: 0.8
    retries: 1
    first_wait: 0.01
    longest_wait: 0.1
    opens_after: 10000
tasks: {{route: small, draft: small, check: small, escalate: small}}
"""
PROMPTS = {"route": "route", "draft": "draft", "check": "check", "answer": "check", "brief": "escalate"}
ASKED = {
    "route": "my parcel",
    "draft": "How long does delivery take?",
    "check": "How long does delivery take?",
    "escalate": "I want to complain, this is a disgrace",
}
"""What a customer says so that a task is given to a model."""


@dataclass(frozen=True, kw_only=True)
class Staffed:
    """A shop whose agents ask the server's models."""

    product: Product
    http: httpx.AsyncClient
    stub: Stub

    def plays(self, answer: Callable[[str, Body], Answer]) -> None:
        """Let the server answer by task, and forget all replies that were kept."""
        assert self.product.service.forget is not None
        self.product.service.forget()
        self.stub.bodies.clear()
        self.stub.times.clear()
        self.stub.answer = lambda _call, body: answer(task_of(body), body)

    @property
    def tasks(self) -> list[str]:
        """The tasks of the calls that came, in order."""
        return [task_of(body) for body in self.stub.bodies]

    async def ask(self, text: str, **body: Any) -> JSON:
        """Ask in a new conversation and return the run when it has ended or waits."""
        made = await self.http.post("/v1/conversations", json=body)
        path = f"/v1/conversations/{made.json()['id']}/messages"
        response = await self.http.post(path, json={"text": text}, headers={"Prefer": "wait=60"})
        assert response.status_code == 200, response.text
        run: JSON = response.json()
        return run

    async def events(self, run_id: str) -> list[tuple[str, JSON]]:
        """Return the events of a run that has ended, as staff see them."""
        async with aconnect_sse(self.http, "GET", f"/v1/runs/{run_id}/events") as source:
            return [(event.event, event.json()) async for event in source.aiter_sse() if event.data]

    async def decisions(self, run: JSON, task: str) -> list[JSON]:
        """Return the run's decisions on language models for a task."""
        known = await self.product.service.explain(self.product.principal, run["run_id"])
        return [each for each in known if (each["kind"], each["node"]) == ("model", task)]


def task_of(body: Body) -> str:
    """Say which task a call is for, by the instructions in it."""
    said = body["messages"][0]["content"]
    return next(task for name, task in PROMPTS.items() if said.startswith(load_prompt(name).text[:40]))


def good(task: str, body: Body) -> Answer:
    """Answer as a good model would."""
    said = "Delivery takes three days."
    text = "\n".join(message["content"] for message in body["messages"])
    passage = re.search(r'id="(p\d+)">\s*Delivery\s', text)
    name = passage[1] if passage else "p1"
    claim = {"claim": said, "supported": "yes", "passage": name, "quote": "Delivery takes three days."}
    replies: Mapping[str, Any] = {
        "route": {"intent": "delivery", "also": [], "confidence": 0.9},
        "check": {"claims": [claim]} if "claims" in text else {"answers": "yes"},
        "escalate": {"asked": "The customer is unhappy.", "next_step": "Ask what went wrong."},
    }
    return Answer(text=f"{said} [{name}]" if task == "draft" else json.dumps(replies[task]), usage=(1000, 100))


PAUSE = 0.4
ANYWHERE: Mapping[str, tuple[Answer, str]] = {
    "an error": (Answer(status=500), "model.failed"),
    "a wrong key": (Answer(status=401), "model.key"),
    "a refusal": (Answer(status=400), "model.refused"),
    "too many requests, for long": (Answer(status=429, retry_after=str(PAUSE)), "model.rate_limited"),
    "too many requests": (Answer(status=429, retry_after="0"), "model.rate_limited"),
    "no first token": (Answer(first_seconds=20), "model.slow"),
    "broken JSON": (Answer(broken_json=True), "model.garbled"),
}
STREAMED: Mapping[str, tuple[Answer, str]] = {
    "slow tokens": (Answer(text="word " * 100, token_seconds=0.2), "model.slow"),
    "a cut stream": (Answer(text="Delivery takes three days, so", cut_after=3), "model.unreachable"),
    "an end without a reason": (Answer(text="Delivery takes", ends_without_reason=True), "model.cut"),
    "an empty reply": (Answer(text=""), "model.empty"),
}
STRUCTURED: Mapping[str, tuple[Answer, str]] = {
    "an empty reply": (Answer(text=""), "model.bad_reply"),
    "another schema": (Answer(text='{"colour": "red"}'), "model.bad_reply"),
    "prose": (Answer(text="I think it is about delivery."), "model.bad_reply"),
}
FAULTS = [
    (task, name, answer, code)
    for task in ASKED
    for name, (answer, code) in {**ANYWHERE, **(STREAMED if task == "draft" else STRUCTURED)}.items()
]
NAMES = [f"{task}: {name}" for task, name, *_ in FAULTS]


@asynccontextmanager
async def staffed(
    folder: Path, place: Mapping[str, Any], *, models: str = MODELS, policy: str = "", **more: Any
) -> AsyncIterator[Staffed]:
    """Open a shop with language models over a place for its data; ``policy`` is added to its policy."""
    async with serving() as stub:
        (folder / "knowledge").mkdir(parents=True)
        for name, text in FILES.items():
            extra = {"assistant.yaml": models.format(url=stub.url), "policy.yaml": policy}.get(name, "")
            (folder / name).write_text(text + extra)
        settings = Settings(**{"assistant": folder, **place, **more})
        async with open_product(settings, announce=lambda _: None) as product:
            await product.knowledge.ingest(product.assistant.knowledge)
            async with served(product) as (url, _stop), httpx.AsyncClient(base_url=url, timeout=120) as http:
                yield Staffed(product=product, http=http, stub=stub)


@pytest.fixture(scope="module")
async def team(
    new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> AsyncIterator[Staffed]:
    del shop  # both live on the session's loop, and close in turn
    async with staffed(tmp_path_factory.mktemp("staffed") / "shop", new_place()) as opened:
        yield opened


async def test_a_model_drafts_and_staff_and_ledger_see_what_it_took(team: Staffed) -> None:
    team.plays(good)
    run = await team.ask(ASKED["draft"])
    assert (run["outcome"], run["text"], team.tasks[0]) == ("answered", "Delivery takes three days.", "draft")
    [decision] = await team.decisions(run, "draft")
    used = {"input_tokens": 1000, "output_tokens": 100, "money": 1.2, "priced": True, "cached": False, "calls": 1}
    prompt = load_prompt("draft").id
    assert {name: decision[name] for name in ("node", "outcome", "tier", "model", "prompt", "cost")} == {
        "node": "draft",
        "outcome": "small",
        "tier": "small",
        "model": "openai:stub",
        "prompt": prompt,
        "cost": 1.2,
    }
    told = next(data for kind, data in await team.events(run["run_id"]) if kind == "usage")
    assert {name: told[name] for name in ("task", "tier", "model", "prompt", *used)} == {
        "task": "draft",
        "tier": "small",
        "model": "openai:stub",
        "prompt": prompt,
        **used,
    }


async def test_the_same_question_again_is_answered_from_what_was_kept(team: Staffed) -> None:
    team.plays(good)
    first, again = [await team.ask("How long does delivery take, please?") for _ in range(2)]
    assert (again["text"], team.tasks.count("draft")) == (first["text"], 1)
    [decision] = await team.decisions(again, "draft")
    assert (decision["cached"], decision["calls"], decision["cost"]) == (True, 0, 0.0)


async def test_a_router_that_is_unsure_asks_a_model(team: Staffed) -> None:
    team.plays(good)
    run = await team.ask(ASKED["route"])
    assert team.tasks[0] == "route"
    assert (run["route"]["intent"], run["route"]["tier"]) == ("delivery", "small")


async def test_a_brief_says_in_a_models_words_what_was_asked(team: Staffed) -> None:
    team.plays(good)
    run = await team.ask(ASKED["escalate"])
    assert (run["outcome"], team.tasks) == ("handed_over", ["escalate"])
    [brief] = [
        data["brief"]
        for kind, data in await team.events(run["run_id"])
        if kind == "step.finished" and data["name"] == "escalate"
    ]
    assert (brief["asked"], brief["next_step"]) == ("The customer is unhappy.", "Ask what went wrong.")


async def test_what_a_gate_has_refused_does_not_leave_behind_a_placeholder(team: Staffed) -> None:
    drafts = iter(["Write to ada@example.org.", "Delivery takes three days, [EMAIL_1]."])

    def drafted(task: str, body: Body) -> Answer:
        answer = good(task, body)
        said = next(drafts, "Nothing.") if task == "draft" else "Delivery takes three days."
        return replace(answer, text=answer.text.replace("Delivery takes three days.", said))

    team.plays(drafted)
    run = await team.ask(ASKED["draft"])
    told = await team.events(run["run_id"])
    refused = [data["reasons"][-1]["code"] for kind, data in told if kind == "guardrail"]
    assert refused[:2] == ["gate.form", "gate.placeholder"]
    assert "ada@example.org" not in run["text"]
    assert [kind for kind, data in told if kind == "message.delta" and "ada@" in data["text"]] == []


async def test_a_check_may_wait_until_the_draft_has_been_written(open_shop: OpenShop, shop: Shop) -> None:
    del shop
    place = anyio.Semaphore(1)

    async def drafter(_request: DraftRequest) -> AsyncGenerator[Sentence, None]:
        async with place:
            for text in ("Delivery takes three days.", "Delivery costs four euros."):
                yield Sentence(text=text)

    class Checker(ScriptedChecker):
        async def sentence(self, request: SentenceRequest) -> Verdict:
            async with place:
                return await super().sentence(request)

    async with open_shop(team={"drafter": drafter, "checker": Checker()}, run_seconds=5.0) as opened:
        run = (await opened.ask(await opened.conversation(), "How long does delivery take?")).json()
    assert (run["outcome"], run["text"]) == ("answered", "Delivery takes three days. Delivery costs four euros.")


NEARLY = Reason(code="budget.day.nearly", text="The budget of money for today is spent to 90%.")


class Dear(ScriptedChecker):
    """A checker whose look at a sentence leaves so little that a person must see the answer."""

    async def sentence(self, request: SentenceRequest) -> Verdict:
        """Check one sentence."""
        assert request.mandate is not None
        asked = Completion(tier="small", budget=BudgetOutcome(action="review", share=0.9, reason=NEARLY))
        request.mandate.note(Asked(task="check", prompt="check@1", completion=asked))
        return await super().sentence(request)


async def test_what_a_check_leaves_of_a_budget_may_keep_its_sentence_for_a_person(
    open_shop: OpenShop, shop: Shop
) -> None:
    del shop
    checker = Dear(sentences={"First": Verdict(outcome=Outcome.REVISE)})
    async with (
        open_models(ModelsSettings(tiers={}), InMemorySpending()) as models,
        open_shop(team={"checker": checker, "models": models}) as opened,
    ):
        opened.drafter.script = {"delivery": ["First, this.", "Then that."]}
        told = await opened.say(await opened.conversation(), "How long does delivery take?")
        assert [event.event for event in told if event.event == "message.delta"] == []
        run = await opened.get(f"/v1/runs/{told[0].json()['run_id']}")
        [review] = (await opened.get("/v1/reviews"))["reviews"]
    assert (run["outcome"], run["status"]) == ("review", "waiting")
    assert [reason["code"] for reason in review["reasons"]] == ["budget.day.nearly"]


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True, scope="session")
@pytest.mark.parametrize(("task", "fault", "answer", "code"), FAULTS, ids=NAMES)
async def test_whatever_a_model_does_the_customer_gets_a_sentence_and_the_ledger_says_why(
    team: Staffed, task: str, fault: str, answer: Answer, code: str
) -> None:
    team.plays(lambda asked, body: answer if asked == task else good(asked, body))
    run = await team.ask(ASKED[task])
    assert (run["status"], task in team.tasks) == ("finished", True)
    assert [data["text"] for kind, data in await team.events(run["run_id"]) if kind == "message.completed"][-1:]
    if fault == "too many requests, for long":
        await anyio.sleep(PAUSE)  # so long nobody else calls it either
    failed = [each for each in await team.decisions(run, task) if each["outcome"] == "local"]
    assert code in {reason["code"] for each in failed for reason in each["reasons"]}


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True, scope="session")
async def test_no_call_goes_on_after_the_deadline_and_the_local_tier_drafts(
    new_place: NewPlace, tmp_path: Path
) -> None:
    patient = MODELS.replace("0.4", "60").replace("0.8", "60")
    never = Answer(first_seconds=60)
    async with staffed(tmp_path / "shop", new_place(), models=patient, run_seconds=3.0) as team:
        team.plays(lambda task, body: never if task == "draft" else good(task, body))
        began = anyio.current_time()
        run = await team.ask(ASKED["draft"])
        # Not degraded: the local tier had its time, and found nothing sure enough.
        assert (run["status"], run["outcome"]) == ("finished", "handed_over")
        assert max(team.stub.times) < began + 3.0
        [decision] = await team.decisions(run, "draft")
        assert (decision["tier"], decision["reasons"][0]["code"]) == ("local", "model.deadline")


BUDGETS = "budgets: {day: {money: 1.2, at_80: review, at_100: escalate}}\n"


async def test_a_budget_that_is_nearly_spent_brings_a_person_in_and_one_that_is_spent_hands_over(
    new_place: NewPlace, tmp_path: Path
) -> None:
    # Nothing is kept, or the same question would cost nothing.
    async with staffed(tmp_path / "shop", new_place(), policy=BUDGETS, model_cache=0) as team:
        # A draft costs 0.12, the checker's looks at it nothing.
        team.plays(lambda task, body: replace(good(task, body), usage=(100, 10) if task == "draft" else (1, 0)))
        turns = [await team.ask(ASKED["draft"]) for _ in range(11)]
        outcomes = [each["outcome"] for each in turns]
        assert outcomes == ["answered"] * 7 + ["review"] * 2 + ["handed_over"] * 2
        told = [await team.decisions(run, "draft") for run in turns]
        codes = [[reason["code"] for each in made for reason in each["reasons"]] for made in told]
        assert codes == [[]] * 8 + [["budget.day.nearly"]] * 2 + [[]]
        close = (await team.product.service.explain(team.product.principal, turns[-1]["run_id"]))[-1]
        assert "budget.day.spent" in [reason["code"] for reason in close["reasons"]]
        usage = (await team.http.get("/v1/usage")).json()
        assert round(usage["total"]["money"], 1) == 1.2


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True, scope="session")
async def test_without_consent_a_hosted_model_is_not_asked(new_place: NewPlace, tmp_path: Path) -> None:
    elsewhere = MODELS.replace("127.0.0.1", "localhost").replace("{url}", "https://models.example/v1")
    async with staffed(tmp_path / "shop", new_place(), models=elsewhere) as team:
        run = await team.ask(ASKED["draft"])
        [decision] = await team.decisions(run, "draft")
        assert (decision["outcome"], [reason["code"] for reason in decision["reasons"]]) == (
            "local",
            ["model.no_consent"],
        )
