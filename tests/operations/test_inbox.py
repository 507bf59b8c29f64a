"""An account's conversations as an administrator sees them, reads them for its owner, and empties the bin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness.world import World, WorldClient
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Context
from tidings.operations.errors import OperationError

START = datetime(2026, 1, 1, tzinfo=UTC)
ROMEO, JULIET, NURSE = "romeo@localhost", "juliet@localhost", "nurse@other.test"
INBOX = "erlang-solutions.com:xmpp:inbox:0"


async def call(context: Context, name: str, **arguments: Any) -> Any:
    return await CATALOGUE.call(context, "inbox", name, {"user": ROMEO, **arguments})


async def refused(context: Context, name: str, **arguments: Any) -> str:
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code


def chat(text: str, to: str = ROMEO) -> str:
    return f"<message to='{to}' type='chat' id='{text}'><body>{text}</body></message>"


def put_into_bin(peer: str) -> str:
    """Move a conversation as a client does."""
    query = f"<query xmlns='{INBOX}#conversation' jid='{peer}'><box>bin</box></query>"
    return f"<iq type='set' id='{peer}'>{query}</iq>"


@pytest.fixture
async def romeo(world: World) -> WorldClient:
    """Romeo, who has two unread messages of Juliet and then one of the nurse."""
    romeo = await world.online(f"{ROMEO}/garden")
    juliet = await world.login(f"{JULIET}/balcony")
    nurse = await world.login(f"{NURSE}/house")
    await juliet.send(chat("one"), chat("two"))
    await world.advance(60)
    await nurse.send(chat("three"))
    romeo.take()
    return romeo


async def test_conversations_are_listed_the_newest_first(live: Context, romeo: WorldClient) -> None:
    nurse, juliet = (await call(live, "list")).items
    assert (nurse.peer, nurse.unread) == (NURSE, 1)
    assert (juliet.peer, juliet.unread, juliet.time, juliet.box) == (JULIET, 2, START, "inbox")
    assert (juliet.pinned, juliet.muted_until) == (0, None)


async def test_a_list_comes_in_pages(live: Context, romeo: WorldClient) -> None:
    first = await call(live, "list", limit=1)
    assert [each.peer for each in first.items] == [NURSE]
    second = await call(live, "list", limit=1, after=first.next)
    assert [each.peer for each in second.items] == [JULIET]
    assert second.next is None
    for wrong in ("somewhere", "1/", f"{10**19}/{JULIET}"):
        assert await refused(live, "list", after=wrong) == "invalid"


async def test_what_is_read_for_its_owner_is_told_to_his_devices_and_to_nobody_else(
    world: World, live: Context, romeo: WorldClient
) -> None:
    juliet = await world.online(f"{JULIET}/window")
    read = await call(live, "read", peer=JULIET)
    assert (read.peer, read.were_unread) == (JULIET, 2)
    await world.settle()
    [told] = romeo.take("message")
    assert told.find("x", f"{INBOX}#conversation") is not None
    assert not juliet.take()
    assert [each.peer for each in (await call(live, "list", unread=True)).items] == [NURSE]
    assert (await call(live, "read", peer=JULIET)).were_unread == 0


async def test_nobody_reads_a_conversation_that_there_is_not(live: Context, romeo: WorldClient) -> None:
    assert await refused(live, "read", peer="tybalt@localhost") == "not-found"
    assert await refused(live, "list", user="tybalt@localhost") == "not-found"


async def test_the_bin_is_listed_and_emptied(world: World, live: Context, romeo: WorldClient) -> None:
    await romeo.request(put_into_bin(JULIET))
    assert [each.peer for each in (await call(live, "list")).items] == [NURSE]
    assert [each.peer for each in (await call(live, "list", which="bin")).items] == [JULIET]
    assert len((await call(live, "list", which="all")).items) == 2
    assert (await call(live, "empty-bin", days=1)).emptied == 0
    await world.advance(86_401)
    assert (await call(live, "empty-bin", days=1)).emptied == 1
    assert [each.peer for each in (await call(live, "list", which="all")).items] == [NURSE]
    assert (await CATALOGUE.call(live, "archive", "size", {"user": ROMEO})).entries == 3


# --- what waits


async def count(context: Context, user: str = ROMEO) -> Any:
    return await CATALOGUE.call(context, "offline", "count", {"user": user})


async def test_what_waits_is_counted_for_each_device(world: World, live: Context) -> None:
    await world.register(ROMEO)
    juliet = await world.online(f"{JULIET}/balcony")
    await juliet.send(chat("one"), chat("two"))
    assert ((await count(live)).count, (await count(live)).devices) == (2, ())
    phone = await world.online(f"{ROMEO}/phone")
    await phone.leave()
    desk = await world.online(f"{ROMEO}/desk")
    await desk.leave()
    await juliet.send(chat("three"))
    phone = await world.online(f"{ROMEO}/phone")
    await phone.leave()
    await juliet.send(chat("four"))
    found = await count(live)
    assert (found.count, found.complete) == (1, True)
    waiting = {each.device: each.messages for each in found.devices}
    assert waiting == {"resource:phone": 1, "resource:desk": 2}


async def test_what_is_for_one_resource_waits_for_that_device_alone(world: World, live: Context) -> None:
    for resource in ("phone", "desk"):
        client = await world.online(f"{ROMEO}/{resource}")
        await client.manage()
        await client.lose()  # and may come back, so that it can be written to
    juliet = await world.online(f"{JULIET}/balcony")
    await juliet.send(chat("one"), chat("for the desk", f"{ROMEO}/desk"))
    found = await count(live)
    assert found.count == 1
    assert {each.device: each.messages for each in found.devices} == {"resource:phone": 1, "resource:desk": 2}


async def test_what_the_account_has_sent_waits_for_nobody(world: World, live: Context) -> None:
    await world.register(ROMEO)
    juliet = await world.online(f"{JULIET}/balcony")
    await juliet.send(chat("one"))
    await juliet.leave()
    assert (await count(live, JULIET)).count == 0


async def test_a_device_that_reads_the_archive_is_sent_nothing(world: World, live: Context) -> None:
    phone = await world.online(f"{ROMEO}/phone")
    await phone.request("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
    await phone.leave()
    juliet = await world.online(f"{JULIET}/balcony")
    await juliet.send(chat("one"))
    [device] = (await count(live)).devices
    assert (device.fetches, device.messages) == (True, 0)
