"""Presidio finds numbers that are somebody's, without what its package drags in."""

from __future__ import annotations

import subprocess
import sys
import timeit
from functools import partial
from itertools import pairwise

import pytest

from tools.guards.presidio import OVERLAP, PIECE, Presidio, _pieces, open_presidio

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def presidio() -> Presidio:
    return Presidio()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("my passport number is 912803456", [("ID", "912803456")]),
        ("nhs number 943 476 5919", [("ID", "943 476 5919")]),
        ("codice fiscale RSSMRA85T10A562S", [("ID", "RSSMRA85T10A562S")]),
        ("my driver license is H1234567", [("US_DRIVER_LICENSE", "H1234567")]),
        ("login from 192.168.100.200", [("IP_ADDRESS", "192.168.100.200")]),
        ("to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", [("CRYPTO", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")]),
        ("call me on 020 7946 0958", [("PHONE_NUMBER", "020 7946 0958")]),
        ("pay 4111 1111 1111 1111", [("CREDIT_CARD", "4111 1111 1111 1111")]),
        ("GB29NWBK60161331926819", [("IBAN_CODE", "GB29NWBK60161331926819")]),
        ("order 943 476 5919", []),
        ("Order 7781239 came, ref 912803456", []),
        ("no digits, no data", []),
    ],
)
async def test_a_number_counts_by_its_form_or_beside_a_word(
    presidio: Presidio, text: str, found: list[tuple[str, str]]
) -> None:
    assert [(each.kind, text[each.start : each.end]) for each in await presidio(text)] == found


async def test_an_address_of_e_mail_is_judged_without_the_network(presidio: Presidio) -> None:
    text = "write to rosa@mailbox.org"
    assert [text[each.start : each.end] for each in await presidio(text)] == ["rosa@mailbox.org"]


@pytest.mark.parametrize("before", [*range(PIECE - OVERLAP - 40, PIECE + 20, 7), 2 * PIECE])
def test_a_number_is_found_once_wherever_a_long_text_is_cut(presidio: Presidio, before: int) -> None:
    text = ("word " * before)[:before] + " my passport number is 912803456, thanks" + " word" * 200
    assert [text[each.start : each.end] for each in presidio.find(text)] == ["912803456"]


def test_pieces_overlap_and_every_place_counts_once() -> None:
    for length in (0, 1, PIECE, PIECE + 1, 5 * PIECE + 3):
        pieces = list(_pieces("x" * length))
        assert (pieces[0][0], pieces[-1][1]) == (0, length)
        assert [place for _, _, first, last in pieces for place in range(first, last)] == list(range(length))
        assert all(one[1] - other[0] == OVERLAP for one, other in pairwise(pieces))


@pytest.mark.parametrize("piece", ["1 ", "45 39 1 ", "a1 a ", "4539578763621486"])
def test_what_a_long_text_takes_grows_with_its_length_alone(presidio: Presidio, piece: str) -> None:
    short, long = ((piece * length)[:length] for length in (PIECE, 4 * PIECE))
    took = [min(timeit.repeat(partial(presidio.find, text), number=1, repeat=2)) for text in (short, long)]
    assert took[1] < 12 * took[0]


async def test_long_texts_are_looked_through_beside_the_loop(presidio: Presidio) -> None:
    text = "word " * 100 + "10.20.30.40"
    assert [text[each.start : each.end] for each in await presidio(text)] == ["10.20.30.40"]
    assert (await open_presidio()).model is None


def test_it_loads_neither_spacy_nor_torch_and_leaves_them_to_be_imported() -> None:
    code = (
        "import sys; from tools.guards.presidio import Presidio; Presidio();"
        "print(sorted({'torch', 'transformers', 'spacy', 'thinc', 'stanza'} & set(sys.modules)));"
        "from importlib.util import find_spec; print(find_spec('spacy').origin is not None)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["[]", "True"]
