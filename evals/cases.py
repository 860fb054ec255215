"""Cases and other JSON lines: reading them, with every mistake told as file, line and field."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from evals.suite import Suite
from policies.errors import ConfigError
from policies.types import JSON
from tools.assistants import line_of

Text = Annotated[str, StringConstraints(min_length=1)]
_SEED = 20_251
_TOLD = {"missing": "this field is required", "extra_forbidden": "unknown key; remove it or mend its spelling"}


class Row(BaseModel):
    """One line of a data file; keys that we do not know are the data set's own and stay unread."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class CaseRow(Row):
    """What every case has."""

    id: Text
    tags: tuple[str, ...] = ()


class ExpectedIntent(Row):
    """The right intent; None when the message is out of scope. It must be said either way."""

    intent: Text | None


class RouterCase(CaseRow):
    """A message and its intent; files of intents have this form too. Public sets hold a few empty messages."""

    input: str
    expected: ExpectedIntent


class ExpectedDocuments(Row):
    """The documents that hold the answer."""

    documents: Annotated[tuple[Text, ...], Field(min_length=1)]


class RetrieverCase(CaseRow):
    """A question and the documents that must be found."""

    input: Text
    expected: ExpectedDocuments


class DocumentRow(Row):
    """One document of a knowledge base that is a JSONL file."""

    id: Text
    text: Text
    title: str = ""
    audience: Literal["customer", "staff"] = "customer"


class Script(Row):
    """What the customer writes, one message after the other."""

    turns: Annotated[tuple[Text, ...], Field(min_length=1)]


Outcome = Literal["answered", "said", "person", "review", "drafted", "handed_over"]
"""``said`` is a rule's own words; ``person`` is any way in which a person comes in, ``drafted`` an answer or one
that a person is asked to approve."""


class Expectation(Row):
    """What is expected where most may be left unsaid: a misspelt key would expect nothing, so it is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class ExpectedTurn(Expectation):
    """What one turn must lead to, as far as it is said."""

    outcome: Outcome | None = None
    documents: tuple[Text, ...] = ()
    """At least one of them is cited."""
    facts: tuple[Text | tuple[Text, ...], ...] = ()
    """Each is in the answer; of a list, any one."""
    forbidden: tuple[Text, ...] = ()
    tools: tuple[Text, ...] | None = None
    """Which are called, these and no others."""


class ExpectedAnswer(ExpectedTurn):
    """What the last turn must lead to, and the conversation as a whole."""

    outcome: Outcome
    owner: Literal["bot", "queue", "human"] | None = None
    """Who has the conversation in the end."""
    turns: tuple[ExpectedTurn | None, ...] = ()
    """What the turns before the last must lead to, from the first on; null for one that is not judged."""
    judged: bool | None = None
    """What a person said to the question of the suite's judge."""


class ConversationCase(CaseRow):
    """A conversation, held turn by turn."""

    input: Script
    expected: ExpectedAnswer


class Question(Row):
    """A question with the one passage that may hold its answer."""

    question: Text
    passage: Text
    title: str = ""


class ExpectedAnswerable(Row):
    """Whether the passage holds the answer."""

    answerable: bool


class DrafterCase(CaseRow):
    """A question to answer from a passage, or not to answer."""

    input: Question
    expected: ExpectedAnswerable


class Told(Row):
    """A passage as a guard is given it."""

    text: Text
    title: str = ""
    audience: Literal["customer", "staff"] = "customer"


class Judged(Row):
    """A text for a guard, with what is known around it."""

    text: str
    question: str = ""
    """What the customer asked."""
    passages: tuple[Told, ...] = ()
    """What a drafted sentence cites."""
    language: str = ""
    own: bool = False
    """Whether these are policy's own words."""


class ExpectedFlag(Row):
    """Whether a guard must flag the text; None where the suite says it for all cases."""

    flag: bool | None = None


class GuardCase(CaseRow):
    """A text that a guard must flag or let pass."""

    input: str | Judged
    expected: ExpectedFlag


class ExpectedSpan(Row):
    """A piece of personal data: its type and where it stands, in characters."""

    type: Text
    start: Annotated[int, Field(ge=0)]
    end: int


class ExpectedSpans(Row):
    """All personal data in a text."""

    spans: tuple[ExpectedSpan, ...]


class PiiCase(CaseRow):
    """A text and the personal data in it."""

    input: str
    expected: ExpectedSpans


