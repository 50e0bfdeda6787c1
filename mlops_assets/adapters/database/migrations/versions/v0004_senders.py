"""Senders: under which key an event was sent, so that nobody reviews what they reported under another name."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; who sent earlier events is not known."""
    op.add_column("events", sa.Column("sent_by", sa.Text))
