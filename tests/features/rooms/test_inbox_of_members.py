"""Rooms in the inboxes of their members: unread is exact, and nobody else has them there."""

from __future__ import annotations

from tests.features.rooms.stage import ROOM, enter, occupant, say, world
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import InboxQuery
from tidings.wire.xmpp import ns

__all__ = ["world"]


async def inbox(world: World, name: str) -> dict[str, int]:
    found = await world.stores.ledger.inbox(Jid(f"{name}@localhost"), InboxQuery())
    return {row.peer: row.unread for row in found.rows}


async def test_members_have_the_room_in_the_inbox_and_others_have_not(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await occupant(world, "carol", "Carol")
    await alice.send(say("one"))
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    await alice.send(say("two"), say("three", id_="2"))
    assert await inbox(world, "alice") == {ROOM: 0}
    assert await inbox(world, "bob") == {ROOM: 2}
    assert await inbox(world, "carol") == {}
    await bob.send(say("four"))  # who speaks has read
    assert (await inbox(world, "alice"), await inbox(world, "bob")) == ({ROOM: 1}, {ROOM: 0})


async def test_who_has_displayed_a_message_has_read_up_to_it(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    bob.take()
    await alice.send(say("one", id_="m1"), say("two", id_="m2"), say("three", id_="m3"))
    second = bob.take("message")[1].find("stanza-id", ns.STANZA_ID).get("id")
    displayed = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{second}'/>"
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='d1'>{displayed}</message>")
    assert await inbox(world, "bob") == {ROOM: 1}


async def test_who_is_put_out_has_the_room_in_the_inbox_no_more(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    await alice.send(say("one"))
    assert await inbox(world, "bob") == {ROOM: 1}
    await admin(alice, "<item jid='bob@localhost' affiliation='outcast'/>")
    await alice.send(say("two"))
    assert await inbox(world, "bob") == {}
    assert await inbox(world, "alice") == {ROOM: 0}
