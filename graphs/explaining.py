"""Decisions in plain words: a short story for everybody, and a sentence for each decision for staff.

The story names no intent, score, rule or queue. It is made of templates alone, so it makes nothing up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from policies.types import JSON

# The first that fits one of a run's reasons decides; a code that ends in a dot stands for all that begin so.
_WHY: tuple[tuple[str, str], ...] = (
    ("review.reject", "a person who looked at the draft wanted to answer in person"),
    ("review.expire", "nobody had looked at the draft in time"),
    ("approval.reject", "a person did not want done what was about to be done"),
    ("approval.expire", "nobody had said in time whether something may be done"),
    ("act.not_allowed", "a person looks first at what is done on this subject"),
    ("act.missing", "something that had to be done for it lacked what it needs"),
    ("act.", "something that had to be done for it needs a person"),
    ("intake.language", "it seems to be in a language that is not served here"),
    ("intake.too_long", "the messages are too long together"),
    ("intake.", "it did not pass the checks on what comes in"),
    ("rule.", "a rule of this assistant asks for a person in such a case"),
    ("guard.", "a safety check asks for a person in such a case"),
    ("route.out_of_scope", "it is about nothing that this assistant answers"),
    ("router.out_of_scope", "it is about nothing that this assistant answers"),
    ("route.unsure", "it was not clear enough what it is about"),
    ("router.unsure", "it was not clear enough what it is about"),
    ("route.human", "a person always answers on this subject"),
    ("check.suggest", "a person always answers on this subject"),
    ("router.second_question", "a part of it is for a person"),
    ("retrieve.nothing", "no article has anything on it"),
    ("retrieve.left_out", "what the articles have on it did not pass a safety check"),
    ("budget.", "what may be spent on answers like this is spent"),
    ("draft.broken_off", "writing the answer broke off"),
    ("draft.lost_first", "the beginning of the draft did not pass its checks"),
    ("draft.", "the articles do not answer it clearly enough"),
    ("check.", "the draft did not pass its checks"),
)
_OTHERWISE = "this assistant was not sure enough to answer alone"
_LOOKS_FIRST = "a person looks first at answers on this subject"
_UNCLEAR = ("route.unsure", "router.unsure")
_ENDINGS = {
    "answered": "The answer was sent.",
    "reviewed": "Then the answer was sent.",
    "said": "A prepared text was sent instead of a draft, because the policy of this assistant has one for this.",
    "degraded": "Something did not work here, so a person was asked to answer.",
    "superseded": "A newer message came before anything was shown; both are answered together.",
    "stale": "A newer message came first, so this answer was not sent.",
    "cancelled": "The work on it was stopped before an answer was sent.",
}
_TAKEN_OVER = "A person took the conversation over before the answer was sent."
_REVIEWED = {
    "approve": "A person looked at the draft and approved it.",
    "edit": "A person looked at the draft and changed it.",
    "reject": "A person looked at the draft and did not approve it.",
    "expire": "A person was to look at the draft, and nobody did in time.",
}


_APPROVED = {
    "approve": "A person approved it.",
    "reject": "A person did not approve it.",
    "expire": "Nobody answered in time.",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a story is made from."""

    status: str
    outcome: str | None
    decisions: list[JSON]
    """Those of the run, in order."""
    titles: tuple[str, ...]
    """The articles that the answer cites."""
    subjects: Mapping[str, str]
    """What each intent is about, in the words of the assistant's folder."""
    asked_because: tuple[str, ...]
    """Codes of the reasons for which a person is being asked, if one is."""
    looked_up: bool = False
    """Whether the answer cites what a tool has found."""


@dataclass(frozen=True, kw_only=True)
class Details:
    """One decision in a sentence, for staff."""

    stream: str
    seq: int
    says: str
    reversed_by: int | None
    """The number of the decision that reverses this one."""


def story(told: Told) -> list[str]:
    """Tell how a run went, in the order in which it did, in sentences that anybody may read."""
    placed = sorted([*_actions(told), *_articles(told), *_checked(told)], key=itemgetter(0))
    return [
        *_understood(told),
        *(says for _, says in placed),
        *_people(told),
        *_ending(told),
        *_reversed(told),
    ]


