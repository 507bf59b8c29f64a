"""The contract of domains that are added at run time; every adapter passes it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.ports.domains import DomainExists, DomainRecord, DomainState
from tidings.ports.stores import Stores

EXAMPLE = DomainRecord(
    domain="example.org", created=1_700_000_000.25, admins=(Jid("alice@example.org"), Jid("zoë@other.test"))
)
OTHER = DomainRecord(domain="other.test", state=DomainState.DISABLED, created=2.0)


async def test_a_domain_is_kept(stores: Stores) -> None:
    assert await stores.domains.get("example.org") is None
    assert await stores.domains.list() == ()
    await stores.domains.add(EXAMPLE)
    assert await stores.domains.get("example.org") == EXAMPLE
    assert await stores.domains.get("other.test") is None


async def test_domains_are_listed_by_name(stores: Stores) -> None:
    names = ["b.test", "a.test", "a" * 60 + ".test", "straße.test", "strasse.test"]
    for name in names:
        await stores.domains.add(replace(OTHER, domain=name))
    assert [record.domain for record in await stores.domains.list()] == sorted(names)


async def test_the_longest_name_there_can_be(stores: Stores) -> None:
    name = ".".join(["d" * 63] * 16)[:1023].rstrip(".")
    await stores.domains.add(replace(OTHER, domain=name))
    assert [record.domain for record in await stores.domains.list()] == [name]


async def test_a_domain_exists_once(stores: Stores) -> None:
    await stores.domains.add(EXAMPLE)
    with pytest.raises(DomainExists, match="exists already"):
        await stores.domains.add(replace(EXAMPLE, created=5.0))
    assert await stores.domains.get("example.org") == EXAMPLE


async def test_its_state_changes(stores: Stores) -> None:
    await stores.domains.add(EXAMPLE)
    for state in (DomainState.DISABLED, DomainState.DISABLED, DomainState.ENABLED):
        assert await stores.domains.set_state("example.org", state)
        assert await stores.domains.get("example.org") == replace(EXAMPLE, state=state)
    assert not await stores.domains.set_state("nowhere.test", DomainState.ENABLED)


async def test_what_is_being_removed_stays_so(stores: Stores) -> None:
    await stores.domains.add(EXAMPLE)
    assert await stores.domains.set_state("example.org", DomainState.REMOVING)
    assert await stores.domains.set_state("example.org", DomainState.REMOVING)
    for state in (DomainState.ENABLED, DomainState.DISABLED):
        assert not await stores.domains.set_state("example.org", state)
    with pytest.raises(DomainExists, match="is still being removed"):
        await stores.domains.add(EXAMPLE)


async def test_a_domain_is_forgotten(stores: Stores) -> None:
    await stores.domains.add(EXAMPLE)
    await stores.domains.add(OTHER)
    await stores.accounts.create(Jid("alice@example.org"), (), 1.0)
    assert await stores.domains.remove("example.org")
    assert not await stores.domains.remove("example.org")
    assert await stores.domains.list() == (OTHER,)
    assert await stores.accounts.exists(Jid("alice@example.org"))
    await stores.domains.add(EXAMPLE)


async def test_two_processes_share_them(database_url: str) -> None:
    one, two = await open_stores(database_url), await open_stores(database_url)
    results = await asyncio.gather(
        *(stores.domains.add(EXAMPLE) for stores in (one, two)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["DomainExists", "NoneType"]
    assert await two.domains.get("example.org") == EXAMPLE
    for stores in (one, two):
        await stores.close()
