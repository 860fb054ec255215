"""What those who audit ask for: decisions, signed heads, a stream's verification, reversals; and, for everybody,
why a run came to what it came to.

Every call takes the principal who asks. Only ``explanation`` is for customers too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from graphs.explaining import Details, Told, details, story
from graphs.takeover import require_staff
from graphs.workflows.telling import workflow_story
from graphs.writing import findings, masked_by_staff, readable
from policies.errors import Conflict, InputError, NotFound
from policies.personal_data import Found, PersonalDataFinder, mask
from policies.types import JSON, Principal
from tools.assistants import Assistant
from tools.results import is_result
from tools.storage import conversations, ledger, reviews, runs
from tools.storage.audit import listing
from tools.storage.audit.check import check_stream
from tools.storage.audit.findings import Report
from tools.storage.audit.listing import Place, Wanted
from tools.storage.audit.reading import snapshot
from tools.storage.audit.records import SignedHeads
from tools.storage.store import Store, Tx

AUDITORS = frozenset({"admin", "staff", "auditor"})
REVERSERS = frozenset({"admin", "staff"})
LONGEST_STREAM = 10_000


@dataclass(frozen=True, kw_only=True)
class DecisionPage:
    """A piece of the ledger."""

    decisions: list[JSON]
    next: str | None
    """What to ask for ``after`` to get the next piece; None when there is none now."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The story of a run; all but the story is for staff."""

    run_id: str
    story: list[str]
    details: list[Details] | None
    decisions: list[JSON] | None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The ledger's readers; ``product.service.audit``."""

    store: Store
    assistant: Assistant
    finder: PersonalDataFinder | None = None
    """Finds what is masked beside what patterns tell."""

    async def decisions(
        self,
        principal: Principal,
        *,
        stream: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        since: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> DecisionPage:
        """Return decisions, those of a stream in its order, others in the order of time.

        ``after`` is the ``next`` of the page before. Another database process may commit a decision with an
        earlier time than one that was read; those who must see all of them ask stream by stream.
        """
        _require(principal, AUDITORS)
        place = _place(after) if after else None
        wanted = Wanted(stream=stream, run=run, kind=kind, since=since, after=place)
        workspace = self.store.in_workspace(principal.workspace_id)
        found = await workspace.read(lambda tx: listing.listed(tx, wanted, most=limit + 1))
        more = len(found) > limit
        return DecisionPage(decisions=found[:limit], next=_cursor(found[limit - 1]) if more else None)

    async def signed_heads(
        self, principal: Principal, *, limit: int = 100, before: int | None = None
    ) -> list[SignedHeads]:
        """Return signed records, the latest first; ``before`` is the number of the last one of the page before."""
        _require(principal, AUDITORS)
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.read(
            lambda tx: listing.signed_records(tx, before=before if before is not None else 2**31 - 1, most=limit)
        )

    async def verify(self, principal: Principal, stream: str) -> Report:
        """Recompute one stream's chain and compare its contents.

        Raises ``NotFound`` for a stream that there is not, and ``InputError`` for a very long one.
        """
        _require(principal, AUDITORS)

        def work(tx: Tx) -> Report | None:
            snapshot(tx.connection)
            return check_stream(tx.connection, tx.workspace_id, stream, LONGEST_STREAM)

        report = await self.store.in_workspace(principal.workspace_id).read(work)
        if report is None:
            raise InputError(
                f"The stream {stream!r} has more than {LONGEST_STREAM} decisions.",
                remedy="Run `handrail ledger verify`.",
                code="ledger.too_long",
            )
        if not report.decisions and not report.findings:
            raise NotFound(f"There is no stream {stream!r}.", remedy="Take it from a decision.")
        return report

    async def reverse(self, principal: Principal, stream: str, seq: int, reason: str) -> JSON:
        """Put on record that a decision is reversed, and return that record.

        This changes nothing but the record: what was sent stays sent, and who answers goes on answering. Raises
        ``NotFound``, and ``Conflict`` with the first reversal for a decision that is reversed already.
        """
        _require(principal, REVERSERS)
        text = readable(reason)
        found = (await findings(self.finder, text)).get(text)
        workspace = self.store.in_workspace(principal.workspace_id)
        return await workspace.write(lambda tx: _reverse(tx, principal, stream, seq, text, found))

    async def explanation(self, principal: Principal, run_id: str) -> Explanation:
        """Return why a run came to what it came to: in plain words, and for staff in full; raises ``NotFound``."""
        staff = principal.role != "customer"
        workspace = self.store.in_workspace(principal.workspace_id)
        run = await workspace.read(lambda tx: runs.get(tx, run_id))
        if run.alone:
            require_staff(principal)
        told = await workspace.read(lambda tx: self._told(tx, run_id))
        return Explanation(
            run_id=run_id,
            story=workflow_story(told) if run.alone else story(told),
            details=details(told.decisions) if staff else None,
            decisions=told.decisions if staff else None,
        )

    def _told(self, tx: Tx, run_id: str) -> Told:
        run = runs.get(tx, run_id)
        said = conversations.said_by(tx, run.conversation_id, run_id)
        review = reviews.open_of_run(tx, run_id)
        cited = said.citations if said else []
        return Told(
            status=run.status,
            outcome=run.outcome,
            decisions=ledger.of_run(tx, run_id),
            titles=tuple(dict.fromkeys(each["title"] for each in cited if not is_result(each["document"]))),
            looked_up=any(is_result(each["document"]) for each in cited),
            subjects={intent.name: intent.description for intent in self.assistant.intents},
            asked_because=tuple(each["code"] for each in review.reasons) if review else (),
        )


def _reverse(
    tx: Tx, principal: Principal, stream: str, seq: int, reason: str, found: Sequence[Found] | None
) -> JSON:
    masked = _masked(tx, stream, reason, found)
    decision = listing.one(tx, stream, seq)
    if decision is None:
        raise NotFound(f"The stream {stream!r} has no decision {seq}.", remedy="Take both from a decision.")
    if first := listing.reversal_of(tx, stream, seq):
        raise Conflict(
            f"The decision {seq} of {stream} is reversed already.", code="decision.reversed", first=first
        )
    body = {
        "actor": {"type": principal.role, "id": principal.id},
        "outcome": "reversed",
        "reasons": [{"code": "reversal.person", "text": masked}],
        "rules": [],
        "tier": "person",
        "cost": 0,
        "trace_id": decision.get("trace_id"),
    }
    ledger.append(tx, stream, decision["run_id"], [listing.reversal(decision, body)])
    appended = listing.reversal_of(tx, stream, seq)
    assert appended is not None
    return appended


def _masked(tx: Tx, stream: str, reason: str, found: Sequence[Found] | None) -> str:
    """Return a reason without personal data; a conversation keeps it in its vault, other streams nowhere."""
    try:
        conversations.lock(tx, stream)
    except NotFound:
        return mask(reason, {}, found).text
    return masked_by_staff(tx, stream, reason, found)


def _require(principal: Principal, roles: frozenset[str]) -> None:
    if principal.role not in roles:
        raise InputError(
            f"A {principal.role} may not do this with decisions.",
            remedy=f"It is for {', '.join(sorted(roles))}.",
            code="forbidden",
        )


def _cursor(last: JSON) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([last["at"], last["stream"], last["seq"]])).decode()


def _place(cursor: str) -> Place:
    try:
        at, stream, seq = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        if isinstance(at, str) and isinstance(stream, str) and type(seq) is int and abs(seq) < 2**31:
            return Place(at, stream, seq)
    except (binascii.Error, UnicodeError, ValueError, TypeError):
        pass
    raise InputError(
        "This page is not known.", remedy="Take `next` from the page before.", code="cursor.malformed"
    )
