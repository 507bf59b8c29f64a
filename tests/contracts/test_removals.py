"""The contract of the removals port; every adapter passes it."""

from __future__ import annotations

from sqlalchemy import Connection, text

from tests.contracts.old_schemas import take_back_to_0011
from tests.contracts.samples import ALICE, BOB, LONGEST, LOOK_ALIKES, keys
from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.ports.accounts import AccountFilter, AccountRecord, Ban, Removal
from tidings.ports.stores import Stores

CAROL = Jid("carol@example.org")


async def make(stores: Stores, *jids: Jid) -> None:
    for jid in jids:
        await stores.accounts.create(jid, keys("SCRAM-SHA-256"), 1.0)


# --- accounts that are to go


async def test_an_account_is_to_go_until_that_is_taken_back(stores: Stores) -> None:
    await make(stores, ALICE)
    before = await stores.accounts.get(ALICE)
    assert await stores.removals.schedule(ALICE, Removal(5.25, 10.5))
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.removal == Removal(5.25, 10.5)
    assert await stores.removals.schedule(ALICE, Removal(6.0, 20.0))
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert record.removal == Removal(6.0, 20.0)
    assert await stores.removals.cancel(ALICE)
    assert not await stores.removals.cancel(ALICE)
    assert await stores.accounts.get(ALICE) == before


async def test_nobody_is_to_go_who_is_not_there(stores: Stores) -> None:
    assert not await stores.removals.schedule(ALICE, Removal(1.0, 2.0))
    assert not await stores.removals.cancel(ALICE)
    assert await stores.removals.due(1e9) == ()


async def test_a_ban_and_a_removal_do_not_touch_each_other(stores: Stores) -> None:
    await make(stores, ALICE)
    await stores.accounts.ban(ALICE, Ban("spam", 3.0))
    await stores.removals.schedule(ALICE, Removal(1.0, 2.0))
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert (record.ban, record.removal) == (Ban("spam", 3.0), Removal(1.0, 2.0))
    await stores.accounts.unban(ALICE)
    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert (record.ban, record.removal) == (None, Removal(1.0, 2.0))


async def test_those_whose_time_has_come_are_given_by_how_long_they_wait(stores: Stores) -> None:
    other = Jid("alice@other.test")
    await make(stores, ALICE, BOB, CAROL, other)
    for jid, due in ((ALICE, 30.0), (BOB, 10.0), (other, 20.0)):
        await stores.removals.schedule(jid, Removal(1.0, due))
    assert await stores.removals.due(9.99) == ()
    assert await stores.removals.due(10.0) == (BOB,)
    assert await stores.removals.due(1e9) == (BOB, other, ALICE)
    assert await stores.removals.due(1e9, limit=2) == (BOB, other)
    await stores.removals.cancel(BOB)
    assert await stores.removals.due(1e9) == (other, ALICE)


async def test_only_who_is_due_is_removed_where_that_is_asked_for(stores: Stores) -> None:
    await make(stores, ALICE, BOB)
    await stores.removals.schedule(ALICE, Removal(1.0, 10.0))
    assert not await stores.accounts.remove(ALICE, due=9.0)
    assert not await stores.accounts.remove(BOB, due=1e9)
    assert await stores.accounts.remove(ALICE, due=10.0)
    assert not await stores.accounts.exists(ALICE)
    assert await stores.accounts.exists(BOB)


async def test_summaries_tell_who_is_to_go_and_choose_by_it(stores: Stores) -> None:
    await make(stores, ALICE, BOB)
    await stores.removals.schedule(BOB, Removal(1.0, 10.0))
    everybody = await stores.accounts.summaries("example.org")
    assert [(each.jid, each.removal) for each in everybody] == [(ALICE, None), (BOB, Removal(1.0, 10.0))]
    for is_leaving, expected in ((True, [BOB]), (False, [ALICE])):
        chosen = AccountFilter(is_leaving=is_leaving)
        assert [
            each.jid for each in await stores.accounts.summaries("example.org", chosen=chosen)
        ] == expected


