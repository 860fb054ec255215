"""What the commands say of policies: whether a file works, and what it makes of a message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.table import Table

from handrail.own_words import fixed_texts, require_decent, require_own_words
from handrail.terminal import print_json
from policies.attributes import require_declared
from policies.errors import ConfigError, InputError
from policies.expressions import attributes_in, facts_in
from policies.folder import PolicyFile
from policies.personal_data import mask
from policies.promises import Phrasebook, prohibited
from policies.rules import Rule, RuleOutcome, Trial, evaluate, try_rules
from policies.rulings import after_check, after_route, answer_facts, doubts, route_facts
from policies.types import JSON, Intent, Outcome, Reason, Route, Sentence, to_json
from tools.assistants import (
    FILES,
    MODELS,
    Assistant,
    assistant_of,
    load_assistant,
    parse_yaml,
    read_files,
    require_offered,
)
from tools.clock import SystemClock
from tools.guards.phrases import load_wording
from tools.offers import require_known_arguments
from tools.own_actions import load_actions

if TYPE_CHECKING:
    from graphs.settings import Settings

_LIKE = 'Write it like {"member": true}.'


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as a customer might send it."""

    text: str
    attributes: dict[str, Any]
    locale: str | None
    intent: str | None
    """What it is about, so that no router is asked."""
    confidence: float
    reply: str | None
    """A text that answers it, so that the rules on the answer are tried."""


def check_policy(path: Path, out: Console) -> None:
    """Check an assistant's folder, or one of its files; raises ``ConfigError`` with all that is wrong.

    A file is checked with those beside it where all three are there, else by itself. What policy says itself is
    put to the guards that need no model; tools and workflows of its own are loaded.
    """
    if path.is_dir():
        _require_sound(load_assistant(path))
    elif path.name in FILES and all((path.parent / name).is_file() for name in MODELS):
        _require_sound(assistant_of(path.parent, read_files(path.parent)))
    else:
        text = _text(path)
        require_decent(fixed_texts(path, text, parse_yaml(path, text, FILES.get(path.name, PolicyFile))))
    out.print(f"{path}: nothing is wrong.", markup=False, soft_wrap=True)


def _require_sound(assistant: Assistant) -> None:
    require_own_words(assistant)
    servers = (name for server in assistant.file.mcp.values() for name in server.tools)
    actions = load_actions(assistant, Path())
    require_offered(assistant, {*actions, *servers})
    require_known_arguments(assistant, actions)
    if assistant.file.workflows:
        # LangGraph takes a second to load, which nobody waits for who has no graph.
        from graphs.workflows.definitions import load_workflows

        load_workflows(assistant)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no file or folder {path}.", remedy="Mend the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}.", remedy="Save it as UTF-8 text.") from error


def read_attributes(text: str | None) -> dict[str, Any]:
    """Read attributes as the command line gives them; raises ``InputError`` when they are no JSON object."""
    try:
        found = orjson.loads(text or "{}")
    except orjson.JSONDecodeError as error:
        raise InputError(f"--attributes is not JSON: {error}.", remedy=_LIKE) from error
    if not isinstance(found, dict):
        raise InputError("--attributes is no JSON object.", remedy=_LIKE)
    return found


async def explain_policy(settings: Settings, message: Message, out: Console, *, as_json: bool) -> None:
    """Print what the policy of an assistant makes of a message."""
    from tools.guards.language import identify_language

    assistant = load_assistant(settings.assistant)
    require_declared(assistant.file.customer_attributes, message.attributes)
    text = mask(message.text, {}).text
    if message.intent is not None:
        found = _route_to(assistant, message.intent, message.confidence)
    else:
        with Console(stderr=True).status("Teaching the router the intents ..."):
            found = await _routed(settings, assistant, text)
    story = tell(assistant, found, message, text, identify_language(text))
    if as_json:
        print_json(out, story)
    else:
        show(story, out)


