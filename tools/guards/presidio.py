"""Presidio's recognisers: numbers that are somebody's, told by form, checksum and the words beside them.

Catches payment cards, bank accounts, wallets, network addresses, telephone numbers of eight regions, and personal
numbers, passports and licences of a score of countries. A number that only its digits tell, as an order number's
might too, counts beside a word of its context alone ("passport", "codice fiscale"). Finds no names, unless a spaCy
model is installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import anyio.to_thread

from policies.personal_data import Found
from tools.guards.presidio_import import import_presidio, spacy_model

_BY_THEMSELVES = ("CreditCard", "Iban", "Crypto", "Ip", "UsSsn")
_BESIDE_A_WORD = (
    *("UsItin", "UsPassport", "UsLicense", "UsBank", "UsMbi", "MedicalLicense", "Nhs", "UkNino", "UkPassport"),
    *("UkDrivingLicence", "CaSin", "AuTfn", "AuMedicare", "EsNif", "EsNie", "EsPassport", "ItFiscalCode"),
    *("ItDriverLicense", "ItPassport", "ItIdentityCard", "PlPesel", "FiPersonalIdentityCode", "SePersonnummer"),
    *(
        "InAadhaar",
        "InPan",
        "InPassport",
        "InVoter",
        "SgFin",
        "DeTaxId",
        "DeIdCard",
        "DePassport",
        "DeSocialSecurity",
    ),
    *("DeFuehrerschein", "KrRrn", "KrPassport", "TrNationalId", "ThTnin", "ZaIdNumber", "NgNin", "PhPassport"),
)
_CALLING = (
    "phone",
    "telephone",
    "tel",
    "cell",
    "cellphone",
    "mobile",
    "whatsapp",
    "fax",
    "call",
    "text",
    "ring",
    "sms",
)
_AS_THEY_ARE = frozenset(
    (
        "CREDIT_CARD",
        "IBAN_CODE",
        "CRYPTO",
        "IP_ADDRESS",
        "EMAIL_ADDRESS",
        "US_SSN",
        "PHONE_NUMBER",
        "US_DRIVER_LICENSE",
    )
)
_STANDING = _AS_THEY_ARE - {"PHONE_NUMBER", "US_DRIVER_LICENSE"}
_NAMES = ("PERSON", "LOCATION", "ORGANIZATION", "DATE_TIME")
"""What a spaCy model tells."""
_ENOUGH = 0.5
_ENOUGH_BESIDE_A_WORD = 0.4
"""What Presidio gives the weakest pattern beside a word of its context."""
_LETTERED = re.compile(r"(?:[^\W\d_].*){3}")
_LONG = 80
"""From how many characters on a text is looked through in a thread: that many digits take 3 ms."""
PIECE = 800
"""Characters looked through at once: what it takes grows faster than a text."""
OVERLAP = 200
"""How far a piece reaches into the next one, so that each find stands whole and with its words in one of them."""
_WORD = re.compile(r"\w+|[^\w\s]")
_WORTH_A_LOOK = re.compile(r"\d|[@＠]")


class Presidio:
    """Presidio's analyzer with the recognisers that need no model."""

    def __init__(self) -> None:
        package = import_presidio()
        model = spacy_model()
        self.model = model
        """The spaCy model that tells names, if one is installed."""
        engine = _spacy_engine(model) if model else _words_engine()
        registry = package.RecognizerRegistry(recognizers=_recognisers(), supported_languages=["en"])
        if model:
            registry.add_nlp_recognizer(engine)
        self._analyzer = package.AnalyzerEngine(
            registry=registry,
            nlp_engine=engine,
            supported_languages=["en"],
            context_aware_enhancer=package.LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
        )

    async def __call__(self, text: str) -> list[Found]:
        """Return what was found in a text; kinds are those of ``KIND_OF``, and others."""
        if self.model is None and not _WORTH_A_LOOK.search(text):
            return []
        if self.model is None and len(text) < _LONG:
            return self.find(text)
        found: list[Found] = []
        # Piece by piece, so that whoever waits can give up, and a short text gets its turn.
        for start, end, first, last in _pieces(text):
            found += await anyio.to_thread.run_sync(self._find, text[start:end], start, first, last)
        return found

    def find(self, text: str) -> list[Found]:
        """Find at once: some milliseconds for a message, in proportion for long texts."""
        return [
            found
            for start, end, first, last in _pieces(text)
            for found in self._find(text[start:end], start, first, last)
        ]

    def _find(self, piece: str, at: int, first: int, last: int) -> list[Found]:
        """Return what was found in a piece that stands at a place, of what begins from ``first`` to ``last``."""
        moved = [replace(each, start=each.start + at, end=each.end + at) for each in self._analyzed(piece)]
        return [each for each in moved if first <= each.start < last]

    def _analyzed(self, text: str) -> list[Found]:
        results = self._analyzer.analyze(
            text, language="en", score_threshold=_ENOUGH_BESIDE_A_WORD, return_decision_process=True
        )
        found = [
            Found(kind=_type(each.entity_type), start=each.start, end=each.end, score=_score(each))
            for each in results
            if _counts(each, text[each.start : each.end])
        ]
        # Where two overlap, the longer one says more.
        return sorted(found, key=lambda each: each.start - each.end)


