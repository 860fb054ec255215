"""Items of a dataset at Langfuse as cases of a suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from langfuse.api import DatasetItem, DatasetStatus
from pydantic import StrictStr, ValidationError

from evals.cases import CaseRow
from evals.langfuse import Connection
from policies.errors import InputError
from policies.types import JSON


class PulledCase(CaseRow):
    """What every case has, whatever the suite is that will use it."""

    input: StrictStr | dict[str, Any]
    expected: dict[str, Any]


async def pull(dataset: str, connection: Connection) -> list[JSON]:
    """Return the items of a dataset as cases, in the order of their ids; archived ones are left out.

    Raises ``InputError`` for an item that can't be a case.
    """
    if await connection.dataset_id(dataset) is None:
        remedy = "Mend the name, or check that the keys are of the right project."
        raise InputError(f"{connection.url} has no dataset {dataset!r} in this project.", remedy=remedy)
    named = names_of((await connection.items(dataset)).values())
    if not named:
        raise InputError(f"The dataset {dataset!r} has no items.", remedy="Add some, or push a run to it.")
    return [_case(dataset, name, named[name]) for name in sorted(named)]


def names_of(items: Iterable[DatasetItem]) -> dict[str, DatasetItem]:
    """Return items by what they are called as cases, without archived ones.

    That is the name under which they were pushed, or the item's id if it has none or shares it.
    """
    active = [each for each in items if each.status != DatasetStatus.ARCHIVED]
    count = Counter(map(_said, active))
    return {said if (said := _said(each)) and count[said] == 1 else str(each.id): each for each in active}


def _said(item: DatasetItem) -> str | None:
    """Return what an item's metadata says that the case is called."""
    said = item.metadata.get("id") if isinstance(item.metadata, dict) else None
    return said if isinstance(said, str) and said else None


def _case(dataset: str, name: str, item: DatasetItem) -> JSON:
    about = item.metadata if isinstance(item.metadata, dict) else {}
    case: JSON = {"id": name, "input": item.input, "expected": item.expected_output}
    tags = about.get("tags")
    if isinstance(tags, list) and tags and all(isinstance(each, str) for each in tags):
        case["tags"] = tags
    if isinstance(about.get("lineage"), dict):
        case["lineage"] = about["lineage"]
    try:
        PulledCase.model_validate(case)
    except ValidationError as error:
        problem = error.errors()[0]
        told = f"Dataset {dataset!r}, item {item.id}: {problem['loc'][0]}: {problem['msg']}."
        remedy = (
            "Mend or archive it in Langfuse: a case's input is a text or an object, its expected output an "
            'object, such as {"intent": "delivery"}.'
        )
        raise InputError(told, remedy=remedy) from error
    return case


def write_pulled(path: Path, cases: Iterable[JSON]) -> None:
    """Write cases, a line each, readable by their owner alone; whole or not at all."""
    scratch = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_bytes(b"".join(orjson.dumps(case) + b"\n" for case in cases))
        scratch.replace(path)
    except OSError as error:
        remedy = "Name a file that can be written with --out."
        raise InputError(f"{path} can't be written: {error}.", remedy=remedy) from error
    finally:
        scratch.unlink(missing_ok=True)
