"""Reading an assistant folder; every mistake is told with file, line, field and remedy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from policies.bindings import KnownGuards, bind, needs_whole_answer
from policies.consistency import mistakes
from policies.errors import ConfigError
from policies.folder import AssistantFile, IntentsFile, PolicyFile, QuestionsFile
from policies.glossary import Glossary
from policies.guards import Binding
from policies.rules import Rule, compile_rule
from policies.types import Intent, KnownQuestion
from tools.extensions import extension_text
from tools.guards.registry import KNOWN

M = TypeVar("M", bound=BaseModel)
Location = tuple[str | int, ...]
MODELS: dict[str, type[AssistantFile | IntentsFile | PolicyFile]] = {
    "assistant.yaml": AssistantFile,
    "intents.yaml": IntentsFile,
    "policy.yaml": PolicyFile,
}
"""The files that a folder must have."""
QUESTIONS = "questions.yaml"
FILES: dict[str, type[BaseModel]] = {**MODELS, QUESTIONS: QuestionsFile}
"""Its YAML files, with those it may do without."""
_COPY = "Write it; `handrail init NEW_FOLDER` makes one to copy from."


# PyYAML may have been built without the parser in C, which takes a twentieth of the time.
_Fastest: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Fastest):  # type: ignore[misc]
    """YAML in which only true and false are booleans: a bare ``on``, ``off``, ``yes`` or ``no`` is a word."""


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


@dataclass(frozen=True, kw_only=True)
class Assistant:
    """A loaded assistant folder: immutable, named by the hash of its files."""

    folder: Path
    version: str
    file: AssistantFile
    policy: PolicyFile
    intents: tuple[Intent, ...]
    out_of_scope: tuple[str, ...]
    rules: tuple[Rule, ...]
    bindings: tuple[Binding, ...]
    """Which guards stand where."""
    glossary: Glossary
    questions: tuple[KnownQuestion, ...]
    files: Mapping[str, str]
    """The texts that it was read from, by name."""

    @property
    def name(self) -> str:
        """The assistant's name, which its conversations and its knowledge carry."""
        return self.file.name

    @property
    def knowledge(self) -> Path:
        """The folder of its documents."""
        return self.folder / "knowledge"

    def intent(self, name: str | None) -> Intent | None:
        """Return an intent by name, or None."""
        return next((intent for intent in self.intents if intent.name == name), None)

    @property
    def streams(self) -> bool:
        """Whether sentences may leave one by one: no rule or guard needs the whole answer to hold it back."""
        return not any(rule.on == "answer" for rule in self.rules) and not needs_whole_answer(self.bindings)


def load_assistant(folder: Path, guards: KnownGuards = KNOWN) -> Assistant:
    """Read and check an assistant folder; ``guards`` are those that its policy may bind.

    Raises ``ConfigError`` whose message names, for every mistake in every file, the file, the line, the field and
    what to do.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"There is no assistant folder {folder}.", remedy="Make one with `handrail init FOLDER`."
        )
    assistant = assistant_of(folder, read_files(folder), guards)
    if not assistant.knowledge.is_dir():
        raise ConfigError(f"{assistant.knowledge}: the folder is missing.", remedy="Put the help articles there.")
    return assistant


def read_files(folder: Path) -> dict[str, str]:
    """Return the texts of an assistant's files, by name; raises ``ConfigError`` for those that can't be read."""
    files, wrong = {}, []
    for name in FILES:
        try:
            if name in MODELS or (folder / name).exists():
                files[name] = _text(folder / name)
        except ConfigError as error:
            wrong.append(error)
    for name in _python_files(folder, files):
        try:
            files[name] = extension_text(folder, name)
        except ConfigError as error:
            wrong.append(error)
    _raise_all(wrong)
    return files


def _python_files(folder: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Python files that assistant.yaml names; none while it can't be read, which is told elsewhere."""
    try:
        return parse_yaml(folder / "assistant.yaml", files["assistant.yaml"], AssistantFile).python_files
    except (ConfigError, KeyError):
        return ()


def assistant_of(folder: Path, files: Mapping[str, str], guards: KnownGuards = KNOWN) -> Assistant:
    """Make an assistant of the texts of its files; ``folder`` is where its knowledge is, and what errors name."""
    read: dict[str, Any] = {QUESTIONS: QuestionsFile()}
    wrong = []
    for name in [each for each in FILES if each in MODELS or each in files]:
        try:
            read[name] = parse_yaml(folder / name, files[name], FILES[name])
        except ConfigError as error:
            wrong.append(error)
    _raise_all(wrong)
    file, intents, policy = (read[name] for name in MODELS)
    _require_consistent(folder, files["policy.yaml"], policy, intents, file, guards)
    _require_intents(folder, files, read[QUESTIONS], intents)
    return Assistant(
        folder=folder,
        version=version_of(files),
        file=file,
        policy=policy,
        intents=tuple(entry.to_intent() for entry in intents.intents),
        out_of_scope=tuple(intents.out_of_scope),
        rules=tuple(compile_rule(entry, policy.templates) for entry in policy.rules),
        bindings=bind(policy.guards, guards),
        glossary=Glossary.of(file.synonyms),
        questions=tuple(each.to_question() for each in read[QUESTIONS].questions),
        files=dict(files),
    )