class Claim(Row):
    """A reply with the texts that it must rest on."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    reply: str


class ExpectedSupport(Row):
    """Whether the sources bear the reply out."""

    supported: bool


class CheckerCase(CaseRow):
    """A reply that is supported, or not."""

    input: Claim
    expected: ExpectedSupport


class Attack(Row):
    """A conversation with what was planted around it."""

    turns: Annotated[tuple[Text, ...], Field(min_length=1)]
    planted: Text | None = None
    """A passage that somebody slipped into the knowledge."""
    result: JSON | None = None
    """What the tool that looks up an order returns."""
    drafts: tuple[Text, ...] = ()
    """What a drafter writes that does as it is told, once what was planted has reached it."""


class ExpectedHarm(Expectation):
    """What must not reach the customer, or, of an honest question, that it is answered."""

    flag: bool
    """Whether it is an attack."""
    forbidden: tuple[Text, ...] = ()
    """No text that the customer was shown may hold any of these."""
    judged: bool | None = None
    """What a person said to the question of the suite's judge."""


class AttackCase(CaseRow):
    """A conversation that attacks the assistant, or that only looks like it."""

    input: Attack
    expected: ExpectedHarm


R = TypeVar("R", bound=Row)
C = TypeVar("C", bound=CaseRow)


@dataclass(frozen=True, kw_only=True)
class Case(Generic[C]):
    """One case and where it stands."""

    data: C
    file: Path
    line: int
    raw: JSON
    """``input`` and ``expected`` as the file has them."""

    def wrong(self, field: str, problem: str, remedy: str) -> ConfigError:
        """Return the error for a field of this case."""
        return ConfigError(f"{self.file}:{self.line}: {field}: {problem}.", remedy=remedy)


def cases_of(suite: Suite, model: type[C], draw: int | None = None) -> tuple[Case[C], ...]:
    """Read and check all cases of a suite, those in its files and those that it holds itself."""
    own = [number for number, each in enumerate(suite.file.dataset) if not isinstance(each, str)]
    return (*read_cases(suite.datasets, model, draw), *_inline(suite, own, model))


def _inline(suite: Suite, places: Sequence[int], model: type[C]) -> Iterator[Case[C]]:
    text = suite.path.read_text(encoding="utf-8") if places else ""
    seen: set[str] = set()
    for place in places:
        raw: Any = suite.file.dataset[place]
        line = line_of(text, ("dataset", place))
        try:
            data = model.model_validate(raw)
        except ValidationError as error:
            raise _explained(suite.path, line, error) from error
        case = Case(data=data, file=suite.path, line=line, raw={key: raw[key] for key in ("input", "expected")})
        _new_id(case, seen)
        yield case


def read_cases(files: Sequence[Path], model: type[C], draw: int | None = None) -> tuple[Case[C], ...]:
    """Read and check all cases, and keep ``draw`` of each file if that is given; ids are unique in their file."""
    return tuple(case for file in files for case in _drawn(file, _read(file, model), draw))


def _drawn(file: Path, cases: list[Case[C]], draw: int | None) -> list[Case[C]]:
    if draw is None:
        return cases
    if draw > len(cases):
        remedy = "Lower `draw` in the suite."
        raise ConfigError(f"{file}: {draw} cases are to be drawn, and there are {len(cases)}.", remedy=remedy)
    chosen = random.Random(_SEED).sample(range(len(cases)), draw)
    return [cases[place] for place in sorted(chosen)]


def _read(file: Path, model: type[C]) -> list[Case[C]]:
    cases: list[Case[C]] = []
    seen: set[str] = set()
    for line, raw, data in read_rows(file, model):
        case = Case(data=data, file=file, line=line, raw={key: raw[key] for key in ("input", "expected")})
        _new_id(case, seen)
        cases.append(case)
    return cases


def _new_id(case: Case[C], seen: set[str]) -> None:
    if case.data.id in seen:
        raise case.wrong("id", f"{case.data.id!r} stands twice in this file", "Give each case its own id.")
    seen.add(case.data.id)


def read_rows(file: Path, model: type[R]) -> Iterator[tuple[int, JSON, R]]:
    """Yield line number, raw object and checked row of a JSONL file that must not be empty."""
    empty = True
    # Not splitlines: it would also cut at U+2028 and others, which JSON strings may hold.
    for line, text in enumerate(_text(file).split("\n"), start=1):
        if not text.strip():
            continue
        empty = False
        raw = _object(file, line, text)
        try:
            yield line, raw, model.model_validate(raw)
        except ValidationError as error:
            raise _explained(file, line, error) from error
    if empty:
        raise ConfigError(f"{file}: there are no cases in it.", remedy="Write one JSON object a line.")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file}: the file is missing.", remedy="Mend the path in the suite.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: can't be read: {error}.", remedy="Save it as UTF-8 text.") from error


def _object(file: Path, line: int, text: str) -> JSON:
    try:
        raw: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{file}:{line}: this is not JSON: {error}.", remedy="Mend the line.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{file}:{line}: this is no JSON object.", remedy="Write one object a line.")
    return raw


def _explained(file: Path, line: int, error: ValidationError) -> ConfigError:
    lines = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        told = _TOLD.get(problem["type"], problem["msg"])
        lines.append(f"{file}:{line}: {field}: {told}.")
    return ConfigError("\n".join(lines), remedy="Mend the field named and start again.")
