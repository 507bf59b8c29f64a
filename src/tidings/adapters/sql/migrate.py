"""Brings a database to the schema that this code knows.

Two processes that start together are safe: one migrates, the other waits and finds nothing to do. A database
whose revision this code does not know was written by a newer one; it is refused, since the older code cannot
know what it would break.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from tidings.adapters.sql.dialects import migrating
from tidings.base.errors import BackendError

_SCRIPTS: Final = "tidings.adapters.sql:migrations"


def migrate(engine: Engine, place: str) -> None:
    """Apply what is missing; raises `BackendError` for a database of a newer version.

    `place` names the database in the message.
    """
    with engine.connect() as connection:
        with connection.begin():
            revision = current_revision(connection)
        if revision == known_revision():
            return
        with migrating(connection):
            revision = current_revision(connection)
            if not is_known(revision):
                raise BackendError(too_new(place, revision))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """Give the revision of the database, or None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


@lru_cache(maxsize=1)
def known_revision() -> str:
    """Give the newest revision that this code knows."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def is_known(revision: str | None) -> bool:
    """Tell whether this code knows a revision, None being an empty database."""
    return revision is None or revision in {script.revision for script in _scripts().walk_revisions()}


def too_new(place: str, revision: str | None) -> str:
    """Write why a database is refused and what to do."""
    return (
        f"{place} was written by a newer Tidings: it has the schema revision {revision}, this version "
        f"knows revisions up to {known_revision()}. "
        "Start the newer version, or restore a backup that this one made."
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
