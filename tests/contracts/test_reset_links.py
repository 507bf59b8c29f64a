"""Reset links over every store: each is used once, there is one an account, and a new password ends it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.samples import ALICE, BOB
from tests.harness.clock import VirtualClock
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.kernel.link_tokens import LinkRefused
from tidings.kernel.reset_links import ResetLinks
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.stores import Stores
from tidings.wire.xmpp.sasl.keys import ScramKeys, make_scram_keys

HOST = Jid(ALICE.domain)
DAY = 86_400.0


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def links(stores: Stores, clock: VirtualClock) -> ResetLinks:
    await stores.accounts.create(ALICE, keys("old", "SCRAM-SHA-1"), clock.now())
    return ResetLinks(stores.documents, stores.accounts, clock)


def keys(password: str, *mechanisms: str) -> tuple[ScramKeys, ...]:
    return make_scram_keys(password, mechanisms or ("SCRAM-SHA-256",), iterations=4_096)


async def is_open(links: ResetLinks, token: str, domain: Jid = HOST) -> bool:
    try:
        await links.find(domain, token)
    except LinkRefused:
        return False
    return True


async def test_an_account_is_found_by_its_token_alone(links: ResetLinks, clock: VirtualClock) -> None:
    token, expires = await links.create(ALICE, seconds=DAY)
    assert expires == clock.now() + DAY
    assert await links.find(HOST, token) == ALICE
    for wrong in (token[:-1], token + "a", token.upper(), token[-26:], "a" * len(token), ""):
        assert not await is_open(links, wrong)
    assert not await is_open(links, token, Jid("elsewhere.example"))
    clock.advance(DAY)
    assert not await is_open(links, token)


async def test_there_is_one_an_account(stores: Stores, links: ResetLinks) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    of_bob, _ = await links.create(BOB, seconds=DAY)
    tokens = [(await links.create(ALICE, seconds=DAY))[0] for _ in range(3)]
    assert [await is_open(links, token) for token in tokens] == [False, False, True]
    assert await is_open(links, of_bob)
    at_once = await asyncio.gather(*(links.create(ALICE, seconds=DAY) for _ in range(4)))
    assert sum([await is_open(links, token) for token, _ in at_once]) == 1


async def test_of_all_who_use_it_at_once_one_does(stores: Stores, links: ResetLinks) -> None:
    token, _ = await links.create(ALICE, seconds=DAY)
    changes: list[Jid] = []

    async def change(jid: Jid) -> None:
        changes.append(jid)
        await stores.accounts.set_keys(jid, keys("new"))

    results = await asyncio.gather(
        *(links.use(HOST, token, change) for _ in range(5)), return_exceptions=True
    )
    assert results.count(ALICE) == len(changes) == 1
    assert sum(isinstance(result, LinkRefused) for result in results) == 4
    assert not await is_open(links, token)


async def test_a_change_that_fails_gives_it_back(links: ResetLinks) -> None:
    token, _ = await links.create(ALICE, seconds=DAY)

    async def fail(_: Jid) -> None:
        raise BackendError("the disk is full")

    with pytest.raises(BackendError):
        await links.use(HOST, token, fail)
    assert await links.find(HOST, token) == ALICE


async def test_another_password_ends_it(stores: Stores, links: ResetLinks) -> None:
    token, _ = await links.create(ALICE, seconds=DAY)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert await stores.accounts.add_keys(ALICE, keys("old"), beside=record.keys)
    assert await is_open(links, token)  # the same password, shown at a log-in
    await stores.accounts.set_keys(ALICE, keys("old"))
    assert not await is_open(links, token)


async def test_an_account_without_a_password_has_links(stores: Stores, links: ResetLinks) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    token, _ = await links.create(BOB, seconds=DAY)
    assert await is_open(links, token)
    await stores.accounts.set_keys(BOB, keys("first"))
    assert not await is_open(links, token)


async def test_they_go_with_their_account(stores: Stores, links: ResetLinks) -> None:
    token, _ = await links.create(ALICE, seconds=DAY)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    await stores.accounts.remove(ALICE)
    assert not await is_open(links, token)
    await stores.accounts.create(ALICE, record.keys, 2.0)
    assert not await is_open(links, token)
    with pytest.raises(NoSuchAccount):
        await links.create(BOB, seconds=DAY)
