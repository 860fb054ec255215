"""An assistant folder loads whole, or says where it is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from handrail.scaffold import write_assistant
from policies.bindings import KnownGuards
from policies.errors import ConfigError
from policies.folder import Thresholds
from policies.guards import Binding
from policies.types import Outcome
from tools.assistants import assistant_of, load_assistant

SAMPLES = Path(__file__).resolve().parent.parent.parent / "handrail" / "samples"


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    write_assistant(tmp_path / "new")
    return tmp_path / "new"


@pytest.mark.parametrize("name", ["support", "blank"])
def test_the_samples_load(name: str) -> None:
    assistant = load_assistant(SAMPLES / name)
    assert len(assistant.version) == 16
    assert all(intent.examples for intent in assistant.intents)


def test_the_sample_shop_is_of_the_promised_size() -> None:
    assistant = load_assistant(SAMPLES / "support")
    assert len(list(assistant.knowledge.glob("*.md"))) >= 30
    assert len(assistant.intents) >= 15
    assert min(len(intent.examples) for intent in assistant.intents) >= 8


def test_a_change_of_a_file_is_another_version(folder: Path) -> None:
    before = load_assistant(folder).version
    policy = folder / "policy.yaml"
    policy.write_text(policy.read_text() + "\n# changed\n")
    assert load_assistant(folder).version != before


def test_a_folder_may_do_without_known_questions(folder: Path) -> None:
    before = load_assistant(folder)
    assert [each.document for each in before.questions] == ["opening-hours.md"]
    (folder / "questions.yaml").unlink()
    after = load_assistant(folder)
    assert after.questions == ()
    assert after.version != before.version


def break_file(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "what"),
    [
        ("intents.yaml", "autonomy: human", "autonomy: robot", "intents.yaml:21: intents.1.autonomy", "'robot'"),
        ("intents.yaml", "queue: general", "queues: general", "intents.yaml:7: intents.0.queues", "unknown key"),
        ("intents.yaml", "    queue: general\n", "", "intents.yaml:5: intents.0.queue", "required"),
        ("intents.yaml", "speak_to_person", "opening_hours", "intents.yaml:4: intents", "defined twice"),
        (
            "policy.yaml",
            "amounts.exists(amount",
            "sums.exists(amount",
            "policy.yaml:6: rules.0.when",
            "'sums' is no fact",
        ),
        ("policy.yaml", "effect: review", "effect: maybe", "policy.yaml:7: rules.0.effect", "'maybe'"),
        ("policy.yaml", "languages: [en]", "languages: [en", "policy.yaml:3", "not YAML"),
        ("policy.yaml", "default_queue: general", "languages: [de]", "policy.yaml:3: languages", "stands twice"),
        ("assistant.yaml", "name: helper", "name: Big Helper", "assistant.yaml:2: name", "'Big Helper'"),
        (
            "questions.yaml",
            "intent: opening_hours",
            "intent: closing_hours",
            "questions.yaml:6: questions.0.intent",
            "there is no intent 'closing_hours'",
        ),
        ("questions.yaml", "asked:", "said:", "questions.yaml:9: questions.0.said", "unknown key"),
        (
            "questions.yaml",
            "      - What",
            "      - A.\n" * 3 + "      - What",
            "questions.yaml:7",
            "at most 3",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_field_and_remedy(
    folder: Path, name: str, old: str, new: str, where: str, what: str
) -> None:
    break_file(folder, name, old, new)
    with pytest.raises(ConfigError) as error:
        load_assistant(folder)
    assert f"{folder / ''}/{where}".replace("//", "/") in str(error.value)
    assert what in str(error.value)
    assert error.value.remedy


POLICY = """\
rules:
- id: vip
  when: attributes.vip
  effect: review
  reason: R
- {id: greets, when: 'true', effect: say, template: hello, reason: R}
- {id: pays, when: 'true', effect: require, tool: send_money, reason: R}
answers:
  weather: It rains.