def _understood(told: Told) -> Iterator[str]:
    routed = _last(told, "route")
    if routed is None:
        return
    codes = _codes([routed])
    if routed.get("intent") is None or any(code.endswith(".out_of_scope") for code in codes):
        yield "The message was taken to be about nothing that this assistant answers."
    elif any(code in _UNCLEAR for code in codes):
        yield "It was not clear enough what the message is about."
    elif about := told.subjects.get(routed["intent"]):
        yield f"The message was understood to be about this: {about.strip().rstrip('.')}."
    else:
        yield "The message was understood to be about a subject that this assistant knows."


Placed = tuple[int, str]
"""A sentence, and behind how many decisions it stands."""


def _articles(told: Told) -> Iterator[Placed]:
    found, drafted = _last(told, "retrieve"), _place(told, "gate", "verdict")
    if told.looked_up:
        yield drafted, "The answer was taken from what was looked up or done for it."
    if found is None or (told.looked_up and not told.titles):
        return
    if not found.get("lineage"):
        yield _place(told, "retrieve"), "The articles were searched, and none has anything on it."
    elif told.titles:
        yield drafted, f"The answer was taken from {_listed(told.titles)}."
    else:
        yield _place(told, "retrieve"), "The articles were searched."


def _checked(told: Told) -> Iterator[Placed]:
    if gates := _all(told, "gate"):
        some = any(each["outcome"] == "refused some" for each in gates)
        rest = "; what has no support there was left out." if some else "."
        source = "the articles" if told.titles else "what it was drawn from"
        yield _place(told, "gate"), f"Each drafted sentence was compared with {source}{rest}"
    if _last(told, "verdict"):
        yield (
            _place(told, "verdict"),
            "The whole was checked: whether it answers the message, and whether the rules allow it.",
        )


def _place(told: Told, *kinds: str) -> int:
    """Return where the first decision of these kinds stands; the end when there is none."""
    places = (place for place, each in enumerate(told.decisions) if each["kind"] in kinds)
    return next(places, len(told.decisions))


_DONE = "What had to be looked up or done for it was done."
_DONE_BEFORE = "What needed nobody's approval was looked up or done."
_UNDONE = "Something that had to be looked up or done for it could not be finished."
_REFUSED = "What had to be looked up or done for it was refused, and nothing was done."
_DONE_THEN = "Then it was done."
_REFUSED_THEN = "It was refused all the same, and nothing was done."
_UNDONE_THEN = "It was begun and could not be finished."


def _actions(told: Told) -> Iterator[Placed]:
    """Tell what a person was asked to approve, and what was done, each where it happened."""
    asked = _told_of(told)
    answered = {each["action"]: place for place, each in asked if each["kind"] == "review"}
    last = max((place for place, each in asked if each["kind"] == "approval"), default=-1)

    def stretch(placed: tuple[int, JSON]) -> tuple[str, bool]:
        place, each = placed
        return each["kind"], each["kind"] == "action" and answered.get(each.get("action"), place) < place

    for (kind, approved), found in groupby(asked, key=stretch):
        each = list(found)
        if kind == "action":
            yield each[0][0], _done([decision for _, decision in each], approved, before=each[0][0] < last)
        else:
            yield from ((place, _approval_told(decision)) for place, decision in each)


def _told_of(told: Told) -> list[tuple[int, JSON]]:
    """Return the decisions on actions, with their places; of approvals those answered or waited for."""
    most = len([each for each in _all(told, "review") if "action" in each]) + _awaits_approval(told)
    asked = [each for each in _all(told, "approval") if each["outcome"] == "asked"][:most]
    return [
        (place, each)
        for place, each in enumerate(told.decisions)
        if any(each is one for one in asked)
        or (each["kind"] == "review" and "action" in each)
        or (each["kind"] == "action" and each["outcome"] != "skipped")
    ]


def _done(actions: Sequence[JSON], approved: bool, *, before: bool) -> str:
    if all(each["outcome"] == "done" for each in actions):
        return _DONE_THEN if approved else _DONE_BEFORE if before else _DONE
    if all("act.refused" in _codes([each]) for each in actions):
        return _REFUSED_THEN if approved else _REFUSED
    return _UNDONE_THEN if approved else _UNDONE


