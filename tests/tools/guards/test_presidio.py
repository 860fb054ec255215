"""Presidio finds numbers that are somebody's, without what its package drags in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tools.guards.presidio import Presidio, open_presidio

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
