"""When two ways of writing a name mean one person."""

from __future__ import annotations

import pytest

from policies.names import same_person, words_of

MARIA, PEDRO, OTHER = "Maria Lopez", "Pedro García Márquez", "Maria Chen"


@pytest.mark.parametrize(
    ("written", "known", "person"),
    [
        ("Maria Lopez", [MARIA], MARIA),
        ("MARIA LOPEZ", [MARIA], MARIA),
        ("maria", [MARIA, PEDRO], MARIA),
        ("Lopez", [MARIA, PEDRO], MARIA),
        ("Ms Lopez", [MARIA], MARIA),
        ("Mrs. LOPEZ", [MARIA], MARIA),
        ("Maria's", [MARIA], MARIA),
        ("M. Lopez", [MARIA], MARIA),
        ("Pedro Márquez", [PEDRO], PEDRO),
        ("Maria", [MARIA, OTHER], None),
        ("Maria", [MARIA, OTHER, "Maria"], "Maria"),
        ("Maria", [MARIA, "maria lopez"], "maria lopez"),
        ("Maria Lopez", ["Maria"], None),
        ("Lopez Maria", [MARIA], None),
        ("M. L.", [MARIA], None),
        ("M", [MARIA], None),
        ("Mari", [MARIA], None),
        ("Mr", [MARIA], None),
        ("", [MARIA], None),
        ("Anna", [], None),
    ],
)
def test_a_name_is_the_person_s_that_it_can_be_nobody_else_s(
    written: str, known: list[str], person: str | None
) -> None:
    assert same_person(written, known) == person


def test_what_tells_people_apart_is_neither_title_nor_case() -> None:
    assert words_of("Dr. Anna-Lena O’Neill's") == ("anna-lena", "o’neill")
