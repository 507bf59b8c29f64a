"""The contract of displayed positions; every adapter passes it. SQL ones take over what was kept before."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from tests.contracts.old_schemas import take_back_to_0008
from tests.contracts.samples import ALICE, BOB, LOOK_ALIKES, keys, long_jid
from tidings.adapters.sql import open_stores
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.displayed import Displayed
from tidings.ports.stores import Stores

ROOM = Jid("coven@chat.example.org")
PLENTY = 1 << 30


def at(chat: Jid, number: int = 1) -> Displayed:
    return Displayed(chat, f"epoch-{number}", chat.bare)


def room(number: int) -> Jid:
    return Jid(f"room-{number:05}@chat.example.org")


async def put(stores: Stores, account: Jid, displayed: Displayed, chats: int = 1_000) -> None:
    await stores.displayed.put(account, displayed, chats=chats, octets=PLENTY)


@pytest.fixture
async def account(stores: Stores) -> Jid:
    await stores.accounts.create(ALICE, (), 1.0)
    return ALICE


async def test_each_chat_has_its_last_position_in_the_order_of_putting(stores: Stores, account: Jid) -> None:
    assert await stores.displayed.list(account) == ()
    for each in (at(ROOM, 1), at(BOB, 1), at(ROOM, 2), at(ROOM.with_resource("witch"), 3)):
        await put(stores, account, each)
    expected = (at(BOB, 1), at(ROOM, 2), at(ROOM.with_resource("witch"), 3))
    assert await stores.displayed.list(account) == expected
    assert await stores.displayed.list(account, {ROOM, BOB, Jid("nobody@example.org")}) == expected[:2]
    assert await stores.displayed.list(BOB) == ()


async def test_look_alikes_and_the_longest_have_positions_of_their_own(stores: Stores, account: Jid) -> None:
    chats = (*LOOK_ALIKES, long_jid("r" * 1023), long_jid("r" * 1022 + "R"))
    expected = tuple(Displayed(chat, "i" * 1_024, chat) for chat in chats)
    for each in expected:
        await put(stores, account, each)
    assert await stores.displayed.list(account) == expected


async def test_the_oldest_leave_where_there_are_too_many(stores: Stores, account: Jid) -> None:
    await stores.accounts.create(BOB, (), 1.0)
    await put(stores, BOB, at(ALICE))
    for number in range(5):
        await put(stores, account, at(room(number)), chats=5)
    await put(stores, account, at(room(0), 2), chats=5)  # in use
    await put(stores, account, at(room(7)), chats=5)
    kept = [each.chat for each in await stores.displayed.list(account)]
    assert kept == [room(2), room(3), room(4), room(0), room(7)]
    await put(stores, account, at(room(8)), chats=2)  # the share has become smaller
    assert [each.chat for each in await stores.displayed.list(account)] == [room(7), room(8)]
    assert await stores.displayed.list(BOB) == (at(ALICE),)


async def test_the_oldest_leave_where_they_have_too_many_octets(stores: Stores, account: Jid) -> None:
    each = at(room(0)).octets
    for number in range(6):
        await stores.displayed.put(account, at(room(number)), chats=100, octets=3 * each)
    assert [one.chat for one in await stores.displayed.list(account)] == [room(3), room(4), room(5)]
    large = Displayed(long_jid(), "i" * 1_024, long_jid())
    await stores.displayed.put(account, large, chats=100, octets=large.octets + each)
    assert await stores.displayed.list(account) == (at(room(5)), large)
    await stores.displayed.put(account, at(room(6)), chats=100, octets=large.octets)
    assert await stores.displayed.list(account) == (at(room(6)),)  # never more, rather less


async def test_nothing_is_kept_for_an_account_that_does_not_exist(stores: Stores) -> None:
    with pytest.raises(NoSuchAccount):
        await put(stores, BOB, at(ROOM))
    await stores.accounts.create(BOB, (), 1.0)
    assert await stores.displayed.list(BOB) == ()


async def test_a_publication_writes_one_row_however_many_there_are(tmp_path) -> None:
    stores = await open_stores(f"sqlite:///{tmp_path}/tidings.db")
    await stores.accounts.create(ALICE, (), 1.0)

    async def written(displayed: Displayed) -> int:
        before = await stores.database.write(_rows_written)
        await put(stores, ALICE, displayed, chats=10_000)
        return await stores.database.write(_rows_written) - before

    assert await written(at(room(0))) == 1
    assert await written(at(room(0), 2)) == 1
    await stores.database.write(_fill)
    assert await written(at(room(0), 3)) == 1
    assert len(await stores.displayed.list(ALICE)) == 10_000
    assert await written(at(room(10_000))) == 2  # the oldest leaves
    await stores.close()


async def test_what_was_kept_as_one_element_is_taken_over(fresh_url: str) -> None:
    stores = await open_stores(fresh_url)
    for account in (ALICE, BOB):
        await stores.accounts.create(account, keys("SCRAM-SHA-1"), 1.0)
        await stores.private.put(account, "urn:x", "x", b"<x xmlns='urn:x'/>")
    for account, raw in ((ALICE, KEPT), (BOB, b"<kept xmlns='urn:xmpp:mds:displayed:0'>by a client</kept>")):
        await stores.private.put(account, "urn:xmpp:mds:displayed:0", "kept", raw.strip())
    await stores.database.write(take_back_to_0008)
    await stores.close()
    stores = await open_stores(fresh_url)
    expected = (Displayed(ROOM, "r2", ROOM), Displayed(ROOM.with_resource("witch"), "r3", ROOM))
    assert await stores.displayed.list(ALICE) == expected
    assert await stores.displayed.list(BOB) == ()
    await put(stores, ALICE, at(BOB))
    assert await stores.displayed.list(ALICE) == (*expected, at(BOB))
    for account in (ALICE, BOB):
        assert await stores.private.get(account, "urn:xmpp:mds:displayed:0", "kept") is None
        assert await stores.private.get(account, "urn:x", "x") is not None
    await stores.close()


KEPT = b"""
<kept xmlns="urn:xmpp:mds:displayed:0">
<item id="coven@chat.example.org"><displayed><stanza-id xmlns="urn:xmpp:sid:0"
 by="coven@chat.example.org" id="r1"/></displayed></item>
<item id="no address@"><displayed><stanza-id xmlns="urn:xmpp:sid:0" by="a@b" id="x"/></displayed></item>
<item id="empty@example.org"/>
<item id="Coven@chat.example.org"><displayed><stanza-id xmlns="urn:xmpp:sid:0"
 by="coven@chat.example.org" id="r2"/><more/></displayed></item>
<item id="coven@chat.example.org/witch"><displayed><stanza-id xmlns="urn:xmpp:sid:0"
 by="coven@chat.example.org" id="r3"/></displayed></item>
</kept>
"""


def _rows_written(connection: Connection) -> int:
    return int(connection.execute(text("SELECT total_changes()")).scalar_one())


def _fill(connection: Connection) -> None:
    """Put 9,999 more positions, before the one that there is."""
    connection.execute(
        text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
            "INSERT INTO displayed_positions SELECT account, randomblob(16), CAST('r' || i AS BLOB), x'31', "
            "x'61', 200, i - 10000 FROM n, displayed_positions"
        )
    )
