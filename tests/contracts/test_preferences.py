"""The contract of archive preferences; every adapter passes it."""

from __future__ import annotations

import pytest

from tests.contracts.samples import ALICE, BOB, LOOK_ALIKES, long_jid
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.preferences import StoredPreferences
from tidings.ports.stores import Stores
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault


@pytest.fixture(autouse=True)
async def _alice(stores: Stores) -> None:
    await stores.accounts.create(ALICE, (), 1.0)


async def test_who_never_decided_has_none(stores: Stores) -> None:
    assert await stores.preferences.get(ALICE) is None
    assert await stores.preferences.get(BOB) is None


@pytest.mark.parametrize("default", ArchiveDefault)
async def test_the_last_decision_holds(stores: Stores, default: ArchiveDefault) -> None:
    await stores.preferences.put(ALICE, StoredPreferences(ArchiveDefault.NEVER, (BOB,), (ALICE,)))
    decided = StoredPreferences(default, (), (BOB, Jid("example.net"), Jid("carol@example.org/phone")))
    await stores.preferences.put(ALICE, decided)
    found = await stores.preferences.get(ALICE)
    assert found == decided
    assert all(isinstance(jid, Jid) for jid in found.never)


async def test_lists_keep_their_order_and_every_address(stores: Stores) -> None:
    addresses = (*LOOK_ALIKES, Jid("a@example.org/ü \U0001f4ec"), long_jid("r" * 1023), Jid("a@example.org"))
    decided = StoredPreferences(ArchiveDefault.ROSTER, addresses, tuple(reversed(addresses)))
    await stores.preferences.put(ALICE, decided)
    assert await stores.preferences.get(ALICE) == decided


async def test_nobody_decides_for_an_account_that_does_not_exist(stores: Stores) -> None:
    with pytest.raises(NoSuchAccount):
        await stores.preferences.put(BOB, StoredPreferences(ArchiveDefault.ALWAYS))
    await stores.accounts.create(BOB, (), 1.0)
    assert await stores.preferences.get(BOB) is None


async def test_preferences_go_with_their_account(stores: Stores) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    decided = StoredPreferences(ArchiveDefault.NEVER)
    for account in (ALICE, BOB):
        await stores.preferences.put(account, decided)
    await stores.accounts.remove(ALICE)
    await stores.accounts.create(ALICE, (), 2.0)
    assert await stores.preferences.get(ALICE) is None
    assert await stores.preferences.get(BOB) == decided
