"""What a request may hold, and where an error points."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from server.schemas import NewConversation


@pytest.mark.parametrize("value", [True, 7, -1.5, "gold", "", 2**53 - 1])
def test_an_attribute_is_kept_as_it_came(value: Any) -> None:
    made = NewConversation.model_validate({"customer": {"attributes": {"tier": value}}})
    kept = made.model_dump()["customer"]["attributes"]["tier"]
    assert (kept, type(kept)) == (value, type(value))


@pytest.mark.parametrize(
    "value", [None, [], {}, 2**53, -(2**53), float("inf"), float("nan"), "a" * 1001, "\x00", "\ud800"], ids=repr
)
def test_an_error_points_at_the_attribute_and_no_deeper(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        NewConversation.model_validate({"customer": {"attributes": {"tier": value}}})
    assert [each["loc"] for each in caught.value.errors()] == [("customer", "attributes", "tier")]


@pytest.mark.parametrize("name", ["", "a" * 201, "\x00"])
def test_an_unusable_name_points_at_the_attributes(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NewConversation.model_validate({"customer": {"attributes": {name: 1}}})
    assert [each["loc"] for each in caught.value.errors()] == [("customer", "attributes")]


def test_the_document_says_what_an_attribute_is() -> None:
    schema = NewConversation.model_json_schema()["$defs"]["Customer"]["properties"]["attributes"]
    assert schema["additionalProperties"] == {
        "anyOf": [
            {"type": "boolean"},
            {"type": "integer"},
            {"type": "number"},
            {"type": "string", "maxLength": 1000},
        ]
    }
