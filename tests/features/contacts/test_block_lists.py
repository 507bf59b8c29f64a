"""What a block list means for presence: XEP-0191 §3.3 and §3.4."""

import pytest

from tests.features.contacts.people import befriend, interested, seen
from tidings.base.jid import Jid

PHONE = Jid("alice@localhost/phone")


async def block(client, *addresses: str, command: str = "block") -> None:
    items = "".join(f"<item jid='{address}'/>" for address in addresses)
    answer = await client.request(
        f"<iq type='set' id='b'><{command} xmlns='urn:xmpp:blocking'>{items}</{command}></iq>"
    )
    assert answer.get("type") == "result"


@pytest.mark.parametrize("address", ["bob@other.test", "bob@other.test/desk", "other.test"])
async def test_a_contact_who_is_blocked_sees_the_devices_go_and_come_again(world, address):
    await befriend(world, "alice@localhost", "bob@other.test")
    bob = await interested(world, "bob@other.test/desk")
    phone = await world.online("alice@localhost/phone")
    await world.online("alice@localhost/laptop")
    bob.take()
    await block(phone, address)
    assert sorted(seen(bob)) == [("unavailable", "alice@localhost/laptop"), ("unavailable", PHONE)]
    await block(phone, address, command="unblock")
    assert sorted(seen(bob)) == [("", "alice@localhost/laptop"), ("", PHONE)]


async def test_a_contact_who_is_blocked_hears_and_learns_nothing(world, bob):
    phone = await world.online("alice@localhost/phone")
    await block(phone, bob.jid.bare)
    bob.take()
    await phone.send("<presence><show>xa</show></presence>")
    laptop = await world.online("alice@localhost/laptop")
    await bob.send("<presence type='probe' to='alice@localhost'/>", "<presence><show>dnd</show></presence>")
    await laptop.leave()
    await phone.leave()
    assert [sender for _, sender in seen(bob) if "alice" in sender] == []
    assert [sender for _, sender in seen(laptop) if "bob" in sender] == []


async def test_who_unblocks_a_contact_sees_it_again(world, bob):
    phone = await world.online("alice@localhost/phone")
    await block(phone, bob.jid.bare)
    await bob.send("<presence><status>missed</status></presence>")
    phone.take()
    await block(phone, bob.jid.bare, command="unblock")
    assert [(p.get("from"), p.text_of("status")) for p in phone.take("presence")] == [(bob.jid, "missed")]


async def test_blocking_a_stranger_tells_nobody_but_takes_directed_presence_back(world, bob):
    room = await world.login("room@other.test/nick")
    phone = await world.online("alice@localhost/phone")
    await phone.send("<presence to='room@other.test/nick'/>")
    bob.take(), room.take()
    await block(phone, "stranger@example.org", "room@other.test")
    assert (seen(room), seen(bob)) == ([("unavailable", PHONE)], [])
    await phone.leave()
    assert seen(room) == []
