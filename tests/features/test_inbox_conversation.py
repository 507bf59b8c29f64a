"""One conversation of an inbox: what clients change, what changes by itself, and what devices are told."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from tests.features.inboxes import (
    BOB,
    conversation,
    field,
    inbox,
    mark,
    refusal,
    say,
    unread,
    updates,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.inbox import InboxOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.inbox_state import ConversationState


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(options={"inbox": InboxOptions(boxes=("work",))})
    yield world
    await world.stop()


async def test_its_properties(world: World) -> None:  # §1.6
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    ask = f"<iq type='get' id='p1'><query xmlns='{ns.INBOX_CONVERSATION}' jid='{BOB}'/></iq>"
    answer = (await alice.request(ask)).children[0]
    assert answer.get("jid") == BOB
    assert [(child.name, child.text) for child in answer.children[:4]] == [
        ("read", "false"),
        ("box", "inbox"),
        ("archive", "false"),
        ("mute", "0"),
    ]
    whole = (await alice.request(ask.replace("/></iq>", " complete='true'/></iq>"))).children[0]
    assert [child.name for child in whole.children][:2] == ["forwarded", "read"]
    form = (await alice.request(ask.replace(f" jid='{BOB}'", ""))).children[0].children[0]
    assert DataForm.decode(form).form_type == ns.INBOX_CONVERSATION
    unknown = ask.replace(BOB, "carol@localhost")
    assert refusal(await alice.request(unknown))[1:] == ("item-not-found", "Entry not found")
    assert refusal(await alice.request(ask.replace(BOB, "@")))[1:] == ("bad-request", "invalid-jid")


async def test_a_change_is_told_to_every_device(world: World) -> None:  # §1.7
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2")
    position = (await world.stores.ledger.head(Jid("alice@localhost"))).position
    for client in (phone, desk, bob):
        client.take()
    await phone.send(
        conversation("\n<box>archive</box> <mute>86400</mute><read>true</read>", attributes=" queryid='q9'")
    )
    message, result = phone.received
    assert (message.get("id"), message.get("to"), message.get("from")) == (
        "p2",
        "alice@localhost",
        "alice@localhost",
    )
    assert (result.get("type"), result.children) == ("result", [])
    until = round((world.clock.now() + 86_400) * 1_000_000)
    for client in (phone, desk):
        ((update, state),) = updates(client)
        assert (update.peer, update.query_id) == (Jid(BOB), "q9")
        assert (update.standing.is_read, update.standing.box) == (True, "archive")
        assert (update.standing.muted_until, state.unread) == (until, 0)
    assert bob.take() == []
    assert (await world.stores.ledger.head(Jid("alice@localhost"))).position == position
    ((_, result),), _ = await inbox(desk, field("box", "archive"))
    assert (result.unread, result.box, result.muted_until) == (0, "archive", until)
    assert await inbox(desk, field("archive", "false")) == ([], (await inbox(desk, field("box", "inbox")))[1])
    await world.advance(86_401)
    ((_, result),), _ = await inbox(desk)
    assert result.muted_until == 0


async def test_unread_by_hand(world: World) -> None:  # §1.7: 1 if it was 0
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2")
    await alice.request(conversation("<read>false</read>"))
    assert await unread(alice) == {BOB: 2}
    await alice.request(conversation("<read>true</read>"))
    await alice.request(conversation("<read>false</read>"))
    assert await unread(alice) == {BOB: 1}


async def test_boxes_of_the_servers_own(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    assert (await alice.request(conversation("<box>work</box>"))).get("type") == "result"
    await say(bob, "alice@localhost", "m2")  # stays where it is
    ((_, result),), _ = await inbox(alice, field("box", "work"))
    assert (result.box, result.unread) == ("work", 2)


@pytest.mark.parametrize(
    ("content", "peer", "expected"),
    [  # §1.7
        ("<read>true</read>", "", "jid-required"),
        ("<read>true</read>", "@", "invalid-jid"),
        ("", BOB, "no-property"),
        ("<box>all</box>", BOB, "invalid-box"),
        ("<box>shoe</box>", BOB, "invalid-box"),
        ("<colour>red</colour>", BOB, "bad-request"),
        ("<mute>-1</mute>", BOB, "bad-request"),
        ("<mute>long</mute>", BOB, "bad-request"),
        ("<read>maybe</read>", BOB, "bad-request"),
        ("<read>true</read>", "carol@localhost", "item-not-found"),
    ],
)
async def test_changes_that_are_refused(world: World, content: str, peer: str, expected: str) -> None:
    alice = await world.online("alice@localhost/phone")
    assert refusal(await alice.request(conversation(content, peer))) == ("modify", "bad-request", expected)
    assert alice.take() == []


async def test_made_up_conversations_leave_nothing_in_the_store(world: World) -> None:
    alice = await world.online("alice@localhost/phone")
    ledger = world.stores.ledger

    async def kept() -> tuple[object, object]:
        count = text("SELECT count(*) FROM jids")
        return await ledger.feed(), await ledger._database.read(lambda c: c.execute(count).scalar_one())

    before = await kept()
    for number in range(5):
        peer = f"{'x' * 1_000}{number}@localhost"
        assert refusal(await alice.request(conversation("<read>true</read>", peer)))[2] == "item-not-found"
        assert refusal(await alice.request(conversation("<mute>9</mute>", peer)))[2] == "item-not-found"
    assert await kept() == before


async def test_a_new_message_brings_a_conversation_back(world: World) -> None:  # §1.9
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    for said in (lambda: say(bob, "alice@localhost", "m2"), lambda: say(phone, BOB, "a1")):
        await phone.request(conversation("<box>archive</box>"))
        for client in (phone, desk):
            client.take()
        await said()
        for client in (phone, desk):
            ((update, _),) = updates(client)
            assert (update.peer, update.query_id, update.standing.box) == (Jid(BOB), None, "inbox")
    assert updates(bob) == []


async def test_reset(world: World) -> None:  # §1.8
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2")
    bob.take()
    for jid, expected in ((f" jid='{BOB}'", "result"), ("", "error"), (" jid='carol@localhost'", "error")):
        request = f"<iq type='set' id='r1'><reset xmlns='{ns.INBOX_CONVERSATION}'{jid}/></iq>"
        answer = await alice.request(request)
        assert answer.get("type") == expected
        if expected == "result":
            assert answer.children == [Element("reset", ns.INBOX_CONVERSATION)]
    assert await unread(alice) == {BOB: 0}
    assert bob.take() == []


async def test_pinning(world: World) -> None:  # docs/specs/inbox.md §4
    alice = await world.online("alice@localhost/phone")
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1")
    alice.take()
    pin = f"<iq type='set' id='n1'><pin xmlns='{ns.TIDINGS_INBOX}' jid='{BOB}' order='2'/></iq>"
    assert (await alice.request(pin)).get("type") == "result"
    ((_, state),) = updates(alice)
    assert state == ConversationState(1, 2)
    ((_, result),), _ = await inbox(alice)
    assert [ConversationState.decode(each) for each in result.others] == [ConversationState(1, 2)]
    await alice.request(pin.replace("'2'", "'0'"))
    ((_, result),), _ = await inbox(alice)
    assert result.others == ()
    assert refusal(await alice.request(pin.replace(BOB, "carol@localhost")))[2] == "item-not-found"


# --- the bin


async def test_the_bin_is_emptied_by_hand(world: World) -> None:  # §1.8
    alice = await world.online("alice@localhost/phone")
    for number in range(3):
        await say(alice, f"friend{number}@other.test", f"m{number}")
    for number in range(2):
        await alice.request(conversation("<box>bin</box>", f"friend{number}@other.test"))
    assert len((await inbox(alice))[0]) == 1
    assert len((await inbox(alice, field("box", "all")))[0]) == 3
    empty = f"<iq type='set' id='e1'><empty-bin xmlns='{ns.INBOX}'/></iq>"
    for expected in ("2", "0"):
        assert (await alice.request(empty)).children[0].text_of("num") == expected
    assert len((await inbox(alice, field("box", "all")))[0]) == 1


async def test_the_bin_is_emptied_after_a_while(world: World) -> None:  # §1.9: it counts from the move
    alice = await world.online("alice@localhost/phone")
    await say(alice, "old@other.test", "m1")
    await say(alice, "new@other.test", "m2")
    await world.advance(40 * 86_400)
    await alice.request(conversation("<box>bin</box>", "old@other.test"))
    await world.advance(3_600)
    assert len((await inbox(alice, field("box", "bin")))[0]) == 1
    await world.advance(30 * 86_400)
    await alice.request(conversation("<box>bin</box>", "new@other.test"))
    await world.advance(3_600)
    assert [peer for peer, _ in (await inbox(alice, field("box", "all")))[0]] == ["new@other.test"]


# --- markers


async def test_a_marker_in_the_middle_leaves_the_rest_unread(world: World) -> None:  # §1.11
    phone, desk = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk")]
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2", "m3")
    for client in (phone, desk):
        assert await unread(client) == {BOB: 3}
    await mark(phone, BOB, "m1")
    assert await unread(desk) == {BOB: 2}
    await mark(phone, BOB, "m2", "acknowledged")
    assert await unread(phone) == {BOB: 1}
    await mark(phone, BOB, "m1")  # it never moves back
    await mark(phone, BOB, "m3", "received")  # that is not reading
    assert await unread(phone) == {BOB: 1}


async def test_devices_that_use_the_inbox_hear_of_a_marker(world: World) -> None:
    phone, desk, old = [await world.online(f"alice@localhost/{each}") for each in ("phone", "desk", "old")]
    bob = await world.online("bob@localhost/desk")
    await say(bob, "alice@localhost", "m1", "m2", "m3")
    await inbox(phone)
    await inbox(desk)
    old.take()
    await mark(phone, BOB, "m2")
    ((update, state),) = updates(desk)
    assert (update.peer, update.query_id, update.standing.is_read, state.unread) == (Jid(BOB), None, False, 1)
    assert updates(phone) == []
    assert updates(old) == []


async def test_which_markers_read_is_an_option() -> None:
    world = await World.start(options={"inbox": InboxOptions(reset_markers=("received",))})
    try:
        alice = await world.online("alice@localhost/phone")
        bob = await world.online("bob@localhost/desk")
        await say(bob, "alice@localhost", "m1", "m2")
        await mark(alice, BOB, "m2")
        assert await unread(alice) == {BOB: 2}
        await mark(alice, BOB, "m2", "received")
        assert await unread(alice) == {BOB: 0}
    finally:
        await world.stop()