def _route_to(assistant: Assistant, name: str, confidence: float) -> Route:
    intent = assistant.intent(name)
    if intent is None:
        known = ", ".join(each.name for each in assistant.intents)
        raise InputError(f"There is no intent {name!r}.", remedy=f"Known are: {known}.")
    return _as_route(intent, confidence)


def _as_route(intent: Intent, confidence: float) -> Route:
    return Route(
        intent=intent.name,
        queue=intent.queue,
        priority=intent.priority,
        confidence=confidence,
        in_scope=1.0,
        autonomy=intent.autonomy,
    )


async def _routed(settings: Settings, assistant: Assistant, text: str) -> Route:
    from agents.router import RouteRequest
    from graphs.assembly import fit_router, learn_questions
    from tools.encoder.opening import open_encoder

    cache = settings.data / "cache"
    async with open_encoder(assistant.file.encoder, cache, lambda _: None) as encoder:
        router = await fit_router(assistant, encoder, await learn_questions(assistant, encoder, cache), cache)
        return await router(RouteRequest(text=assistant.glossary.expand(text)))


def tell(assistant: Assistant, found: Route, message: Message, text: str, language: str) -> JSON:
    """Return what policy makes of a route: each rule with the facts that it used, and what follows."""
    customer = {"locale": message.locale, "attributes": message.attributes}
    facts = route_facts(text, found, customer=customer, language=language)
    unsure = [*_unserved(assistant, language), *doubts(found, assistant.policy.thresholds)]
    on_route = [rule for rule in assistant.rules if rule.on == "route"]
    ruling = evaluate(on_route, facts)
    outcome, autonomy = after_route(found.autonomy, ruling, bool(unsure))
    trials, ruled = try_rules(on_route, facts), RuleOutcome()
    if message.reply is not None:
        facts |= answer_facts((Sentence(text=message.reply),), 1.0)
        on_answer = [rule for rule in assistant.rules if rule.on == "answer"]
        trials += try_rules(on_answer, facts)
        ruled = evaluate(on_answer, facts)
    tried = ("route", "answer") if message.reply is not None else ("route",)
    waits = [rule for rule in assistant.rules if rule.on not in tried]
    goes_on = outcome not in (Outcome.ESCALATE, Outcome.BLOCK)
    final = after_check(autonomy, ruled.outcome) if goes_on else outcome
    said = (ruling.say or assistant.policy.answers.get(found.intent or "")) if goes_on else None
    queue = ruled.queue or ruling.queue or found.queue
    priority = found.priority
    return {
        "assistant": assistant.name,
        "version": assistant.version,
        "text": text,
        "language": language,
        "route": to_json(found),
        "doubts": [to_json(reason) for reason in unsure],
        "rules": [
            *(_tried(trial, facts) for trial in trials),
            *({**_plainly(rule), "fired": None} for rule in waits),
        ],
        "guards": [{**asdict(each), "effect": str(each.effect)} for each in assistant.bindings],
        "prohibitions": _prohibitions(assistant, message.reply),
        "autonomy": str(autonomy),
        "said": said,
        "requires": sorted(ruling.requires),
        "stream": "sentences" if assistant.streams and final is Outcome.PASS and not said else "whole",
        "budgets": assistant.policy.budgets.model_dump(exclude_none=True),
        "outcome": str(final),
        "queue": queue,
        "priority": priority,
        "due_at": assistant.policy.sla.due_at(priority, SystemClock().now()).isoformat(timespec="seconds"),
    }


def _prohibitions(assistant: Assistant, reply: str | None) -> list[JSON]:
    """Return what an answer may not say, and where a reply says it; nothing of a reply is quoted here."""
    wording = load_wording("promises")
    held = prohibited(assistant.policy.prohibitions, wording.prohibitions)
    hits = Phrasebook(held, wording.sets).find(reply, asked=False) if reply is not None else ()
    said = {hit.prohibition.id: hit.phrase for hit in hits}
    return [{"id": each.id, "reason": each.reason, "said_by": said.get(each.id)} for each in held]


