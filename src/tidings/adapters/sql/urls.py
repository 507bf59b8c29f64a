"""URLs of databases: which are supported, and how people are told which one is meant: never its password."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tidings.base.errors import BackendError

_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}

_EXAMPLE: Final = "sqlite:////var/lib/tidings/tidings.db"


def parse_url(url: str) -> URL:
    """Read a database URL and complete its driver; raises `BackendError` for one that is not supported."""
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or "") + (parsed.database or "") and parsed.get_backend_name() != "sqlite":
            raise ValueError("the rest of a password")
    except (ArgumentError, ValueError):  # whose texts may show the password
        raise BackendError(
            "the database URL cannot be read: percent-encode what stands in its user name and password, an @ "
            f"as %40. An example: {_EXAMPLE}"
        ) from None
    if parsed.drivername not in _DRIVERS:
        raise BackendError(
            f"the database URL begins with {parsed.drivername!r}; known are {', '.join(_DRIVERS)}. "
            f"An example: {_EXAMPLE}"
        )
    return parsed.set(drivername=_DRIVERS[parsed.drivername])


def describe(url: URL) -> str:
    """Name a database for messages, without its password, and without options, which may hold one."""
    if url.get_backend_name() == "sqlite":
        return f"the SQLite database {database_file(url) or 'in memory'}"
    shown = url.set(drivername=url.get_backend_name(), query={})
    return f"the database {shown.render_as_string(hide_password=True)}"


def database_file(url: URL) -> Path | None:
    """Give the file of an SQLite database, or None for one in memory or on a server."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}
    return Path(str(url.database)) if is_file else None