async def test_an_account_may_be_made_as_one_that_is_to_go(stores: Stores) -> None:
    record = AccountRecord(jid=ALICE, keys=(), created=1.0, removal=Removal(2.0, 3.0))
    await stores.accounts.create_all([record])
    assert await stores.accounts.get(ALICE) == record


# --- names of those that are gone


async def test_a_name_is_noted_where_that_is_asked_for(stores: Stores) -> None:
    await make(stores, ALICE, BOB)
    await stores.accounts.remove(ALICE, noted=5.25)
    await stores.accounts.remove(BOB)
    assert await stores.removals.former([ALICE, BOB, CAROL]) == {ALICE: 5.25}
    assert await stores.removals.former([]) == {}


async def test_what_is_not_removed_is_not_noted(stores: Stores) -> None:
    await make(stores, ALICE)
    assert not await stores.accounts.remove(BOB, noted=5.0)
    assert not await stores.accounts.remove(ALICE, noted=5.0, due=1e9)
    assert await stores.removals.former([ALICE, BOB]) == {}


async def test_a_new_account_of_the_name_ends_that(stores: Stores) -> None:
    await make(stores, ALICE, BOB)
    for jid in (ALICE, BOB):
        await stores.accounts.remove(jid, noted=5.0)
    await make(stores, ALICE)
    await stores.accounts.create_all([AccountRecord(jid=BOB, keys=(), created=6.0)])
    assert await stores.removals.former([ALICE, BOB]) == {}
    await stores.accounts.remove(ALICE, noted=7.0)
    assert await stores.removals.former([ALICE, BOB]) == {ALICE: 7.0}


async def test_the_oldest_names_are_forgotten(stores: Stores) -> None:
    for jid, time in ((ALICE, 5.0), (BOB, 6.0)):
        await make(stores, jid)
        await stores.accounts.remove(jid, noted=time)
    assert await stores.removals.forget_former(5.0) == 0
    assert await stores.removals.forget_former(6.0) == 1
    assert await stores.removals.former([ALICE, BOB]) == {BOB: 6.0}
    assert await stores.removals.forget_former(1e9) == 1


async def test_names_are_told_apart_however_long_and_alike(stores: Stores) -> None:
    names = [*LOOK_ALIKES, LONGEST]
    await make(stores, names[0], names[-1])
    for jid in (names[0], names[-1]):
        await stores.accounts.remove(jid, noted=5.0)
    assert await stores.removals.former(names) == {names[0]: 5.0, names[-1]: 5.0}
    await stores.removals.forget_former(1e9)


# --- upgrades


async def test_accounts_of_an_earlier_version_stay_and_can_be_told_to_go(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    await make(stores, ALICE, BOB)
    await stores.database.write(take_back_to_0011)
    await stores.close()
    stores = await open_stores(fresh_url)
    for jid in (ALICE, BOB):
        record = await stores.accounts.get(jid)
        assert record is not None
        assert (record.keys, record.removal) == (keys("SCRAM-SHA-256"), None)
    await stores.removals.schedule(ALICE, Removal(1.0, 2.0))
    assert await stores.removals.due(3.0) == (ALICE,)
    await stores.accounts.remove(BOB, noted=5.0)
    assert await stores.removals.former([BOB]) == {BOB: 5.0}
    await stores.close()


async def test_an_upgrade_to_0012_that_was_killed_halfway_is_taken_up_again(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    await make(stores, ALICE)

    def go_back(connection: Connection) -> None:
        connection.execute(text("DROP TABLE former_accounts"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0011'"))

    await stores.database.write(go_back)
    await stores.close()
    stores = await open_stores(fresh_url)
    await stores.removals.schedule(ALICE, Removal(1.0, 2.0))
    assert await stores.accounts.remove(ALICE, noted=5.0, due=2.0)
    assert await stores.removals.former([ALICE]) == {ALICE: 5.0}
    await stores.close()
