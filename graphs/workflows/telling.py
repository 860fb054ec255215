"""How a workflow's run went, in plain words, from its decisions alone."""

from __future__ import annotations

from collections.abc import Iterator

from graphs.explaining import Told
from policies.types import JSON

_ENDINGS = {
    "done": "It ended with a result that has the shape this workflow returns.",
    "expired": "Nobody answered in time, and the workflow does not say what holds then: there is no result.",
    "cancelled": "It was stopped before it came to a result.",
}


def workflow_story(told: Told) -> list[str]:
    """Tell how a workflow's run went, for staff."""
    return [*_begun(told), *_steps(told), *_people(told), *_ending(told)]


def _begun(told: Told) -> Iterator[str]:
    started = _all(told, "started")
    if started:
        yield f"The workflow {started[0]['workflow']} was started for {started[0]['for']}."
    else:
        yield "It was taken in; no step of it has begun yet."


def _steps(told: Told) -> Iterator[str]:
    names = list(dict.fromkeys(each["node"] for each in _all(told, "step") if each["outcome"] == "done"))
    if names:
        yield f"These steps are done: {', '.join(names)}."
    own = [each for each in told.decisions if str(each["kind"]).startswith("workflow.")]
    for each in own:
        why = " ".join(reason["text"] for reason in each["reasons"])
        what = each["kind"].removeprefix("workflow.")
        yield f"The step {each['node']} decided {what}: {each['outcome']}.{_why(why)}"


def _why(text: str) -> str:
    return f" Why: {text.rstrip('.')}." if text else ""


def _people(told: Told) -> Iterator[str]:
    for each in _all(told, "review"):
        who = each["actor"]["id"]
        if each["actor"]["type"] == "person":
            yield f"A person was asked; {who} answered: {each['outcome']}."
        elif each["outcome"] != "expire":
            yield f"Nobody answered in time, so what the workflow says for that case holds: {each['outcome']}."
    if told.status == "waiting":
        yield "A person is asked, and it waits for the answer."


def _ending(told: Told) -> Iterator[str]:
    if told.status != "finished":
        if told.status != "waiting":
            yield "It is being worked on."
        return
    close = _all(told, "close")
    if told.outcome == "failed" and close:
        why = " ".join(reason["text"] for reason in close[-1]["reasons"])
        yield f"It failed, and came to no result.{_why(why)}"
    else:
        yield _ENDINGS.get(told.outcome or "", "It has ended.")
    if close and close[-1].get("began_with"):
        yield "The assistant's files changed while it ran; it ended on the later version."


def _all(told: Told, kind: str) -> list[JSON]:
    return [each for each in told.decisions if each["kind"] == kind]
