"""Personal data: found before a text is stored, and held back where it is somebody else's.

Three finders in one: patterns with checksums (``policies.personal_data``), Presidio's recognisers, and a trained
head on the encoder's token vectors for names, addresses, places and the rest. Figures: ``design/heads.md``.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio.to_thread

from policies.errors import Unavailable
from policies.guards import Finding, GuardRequest, Stage
from policies.names import words_of as name_words
from policies.personal_data import KIND_OF, PLACEHOLDER, Found, broken_placeholders, find, merged, overlapping
from policies.types import Reason
from tools.encoder.ports import Encoder, TokenEncoder, Tokens
from tools.guards.presidio import Presidio, open_presidio
from tools.guards.token_head import TokenHead, load_token_head

NAME = "personal_data"
REMEMBERED = 1_024
"""Recent texts whose findings are kept: the same draft is looked at more than once."""
SURE = 0.7
"""From which score on a name or an address that the head tells is masked."""
SURE_OF_NUMBERS = 0.9
"""The same for numbers, which an order or a parcel has too."""
PART = 700
"""Characters read at once, fewer than the pieces that an encoder takes; longer texts are cut between words."""
MOST = 60_000
"""Characters of one text that everything reads; what follows is looked through by patterns alone."""
ASIDE = 400
"""From how many characters on what takes the processor is done beside the loop: 3 ms for that many."""
_DIGITS_OF_SOMEBODY = 7
_TYPE_OF = {kind: fine for fine, kind in KIND_OF.items()} | {"BIRTHDATE": "DATE_TIME"}
_BY_HEAD = ("PERSON", "ADDRESS")
_BETWEEN = re.compile(r"[\s,;>-]{1,4}")
_HOUSE = re.compile(r"(?<![\w.,-])\d{1,5}[A-Za-z]?,? \Z")
_HOUSE_LENGTH = 10
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")
_CUT = re.compile(r"\s+(?=\S)")
_SPACE = re.compile(r"\s+")
_URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+[^\s<>\".,;:!?)]", re.IGNORECASE)
_AGE = re.compile(r"\b\d{1,3}[ -]?(?:years?|yrs?)[ -]old\b", re.IGNORECASE)
_SHARED_HEAD = "all-MiniLM-L6-v2"
T = TypeVar("T")
log = logging.getLogger("handrail.guards")


class PersonalData:
    """Finds personal data; ``open_personal_data`` makes it.

    Called, it returns what is to be masked: names, addresses and what belongs to one person alone. Places, firms,
    titles and dates stay ("do you ship to Canada?"); ``all`` tells them too. Words that are ``allowed``, such as
    the assistant's name, are no names.
    """

    def __init__(
        self,
        *,
        encoder: TokenEncoder | None = None,
        head: TokenHead | None = None,
        presidio: Presidio | None = None,
        allowed: Collection[str] = (),
        note: str = "",
    ) -> None:
        self.note = note
        """What it does without, in a sentence; empty when nothing is missing."""
        self._encoder, self._head, self._presidio = encoder, head, presidio
        self._allowed = frozenset(word for each in allowed for word in name_words(each))
        self._recent: OrderedDict[bytes, list[Found]] = OrderedDict()

    async def __call__(self, text: str) -> list[Found]:
        """Return what is to be masked, in order, without overlaps; kinds are those of placeholders.

        When the encoder does not answer, patterns and Presidio alone decide, and a line in the log says so.
        """
        try:
            found = await self.all(text)
        except Unavailable as error:
            # Not the error's own text: it may hold what was looked through.
            log.warning("personal data is looked for by patterns alone: %s", error.code)
            found = await self._by_pattern(text)
        return await masked_kinds(text, found)

    def forget(self) -> None:
        """Drop what is remembered of recent texts, as after an erasure."""
        self._recent.clear()

    async def all(self, text: str) -> list[Found]:
        """Return all that was found, in order, without overlaps; raises ``Unavailable`` if the encoder fails.

        Kinds are types: PERSON, ADDRESS, LOCATION, ORGANIZATION, DATE_TIME, PHONE_NUMBER, EMAIL_ADDRESS,
        CREDIT_CARD, IBAN_CODE, US_SSN, US_DRIVER_LICENSE, IP_ADDRESS, CRYPTO, DOMAIN_NAME, TITLE, AGE and ID.
        """
        # By digest, with places alone: what is found is kept nowhere in the open.
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._recent:
            self._recent.move_to_end(key)
            return self._recent[key]
        by_pattern, by_head = await self._by_pattern(text), await self._by_head(text[:MOST])
        found = await _worked(text, partial(self._joined, text, by_pattern, by_head))
        self._recent[key] = found
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return found

    def _joined(self, text: str, by_pattern: Sequence[Found], by_head: Sequence[Found]) -> list[Found]:
        return [each for each in merged(text, by_pattern, by_head) if not self._is_allowed(text, each)]

    async def _by_pattern(self, text: str) -> list[Found]:
        others = await self._presidio(text[:MOST]) if self._presidio else []
        return await _worked(text, partial(_by_pattern, text, others))

    async def _by_head(self, text: str) -> list[Found]:
        if self._encoder is None or self._head is None or not _LETTER.search(text):
            return []
        found: list[Found] = []
        waiting = list(_parts(text))
        while waiting:
            tokens = await self._encoder.tokens([text[start:end] for start, end in waiting])
            told, waiting = await _worked(text, partial(_typed, self._head, text, waiting, tokens))
            found += told
        marks = _marks(text)
        return [each for each in found if not overlapping(each, marks)]

    def _is_allowed(self, text: str, found: Found) -> bool:
        words = name_words(text[found.start : found.end])
        return found.kind in _BY_HEAD and bool(words) and all(word in self._allowed for word in words)


async def _worked(text: str, work: Callable[[], T]) -> T:
    """Do work on a text, beside the loop when the text is long."""
    return work() if len(text) < ASIDE else await anyio.to_thread.run_sync(work)


def _by_pattern(text: str, others: Sequence[Found]) -> list[Found]:
    """Return what patterns found, and others where they left something."""
    own = [Found(kind=_TYPE_OF[each.kind], start=each.start, end=each.end) for each in find(text)]
    layers = (_marks(text), own, others, _matches(_URL, "DOMAIN_NAME", text), _matches(_AGE, "AGE", text))
    return [each for each in merged(text, *layers) if each.kind]


def _marks(text: str) -> list[Found]:
    """Return the placeholders: a text that has one is one that we made, and what stands there was found before."""
    return _matches(PLACEHOLDER, "", text)


def _typed(
    head: TokenHead, text: str, parts: Sequence[tuple[int, int]], tokens: Sequence[Tokens]
) -> tuple[list[Found], list[tuple[int, int]]]:
    """Return what the head tells of the parts of a text, and what of them the encoder left unread."""
    found: list[Found] = []
    unread: list[tuple[int, int]] = []
    for (start, end), its in zip(parts, tokens, strict=True):
        found += [
            Found(kind=each.kind, start=start + each.start, end=start + each.end, score=each.score)
            for each in head(text[start:end], its)
        ]
        read = start + int(its.offsets[-1, 1]) if len(its.offsets) else end
        if start < read < end and text[read:end].strip():
            unread.append((read, end))
    return found, unread


async def open_personal_data(encoder: Encoder, allowed: Collection[str] = ()) -> PersonalData:
    """Make the finder: load the head, and Presidio in a thread.

    The head has learned from one model's vectors; with another encoder patterns alone are looked for, and ``note``
    says so. Raises ``ConfigError`` when the head is damaged.
    """
    presidio = await open_presidio()
    if not encoder.id.startswith(_SHARED_HEAD) or not isinstance(encoder, TokenEncoder):
        note = (
            f"The encoder {encoder.id} is not {_SHARED_HEAD}, which names and addresses are found with: "
            "personal data is found by patterns alone."
        )
        return PersonalData(presidio=presidio, allowed=allowed, note=note)
    head = await anyio.to_thread.run_sync(load_token_head)
    return PersonalData(encoder=encoder, head=head, presidio=presidio, allowed=allowed)


class PersonalDataGuard:
    """Personal data that has no business in a text.

    Catches, in what is to be sent: placeholders of other conversations, and names, addresses and numbers that
    stand neither in the cited passages nor in the customer's own words, since they would be another customer's or
    made up. In tools' results and passages: any at all; nothing is held back there for it by default.

    Misses: names that are common words ("Will"), rare ones in small letters, and data spelled out. Figures:
    ``design/heads.md``, where its finder is measured. Source: Presidio (MIT) and a head trained on sentences of
    presidio-research (MIT).
    """

    name = NAME
    stages: Collection[Stage] = ("output", "tool", "passage")

    def __init__(self, finder: PersonalData) -> None:
        self._finder = finder

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text; raises ``Unavailable`` if the encoder fails."""
        if request.stage != "output":
            return _finding(await masked_kinds(request.text, await self._finder.all(request.text)), "any")
        if broken := broken_placeholders(request.text, set(request.placeholders)):
            text = f"It holds {broken[0]}, which stands for nobody's data in this conversation."
            return Finding(guard=NAME, score=1.0, reason=Reason(code=f"guard.{NAME}.placeholder", text=text))
        sources = _sources(request)
        if request.own or _stands(request.text, sources, name=True):
            return _finding([], "other")
        found = await masked_kinds(request.text, await self._finder.all(request.text))
        strange = [
            each
            for each in found
            if not _stands(request.text[each.start : each.end], sources, name=each.kind == "NAME")
        ]
        return _finding(strange, "other")


