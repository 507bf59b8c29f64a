"""Settings of a database server under which what is accepted may be lost, or not be found.

Text is kept as octets, so that character sets and collations of tables do not matter; PostgreSQL's words for
searches alone are text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection


class WeakSetting(NamedTuple):
    """A setting that does harm: what it does, and how it is mended."""

    text: str
    mend: str


class _Rule(NamedTuple):
    """What a setting has to be."""

    name: str
    is_right: Callable[[str], bool]
    harm: str
    mend: str


_LOST: Final = "messages that were accepted may be lost when the machine stops"
_TORN: Final = "the database may be damaged when the machine stops"

_LOGGED: Final = "log_bin"
"""Whether MariaDB writes a log for replicas, so that it matters how it is written."""

_POSTGRESQL: Final = (
    _Rule("fsync", lambda value: value == "on", f"{_LOST}, and {_TORN}", "fsync = on in postgresql.conf"),
    _Rule("full_page_writes", lambda value: value == "on", _TORN, "full_page_writes = on in postgresql.conf"),
    _Rule(
        "server_encoding",
        lambda value: value == "UTF8",
        "messages in other alphabets cannot be searched",
        "make a database with createdb --encoding=UTF8 --template=template0, and move to it with "
        "tidings migrate",
    ),
)

_MYSQL: Final = (
    _Rule(
        "innodb_flush_log_at_trx_commit",
        lambda value: value in {"1", "3"},
        _LOST,
        "innodb_flush_log_at_trx_commit = 1 in the [mysqld] section",
    ),
    _Rule(
        "innodb_doublewrite",
        lambda value: value.upper() not in {"OFF", "0"},
        _TORN,
        "innodb_doublewrite = ON in the [mysqld] section",
    ),
    _Rule(
        "sync_binlog",
        lambda value: value != "0",
        "replicas may lack messages that were accepted when the machine stops",
        "sync_binlog = 1 in the [mysqld] section",
    ),
)


def read_settings(connection: Connection) -> dict[str, str]:
    """Give the settings that matter here; none for a database without a server."""
    match connection.dialect.name:
        case "postgresql":
            rules, statement = _POSTGRESQL, "SELECT name, setting FROM pg_settings"
        case "mysql" | "mariadb":
            rules, statement = _MYSQL, "SHOW VARIABLES"
        case _:
            return {}
    wanted = {_LOGGED, *(rule.name for rule in rules)}
    rows = connection.exec_driver_sql(statement)
    return {str(name): str(value) for name, value in rows if name in wanted}


def weak_settings(dialect: str, settings: Mapping[str, str]) -> Iterator[WeakSetting]:
    """Tell which settings do harm. What a connection sets for itself (`synchronous_commit`) is not asked."""
    is_logged = settings.get(_LOGGED, "").upper() in {"ON", "1"}
    for rule in _POSTGRESQL if dialect == "postgresql" else _MYSQL:
        value = settings.get(rule.name)
        if value is None or rule.is_right(value) or (rule.name == "sync_binlog" and not is_logged):
            continue
        yield WeakSetting(f"{rule.name} is {value}: {rule.harm}", rule.mend)
