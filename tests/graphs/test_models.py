"""Which models an assistant's file names, and where their keys come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from graphs.models import models_settings
from policies.errors import ConfigError
from policies.folder import AssistantFile
from tools.assistants import parse_yaml
from tools.models import ModelSettings, ModelsSettings, Price

HEAD = "name: tea\ntitle: Tea\ngreeting: Hello!\n"


def file_of(text: str) -> AssistantFile:
    return parse_yaml(Path("assistant.yaml"), HEAD + text, AssistantFile)


def keys(**known: str) -> dict[str, SecretStr]:
    return {name: SecretStr(text) for name, text in known.items()}


def test_an_assistant_without_models_has_no_settings_of_models() -> None:
    assert models_settings(file_of(""), keys().get) is None


def test_a_name_alone_takes_the_usual_key_of_its_provider() -> None:
    found = models_settings(file_of("models: {small: 'openai:gpt-4o-mini'}"), keys(OPENAI_API_KEY="sk-1").get)
    small = ModelSettings(name="openai:gpt-4o-mini", api_key=SecretStr("sk-1"))
    assert found == ModelsSettings(tiers={"small": (small,)})


def test_a_server_of_ones_own_is_not_sent_the_providers_key() -> None:
    text = "models: {small: {name: 'openai:llama', base_url: 'http://10.0.0.7:8000/v1', private: true}}"
    found = models_settings(file_of(text), keys(OPENAI_API_KEY="sk-1").get)
    small = ModelSettings(name="openai:llama", base_url="http://10.0.0.7:8000/v1", private=True)
    assert found == ModelsSettings(tiers={"small": (small,)})


def test_several_models_of_a_tier_keep_their_order_limits_and_prices() -> None:
    text = """
models:
  large:
  - {name: "anthropic:claude", key: OUR_KEY, price: {input: 3, output: 15}, total_seconds: 30, concurrency: 2}
  - "ollama:llama3.2"
tasks: {draft: large}
"""
    found = models_settings(file_of(text), keys(OUR_KEY="k").get)
    claude = ModelSettings(
        name="anthropic:claude",
        api_key=SecretStr("k"),
        price=Price(input=3, output=15),
        total_seconds=30,
        concurrency=2,
    )
    assert found == ModelsSettings(tiers={"large": (claude, ModelSettings(name="ollama:llama3.2"))})


def test_a_model_whose_own_variable_is_empty_is_told() -> None:
    with pytest.raises(ConfigError, match="takes its key from OUR_KEY, which is not set"):
        models_settings(file_of("models: {small: {name: 'openai:x', key: OUR_KEY}}"), keys().get)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("models: {medium: 'openai:x'}", "Input should be 'small' or 'large'"),
        ("models: {small: gpt-4o}", "write provider:model, such as openai:gpt-4o-mini"),
        ("models: {small: []}", "at least 1 item"),
        ("tasks: {draft: small}", "draft is given to small, which has no model; name one under `models`"),
        ("models: {small: 'openai:x'}\ntasks: {draft: [small, small]}", "is used twice"),
        ("models: {small: 'openai:x'}\ntasks: {sing: small}", "Input should be 'route'"),
        ("models: {small: {name: 'openai:x', colour: red}}", "unknown key"),
        ("models: {small: {name: 'openai:x', price: {input: -1, output: 1}}}", "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as failure:
        file_of(text)
    assert "assistant.yaml:" in failure.value.message
