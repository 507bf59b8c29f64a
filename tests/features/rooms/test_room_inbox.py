"""Rooms in the inbox, as clients see and change them: by MongooseIM's protocol, XEP-0430 and XEP-0490."""

from __future__ import annotations

import pytest

from tests.features.inboxes import conversation, entries, fetch, updates
from tests.features.rooms.stage import ROOM, enter, occupant, say, start, world
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World, WorldClient
from tidings.app.hosts import ServiceKind
from tidings.app.rooms import ROOMS
from tidings.base.jid import Jid
from tidings.features.inbox import InboxOptions
from tidings.features.rooms import RoomKind
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger.batch import Append, Entry, EntryKind, LedgerBatch, MemberChange
from tidings.ports.ledger.reading import Archived
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.displayed_sync import DisplayedUpTo
from tidings.wire.xmpp.payloads.inbox import InboxFin, InboxResult
from tidings.wire.xmpp.payloads.inbox_state import ConversationState
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId

__all__ = ["world"]

THE_ROOM = Jid(ROOM)


async def members(world: World) -> tuple[WorldClient, WorldClient]:
    """Let Alice own the room and Bob be a member, both in it."""
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    alice.take()
    bob.take()
    return alice, bob


async def results(client: WorldClient) -> tuple[list[InboxResult], InboxFin]:
    client.take("message")
    answer = await client.request(fetch())
    found = [InboxResult.decode(message.children[0]) for message in client.take("message")]
    return found, InboxFin.decode(answer.children[0])


async def state(client: WorldClient, room: str = ROOM) -> tuple[int, int]:
    """Give how many messages of the room are unread, and how many of them are mentions."""
    query = f"<query xmlns='{ns.INBOX_CONVERSATION}' jid='{room}'/>"
    answer = await client.request(f"<iq type='get' id='p1'>{query}</iq>")
    element = answer.children[0].find("state", ns.TIDINGS_INBOX)
    assert element is not None, answer
    found = ConversationState.decode(element)
    return found.unread, found.mentions


def message(body: str, more: str, id_: str = "1") -> str:
    return f"<message to='{ROOM}' type='groupchat' id='{id_}'><body>{body}</body>{more}</message>"


# --- the wire of MongooseIM


async def test_the_last_message_of_a_room_comes_from_its_occupant(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("one"), say("two", id_="2"))
    [live, *_] = bob.take("message")[1:]
    [found], fin = await results(bob)
    last = found.forwarded.stanza()
    assert last is not None
    body, id_ = last.decode(ns.CLIENT, "body"), last.decode(ns.STANZA_ID, "stanza-id")
    assert (last.kind, last.sender, last.to) == ("groupchat", Jid(f"{ROOM}/Alice"), None)
    assert body is not None
    assert body.text == "two"
    assert id_ is not None
    shown = live.find("stanza-id", ns.STANZA_ID)
    assert shown is not None
    assert (id_.get("by"), id_.get("id")) == (ROOM, shown.get("id"))
    assert (found.unread, fin.unread_messages, fin.active_conversations) == (2, 2, 1)


async def test_a_room_is_boxed_muted_pinned_and_read_like_any_conversation(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("one"))
    bob.take()
    await bob.send(conversation("<box>archive</box><mute>60</mute>", peer=ROOM))
    [(update, _)] = updates(bob)
    assert (update.peer, update.standing.box) == (THE_ROOM, "archive")
    assert update.standing.muted_until > 0
    await bob.send(f"<iq type='set' id='n1'><pin xmlns='{ns.TIDINGS_INBOX}' jid='{ROOM}' order='3'/></iq>")
    [(_, pinned)] = updates(bob)
    assert (pinned.pinned, pinned.unread) == (3, 1)
    [found], _ = await results(bob)
    assert found.box == "archive"
    await alice.send(say("two", id_="2"))  # a new message brings it back
    [found], _ = await results(bob)
    assert (found.box, found.unread) == ("inbox", 2)
    await bob.send(conversation("<read>true</read>", peer=ROOM))
    assert await state(bob) == (0, 0)
    await bob.send(conversation("<read>false</read>", peer=ROOM))
    assert await state(bob) == (1, 0)


async def test_who_is_removed_has_the_room_no_more_and_who_never_entered_never_had_it(world: World) -> None:
    alice, bob = await members(world)
    await admin(alice, "<item jid='carol@localhost' affiliation='member'/>")
    carol = await world.login("carol@localhost/phone")
    await alice.send(say("one"))
    assert (await results(carol))[0] == []
    await admin(alice, "<item jid='bob@localhost' affiliation='none'/>")
    assert (await results(bob))[0] == []


