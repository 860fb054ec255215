"""The expressions of rules: which facts they may use, and what is wrong with one before it is ever run.

They are CEL. An expression is refused on load when it can't work: it does not compile, names what is no fact,
calls what is no function, has a pattern that is none, compares what can't be compared, or answers something else
than true or false.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cel

from policies.personal_data import KINDS

Stage = Literal["route", "action", "answer"]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that rules may ask about."""

    type: str
    """As CEL calls it; numbers with a fraction are ``double``."""
    about: str
    like: Any
    """A value that it may have, to try expressions on."""
    only: Stage | None = None
    """The one kind of rules that has it, if others lack it."""

    def known(self, on: Stage) -> bool:
        """Say whether rules of this kind have it."""
        return self.only is None or self.only == on


FACTS: dict[str, Fact] = {
    "text": Fact(
        type="string", about="the customer's message, lower case, personal data as placeholders", like="hello"
    ),
    "intent": Fact(type="string", about="the intent's name, empty when out of scope", like="returns"),
    "queue": Fact(type="string", about="the queue that a person would get it in", like="general"),
    "confidence": Fact(type="double", about="the router's probability for the intent, 0 to 1", like=0.9),
    "in_scope": Fact(type="double", about="probability that the message belongs to any intent, 0 to 1", like=0.9),
    "autonomy": Fact(type="string", about="`auto`, `review`, `suggest` or `human`", like="auto"),
    "priority": Fact(type="string", about="`low`, `normal`, `high` or `urgent`", like="normal"),
    "language": Fact(type="string", about="ISO 639-1 code of the message's language", like="en"),
    "locale": Fact(type="string", about="the customer's locale, empty when unknown", like="en-US"),
    "attributes": Fact(
        type="map(string, bool | double | string)",
        about="what the app told about the customer, by the names that assistant.yaml declares",
        like={},
    ),
    "amounts": Fact(type="list(double)", about="amounts of money in the message", like=[20.0]),
    "personal_data": Fact(
        type="list(string)",
        about="the kinds of personal data in the message: " + ", ".join(f"`{kind.lower()}`" for kind in KINDS),
        like=["email"],
    ),
    "turns": Fact(type="int", about="how many messages the customer sent before this one", like=1),
    "action": Fact(
        type="string", about="the name of the action that is about to be done", like="send_money", only="action"
    ),
    "arguments": Fact(
        type="map(string, dyn)",
        about="what the action is told, by the names of its parameters; numbers are doubles",
        like={},
        only="action",
    ),
    "facts": Fact(
        type="map(string, bool | double)",
        about="what the action's tool says of how things stand before it is done, by the names that it gives",
        like={},
        only="action",
    ),
    "reply": Fact(type="string", about="the answer as it would be sent", like="Hello.", only="answer"),
    "reply_amounts": Fact(type="list(double)", about="amounts of money in the answer", like=[20.0], only="answer"),
    "sources": Fact(
        type="list(string)", about="the documents that the answer cites", like=["a.md"], only="answer"
    ),
    "support": Fact(
        type="double",
        about="the checker's probability that the answer answers the question, 0 to 1",
        like=0.9,
        only="answer",
    ),
}

_KNOWN: dict[str | None, str] = {
    "answer": "once there is an answer",
    "action": "when an action is about to be done",
}
_ON_TEXT = ("size", "contains", "startsWith", "endsWith", "matches")
_TO_TYPES = ("int", "uint", "double", "string", "bytes", "type", "dyn", "timestamp", "duration")
_OF_DATES = ("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek")
_OF_TIMES = ("getHours", "getMinutes", "getSeconds", "getMilliseconds")
FUNCTIONS = frozenset({*_ON_TEXT, *_TO_TYPES, *_OF_DATES, *_OF_TIMES})
_TYPES = frozenset({"string", "int", "uint", "double", "bytes", "bool", "list", "map", "null_type"})
_LIKE: dict[str, Any] = {"string": "text", "number": 1.0, "boolean": True}
_WORD = re.compile(r"[A-Za-z]\w*")
_LITERAL = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
_LITERALS = re.compile(_LITERAL)
_BOUND = re.compile(r"\.(?:exists|all|exists_one|filter|map)\(\s*([a-zA-Z_]\w*)\s*,")
_PATTERN = re.compile(rf"\bmatches\(\s*(r?{_LITERAL})\s*\)")
_ATTRIBUTE = re.compile(r"(?<![\w.])attributes\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()")
_ARGUMENT = re.compile(r"(?<![\w.])arguments\s*\.\s*([A-Za-z_]\w*)\b(?!\s*\()")
_QUOTED_ATTRIBUTE = re.compile(rf"(?<![\w.])attributes\s*\[\s*({_LITERAL})\s*\]|({_LITERAL})\s+in\s+attributes\b")


