"""Alembic's entry: migrates on the connection, and in the transaction, that `engine.Database` holds."""

from alembic import context

from mlops_assets.adapters.database.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