async def test_xep_0430_lists_rooms_and_counts_them(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("one"))
    found, archived, fin = await entries(bob)
    assert [(each.peer, each.unread) for each in found] == [(THE_ROOM, 1)]
    [result] = archived
    assert result.get("id") == found[0].id
    assert (fin.total, fin.unread_messages) == (1, 1)


# --- reading


async def test_a_marker_reads_up_to_what_it_names_and_tells_the_other_devices(world: World) -> None:
    alice, bob = await members(world)
    tablet = await world.login("bob@localhost/tablet")
    await results(tablet)
    await alice.send(say("one"), say("two", id_="2"), say("three", id_="3"))
    ids = [shown.get("id") for shown in _ids(bob)]
    await bob.send(_displayed(ids[1]))
    assert await state(bob) == (1, 0)
    [(update, told)] = updates(tablet)
    assert (update.peer, told.unread) == (THE_ROOM, 1)
    await bob.send(_displayed(ids[0]))  # a pointer never moves back
    assert await state(bob) == (1, 0)


async def test_which_markers_read_is_an_option() -> None:
    world = await start(features={"inbox": InboxOptions(reset_markers=("acknowledged",))})
    alice, bob = await members(world)
    await alice.send(say("one"))
    [id_] = [shown.get("id") for shown in _ids(bob)]
    await bob.send(_displayed(id_))
    assert await state(bob) == (1, 0)
    await bob.send(_displayed(id_, "acknowledged"))
    assert await state(bob) == (0, 0)
    await world.stop()


async def test_a_position_of_xep_0490_reads_and_every_reading_is_one(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("one"), say("two", id_="2"))
    ids = [shown.get("id") or "" for shown in _ids(bob)]
    await bob.send(_publish(ROOM, ids[0]))
    assert await state(bob) == (1, 0)
    await bob.send(_displayed(ids[1]))
    items = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{ns.DISPLAYED_SYNC}'/></pubsub>"
    answer = await bob.request(f"<iq type='get' id='i1'>{items}</iq>")
    [item] = answer.children[0].children[0].children
    assert item.get("id") == ROOM
    assert DisplayedUpTo.decode(item.children[0]).stanza_id == StanzaId(ids[1], THE_ROOM)


async def test_an_operation_lists_and_reads_rooms(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("Bob: one"))
    listed = await CATALOGUE.call(world.context, "inbox", "list", {"user": "bob@localhost"})
    assert [(each.peer, each.unread, each.mentions) for each in listed.items] == [(THE_ROOM, 1, 1)]
    await CATALOGUE.call(world.context, "inbox", "read", {"user": "bob@localhost", "peer": ROOM})
    assert await state(bob) == (0, 0)


# --- mentions


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Bob: tea?", 1),
        ("tea, bob", 1),
        ("Bobby likes tea", 0),
        ("tea &amp; Bob&apos;s scones", 1),
        ("tea for two", 0),
        ("@all tea", 1),
        ("tea, @everyone", 1),
        ("mail me@all.example", 0),
    ],
)
async def test_a_name_in_the_text_mentions_its_owner(world: World, text: str, count: int) -> None:
    alice, bob = await members(world)
    await alice.send(say(text))
    assert await state(bob) == (1, count)
    assert await state(alice) == (0, 0)


@pytest.mark.parametrize(
    ("reference", "count"),
    [
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:bob@localhost'/>", 1),
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:{ROOM}/Bob'/>", 1),
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:{ROOM}/B%6fb'/>", 1),
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:{ROOM}'/>", 1),
        (f"<reference xmlns='{ns.REFERENCES}' type='data' uri='xmpp:bob@localhost'/>", 0),
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:carol@localhost'/>", 0),
        (f"<reference xmlns='{ns.REFERENCES}' type='mention' uri='xmpp:@@'/>", 0),
        (f"<mention xmlns='{ns.MENTIONS}' mentions='{ns.MENTIONS}#channel'/>", 1),
        (f"<mention xmlns='{ns.MENTIONS}' jid='bob@localhost'/>", 1),
    ],
)
async def test_a_reference_mentions_whom_it_names(world: World, reference: str, count: int) -> None:
    alice, bob = await members(world)
    await alice.send(message("tea?", reference))
    assert await state(bob) == (1, count)


async def test_an_occupant_id_mentions_its_occupant(world: World) -> None:
    alice, bob = await members(world)
    await bob.send(say("here"))
    [said] = alice.take("message")
    known = said.find("occupant-id", ns.OCCUPANT_ID)
    assert known is not None
    await alice.send(message("tea?", f"<mention xmlns='{ns.MENTIONS}' occupantid='{known.get('id')}'/>"))
    assert await state(bob) == (1, 1)


