"""Our tables, as SQLAlchemy Core knows them. ``workspace_id`` leads every key.

Times are ISO 8601 texts in UTC, so both backends sort and compare them alike. Message texts, event data and
ledger bodies hold placeholders where a customer wrote personal data; the values are in ``vault`` alone.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
_UNDERWAY = text("status in ('queued', 'running')")
_UNSEALED = text("subject is null")
_NAMES_ONE = text("conversation_id is not null")


def _keyed(name: str, *columns: Column[object] | UniqueConstraint | Index, key: tuple[str, ...]) -> Table:
    workspace: Column[object] = Column("workspace_id", String, nullable=False)
    return Table(name, metadata, workspace, *columns, PrimaryKeyConstraint("workspace_id", *key))


conversation = _keyed(
    "conversation",
    Column("id", String, nullable=False),
    Column("assistant", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("last_event", Integer, nullable=False),
    Column("last_message", Integer, nullable=False),
    # Sealed: a text, or plain JSON in a row of an earlier version that waits for its sealing.
    Column("customer", JSON, nullable=False),
    # A keyed digest of the customer's id, empty for one without; null in a row of an earlier version.
    Column("subject", String),
    Column("consent", JSON, nullable=False),
    Column("queue", String),
    Column("owner_id", String),
    Column("owner_since", String, nullable=False),
    Column("waiting_since", String),
    Column("priority", String),
    Column("due_at", String),
    Column("returned_after", Integer),
    Column("active_at", String, nullable=False),
    Column("created_at", String, nullable=False),
    Index("conversation_by_owner", "workspace_id", "owner", "active_at", "id"),
    Index("conversation_by_subject", "workspace_id", "subject"),
    Index("conversation_unsealed", "workspace_id", "id", sqlite_where=_UNSEALED, postgresql_where=_UNSEALED),
    key=("id",),
)

message = _keyed(
    "message",
    Column("conversation_id", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("id", String, nullable=False),
    Column("author", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("citations", JSON, nullable=False),
    Column("run_id", String),
    Column("state", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("workspace_id", "id"),
    key=("conversation_id", "position"),
)

run = _keyed(
    "run",
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("graph", String, nullable=False),
    Column("assistant_version", String, nullable=False),
    Column("conversation_version", Integer, nullable=False),
    Column("status", String, nullable=False),
    Column("outcome", String),
    Column("intent", String),
    Column("epoch", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("last_event", Integer, nullable=False),
    Column("input", JSON, nullable=False),
    Column("resume", JSON),
    Column("trace_id", String, nullable=False),
    Column("principal", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("finished_at", String),
    Index("run_by_conversation", "workspace_id", "conversation_id", "status"),
    Index("run_unfinished", "status", sqlite_where=_UNDERWAY, postgresql_where=_UNDERWAY),
    key=("id",),
)

event = _keyed(
    "event",
    Column("conversation_id", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("run_id", String),
    Column("run_seq", Integer),
    Column("type", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", String, nullable=False),
    Index("event_by_run", "workspace_id", "run_id", "run_seq"),
    Index("event_by_age", "at"),
    key=("conversation_id", "seq"),
)

review = _keyed(
    "review",
    Column("id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("status", String, nullable=False),
    Column("draft", JSON, nullable=False),
    Column("response_schema", JSON, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("due_at", String, nullable=False),
    Column("answer", JSON),
    Column("decided_by", String),
    Column("decided_at", String),
    Column("created_at", String, nullable=False),
    Index("review_by_status", "workspace_id", "status", "due_at"),
    Index("review_by_run", "workspace_id", "run_id"),
    key=("id",),
)

suggestion = _keyed(
    "suggestion",
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("sentences", JSON, nullable=False),
    Column("outcome", String),
    Column("created_at", String, nullable=False),
    Column("decided_at", String),
    Index("suggestion_by_conversation", "workspace_id", "conversation_id"),
    key=("id",),
)

handoff = _keyed(
    "handoff",
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("queue", String, nullable=False),
    Column("priority", String, nullable=False),
    Column("brief", JSON, nullable=False),
    Column("due_at", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("workspace_id", "run_id"),
    Index("handoff_by_conversation", "workspace_id", "conversation_id"),
    key=("id",),
)

decision = _keyed(
    "decision",
    Column("stream", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("run_id", String),
    Column("node", String, nullable=False),
    Column("step", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("at", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    UniqueConstraint("workspace_id", "run_id", "node", "step", "kind"),
    Index("decision_by_time", "workspace_id", "at", "stream", "seq"),
    key=("stream", "seq"),
)

chain_head = _keyed(
    "chain_head",
    Column("stream", String, nullable=False),
    Column("count", Integer, nullable=False),
    Column("hash", String, nullable=False),
    # As far as the latest signed record goes; none for a stream that began after it.
    Column("signed_count", Integer),
    Column("signed_hash", String),
    key=("stream",),
)

# What a workspace's chains came to, day by day, signed.
signed_heads = _keyed(
    "signed_heads",
    Column("number", Integer, nullable=False),
    Column("day", String, nullable=False),
    Column("at", String, nullable=False),
    Column("heads_count", Integer, nullable=False),
    Column("heads_digest", String, nullable=False),
    Column("previous", String, nullable=False),
    Column("public_key", String, nullable=False),
    Column("signature", String, nullable=False),
    key=("number",),
)

vault = _keyed(
    "vault",
    Column("conversation_id", String, nullable=False),
    Column("placeholder", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("workspace_id", "conversation_id", "digest"),
    key=("conversation_id", "placeholder"),
)

# The salt of a conversation's content digests: stored beside the vault and erased with it.
content_salt = _keyed(
    "content_salt",
    Column("conversation_id", String, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    key=("conversation_id",),
)

idempotency = _keyed(
    "idempotency",
    Column("principal", String, nullable=False),
    Column("route", String, nullable=False),
    Column("key", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("result", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Index("idempotency_by_age", "created_at"),
    key=("principal", "route", "key"),
)

index_version = _keyed(
    "index_version",
    Column("assistant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("encoder", String, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    key=("assistant", "id"),
)

document_version = _keyed(
    "document_version",
    Column("id", String, nullable=False),
    Column("assistant", String, nullable=False),
    Column("path", String, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("title", String, nullable=False),
    Column("audience", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", String, nullable=False),
    key=("id",),
)

index_document = _keyed(
    "index_document",
    Column("assistant", String, nullable=False),
    Column("index_version", String, nullable=False),
    Column("document_version", String, nullable=False),
    key=("assistant", "index_version", "document_version"),
)

chunk = _keyed(
    "chunk",
    Column("document_version", String, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("heading", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("sentences", JSON, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("sentence_vectors", LargeBinary, nullable=False),
    Column("matching_vectors", LargeBinary, nullable=False),
    key=("document_version", "ordinal"),
)

# What was promised of an outside effect: written before it is tried, completed after.
receipt = _keyed(
    "receipt",
    Column("key", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("idempotent", Boolean, nullable=False),
    Column("status", String, nullable=False),
    Column("result", JSON),
    Column("created_at", String, nullable=False),
    Column("finished_at", String),
    Index("receipt_by_run", "workspace_id", "run_id"),
    key=("key",),
)

# What the files of an assistant said, each time that they had changed when it was opened.
assistant_version = _keyed(
    "assistant_version",
    Column("name", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("version", String, nullable=False),
    Column("files", JSON, nullable=False),
    Column("at", String, nullable=False),
    Index("assistant_version_by_hash", "workspace_id", "version"),
    key=("name", "number"),
)

# What a workflow's run was given and came to, sealed; the run is its own stream of events, decisions and values.
workflow_run = _keyed(
    "workflow_run",
    Column("run_id", String, nullable=False),
    Column("assistant", String, nullable=False),
    Column("batch_id", String),
    Column("position", Integer),
    Column("item_id", String),
    # A keyed digest of the id of the person whom it is about, empty for nobody.
    Column("subject", String, nullable=False),
    Column("input", LargeBinary, nullable=False),
    Column("output", LargeBinary),
    Column("created_at", String, nullable=False),
    Index("workflow_run_by_batch", "workspace_id", "batch_id", "position"),
    Index("workflow_run_by_subject", "workspace_id", "subject"),
    key=("run_id",),
)

# Examples for training and evals, with placeholders; gone with the consent or the conversation they rest on.
dataset_item = _keyed(
    "dataset_item",
    Column("id", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("run_id", String),
    Column("kind", String, nullable=False),
    Column("source", String, nullable=False),
    Column("version", String, nullable=False),
    Column("content", JSON, nullable=False),
    Column("created_at", String, nullable=False),
    Index("dataset_item_by_conversation", "workspace_id", "conversation_id"),
    key=("id",),
)

# What language models cost, summed by ``kind`` (day, intent, conversation, run) and day; money in billionths.
# Sums of days and intents name no conversation and stay when one is erased.
spending = _keyed(
    "spending",
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("day", String, nullable=False),
    Column("conversation_id", String),
    Column("calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("money", BigInteger, nullable=False),
    Column("held_tokens", BigInteger, nullable=False),
    Column("held_money", BigInteger, nullable=False),
    Column("saved_calls", BigInteger, nullable=False),
    Column("saved_tokens", BigInteger, nullable=False),
    Column("saved_money", BigInteger, nullable=False),
    Index(
        "spending_by_conversation",
        "workspace_id",
        "conversation_id",
        sqlite_where=_NAMES_ONE,
        postgresql_where=_NAMES_ONE,
    ),
    key=("kind", "name", "day"),
)

# What is set aside for a call under way: gone when the call is settled.
spending_hold = _keyed(
    "spending_hold",
    Column("id", String, nullable=False),
    Column("day", String, nullable=False),
    Column("conversation_id", String, nullable=False),
    Column("run_id", String, nullable=False),
    Column("intent", String, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("money", BigInteger, nullable=False),
    Column("priced", Boolean, nullable=False),
    Column("created_at", String, nullable=False),
    Index("spending_hold_by_age", "created_at"),
    Index("spending_hold_by_conversation", "workspace_id", "conversation_id"),
    key=("id",),
)

# What concerns the whole installation, such as which key its vault was sealed with.
installation = Table(
    "installation",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

# Jobs of one process (SQLite alone; on PostgreSQL procrastinate has tables of its own). They belong to the
# process and not to a tenant; the workspace is among the arguments.
job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("queue", String, nullable=False),
    Column("task", String, nullable=False),
    Column("args", JSON, nullable=False),
    Column("lock", String),
    Column("dedupe", String),
    Column("run_at", String),
    Column("attempts", Integer, nullable=False),
    Column("created_at", String, nullable=False),
    Index("job_by_time", "run_at"),
    Index("job_by_lock", "lock"),
    Index("job_by_dedupe", "dedupe", unique=True),
    sqlite_autoincrement=True,
)
