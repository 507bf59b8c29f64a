"""The adapters that every contract suite runs against."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness.databases import Server, mariadb_server, postgresql_server
from tidings.adapters.memory import MemoryStores
from tidings.adapters.sql import open_database, open_stores
from tidings.adapters.sql.tables import (
    accounts,
    documents,
    domains,
    file_mentions,
    file_usage,
    files,
    former_accounts,
    group_heads,
    group_members,
    node_affiliations,
    node_items,
    node_subscriptions,
    nodes,
    shared_groups,
)
from tidings.ports.stores import Stores

__all__ = ["mariadb_server", "postgresql_server"]

SERVERS = ("postgresql", "mariadb")
SQL = ("sqlite", "sqlite in memory", *SERVERS)


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: Server) -> str:
    """One database for all suites; what they put there they take away."""
    return postgresql_server.create_database()


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: Server) -> str:
    """One database for all suites; what they put there they take away."""
    return mariadb_server.create_database()


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path):
    """Give the URL of a database by the name of its kind."""

    def url(kind: str) -> str:
        match kind:
            case "sqlite":
                return f"sqlite:///{tmp_path}/tidings.db"
            case "sqlite in memory":
                return "sqlite://"
            case _:
                return request.getfixturevalue(f"{kind}_url")

    return url


@pytest.fixture(params=("memory", *SQL))
async def stores(request: pytest.FixtureRequest, url_of) -> AsyncIterator[Stores]:
    """The stores of every adapter, empty."""
    if request.param == "memory":
        yield MemoryStores()
        return
    url = url_of(request.param)
    opened = await open_stores(url)
    yield opened
    await opened.close()
    if request.param in SERVERS:
        await empty(url)


@pytest.fixture(params=("sqlite", *SERVERS))
async def database_url(request: pytest.FixtureRequest, url_of) -> AsyncIterator[str]:
    """A database that several may open; emptied at the end."""
    url = url_of(request.param)
    yield url
    if request.param in SERVERS:
        await empty(url)


@pytest.fixture(params=("sqlite", *SERVERS))
def fresh_url(request: pytest.FixtureRequest, tmp_path):
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/fresh.db"
        return
    server: Server = request.getfixturevalue(f"{request.param}_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


async def empty(url: str) -> None:
    """Remove every account, what hangs on it and is left of it, every domain, and what others have."""
    database = await open_database(url)
    groups, of_nodes, of_files = (
        (group_heads, group_members, shared_groups),
        (node_affiliations, node_items, node_subscriptions, nodes),
        (files, file_usage, file_mentions),
    )
    for table in (accounts, documents, domains, former_accounts, *groups, *of_nodes, *of_files):
        await database.write(lambda connection, table=table: connection.execute(table.delete()))
    await database.close()
