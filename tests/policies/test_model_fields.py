"""The page on models shows what may be said of one, with the defaults that hold, and an example that loads.

``python tests/policies/test_model_fields.py`` writes its table.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from policies.folder import ModelEntry

PAGE = Path(__file__).resolve().parent.parent.parent / "design" / "models.md"
BEGIN = "<!-- fields: written by tests/policies/test_model_fields.py -->\n"
END = "<!-- end of fields -->"
ABOUT = {
    "name": "`provider:model`",
    "base_url": "where it is served, when not at the provider's own address",
    "key": "the environment variable that holds its key; when absent the provider's usual one, "
    "and none with a `base_url`",
    "private": "whether what it reads stays with us, so that no consent is needed; "
    "when absent, only on this machine",
    "price": "what a million tokens cost: `input`, `output`, and `cached` for input that was read before",
    "connect_seconds": "for the connection",
    "first_token_seconds": "until the first token",
    "total_seconds": "for one call",
    "wait_seconds": "for a place or the allowance of a minute, before the next tier is asked",
    "retries": "further calls after one that failed",
    "first_wait": "seconds before the first retry at the most; twice as many before each further one",
    "longest_wait": "a provider that asks for more seconds is not waited for",
    "opens_after": "failures in a row after which it is left alone",
    "opens_seconds": "for so long",
    "concurrency": "calls at once, in one process",
    "requests_a_minute": "calls a minute, in one process",
    "tokens_a_minute": "tokens a minute, in one process",
    "hedge_seconds": "without a token by then, a second call is made; both are paid for",
    "max_tokens": "tokens of one reply",
    "temperature": "the provider's own when absent",
    "structured": "how a reply in a schema is asked for: `json_schema`, `function_calling` or `json_mode`",
    "announces_end": "whether the provider says why a reply ended",
    "options": "further arguments for the provider's client, as they are",
}


def table() -> str:
    """Return the table as the page shows it."""
    lines = ["| field | what | default |", "|---|---|---|"]
    for name, field in ModelEntry.model_fields.items():
        lines.append(f"| `{name}` | {ABOUT[name]} | {_default(field)} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return "absent" if value is None else f"`{json.dumps(value)}`"


def test_the_page_shows_the_fields_of_a_model_with_their_defaults() -> None:
    assert list(ABOUT) == list(ModelEntry.model_fields)
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == table()


def test_the_example_of_the_page_is_one_that_loads() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    models = yaml.safe_load(example)["models"]
    large = ModelEntry.model_validate(models["large"])
    assert ModelEntry.model_validate(models["small"]).name == "openai:gpt-4o-mini"
    assert (large.base_url, large.key, large.private) == ("http://10.0.0.7:8000/v1", "OUR_MODELS_KEY", True)
    assert large.price is not None


if __name__ == "__main__":
    old = PAGE.read_text()
    PAGE.write_text(old[: old.index(BEGIN) + len(BEGIN)] + table() + old[old.index(END) :])
