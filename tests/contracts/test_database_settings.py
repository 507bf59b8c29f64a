"""What is told of a database server's settings, on servers that begin with the worst of them."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from tests.harness.databases import Server
from tidings.adapters.sql import examine, open_stores
from tidings.adapters.sql.settings import weak_settings
from tidings.base.jid import Jid

GOOD_POSTGRESQL = {"fsync": "on", "full_page_writes": "on", "server_encoding": "UTF8"}
GOOD_MARIADB = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_doublewrite": "ON",
    "sync_binlog": "0",
    "log_bin": "OFF",
}


async def test_a_server_that_may_lose_what_it_was_given_is_told(database_url: str) -> None:
    await (await open_stores(database_url)).close()
    report = await examine(database_url)
    told = {each.text.partition(" ")[0] for each in report.weak_settings}
    match make_url(database_url).get_backend_name():
        case "postgresql":
            assert told == {"fsync", "full_page_writes"}
        case "sqlite":
            assert told == set()
        case _:
            assert told == {"innodb_flush_log_at_trx_commit", "innodb_doublewrite"}
    assert all(each.mend for each in report.weak_settings)
    assert 0 < report.seconds < 10
    assert report.version


def test_a_server_that_loses_nothing_is_in_order() -> None:
    assert list(weak_settings("postgresql", GOOD_POSTGRESQL)) == []
    assert list(weak_settings("mariadb", GOOD_MARIADB)) == []
    assert list(weak_settings("sqlite", {})) == []


@pytest.mark.parametrize(
    ("dialect", "settings", "harm"),
    [
        ("postgresql", GOOD_POSTGRESQL | {"server_encoding": "LATIN1"}, "other alphabets"),
        ("mariadb", GOOD_MARIADB | {"innodb_flush_log_at_trx_commit": "2"}, "may be lost"),
        ("mysql", GOOD_MARIADB | {"log_bin": "ON"}, "replicas"),
    ],
)
def test_each_weak_setting_is_told_alone(dialect: str, settings: dict[str, str], harm: str) -> None:
    [told] = weak_settings(dialect, settings)
    assert harm in told.text


async def test_a_postgresql_database_without_an_encoding_is_used_all_the_same(
    postgresql_server: Server,
) -> None:
    name = "tidings_ascii"
    more = "ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    postgresql_server.execute(f"CREATE DATABASE {name} {more}")
    url = postgresql_server.create_database()
    other = url.replace(str(make_url(url).database), name)
    stores = await open_stores(other)
    await stores.accounts.create(Jid("ñandú日本@x.example"), (), 0)
    assert await stores.accounts.list("x.example") == ("ñandú日本@x.example",)
    await stores.close()
    assert any("server_encoding is SQL_ASCII" in each.text for each in (await examine(other)).weak_settings)
    for each in (url, other):
        postgresql_server.drop_database(each)