def compiled(expression: str) -> Any:
    """Compile an expression; raises ``ValueError`` when it is none."""
    return cel.compile(expression)


def facts_in(expression: str) -> tuple[str, ...]:
    """Return the facts that an expression uses, in the order of ``FACTS``."""
    used = set(compiled(expression).variables())
    return tuple(name for name in FACTS if name in used)


def attributes_in(expression: str) -> tuple[str, ...]:
    """Return the customer attributes that an expression names, in their order."""
    quoted = [first or second for first, second in _QUOTED_ATTRIBUTE.findall(expression)]
    named = [*_ATTRIBUTE.findall(_bare(expression)), *(each[1:-1] for each in quoted)]
    return tuple(dict.fromkeys(named))


def arguments_in(expression: str) -> tuple[str, ...]:
    """Return the arguments of an action that an expression names, in their order."""
    return tuple(dict.fromkeys(_ARGUMENT.findall(_bare(expression))))


def check_expression(
    expression: str, on: Stage = "route", attributes: Mapping[str, str] | None = None
) -> str | None:
    """Say what is wrong with an expression, or None.

    ``attributes`` are the types (``string``, ``number`` or ``boolean``) of the customer attributes there are;
    while they are not known, what an expression makes of them is not looked at.
    """
    try:
        program = compiled(expression)
    except ValueError as error:
        return f"this is not a CEL expression: {error}"
    return (
        _unknown_name(expression, program, on)
        or _unknown_attribute(expression, attributes)
        or _bad_pattern(expression)
        or _bad_answer(program, on, attributes)
    )


def _bare(expression: str) -> str:
    return _LITERALS.sub("''", expression)


def _unknown_name(expression: str, program: Any, on: Stage) -> str | None:
    bound = set(_BOUND.findall(_bare(expression)))
    for name in program.variables():
        if name in FACTS and not FACTS[name].known(on):
            return f"{name!r} is known {_KNOWN[FACTS[name].only]}; write `on: {FACTS[name].only}`"
        if name not in FACTS and name not in bound and name not in _TYPES:
            known = ", ".join(each for each, fact in FACTS.items() if fact.known(on))
            return f"{name!r} is no fact; known are {known}"
    for name in program.functions():
        if _WORD.fullmatch(name) and name not in FUNCTIONS:
            return f"there is no function {name!r}; known are {', '.join(sorted(FUNCTIONS))}"
    return None


def _unknown_attribute(expression: str, attributes: Mapping[str, str] | None) -> str | None:
    if attributes is None:
        return None
    missing = next((name for name in attributes_in(expression) if name not in attributes), None)
    if missing is None:
        return None
    known = ", ".join(attributes) or "none"
    return f"assistant.yaml declares no customer attribute {missing!r}; declare or mend it, known: {known}"


def _bad_pattern(expression: str) -> str | None:
    for pattern in _PATTERN.findall(expression):
        try:
            compiled(f"''.matches({pattern})").execute({})
        except Exception as error:
            return f"the pattern {pattern} is no regular expression: {error}"
    return None


def _bad_answer(program: Any, on: Stage, attributes: Mapping[str, str] | None) -> str | None:
    """Try the expression on values of the facts' types."""
    used = set(program.variables())
    if (attributes is None and "attributes" in used) or used & {"arguments", "facts"}:
        return None
    facts = {name: fact.like for name, fact in FACTS.items() if fact.known(on)}
    facts["attributes"] = {name: _LIKE[kind] for name, kind in (attributes or {}).items()}
    try:
        answer = program.execute(facts)
    except TypeError as error:
        return f"its parts do not fit together: {error}"
    except Exception:
        # What it lacks here (a second amount, say) it may have at another time.
        return None
    return None if isinstance(answer, bool) else f"it must answer true or false and answers {answer!r}"