guards:
- guard: tune
"""


def test_a_model_without_its_provider_is_told_how_one_is_written(folder: Path) -> None:
    path = folder / "assistant.yaml"
    path.write_text(path.read_text() + "models: {small: gpt-4o-mini}\n")
    with pytest.raises(ConfigError, match=r"write provider:model, such as openai:gpt-4o-mini"):
        load_assistant(folder)


def test_what_the_files_say_of_each_other_is_checked(folder: Path) -> None:
    (folder / "policy.yaml").write_text(POLICY)
    with pytest.raises(ConfigError) as error:
        load_assistant(folder)
    assert error.value.message.replace(f"{folder}/", "").splitlines() == [
        "policy.yaml:3: rules.0.when: assistant.yaml declares no customer attribute 'vip'; declare or mend it, "
        "known: none.",
        "policy.yaml:6: rules.1.template: there is no template 'hello'; write it under `templates`, known are: "
        "none.",
        "policy.yaml:7: rules.2.tool: no intent has the tool 'send_money'; mend the name, known are: none.",
        "policy.yaml:9: answers.weather: there is no intent 'weather' in intents.yaml; mend the name or remove "
        "the answer.",
        "policy.yaml:11: guards.0.guard: there is no guard 'tune'; mend the name, known are: "
        "groundedness, injection, language, leaks, personal_data, promises, tone.",
    ]


def test_the_mistakes_of_all_files_are_told_at_once(folder: Path) -> None:
    break_file(folder, "assistant.yaml", "name: helper", "name: Big Helper")
    break_file(folder, "policy.yaml", "effect: review", "effect: maybe")
    (folder / "intents.yaml").write_text("intents: [")
    with pytest.raises(ConfigError) as error:
        load_assistant(folder)
    assert [line.split(":")[0].split("/")[-1] for line in error.value.message.splitlines()] == [
        "assistant.yaml",
        "intents.yaml",
        "policy.yaml",
    ]


def test_guards_that_are_known_are_bound_and_say_whether_answers_stream(folder: Path) -> None:
    tone = Binding(guard="tone", stage="output", threshold=0.7, effect=Outcome.REVISE)
    known = KnownGuards(stages={"tone": ["output"]}, defaults=(tone,))
    assistant = load_assistant(folder, known)
    assert (assistant.bindings, assistant.streams) == ((tone,), True)
    (folder / "policy.yaml").write_text("guards: [{guard: tone, effect: block}]\n")
    assert not load_assistant(folder, known).streams


def test_an_assistant_is_made_again_of_its_files(folder: Path) -> None:
    first = load_assistant(folder)
    again = assistant_of(folder, first.files)
    assert (again.version, again.policy, again.intents) == (first.version, first.policy, first.intents)


def test_on_and_off_are_words_and_true_is_not(folder: Path) -> None:
    policy = folder / "policy.yaml"
    policy.write_text(
        "languages: [no]\nrules:\n- {id: a, on: answer, when: 'size(reply) > 9', effect: review, reason: R}\n"
    )
    assistant = load_assistant(folder)
    assert (assistant.policy.languages, [rule.on for rule in assistant.rules]) == (["no"], ["answer"])
    policy.write_text("default_queue: true\n")
    with pytest.raises(ConfigError, match=r"policy.yaml:1: default_queue: .*True"):
        load_assistant(folder)


def test_a_rule_on_the_answer_that_says_something_is_refused_with_its_line(folder: Path) -> None:
    (folder / "policy.yaml").write_text(
        "rules:\n- {id: a, on: answer, when: 'true', effect: say, say: Hi., reason: r}\n"
    )
    with pytest.raises(ConfigError, match=r"policy.yaml:2: rules.0: .*can't `say`"):
        load_assistant(folder)


@pytest.mark.parametrize("name", ["support", "blank"])
def test_the_samples_hold_to_the_measured_thresholds(name: str) -> None:
    thresholds = load_assistant(SAMPLES / name).policy.thresholds
    assert (thresholds.answer_confidence, thresholds.in_scope) == (0.2, 0.75)
    assert thresholds == Thresholds()


def test_a_missing_file_is_told(folder: Path) -> None:
    (folder / "policy.yaml").unlink()
    with pytest.raises(ConfigError, match=r"policy.yaml: the file is missing"):
        load_assistant(folder)


def test_a_folder_that_is_not_empty_is_never_written_into(folder: Path) -> None:
    with pytest.raises(ConfigError, match="not empty"):
        write_assistant(folder)


GUARDS = """\
guards:
- {guard: tone, threshold: 0}
- {guard: leaks, effect: off, seconds: 1}
- {guard: promises, stages: [output, output]}
- {guard: language, seconds: 0.001}
"""


def test_guards_that_would_fail_every_text_or_say_two_things_are_refused(folder: Path) -> None:
    (folder / "policy.yaml").write_text(GUARDS)
    with pytest.raises(ConfigError) as error:
        load_assistant(folder)
    told = error.value.message.replace(f"{folder}/", "").splitlines()
    assert [each.split(" (it says")[0] for each in told] == [
        "policy.yaml:2: guards.0.threshold: from 0 on every text fails; use more than 0, or `effect: off`",
        "policy.yaml:3: guards.1: a guard that is off has no `threshold` and no `seconds`; remove them, "
        "or `effect: off`",
        "policy.yaml:4: guards.2.stages: a stage stands twice; name each once",
        "policy.yaml:5: guards.3.seconds: Input should be greater than or equal to 0.01",
    ]


def test_a_guard_is_bound_once_at_a_stage(folder: Path) -> None:
    (folder / "policy.yaml").write_text(
        "guards:\n- {guard: leaks, stages: [tool]}\n- {guard: leaks, stages: [output]}\n- {guard: leaks}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_assistant(folder)
    assert error.value.message.replace(f"{folder}/", "") == (
        "policy.yaml:4: guards.2.guard: 'leaks' is bound at 'output' above already; keep one, or give each its "
        "`stages`."
    )