def _raise_all(errors: list[ConfigError]) -> None:
    """Raise errors as one, if there are any."""
    if errors:
        remedies = dict.fromkeys(error.remedy for error in errors if error.remedy)
        raise ConfigError("\n".join(error.message for error in errors), remedy=" ".join(remedies)) from errors[0]


def _require_consistent(
    folder: Path, text: str, policy: PolicyFile, intents: IntentsFile, file: AssistantFile, guards: KnownGuards
) -> None:
    found = list(mistakes(policy, intents, file, guards))
    if found:
        path, node = folder / "policy.yaml", yaml.compose(text, Loader=_Loader)
        lines = [f"{path}:{_line(node, each.where)}: {_field(each.where)}: {each.text}." for each in found]
        raise ConfigError("\n".join(lines), remedy="Mend the field named and start again.")


def _require_intents(
    folder: Path, files: Mapping[str, str], questions: QuestionsFile, intents: IntentsFile
) -> None:
    names = [intent.name for intent in intents.intents]
    unknown = [
        (("questions", number, "intent"), each.intent)
        for number, each in enumerate(questions.questions)
        if each.intent is not None and each.intent not in names
    ]
    if unknown:
        path, node = folder / QUESTIONS, yaml.compose(files[QUESTIONS], Loader=_Loader)
        lines = [
            f"{path}:{_line(node, where)}: {_field(where)}: there is no intent {name!r}."
            for where, name in unknown
        ]
        raise ConfigError("\n".join(lines), remedy="Mend the name, or leave the field out.")


def require_offered(assistant: Assistant, offered: Collection[str]) -> None:
    """Make sure that every tool which an intent names is offered; raises ``ConfigError`` with file and line."""
    missing = [
        (("intents", number, "tools", place), name)
        for number, intent in enumerate(assistant.intents)
        for place, name in enumerate(intent.tools)
        if name not in offered
    ]
    if missing:
        path = assistant.folder / "intents.yaml"
        node = yaml.compose(assistant.files["intents.yaml"], Loader=_Loader)
        lines = [
            f"{path}:{_line(node, where)}: {_field(where)}: there is no tool {name!r}." for where, name in missing
        ]
        known = ", ".join(sorted(offered)) or "none"
        raise ConfigError("\n".join(lines), remedy=f"Mend the name or offer the tool; offered are: {known}.")


def version_of(files: Mapping[str, str]) -> str:
    """Return the version that the texts of an assistant's files are, its Python files with them."""
    digest = hashlib.sha256()
    for name in MODELS:
        digest.update(files[name].encode())
        digest.update(b"\0")
    for name in sorted(files.keys() - MODELS.keys()):
        digest.update(f"{name}\0{files[name]}\0".encode())
    return digest.hexdigest()[:16]


def _text(path: Path) -> str:
    try:
        # As it stands, line ends and all: a version is named by it.
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: the file is missing.", remedy=_COPY) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: can't be read: {error}.", remedy="Save it as UTF-8 text.") from error


def parse_yaml(path: Path, text: str, model: type[M]) -> M:
    """Parse YAML into a model; ``ConfigError`` names file, line, field and remedy."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}:{line}: this is not YAML: {problem}.", remedy="Mend the line.") from error
    _no_twins(path, node)
    try:
        return model.model_validate(data if data is not None else {})
    except ValidationError as error:
        raise _explained(path, node, error) from error


def _no_twins(path: Path, node: yaml.Node | None) -> None:
    """Refuse a key that stands twice in one mapping; YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"{path}:{line}: {key.value}: the key stands twice.", remedy="Keep one.")
            seen.add(key.value)
            _no_twins(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _no_twins(path, item)


def _explained(path: Path, node: yaml.Node | None, error: ValidationError) -> ConfigError:
    lines = []
    for problem in error.errors():
        location: Location = problem["loc"]
        lines.append(f"{path}:{_line(node, location)}: {_field(location)}: {_told(problem)}")
    return ConfigError("\n".join(lines), remedy="Mend the field named and start again.")


def _field(location: Location) -> str:
    return ".".join(map(str, location)) or "the file"


def _told(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key; remove it or mend its spelling."
    if problem["type"] == "missing":
        return "this field is required; add it."
    message = problem["msg"].removeprefix("Value error, ")
    given = repr(problem["input"])
    return f"{message}." if len(given) > 60 else f"{message} (it says {given})."


def line_of(text: str, location: Location) -> int:
    """Return the line, from 1, of the deepest part of a place that a YAML text has."""
    return _line(yaml.compose(text, Loader=_Loader), location)


def _line(node: yaml.Node | None, location: Location) -> int:
    """Return the line, from 1, of the deepest part of ``location`` that the file has."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line