def _approval_told(decision: JSON) -> str:
    if decision["kind"] == "review":
        return _APPROVED.get(decision["outcome"], "A person answered.")
    return f"A person was asked whether something may be done, because {_why(_codes([decision]), _LOOKS_FIRST)}."


def _awaits_approval(told: Told) -> bool:
    answers = [each for each in _all(told, "review") if "action" in each]
    asked = [each for each in _all(told, "approval") if each["outcome"] == "asked"]
    return told.status == "waiting" and len(asked) > len(answers)


def _people(told: Told) -> Iterator[str]:
    waits = _awaits_approval(told)
    reviews = [each for each in _all(told, "review") if "action" not in each]
    reviewed = reviews[-1] if reviews else None
    if reviewed is not None or (told.status == "waiting" and not waits):
        codes = told.asked_because or tuple(_codes(_all(told, "route") + _all(told, "verdict")))
        yield f"A person was asked to look before anything is sent, because {_why(codes, _LOOKS_FIRST)}."
    if reviewed is not None:
        yield _REVIEWED.get(reviewed["outcome"], "A person looked at the draft.")


def _ending(told: Told) -> Iterator[str]:
    if told.status == "waiting":
        yield "It waits for that person now."
    elif told.status != "finished":
        yield "It is being worked on."
    elif told.outcome != "handed_over":
        yield _ENDINGS.get(told.outcome or "", "It has ended.")
    else:
        closed = _last(told, "close")
        if closed is None or closed["node"] in ("demote", "takeover"):
            yield _TAKEN_OVER if told.decisions else "A person has the conversation and answers."
        else:
            yield f"A person was asked to answer, because {_why(_codes([closed]), _OTHERWISE)}."


def _reversed(told: Told) -> Iterator[str]:
    if _all(told, "reversal"):
        yield "Later a person reversed a decision that was made here; that is on record and changes nothing else."


def _why(codes: Sequence[str], otherwise: str) -> str:
    for known, words in _WHY:
        if any(code.startswith(known) if known.endswith(".") else code == known for code in codes):
            return words
    return otherwise


def _listed(titles: Sequence[str]) -> str:
    quoted = [f"“{title}”" for title in titles]
    word = "the article " if len(quoted) == 1 else "the articles "
    return word + (quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}")


def _all(told: Told, kind: str) -> list[JSON]:
    return [each for each in told.decisions if each["kind"] == kind]


def _last(told: Told, kind: str) -> JSON | None:
    found = _all(told, kind)
    return found[-1] if found else None


def _codes(decisions: Sequence[JSON]) -> list[str]:
    return [reason["code"] for each in decisions for reason in each.get("reasons", ())]


def details(decisions: Sequence[JSON]) -> list[Details]:
    """Return a sentence for each decision, with all that it was made on."""
    reversals = {
        (each["stream"], each["reverses"]["seq"]): each["seq"] for each in decisions if "reverses" in each
    }
    return [
        Details(
            stream=each["stream"],
            seq=each["seq"],
            says=" ".join(_parts(each)),
            reversed_by=reversals.get((each["stream"], each["seq"])),
        )
        for each in decisions
    ]


def _parts(decision: JSON) -> Iterator[str]:
    yield _SAYS.get(decision["kind"], _any)(decision)
    if reasons := [_reason(each) for each in decision.get("reasons", ())]:
        yield f"Why: {' '.join(reasons)}"
    yield f"({', '.join(_grounds(decision))})"


def _reason(reason: JSON) -> str:
    rule = f"; rule {reason['rule_id']}" if reason.get("rule_id") else ""
    return f"{reason['text']} [{reason['code']}{rule}]"


def _grounds(decision: JSON) -> Iterator[str]:
    actor = decision.get("actor") or {}
    version = f" version {actor['version']}" if actor.get("version") else ""
    yield f"{actor.get('type', 'nobody')} {actor.get('id', '')}{version}".strip()
    if decision.get("tier"):
        yield f"tier {decision['tier']}"
    if decision.get("cost"):
        yield f"cost {decision['cost']}"
    if decision.get("latency_ms") is not None:
        yield f"after {decision['latency_ms']} ms"
    yield decision["at"]


