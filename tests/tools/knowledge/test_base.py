from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from sqlalchemy import update

from policies.errors import ConfigError, Conflict, NotFound, Unavailable
from tests.two_kinds import TwoKindsEncoder
from tools.clock import CountedIds, FixedClock
from tools.encoder.fake import HashingEncoder
from tools.encoder.ports import Vectors
from tools.evidence import stored_matching, stored_vectors
from tools.knowledge.base import Knowledge, KnowledgeBase, open_knowledge
from tools.knowledge.documents import Record
from tools.knowledge.ingest import Progress, Workshop
from tools.knowledge.vectors import VectorStore
from tools.storage.database import Database, open_database
from tools.storage.tables import chunk

pytestmark = pytest.mark.anyio

RETURNS = "# Returns\n\nBoots can be returned within 60 days.\n"
SHIPPING = "# Shipping\n\nParcels to Canada take 10 days.\n"


class CountingEncoder(HashingEncoder):
    """Remembers what it was asked to encode; can be made to wait or to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.fail_at: str | None = None
        self.gate: anyio.Event | None = None
        self.waiting = anyio.Event()

    async def encode(self, texts: Sequence[str]) -> Vectors:
        if self.fail_at is not None and any(self.fail_at in text for text in texts):
            raise Unavailable("The encoder stopped.")
        if self.gate is not None and any("\n" in text for text in texts):
            self.waiting.set()
            await self.gate.wait()
        self.texts.extend(texts)
        return await super().encode(texts)


class FailingStore(VectorStore):
    """A store whose disk goes away after it was opened."""

    def build(self, name: str, ids: Sequence[str], vectors: Vectors) -> None:
        raise Unavailable(f"Power was gone before {len(ids)} vectors of {vectors.shape} were in {name}.")

    def _collection(self, name: str) -> Any:
        raise OSError(f"the disk is gone with {name}")

    def count(self, name: str) -> int:
        return 2 if name.endswith("customer") else 0


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / "returns.md").write_text(RETURNS)
    (folder / "shipping.md").write_text(SHIPPING)
    return folder


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "handrail.db") as database:
        yield database


@pytest.fixture
def shop(database: Database, encoder: CountingEncoder, tmp_path: Path) -> Iterator[Workshop]:
    store = VectorStore(tmp_path / "chroma")
    yield Workshop(database=database, encoder=encoder, store=store, clock=FixedClock(), ids=CountedIds())
    store.close()


@pytest.fixture
def base(shop: Workshop) -> KnowledgeBase:
    return KnowledgeBase(shop)


@pytest.fixture
def knowledge(base: KnowledgeBase) -> Knowledge:
    return base.of("acme", "support")


async def documents(knowledge: Knowledge, query: str = "days") -> set[str]:
    found = await knowledge.search(query, audience="customer")
    return {passage.text for passage in found.passages}


async def test_an_ingest_reports_what_it_did_and_shows_in_the_next_question(
    knowledge: Knowledge, folder: Path
) -> None:
    seen: list[Progress] = []

    report = await knowledge.ingest(folder, seen.append)

    assert (report.added, report.changed, report.removed, report.unchanged, report.failed) == (
        ("returns.md", "shipping.md"),
        (),
        (),
        0,
        (),
    )
    assert (report.chunks, report.encoded, report.index_version) == (2, 2, "idx_1")
    assert [(step.done, step.total) for step in seen] == [(2, 2)]
    assert await documents(knowledge) == {
        "Boots can be returned within 60 days.",
        "Parcels to Canada take 10 days.",
    }


async def test_only_what_changed_is_encoded_again(
    knowledge: Knowledge, folder: Path, encoder: CountingEncoder
) -> None:
    (folder / "old.md").write_text("Old news.")
    await knowledge.ingest(folder)
    encoder.texts.clear()
    (folder / "old.md").unlink()
    (folder / "new.md").write_text("New things.")
    (folder / "returns.md").write_text(RETURNS.replace("60", "90"))

    report = await knowledge.ingest(folder)

    assert (report.added, report.changed, report.removed, report.unchanged) == (
        ("new.md",),
        ("returns.md",),
        ("old.md",),
        1,
    )
    assert encoder.texts == [
        "New\nNew things.",
        "Returns\nBoots can be returned within 90 days.",
        "New things.",
        "Boots can be returned within 90 days.",
    ]
    assert await documents(knowledge) == {
        "New things.",
        "Boots can be returned within 90 days.",
        "Parcels to Canada take 10 days.",
    }


async def test_an_ingest_without_changes_makes_no_version(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder)

    report = await knowledge.ingest(folder)

    assert (report.unchanged, report.encoded, report.chunks, report.index_version) == (2, 0, 2, "idx_1")
    assert [(version.id, version.status) for version in await knowledge.versions()] == [("idx_1", "active")]


async def test_a_broken_file_is_reported_and_the_rest_goes_in(knowledge: Knowledge, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 no")
    (folder / "latin.txt").write_bytes(b"caf\xe9")

    report = await knowledge.ingest(folder)

    assert [path for path, _ in report.failed] == ["broken.pdf", "latin.txt"]
    assert report.failed[1][1] == "It is not UTF-8 text (byte 3). Save it as UTF-8."
    assert report.added == ("returns.md", "shipping.md")


async def test_a_document_that_breaks_leaves_the_index(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder)
    (folder / "returns.md").write_text("---\naudience: stff\n---\nBoots.")

    report = await knowledge.ingest(folder)

    assert (report.removed, report.failed) == (
        (),
        (("returns.md", "Its audience is 'stff'. Use customer or staff."),),
    )
    assert await documents(knowledge) == {"Parcels to Canada take 10 days."}


async def test_a_document_that_becomes_internal_is_gone_for_customers(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder)
    (folder / "returns.md").write_text(f"---\naudience: staff\n---\n{RETURNS}")

    await knowledge.ingest(folder)

    assert await documents(knowledge) == {"Parcels to Canada take 10 days."}
    assert len((await knowledge.search("boots", audience="staff")).passages) == 2


async def test_questions_during_an_ingest_get_the_old_version_whole(
    knowledge: Knowledge, folder: Path, encoder: CountingEncoder
) -> None:
    await knowledge.ingest(folder)
    (folder / "returns.md").write_text(RETURNS.replace("60", "90"))
    encoder.gate = anyio.Event()

    async with anyio.create_task_group() as group:
        group.start_soon(knowledge.ingest, folder)
        await encoder.waiting.wait()
        during = await knowledge.search("boots", audience="customer", limit=1)
        encoder.gate.set()
    after = await knowledge.search("boots", audience="customer", limit=1)

    assert (during.index_version, during.passages[0].text) == ("idx_1", "Boots can be returned within 60 days.")
    assert (after.index_version, after.passages[0].text) == ("idx_2", "Boots can be returned within 90 days.")


async def test_a_crash_while_encoding_keeps_the_old_version_and_what_was_done(
    knowledge: Knowledge, folder: Path, encoder: CountingEncoder
) -> None:
    await knowledge.ingest(folder)
    (folder / "a.md").write_text("Sentence one. " * 300)
    (folder / "b.md").write_text("Poison.")
    encoder.fail_at = "Poison"

    with pytest.raises(Unavailable):
        await knowledge.ingest(folder)
    kept = await documents(knowledge)
    encoder.fail_at = None
    encoder.texts.clear()
    report = await knowledge.ingest(folder)

    assert kept == {"Boots can be returned within 60 days.", "Parcels to Canada take 10 days."}
    assert (report.added, report.encoded, encoder.texts) == (("a.md", "b.md"), 1, ["B\nPoison.", "Poison."])


async def test_a_crash_before_the_switch_keeps_the_old_version(
    base: KnowledgeBase, shop: Workshop, folder: Path, encoder: CountingEncoder, tmp_path: Path
) -> None:
    await base.of("acme", "support").ingest(folder)
    (folder / "returns.md").write_text(RETURNS.replace("60", "90"))
    crashing = KnowledgeBase(replace(shop, store=FailingStore(tmp_path / "chroma")))
    with pytest.raises(Unavailable):
        await crashing.of("acme", "support").ingest(folder)
    encoder.texts.clear()

    knowledge = KnowledgeBase(shop).of("acme", "support")
    before = await documents(knowledge, "boots")
    report = await knowledge.ingest(folder)
    after = await documents(knowledge, "boots")

    assert "Boots can be returned within 60 days." in before
    assert (report.changed, report.encoded) == (("returns.md",), 0)
    assert "Boots can be returned within 90 days." in after
    assert [version.status for version in await knowledge.versions()] == ["active", "previous"]


async def test_a_lost_collection_is_rebuilt_without_encoding(
    base: KnowledgeBase, folder: Path, database: Database, encoder: CountingEncoder, tmp_path: Path
) -> None:
    await base.of("acme", "support").ingest(folder)
    encoder.texts.clear()

    async with open_knowledge(database, encoder, tmp_path / "another-chroma") as reopened:
        found = await documents(reopened.of("acme", "support"), "boots")

    assert len(found) == 2
    assert encoder.texts == ["boots"]


async def test_the_previous_version_can_come_back(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder)
    (folder / "returns.md").write_text(RETURNS.replace("60", "90"))
    await knowledge.ingest(folder)

    assert await knowledge.rollback() == "idx_1"

    assert "Boots can be returned within 60 days." in await documents(knowledge)
    assert {version.id: version.status for version in await knowledge.versions()} == {
        "idx_1": "active",
        "idx_2": "previous",
    }


async def test_there_is_nothing_to_go_back_to_after_one_ingest(knowledge: Knowledge, folder: Path) -> None:
    await knowledge.ingest(folder)

    with pytest.raises(Conflict):
        await knowledge.rollback()


async def test_a_citation_can_be_explained_after_its_document_changed_twice(
    knowledge: Knowledge, folder: Path
) -> None:
    await knowledge.ingest(folder)
    (cited,) = (await knowledge.search("boots", audience="customer", limit=1)).passages
    for days in ("90", "120"):
        (folder / "returns.md").write_text(RETURNS.replace("60", days))
        await knowledge.ingest(folder)

    source = await knowledge.document(cited.document_version)

    assert (source.path, source.text) == ("returns.md", RETURNS)
    assert source.text[cited.start : cited.end] == "Boots can be returned within 60 days."
    assert len(await knowledge.lineage("returns.md")) == 3
    assert [document.path for document in await knowledge.documents()] == ["returns.md", "shipping.md"]
    assert [version.status for version in await knowledge.versions()] == ["active", "previous", "retired"]


async def test_an_unknown_document_version_is_not_found(knowledge: Knowledge) -> None:
    with pytest.raises(NotFound):
        await knowledge.document("doc_0")


async def test_assistants_and_workspaces_do_not_see_each_other(base: KnowledgeBase, folder: Path) -> None:
    await base.of("acme", "support").ingest(folder)

    others = [base.of("acme", "sales"), base.of("other", "support")]

    assert [await documents(other) for other in others] == [set(), set()]
    assert await documents(base.of("acme", "support")) != set()


async def test_an_index_of_another_encoder_is_refused_until_the_next_ingest(
    base: KnowledgeBase, folder: Path, database: Database, tmp_path: Path
) -> None:
    await base.of("acme", "support").ingest(folder)

    async with open_knowledge(database, HashingEncoder(64), tmp_path / "chroma") as reopened:
        knowledge = reopened.of("acme", "support")
        with pytest.raises(ConfigError, match="Ingest the folder again"):
            await knowledge.search("boots", audience="customer")
        report = await knowledge.ingest(folder)
        found = await documents(knowledge)

    assert report.changed == ("returns.md", "shipping.md")
    assert len(found) == 2


@pytest.mark.parametrize("stored", [True, False])
async def test_sentences_keep_both_kinds_of_vectors_over_a_restart(
    database: Database, folder: Path, tmp_path: Path, stored: bool
) -> None:
    encoder = TwoKindsEncoder()
    async with open_knowledge(database, encoder, tmp_path / "chroma") as opened:
        await opened.of("acme", "support").ingest(folder)
    if not stored:
        # As rows were before there was a second kind.
        await database.write(lambda connection: connection.execute(update(chunk).values(matching_vectors=b"")))
    async with open_knowledge(database, encoder, tmp_path / "chroma") as opened:
        knowledge = opened.of("acme", "support")
        index = await knowledge.index()
        kept = await stored_vectors(knowledge)(index.passages), await stored_matching(knowledge)(index.passages)

    for passage in index.passages:
        made = await encoder.encoded([passage.text[start:end] for start, end in passage.sentences])
        assert kept[0][passage.id] == pytest.approx(made.vectors, abs=1e-3)
        assert kept[1][passage.id] == pytest.approx(made.matching if stored else made.vectors, abs=1e-3)


async def test_a_folder_without_documents_is_ingested_anew_for_another_encoder(
    base: KnowledgeBase, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    await base.of("acme", "support").ingest(tmp_path / "empty")

    async with open_knowledge(database, HashingEncoder(64), tmp_path / "chroma") as reopened:
        knowledge = reopened.of("acme", "support")
        await knowledge.renew()
        await knowledge.ingest(tmp_path / "empty")
        with pytest.raises(Conflict, match="The previous index version was made with another encoder"):
            await knowledge.rollback()
    async with open_knowledge(database, HashingEncoder(64), tmp_path / "chroma") as again:
        assert (await again.of("acme", "support").index()).passages == ()


async def test_what_is_renewed_has_no_passages_until_the_next_ingest(
    base: KnowledgeBase, folder: Path, database: Database, tmp_path: Path
) -> None:
    same = base.of("acme", "support")
    await same.ingest(folder)
    await same.renew()
    known = await documents(same)
    assert len(known) == 2

    async with open_knowledge(database, HashingEncoder(64), tmp_path / "chroma") as reopened:
        knowledge = reopened.of("acme", "support")
        await knowledge.renew()
        before = (await documents(knowledge), await knowledge.refresh())
        await knowledge.ingest(folder)
        assert (before, await documents(knowledge)) == ((set(), False), known)


async def test_records_are_found_under_their_own_ids(knowledge: Knowledge) -> None:
    records = [
        Record(id="faq-1", text="Tents are repaired here."),
        Record(id="faq-2", title="Gas", text="No gas."),
    ]

    report = await knowledge.ingest_records(records)
    found = await knowledge.search("who repaired tents", audience="customer", limit=1)

    assert report.added == ("faq-1", "faq-2")
    assert [passage.document for passage in found.passages] == ["faq-1"]


async def test_a_vector_store_that_fails_is_done_without_and_the_result_says_so(
    base: KnowledgeBase, shop: Workshop, folder: Path, tmp_path: Path
) -> None:
    await base.of("acme", "support").ingest(folder)
    failing = KnowledgeBase(replace(shop, store=FailingStore(tmp_path / "chroma")))

    asked = await base.of("acme", "support").search("boots", audience="customer")
    without = await failing.of("acme", "support").search("boots", audience="customer")

    assert (asked.fallback, without.fallback) == (None, "exact search in memory")
    assert without.passages == asked.passages != ()


async def test_a_query_that_fails_is_unavailable_with_a_remedy_and_the_next_one_is_refused_at_once(
    base: KnowledgeBase, folder: Path, tmp_path: Path
) -> None:
    await base.of("acme", "support").ingest(folder)
    store = FailingStore(tmp_path / "chroma")

    with pytest.raises(Unavailable, match="the disk is gone") as caught:
        store.query("any", np.zeros((1, 3), np.float32), 1)
    with pytest.raises(Unavailable, match="did not answer a moment ago"):
        store.query("any", np.zeros((1, 3), np.float32), 1)

    assert caught.value.remedy


async def test_a_server_that_is_not_there_is_unavailable(database: Database, encoder: CountingEncoder) -> None:
    with pytest.raises(Unavailable):
        async with open_knowledge(database, encoder, "http://127.0.0.1:9"):
            pass


async def test_a_folder_that_is_not_there_is_a_configuration_error(knowledge: Knowledge, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await knowledge.ingest(tmp_path / "nowhere")
