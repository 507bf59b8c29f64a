"""Turns what drivers say into what an administrator can use: what happened, where, and what to do."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tidings.adapters.sql.dialects import error_code
from tidings.base.errors import BackendError

_BROKE: Final = "The connection broke; service resumes by itself when the database server is back."
_CREDENTIALS: Final = "Check the user name and the password of the database URL."
_FULL: Final = "The disk of the database server is full: free or add space."
_MISSING: Final = "Create the database, or correct its name in the database URL."
_RIGHTS: Final = "Grant the user of the database URL all rights on the database."
_TOO_MANY: Final = "Raise max_connections of the database server, or lower the number of readers."
_UNREACHED: Final = "Start the database server, or correct its address in the database URL."

_BY_CODE: Final[dict[str | int, str]] = {
    # PostgreSQL, SQLSTATE
    "28000": "Check the user name and the server's pg_hba.conf.",
    "28P01": _CREDENTIALS,
    "3D000": _MISSING,
    "42501": _RIGHTS,
    "53100": _FULL,
    "53300": _TOO_MANY,
    "55P03": "Another process holds a lock: see pg_locks and end what holds it.",
    "57014": "The database is overloaded, or another process holds a lock: see pg_stat_activity.",
    "57P01": _BROKE,
    "57P03": "The database server is starting; service resumes by itself.",
    # MySQL and MariaDB, error numbers
    1021: _FULL,
    1040: _TOO_MANY,
    1044: _RIGHTS,
    1045: _CREDENTIALS,
    1049: _MISSING,
    1114: _FULL,
    1205: "Another process holds a lock: see SHOW ENGINE INNODB STATUS and end what holds it.",
    2002: _UNREACHED,
    2003: _UNREACHED,
    2006: _BROKE,
    2013: _BROKE,
}

_BY_TEXT: Final = {
    # SQLite
    "database is locked": "Another process holds it: end it (`fuser FILE` finds it) or wait until it ends.",
    "database disk image is malformed": (
        "The file is damaged: stop the server, keep a copy of it, and restore a backup or salvage it with "
        "`sqlite3 FILE .recover`."
    ),
    "file is not a database": "The file holds something else: name another file, or move this one away.",
    "database or disk is full": "Free or add disk space; service resumes by itself.",
    "readonly database": "Give the server's user the right to write the file and its folder.",
    "unable to open database file": "Check that the folder exists and the server's user may write in it.",
    "disk I/O error": "The disk or its file system fails: see the system log.",
    # psycopg gives no SQLSTATE for what happens before or after a session
    "does not exist": _MISSING,
    "password authentication failed": _CREDENTIALS,
    "too many clients": _TOO_MANY,
    "starting up": "The database server is starting; service resumes by itself.",
    "connection refused": _UNREACHED,
    "no such file or directory": _UNREACHED,
    "failed to resolve host": _UNREACHED,
    "connection timeout expired": "The database server does not answer: check it and the network.",
    "closed the connection": _BROKE,
    "connection is lost": _BROKE,
}


def backend_error(error: Exception, place: str) -> BackendError:
    """Tell an error of the driver or of SQLAlchemy as a `BackendError` about this database."""
    if isinstance(error, PoolTimeoutError):
        return BackendError(f"{place} does not answer in time: all connections are busy.")
    said = str(error.orig if isinstance(error, DBAPIError) else error).strip() or type(error).__name__
    what = " ".join(said.split()).rstrip(".")
    return BackendError(f"{place}: {what}. {_advice(error, said)}".rstrip())


def _advice(error: Exception, said: str) -> str:
    code = error_code(error)
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    lowered = said.lower()
    return next((advice for words, advice in _BY_TEXT.items() if words.lower() in lowered), "")
