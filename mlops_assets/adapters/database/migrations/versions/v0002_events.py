"""Events: what was used, rated, corrected and predicted, one row each, numbered per line."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table of events, and where each line's numbers have come to."""
    op.create_table(
        "events",
        sa.Column("line", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("line", "event_id", name="one_event_per_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("events_of_kind", "events", ["line", "kind", "sequence"])
    op.create_index("events_by_time", "events", ["line", "received_at"])
    op.create_table(
        "event_heads",
        sa.Column("line", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, nullable=False),
    )
