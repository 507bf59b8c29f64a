"""The history of the schema: Alembic migrations, applied at start."""