def _pieces(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield start and end of each piece, and from where to where what begins in it counts."""
    step = PIECE - OVERLAP
    count = max(1, -(-(len(text) - OVERLAP) // step))
    for number in range(count):
        start, last = number * step, number == count - 1
        end = len(text) if last else start + PIECE
        yield start, end, start + OVERLAP // 2 if number else 0, len(text) if last else end - OVERLAP // 2


async def open_presidio() -> Presidio:
    """Import Presidio and make its recognisers, in a thread."""
    return await anyio.to_thread.run_sync(Presidio)


def _type(entity: str) -> str:
    return entity if entity in _AS_THEY_ARE or entity in _NAMES else "ID"


def _score(result: Any) -> float:
    """Return how sure a name is; of a number, its recogniser's word is taken."""
    return float(result.score) if result.entity_type in _NAMES else 1.0


def _counts(result: Any, value: str) -> bool:
    """Whether what was found is no chance: it stands for itself, or beside a word that says what it is."""
    if result.entity_type in _STANDING or result.entity_type in _NAMES:
        return bool(result.score >= _ENOUGH)
    if result.score == 1 and _LETTERED.search(value):
        return True
    return bool(result.analysis_explanation and result.analysis_explanation.supportive_context_word)


def _recognisers() -> list[Any]:
    import presidio_analyzer.predefined_recognizers as known

    names = (*_BY_THEMSELVES, *_BESIDE_A_WORD)
    made = [getattr(known, f"{name}Recognizer")(supported_language="en") for name in names]
    phone = known.PhoneRecognizer(context=list(_CALLING), supported_language="en")
    return [*made, phone, _email(known)]


def _email(known: Any) -> Any:
    """Return the recogniser of e-mail addresses, with the list of domain endings that is installed."""
    import tldextract

    # Presidio's own asks the network for a newer list, and keeps it in the user's home.
    extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())

    class Email(known.EmailRecognizer):  # type: ignore[misc]  # untyped
        def validate_result(self, pattern_text: str) -> bool:
            return bool(extract(pattern_text).fqdn)

    return Email(supported_language="en")


def _words_engine() -> Any:
    """Return an engine that cuts a text into words, for the words of context; it tells nothing else of it."""
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

    class Words(NlpEngine):
        def load(self) -> None:
            pass

        def is_loaded(self) -> bool:
            return True

        def process_text(self, text: str, language: str) -> Any:
            words = list(_WORD.finditer(text))
            tokens: Any = [word[0] for word in words]
            return NlpArtifacts(
                entities=[],
                tokens=tokens,
                tokens_indices=[word.start() for word in words],
                lemmas=[each.lower() for each in tokens],
                nlp_engine=self,
                language=language,
            )

        def process_batch(
            self, texts: Iterable[str], language: str, batch_size: int = 1, n_process: int = 1, **kwargs: Any
        ) -> Any:
            del batch_size, n_process, kwargs
            return ((text, self.process_text(text, language)) for text in texts)

        def is_stopword(self, word: str, language: str) -> bool:
            del word, language
            return False

        def is_punct(self, word: str, language: str) -> bool:
            del language
            return not any(map(str.isalnum, word))

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["en"]

    return Words()


def _spacy_engine(model: str) -> Any:
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": model}])
    engine.load()
    return engine