def _sure(decision: JSON) -> str:
    confidence = decision.get("confidence")
    return f" with a confidence of {confidence:.0%}" if confidence is not None else ""


def _route(decision: JSON) -> str:
    subject = decision.get("intent") or "none of the known intents"
    return f"The router found {subject}{_sure(decision)}; next is {decision['outcome']}."


def _retrieve(decision: JSON) -> str:
    passages = decision.get("lineage") or []
    named = f": {', '.join(passages)}" if passages else ""
    return f"Search in index {decision.get('index_version')} found {len(passages)} passages{named}."


def _gate(decision: JSON) -> str:
    return f"The sentence gate {decision['outcome']}; {decision.get('sentences', 0)} sentences are left."


def _model(decision: JSON) -> str:
    task = decision["node"]
    if decision["outcome"] == "local":
        return f"No language model answered for {task}; it was done locally."
    kept = ", kept from before," if decision.get("cached") else ""
    tokens = f"{decision['input_tokens']} tokens read and {decision['output_tokens']} written"
    return f"{decision['model']}{kept} answered for {task} with prompt {decision['prompt']}: {tokens}."


def _any(decision: JSON) -> str:
    return f"The step {decision['node']} decided ({decision['kind']}): {decision['outcome']}{_sure(decision)}."


def _action(decision: JSON) -> str:
    return f"The action {decision.get('action')} ended as {decision['outcome']}."


def _approval(decision: JSON) -> str:
    ended = "waits for a person's approval" if decision["outcome"] == "asked" else "is not done by this assistant"
    return f"The action {decision.get('action')} {ended}."


def _review(decision: JSON) -> str:
    about = f" whether {decision['action']} may be done" if "action" in decision else ""
    return f"The review{about} was answered: {decision['outcome']}."


def _reversal(decision: JSON) -> str:
    other = decision["reverses"]
    return (
        f"Decision {other['seq']} ({other['kind']}: {other['outcome']}) is reversed; nothing else changed by that."
    )


def _consent(decision: JSON) -> str:
    scopes = [f"{scope} {'yes' if agreed else 'no'}" for scope, agreed in decision["after"].items()]
    removed = f"; {decision['removed']} examples were removed from datasets" if decision.get("removed") else ""
    return f"The customer's consent was {decision['outcome']}: {', '.join(scopes)}{removed}."


def _conversations(decision: JSON) -> str:
    count = decision["conversations"]
    return f"{count} conversation{'' if count == 1 else 's'}"


_SAYS: Mapping[str, Callable[[JSON], str]] = {
    "route": _route,
    "retrieve": _retrieve,
    "gate": _gate,
    "model": _model,
    "budget": lambda decision: f"The budgets decided: {decision['outcome']}.",
    "action": _action,
    "abandoned": _action,
    "abstain": lambda decision: f"No answer was drafted{_sure(decision)}.",
    "verdict": lambda decision: f"The whole was checked{_sure(decision)}; next is {decision['outcome']}.",
    "approval": _approval,
    "review": _review,
    "close": lambda decision: f"The run ended as {decision['outcome']}.",
    "cancel": lambda _decision: "The run was cancelled.",
    "reversal": _reversal,
    "started": lambda decision: f"The workflow {decision['workflow']} was started for {decision['for']}.",
    "step": lambda decision: f"The step {decision['node']} ended: {decision['outcome']}.",
    "said": lambda _decision: "No answer was drafted: policy has the text itself.",
    "review.raised": lambda _decision: "The review became more urgent and got more time.",
    "policy.changed": lambda decision: f"The files of {decision['assistant']} changed to {decision['after']}.",
    "consent.changed": _consent,
    "subject.exported": lambda decision: f"The data of a subject was exported: {_conversations(decision)}.",
    "subject.erased": lambda decision: f"The data of a subject was erased: {_conversations(decision)}.",
    "conversation.erased": lambda _decision: "The conversation was erased; its decisions stay.",
}
