"""What Alembic runs: the migrations over the connection that `tidings.adapters.sql.migrate` holds."""

from alembic import context

from tidings.adapters.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