async def test_members_who_are_away_are_mentioned_by_the_name_that_they_had_or_have_reserved(
    world: World,
) -> None:
    alice, bob = await members(world)
    await bob.send(f"<presence to='{ROOM}/Bob' type='unavailable'/>")
    await alice.send(say("Bob?"))
    assert await state(bob) == (1, 1)
    await admin(alice, "<item jid='bob@localhost' affiliation='member' nick='Robert'/>")
    await alice.send(say("Robert, then", id_="2"))
    assert await state(bob) == (2, 2)


async def test_mentions_count_as_far_as_they_are_unread(world: World) -> None:
    alice, bob = await members(world)
    await alice.send(say("Bob: one"), say("two", id_="2"), say("Bob: three", id_="3"))
    ids = [shown.get("id") for shown in _ids(bob)]
    assert await state(bob) == (3, 2)
    retract = f"<retract xmlns='{ns.RETRACTION1}' id='{ids[2]}'/>"
    await alice.send(f"<message to='{ROOM}' type='groupchat' id='r'>{retract}</message>")
    assert await state(bob) == (2, 1)
    await bob.send(_displayed(ids[0]))
    assert await state(bob) == (1, 0)


# --- a room with two addresses


class OtherDoor(RoomKind):
    """A second host of the same rooms, which names people by their real addresses."""

    def address(self, jid: Jid) -> Jid:
        return Jid.of(jid.local, "conference.localhost")

    def shown(self, entry: Archived, body: bytes) -> bytes:
        assert entry.sender is not None
        return body.replace(b"tea@conference.localhost/Alice", b"tea@other.localhost/" + entry.sender.xml)


OTHER = "tea@other.localhost"


async def test_a_member_is_shown_the_address_by_which_he_knows_the_room() -> None:
    world = await World.start(
        ("localhost",), services=(ROOMS, ServiceKind(prefix="other", make_kind=OtherDoor))
    )
    alice, bob = await _members_of_two_doors(world)
    await alice.send(say("one"), say("two", id_="2"))
    ids = [shown.get("id") or "" for shown in _ids(bob)]
    [found], _ = await results(bob)
    last = found.forwarded.stanza()
    assert last is not None
    id_ = last.decode(ns.STANZA_ID, "stanza-id")
    assert last.sender == Jid(f"{OTHER}/alice@localhost")
    assert id_ is not None
    assert (id_.get("by"), id_.get("id")) == (OTHER, ids[1])
    listed, _, _ = await entries(bob)
    assert [each.peer for each in listed] == [Jid(OTHER)]
    await bob.send(_publish(OTHER, ids[0]))
    assert await state(bob, OTHER) == (1, 0)
    bob.take()
    await bob.send(conversation("<read>true</read>", peer=OTHER))
    [(update, told)] = updates(bob)
    assert (update.peer, told.unread) == (Jid(OTHER), 0)
    assert [each.peer for each in (await entries(alice))[0]] == [THE_ROOM]
    await world.stop()


async def _members_of_two_doors(world: World) -> tuple[WorldClient, WorldClient]:
    alice = await world.login("alice@localhost/phone")
    await enter(alice, "Alice")
    form = f"<query xmlns='{ns.MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'/></query>"
    await alice.request(f"<iq type='set' id='c' to='{ROOM}'>{form}</iq>")
    bob = await world.login("bob@localhost/phone")
    await enter(bob, "Bob")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await enter(bob, "Bob")
    known = MemberChange(room=ROOM, member="bob@localhost", affiliation="member", domain="other.localhost")
    told = Append(
        body=b"<message/>",
        entries=(Entry(archive=ROOM, peer=ROOM),),
        kind=EntryKind.MEMBERSHIP,
        members=(known,),
    )
    await world.stores.ledger.commit(LedgerBatch(appends=(told,)))
    alice.take()
    bob.take()
    return alice, bob


# --- short words


def _ids(client: WorldClient) -> list[Element]:
    found = [each.find("stanza-id", ns.STANZA_ID) for each in client.take("message")]
    return [each for each in found if each is not None]


def _displayed(id_: str | None, name: str = "displayed") -> str:
    marker = f"<{name} xmlns='urn:xmpp:chat-markers:0' id='{id_}'/>"
    return f"<message to='{ROOM}' type='groupchat' id='d-{id_}-{name}'>{marker}</message>"


def _publish(room: str, id_: str) -> str:
    shown = DisplayedUpTo(StanzaId(id_, Jid(room))).encode().to_bytes(ns.PUBSUB).decode()
    publish = f"<publish node='{ns.DISPLAYED_SYNC}'><item id='{room}'>{shown}</item></publish>"
    return f"<iq type='set' id='d1'><pubsub xmlns='{ns.PUBSUB}'>{publish}</pubsub></iq>"