_REASONS = {
    "any": "It holds personal data: {}.",
    "other": "It holds personal data that stands in no source: {}.",
}


def _finding(found: Sequence[Found], which: str) -> Finding:
    kinds = ", ".join(dict.fromkeys(each.kind.lower() for each in found)) or "none"
    return Finding(
        guard=NAME,
        score=max((each.score for each in found), default=0.0),
        reason=Reason(code=f"guard.{NAME}", text=_REASONS[which].format(kinds)),
        spans=tuple((each.start, each.end) for each in found),
    )


def _sources(request: GuardRequest) -> list[str]:
    """Return what a sentence may repeat: what it cites, or may cite when it cites nothing, and the question."""
    cited = {each.passage_id for each in request.citations}
    texts = [each.text for each in request.passages if not cited or each.id in cited]
    return [_flat(each) for each in (*texts, request.question)]


def _stands(value: str, sources: Sequence[str], *, name: bool) -> bool:
    """Whether one of the sources has a value as whole words; of a name with a hyphen, a half is another name."""
    wanted = _flat(value)
    joint = "-" if name else ""
    whole = re.compile(rf"(?<![\w{joint}]){re.escape(wanted)}(?![\w{joint}])")
    # The plain search is the fast one.
    return bool(wanted) and any(wanted in each and whole.search(each) for each in sources)


