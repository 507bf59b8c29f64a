"""Looks at a database without changing it, for `tidings check`."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from tidings.adapters.sql.accounts import count_by_domain
from tidings.adapters.sql.engine import connect_database
from tidings.adapters.sql.migrate import current_revision, is_known, known_revision, too_new
from tidings.adapters.sql.settings import WeakSetting, read_settings, weak_settings
from tidings.adapters.sql.tables import domains
from tidings.adapters.sql.urls import database_file, describe, parse_url
from tidings.base.errors import BackendError

_ROUNDS: Final = 3
"""How often it is asked to find out how long it takes."""


class DatabaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; a database that cannot be used is a `BackendError` instead."""

    place: str
    """The database in words, without its password."""
    revision: str | None
    """The revision of its schema, or None when it is empty or not made yet."""
    known: str
    """The newest revision that this version knows; a start migrates to it."""
    accounts: Mapping[str, int] = {}
    """How many accounts each domain has, where the schema is of this version."""
    weak_settings: tuple[WeakSetting, ...] = ()
    """Settings of its server under which it may lose something."""
    version: tuple[int, ...] = ()
    """That of its server."""
    seconds: float = 0.0
    """How long it takes to be asked something and to answer."""
    domains: tuple[str, ...] = ()
    """The domains that were added while the server ran, also those that are being removed."""


async def examine(url: str) -> DatabaseReport:
    """Look at a database, at all of an SQLite file; `BackendError` says how to mend what is wrong."""
    parsed = parse_url(url)
    path = database_file(parsed)
    if path is not None and not path.exists() and os.access(path.parent, os.W_OK | os.X_OK):
        return DatabaseReport(place=describe(parsed), revision=None, known=known_revision())
    database = connect_database(url, readers=1)
    try:
        if path is not None:
            await database.read(_check_pages)
        revision = await database.read(current_revision)
        if not is_known(revision):
            raise BackendError(too_new(database.place, revision))
        found: dict[str, Any] = await database.read(_server)
        if revision == known_revision():
            found["accounts"] = await database.read(count_by_domain)
            found["domains"] = await database.read(_added_domains)
        return DatabaseReport(place=database.place, revision=revision, known=known_revision(), **found)
    finally:
        await database.close()


def _server(connection: Connection) -> dict[str, Any]:
    """Give what there is to say of a database's server."""
    took = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        connection.exec_driver_sql("SELECT 1").scalar_one()
        took.append(time.perf_counter() - begun)
    dialect = connection.dialect
    return {
        "weak_settings": tuple(weak_settings(dialect.name, read_settings(connection))),
        "version": tuple(dialect.server_version_info or ()),
        "seconds": min(took),
    }


def _added_domains(connection: Connection) -> tuple[str, ...]:
    return tuple(connection.execute(select(domains.c.domain)).scalars())


def _check_pages(connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({found})")
