"""Brings a database to the schema that this code knows.

Two processes that start together are safe: one migrates, the other waits and finds nothing to do. A database
whose revision this code does not know was written by a newer one; it is refused, since the older code cannot
know what it would break.

Revisions are numbered, and the number is in the name of the migration's file. So Alembic, which takes as long
to load as everything else here, is loaded only when there is something to apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from tidings.adapters.sql.dialects import migrating
from tidings.base.errors import BackendError

OnUpgrade = Callable[[str, str], None]
"""Is told from which revision to which a database is brought."""

_UNFINISHED: Final = " unfinished"
_SCRIPTS: Final = "tidings.adapters.sql:migrations"
_VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"


def migrate(engine: Engine, place: str, goal: str | None = None, on_upgrade: OnUpgrade | None = None) -> None:
    """Apply what is missing, up to a revision or to the newest.

    `on_upgrade` is told before a database that has something already is changed. Raises `BackendError` for a
    database of a newer version; `place` names the database in the message.
    """
    goal = goal or known_revision()
    with engine.connect() as connection:
        with connection.begin():
            revision = current_revision(connection)
        if revision == goal:
            return
        with migrating(connection):
            revision = current_revision(connection)
            if not is_known(revision):
                raise BackendError(too_new(place, revision))
            if revision is not None and revision != goal and on_upgrade is not None:
                on_upgrade(revision, goal)
            _upgrade(connection, goal)


def current_revision(connection: Connection) -> str | None:
    """Give the revision of the database, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def known_revision() -> str:
    """Give the newest revision that this code knows."""
    return _revisions()[-1]


def is_known(revision: str | None) -> bool:
    """Tell whether this code knows a revision, None being an empty database."""
    return revision is None or revision in _revisions()


def unfinished(revision: str) -> str:
    """Give what stands for the revision in a database that has only the beginning of what moves to it."""
    return f"{revision}{_UNFINISHED}"


def is_unfinished(revision: str | None) -> bool:
    """Tell whether a database has only the beginning of what moves to it, so that no server may use it."""
    return revision is not None and revision.endswith(_UNFINISHED)


def too_new(place: str, revision: str | None) -> str:
    """Write why a database is refused and what to do."""
    if is_unfinished(revision):
        return (
            f"{place} has only the beginning of what moves to it: run `tidings migrate` again with the "
            "former database in the configuration. It goes on where it was."
        )
    return (
        f"{place} was written by a newer Tidings: it has the schema revision {revision}, this version "
        f"knows revisions up to {known_revision()}. "
        "Start the newer version, or restore a backup that this one made."
    )


@lru_cache(maxsize=1)
def _revisions() -> tuple[str, ...]:
    """Give all revisions, oldest first."""
    names = (re.match(r"r(\d+)_", file.name) for file in _VERSIONS.iterdir())
    return tuple(sorted(name[1] for name in names if name is not None))


def _upgrade(connection: Connection, goal: str) -> None:
    from alembic import command  # noqa: PLC0415  # see the module
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, goal)
