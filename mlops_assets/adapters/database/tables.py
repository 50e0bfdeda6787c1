"""The platform's own tables: authoritative for what was submitted, decided and released.

Change them together with a new migration under `migrations/versions`; a test compares the two.
"""

import sqlalchemy as sa

metadata = sa.MetaData()

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, primary_key=True),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("contributor", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("filename", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.UniqueConstraint("line", "sha256", name="one_batch_per_bytes"),
    sa.UniqueConstraint("line", "sequence", name="one_batch_per_sequence"),
)

# A row without a body says that the asset counts as not made from there on.
records = sa.Table(
    "records",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("records_of_asset", "line", "batch_id", "asset", "id"),
)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("ledger_of_line", "line", "sequence"),
)

# One row: where the chain ends, so that a tail cut off is noticed.
ledger_head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("servable", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text),
    sa.Column("decision_id", sa.Text),
    sa.Column("parent_version", sa.Integer),
    sa.Column("deployed_at", sa.Text, nullable=False),
    sa.Column("retired_at", sa.Text),
    sa.UniqueConstraint("line", "decision_id", name="one_version_per_decision"),
)

pointers = sa.Table(
    "pointers",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("roles", sa.Text, nullable=False),
    sa.Column("rollout", sa.Text),
)

reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("decision_id", sa.Text, nullable=False, unique=True),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("asked_at", sa.Text, nullable=False),
    sa.Column("production_version", sa.Integer),
    sa.Column("contributor", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("beat", sa.Integer, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Index("outbox_waiting", "kind", "done", "id"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("sent_by", sa.Text),
    sa.UniqueConstraint("line", "event_id", name="one_event_per_id"),
    sa.Index("events_of_kind", "line", "kind", "sequence"),
    sa.Index("events_by_time", "line", "received_at"),
    sqlite_with_rowid=False,
)

# One row a line: its highest sequence, so that none is given twice when the latest events are forgotten.
event_heads = sa.Table(
    "event_heads",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

watches = sa.Table(
    "watches",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

health = sa.Table(
    "health",
    metadata,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)

gateways = sa.Table(
    "gateways",
    metadata,
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("expires_at", sa.Text),
    sa.Column("revoked_at", sa.Text),
)