def _flat(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()


async def masked_kinds(text: str, found: Sequence[Found]) -> list[Found]:
    """Return what is masked of all that was found in a text."""
    return await _worked(text, partial(_masked_kinds, text, found))


def _masked_kinds(text: str, found: Sequence[Found]) -> list[Found]:
    """Return what is masked of what was found: what is sure enough, addresses whole, names without ``Mr``."""
    kept: list[Found] = []
    for each in found:
        before = kept[-1] if kept else None
        if before and _goes_on(text, before, each):
            kept[-1] = replace(before, end=each.end)
        elif _is_masked(text, each):
            kept.append(replace(each, kind=KIND_OF[each.kind], start=_start(text, each, before)))
    # A list of towns reads like an address; without a number it is nobody's door.
    kept = [each for each in kept if each.kind != "ADDRESS" or _DIGIT.search(text, each.start, each.end)]
    births = [each for each in find(text) if each.kind == "BIRTHDATE"]
    return merged(text, kept, births)


def _goes_on(text: str, before: Found, found: Found) -> bool:
    """Whether an address goes on with what was found next, its town or a further line, or a name with a name."""
    if before.kind == "NAME":
        return found.kind == "PERSON" and text[before.end : found.start] == " "
    if before.kind != "ADDRESS" or found.kind not in ("ADDRESS", "LOCATION"):
        return False
    return _BETWEEN.fullmatch(text, before.end, found.start) is not None


def _start(text: str, found: Found, before: Found | None) -> int:
    """Return where a find begins: an address at its house number, which is easily taken for something else."""
    if found.kind != "ADDRESS":
        return found.start
    number = _HOUSE.search(text, max(before.end if before else 0, found.start - _HOUSE_LENGTH), found.start)
    return number.start() if number else found.start


def _is_masked(text: str, found: Found) -> bool:
    if found.kind in _BY_HEAD:
        words = name_words(text[found.start : found.end])
        return found.score >= SURE and (found.kind == "ADDRESS" or any(len(each) > 1 for each in words))
    digits = sum(map(str.isdigit, text[found.start : found.end]))
    if found.score < 1 and (found.score < SURE_OF_NUMBERS or digits < _DIGITS_OF_SOMEBODY):
        return False
    return found.kind in KIND_OF


def _matches(pattern: re.Pattern[str], kind: str, text: str) -> list[Found]:
    return [Found(kind=kind, start=each.start(), end=each.end()) for each in pattern.finditer(text)]


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Cut a long text, between words where there is a gap."""
    start = 0
    while len(text) - start > PART:
        gaps = [each.start() for each in _CUT.finditer(text, start + PART // 2, start + PART)]
        end = gaps[-1] if gaps else start + PART
        yield start, end
        start = end
    yield start, len(text)
