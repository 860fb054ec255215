"""When two ways of writing a name are one name."""

from __future__ import annotations

import pytest

from policies.names import same_name, words_of


@pytest.mark.parametrize(
    "written",
    [
        "MARIA LOPEZ",
        "maria  lopez",
        "Maria\u00a0Lopez",
        "Maria, Lopez",
        "Ｍａｒｉａ Lopez",
        "maria-lopez",
        "(Maria_Lopez)",
    ],
)
def test_case_width_blanks_and_marks_make_no_other_name(written: str) -> None:
    assert same_name(written) == same_name("Maria Lopez") == "maria lopez"


@pytest.mark.parametrize(
    "written",
    ["Maria", "M. Lopez", "Ms Lopez", "Lopez Maria", "Maria Lopez's", "Marialopez"],
)
def test_other_words_are_another_name(written: str) -> None:
    assert same_name(written) != same_name("Maria Lopez")


def test_what_has_no_words_is_known_as_it_is_written() -> None:
    assert (same_name("?!"), same_name("")) == ("?!", "")


def test_what_tells_people_apart_is_neither_title_nor_case() -> None:
    assert words_of("Dr. Anna-Lena O’Neill's") == ("anna-lena", "o’neill")