def _unserved(assistant: Assistant, language: str) -> Sequence[Reason]:
    if language in assistant.policy.languages:
        return ()
    return (Reason(code="intake.language", text=f"The message seems to be in {language!r}, which is not served."),)


def _plainly(rule: Rule) -> JSON:
    return {"id": rule.id, "on": rule.on, "when": rule.when, "effect": rule.effect}


def _tried(trial: Trial, facts: JSON) -> JSON:
    rule = trial.rule
    used = {name: facts[name] for name in facts_in(rule.when) if name in facts}
    if named := attributes_in(rule.when):
        used["attributes"] = {name: facts["attributes"].get(name) for name in named}
    return {
        **_plainly(rule),
        "fired": trial.fired,
        "problem": trial.problem or None,
        "facts": used,
    }


def show(story: JSON, out: Console) -> None:
    """Print what ``tell`` found, for a reader."""
    route = story["route"]
    intent = route["intent"] or "nothing known"
    lines = [
        f"{story['assistant']}, version {story['version']}: {story['text']}",
        f"about {intent} ({route['confidence']:.0%}; in scope {route['in_scope']:.0%}), queue {route['queue']}, "
        f"priority {route['priority']}, autonomy {route['autonomy']}",
        *(f"a person is needed: {reason['text']}" for reason in story["doubts"]),
    ]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    table = Table("rule", "on", "effect", "fired", "why", title_justify="left")
    for rule in story["rules"]:
        table.add_row(rule["id"], rule["on"], rule["effect"], *_why(rule))
    if story["rules"]:
        out.print(table)
    bound = ", ".join(f"{each['guard']} at {each['stage']} ({each['effect']})" for each in story["guards"])
    out.print(f"guards: {bound or 'none bound'}", markup=False, soft_wrap=True)
    banned = ", ".join(each["id"] for each in story["prohibitions"])
    out.print(f"an answer may not say: {banned or 'nothing is forbidden'}", markup=False, soft_wrap=True)
    for each in story["prohibitions"]:
        if each["said_by"]:
            line = f"the reply says it ({each['id']}, by {each['said_by']}): {each['reason']}"
            out.print(line, markup=False, soft_wrap=True)
    out.print(f"stream: {story['stream']}", markup=False)
    for scope, budget in story["budgets"].items():
        out.print(f"budget of a {scope}: {_budget(budget)}", markup=False, soft_wrap=True)
    out.print(f"what follows: {follows(story)}", markup=False, soft_wrap=True)


_LATER = {
    "action": "asked before an action is done",
    "answer": "asked once there is an answer (--reply TEXT tries one)",
}


def _budget(budget: JSON) -> str:
    much = " and ".join(f"{name} {budget[name]:,}" for name in ("money", "tokens") if name in budget)
    return f"{much}; at 80 % {budget['at_80']}, at 100 % {budget['at_100']}"


def _why(rule: JSON) -> tuple[str, str]:
    if rule["fired"] is None:
        return "later", _LATER[rule["on"]]
    # The message itself stands above.
    shown = {name: value for name, value in rule["facts"].items() if name not in ("text", "reply")}
    used = ", ".join(f"{name} = {orjson.dumps(value).decode()}" for name, value in shown.items())
    why = rule["problem"] or used or "by the words"
    return ("yes" if rule["fired"] else "no"), why.replace("[", r"\[")


def follows(story: JSON) -> str:
    """Say in plain words what follows."""
    person = f"a person of the queue {story['queue']} gets the conversation, due {story['due_at']}"
    first = f"the actions {', '.join(story['requires'])} need a person first; " if story["requires"] else ""
    answer = f"the answer is “{story['said']}”" if story["said"] else "an answer is drafted and checked"
    return first + {
        "block": f"the customer reads that this is not answered here, and {person}.",
        "escalate": f"{person}, with the draft as a suggestion."
        if story["autonomy"] == "suggest" and not story["doubts"]
        else f"{person}.",
        "review": f"{answer}; a person reads it before it leaves, due {story['due_at']}.",
    }.get(story["outcome"], f"{answer}; it leaves by itself when the checks pass.")
