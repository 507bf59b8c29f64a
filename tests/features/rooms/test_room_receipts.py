"""Who has seen a message of a room, and who has reacted to it: docs/specs/room-receipts.md."""

from __future__ import annotations

import random
import time

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, start, texts, world
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.rooms.held_back import RoomReceiptsOptions
from tidings.features.rooms.reaction_sums import reactions_in
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger.batch import (
    Append,
    Entry,
    EntryKind,
    EntryRef,
    LedgerBatch,
    MemberChange,
    ReadMove,
)
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.result_set import PageRequest
from tidings.wire.xmpp.payloads.room_receipts import (
    ReactedMessage,
    ReactionCount,
    Reactors,
    Readers,
    RoomReactions,
    Seen,
    SeenMessage,
)
from tidings.wire.xmpp.payloads.smart_markers import MarkersQuery

__all__ = ["world"]

THE_ROOM = Jid(ROOM)


async def members(world: World, *names: str) -> list[WorldClient]:
    """Let people be in the room: the first owns it, the others are members."""
    people = [await occupant(world, name.lower(), name) for name in names]
    for name in names[1:]:
        await admin(people[0], f"<item jid='{name.lower()}@localhost' affiliation='member'/>")
    for name, person in zip(names[1:], people[1:], strict=True):
        await enter(person, name)
    for person in people:
        person.take()
    return people


async def said(client: WorldClient, text: str) -> str:
    """Say something; gives the id that the room has for it."""
    client.take()
    await client.send(say(text, id_=text))
    return last_id(client)


def last_id(client: WorldClient, *, by: str = ROOM) -> str:
    [*_, live] = [each for each in client.take("message") if each.find("stanza-id", ns.STANZA_ID) is not None]
    id_ = live.find("stanza-id", ns.STANZA_ID)
    assert id_ is not None
    assert id_.get("by") == by
    return id_.get("id") or ""


def displayed(id_: str, *, room: str = ROOM, kind: str = "displayed") -> str:
    return f"<message to='{room}' type='groupchat' id='d'><{kind} xmlns='{ns.MARKERS}' id='{id_}'/></message>"


def reacts(id_: str, *reactions: str, room: str = ROOM) -> str:
    inside = "".join(f"<reaction>{each}</reaction>" for each in reactions)
    inside = f"<reactions xmlns='{ns.REACTIONS}' id='{id_}'>{inside}</reactions>"
    return f"<message to='{room}' type='groupchat' id='r'>{inside}</message>"


async def ask(client: WorldClient, payload: Element, *, room: str = ROOM) -> Element:
    """Ask the room; gives the payload of the answer, or its error."""
    inside = payload.to_bytes(ns.CLIENT).decode()
    answer = await client.request(f"<iq type='get' id='q' to='{room}'>{inside}</iq>")
    return answer.children[0]


async def refused(client: WorldClient, payload: Element, *, room: str = ROOM) -> str:
    error = await ask(client, payload, room=room)
    assert error.name == "error", error
    return error.children[0].name


async def counts(client: WorldClient, *ids: str, room: str = ROOM) -> list[tuple[int | None, int | None]]:
    found = Seen.decode(await ask(client, Seen(tuple(map(SeenMessage, ids))).encode(), room=room))
    assert [each.id for each in found.messages] == list(ids)
    return [(each.seen, each.of) for each in found.messages]


async def readers(client: WorldClient, id_: str, *, room: str = ROOM, **more: object) -> Readers:
    asked = Readers(id=id_, **more)
    return Readers.decode(await ask(client, asked.encode(), room=room))


async def reactions(client: WorldClient, *ids: str, room: str = ROOM) -> list[tuple[ReactionCount, ...]]:
    asked = RoomReactions(messages=tuple(map(ReactedMessage, ids)))
    found = RoomReactions.decode(await ask(client, asked.encode(), room=room))
    assert [each.id for each in found.messages] == list(ids)
    return [each.reactions for each in found.messages]


# --- how many have seen it (§1)


async def test_a_marker_says_that_a_message_and_all_before_it_are_seen(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one, two = await said(alice, "one"), await said(alice, "two")
    assert await counts(alice, one, two) == [(0, 2), (0, 2)]
    await bob.send(displayed(one))
    assert await counts(alice, one, two) == [(1, 2), (0, 2)]
    await carol.send(displayed(two))
    assert await counts(bob, one, two) == [(2, 2), (1, 2)]
    await bob.send(say("three"))  # what somebody says himself is read, and what was before it
    assert await counts(alice, one, two) == [(2, 2), (2, 2)]


async def test_the_inbox_and_displayed_synchronization_count_too(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one = await said(alice, "one")
    reset = f"<reset xmlns='{ns.INBOX_CONVERSATION}' jid='{ROOM}'/>"
    await bob.request(f"<iq type='set' id='i'>{reset}</iq>")
    assert await counts(alice, one) == [(1, 2)]
    item = (
        f"<item id='{ROOM}'><displayed xmlns='{ns.DISPLAYED_SYNC}'>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='{ROOM}' id='{one}'/></displayed></item>"
    )
    publish = f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{ns.DISPLAYED_SYNC}'>{item}</publish></pubsub>"
    await carol.request(f"<iq type='set' id='p'>{publish}</iq>")
    assert await counts(alice, one) == [(2, 2)]


async def test_people_are_told_with_the_time_when_they_read(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one = await said(alice, "one")
    await world.advance(60)
    await bob.send(displayed(one))
    found = await readers(alice, one)
    assert (found.seen, found.of) == (1, 2)
    [person] = found.people
    assert (person.nick, person.jid, person.upto) == ("Bob", Jid("bob@localhost"), one)
    assert person.stamp is not None
    assert person.stamp // 1_000_000 == 1_767_225_600 + 60
    [unread] = (await readers(alice, one, is_unread=True)).people
    assert unread.nick == "Carol"
    # Who may not see addresses is told none: this room shows them to moderators.
    [shown] = (await readers(carol, one)).people
    assert (shown.nick, shown.jid, shown.occupant_id) == ("Bob", None, person.occupant_id)


async def test_people_come_in_pages(world: World) -> None:
    alice, *others = await members(world, "Alice", "Bob", "Carol", "Dan", "Eve")
    one = await said(alice, "one")
    for other in others:
        await other.send(displayed(one))
    found: list[str] = []
    after = None
    for _ in range(2):
        page = await readers(alice, one, wanted=PageRequest(maximum=2, after=after))
        assert page.page is not None
        assert page.page.count == 4
        assert page.page.last == page.people[-1].occupant_id
        found += [person.nick for person in page.people]
        after = page.page.last
    assert sorted(found) == ["Bob", "Carol", "Dan", "Eve"]
    rest = await readers(alice, one, wanted=PageRequest(maximum=2, after=after))
    assert rest.people == ()
    counted = await readers(alice, one, wanted=PageRequest(maximum=0))
    assert counted.people == ()
    assert counted.page is not None
    assert counted.page.count == 4
    gone = Readers(id=one, wanted=PageRequest(after="nobody"))
    assert await refused(alice, gone.encode()) == "item-not-found"
    backwards = Readers(id=one, wanted=PageRequest(before=""))
    assert await refused(alice, backwards.encode()) == "feature-not-implemented"


# --- reactions (§3)


async def test_reactions_are_counted_by_the_newest_set_of_each_person(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one, two = await said(alice, "one"), await said(alice, "two")
    await bob.send(reacts(one, "👍", "🌹"))
    await carol.send(reacts(one, "👍"))
    assert await reactions(carol, one, two) == [
        (ReactionCount("👍", 2, is_mine=True), ReactionCount("🌹", 1)),
        (),
    ]
    await bob.send(reacts(one, "🌹"))
    await carol.send(reacts(one))
    assert await reactions(bob, one) == [(ReactionCount("🌹", 1, is_mine=True),)]


async def test_a_stretch_of_the_archive_is_asked_for(world: World) -> None:
    alice, bob = await members(world, "Alice", "Bob")
    ids = [await said(alice, f"text {number}") for number in range(5)]
    for number in (1, 3, 4):
        await bob.send(reacts(ids[number], "👍"))

    async def reacted(**stretch: str) -> tuple[list[int], bool | None]:
        found = RoomReactions.decode(await ask(alice, RoomReactions(**stretch).encode()))
        assert all(each.reactions == (ReactionCount("👍", 1),) for each in found.messages)
        return [ids.index(each.id) for each in found.messages], found.is_complete

    assert await reacted() == ([1, 3, 4], True)
    assert await reacted(from_id=ids[2]) == ([3, 4], True)
    assert await reacted(from_id=ids[1], to_id=ids[3]) == ([1, 3], True)


async def test_who_has_reacted_is_told_in_pages(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one = await said(alice, "one")
    await bob.send(reacts(one, "👍"))
    await carol.send(reacts(one, "🌹", "👍"))

    async def people(**asked: object) -> Reactors:
        return Reactors.decode(await ask(alice, Reactors(id=one, **asked).encode()))

    found = await people()
    assert [(each.nick, each.reactions) for each in found.people] == [
        ("Bob", ("👍",)),
        ("Carol", ("🌹", "👍")),
    ]
    assert all(each.stamp for each in found.people)
    assert [each.nick for each in (await people(reaction="🌹")).people] == ["Carol"]
    first = await people(wanted=PageRequest(maximum=1))
    assert first.page is not None
    assert first.page.count == 2
    second = await people(wanted=PageRequest(maximum=1, after=first.page.last))
    assert [each.nick for each in second.people] == ["Carol"]


async def test_a_message_that_was_taken_back_has_no_reactions(world: World) -> None:
    alice, bob = await members(world, "Alice", "Bob")
    one = await said(alice, "one")
    await bob.send(reacts(one, "👍"))
    retract = f"<retract xmlns='{ns.RETRACTION1}' id='{one}'/><store xmlns='urn:xmpp:hints'/>"
    await alice.send(f"<message to='{ROOM}' type='groupchat' id='t'>{retract}</message>")
    assert await reactions(bob, one) == [()]


A: str = "<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>a</reaction></reactions>"


@pytest.mark.parametrize(
    ("inside", "found"),
    [
        (A, ("a",)),
        (f"<body>b</body><store xmlns='urn:xmpp:hints'/>{A}<x xmlns='y'/>", ("a",)),
        ("<reactions id='x' xmlns='urn:xmpp:reactions:0'/>", ()),
        (A.replace("a</", "&amp;</"), ("&",)),
        (A.replace("</reactions>", "<reaction>b</reaction><reaction>a</reaction></reactions>"), ("a", "b")),
        (f"<f xmlns='y'>{A.replace('>a<', '>b<')}</f>{A}", ("a",)),
        (f"<reactions xmlns='y'><reaction>b</reaction></reactions>{A}", ("a",)),
    ],
)
def test_reactions_are_read_with_and_without_a_parser(inside: str, found: tuple[str, ...]) -> None:
    body = f"<message xmlns='jabber:client' id='1' from='r@c/n' type='groupchat'>{inside}</message>"
    assert reactions_in(body.encode()) == found


# --- who may ask (§4)


async def test_who_may_not_read_is_told_nothing(world: World) -> None:
    alice, bob = await members(world, "Alice", "Bob")
    one = await said(alice, "one")
    stranger = await world.login("eve@localhost/phone")
    assert await counts(stranger, one) == [(0, 1)]  # this room is open
    assert await refused(stranger, Readers(id=one).encode()) == "forbidden"
    assert await refused(stranger, Reactors(id=one).encode()) == "forbidden"
    await admin(alice, "<item jid='eve@localhost' affiliation='outcast'/>")
    for asked in (Seen((SeenMessage(one),)), Readers(id=one), RoomReactions(), Reactors(id=one)):
        assert await refused(stranger, asked.encode()) == "forbidden"
    wrong = EntryId.parse(one)
    assert wrong is not None
    for id_ in ("nonsense", str(EntryId(wrong.epoch, 1)), str(EntryId(wrong.epoch, 99))):
        assert await refused(bob, Seen((SeenMessage(id_),)).encode()) == "item-not-found"
    assert await refused(bob, Seen(()).encode()) == "bad-request"
    assert (
        await refused(bob, Seen((SeenMessage(one),)).encode(), room="none@conference.localhost")
        == "item-not-found"
    )


async def test_what_was_said_before_joining_is_asked_for_as_it_is_read(world: World) -> None:
    alice, bob = await members(world, "Alice", "Bob")
    one = await said(alice, "one")
    form = (
        f"<query xmlns='{ns.MUC_OWNER}'><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE'><value>{ns.MUC}#roomconfig</value></field>"
        f"<field var='{{{ns.TIDINGS_ROOMS}}}history_visibility'><value>joined</value></field></x></query>"
    )
    answer = await alice.request(f"<iq type='set' id='o' to='{ROOM}'>{form}</iq>")
    assert answer.get("type") == "result"
    carol = await occupant(world, "carol", "Carol")
    await admin(alice, "<item jid='carol@localhost' affiliation='member'/>")
    await enter(carol, "Carol")
    assert await refused(carol, Seen((SeenMessage(one),)).encode()) == "item-not-found"
    two = await said(alice, "two")
    assert await counts(carol, two) == [(0, 2)]
    assert await counts(bob, one) == [(0, 1)]


async def test_a_room_says_that_it_answers(world: World) -> None:
    alice, _ = await members(world, "Alice", "Bob")
    for to in (ROOM, "conference.localhost"):
        answer = await alice.request(f"<iq type='get' id='i' to='{to}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
        features = [each.get("var") for each in answer.children[0].find_all("feature")]
        assert features.count(ns.TIDINGS_ROOM_RECEIPTS) == 1, to


# --- large rooms pass on no markers (§5)


@pytest.mark.parametrize(("limit", "is_passed_on"), [(2, True), (1, False), (0, True)])
async def test_a_large_room_takes_markers_for_itself(limit: int, is_passed_on: bool) -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(markers_up_to=limit)})
    alice, bob = await members(world, "Alice", "Bob")
    tablet = await world.online("bob@localhost/tablet")
    await tablet.request(f"<iq type='set' id='i'><inbox xmlns='{ns.INBOX}'/></iq>")
    one = await said(alice, "one")
    before = await world.stores.ledger.head(THE_ROOM)
    bob.take()
    tablet.take()
    for kind in ("received", "displayed", "acknowledged"):
        await bob.send(displayed(one, kind=kind))
    kinds = ["received", "displayed", "acknowledged"] if is_passed_on else []
    assert [message.children[0].name for message in alice.take("message")] == kinds
    assert [each for each in bob.take("message") if each.get("type") == "error"] == []
    after = await world.stores.ledger.head(THE_ROOM)
    assert after.position - before.position == len(kinds)
    assert await counts(alice, one) == [(1, 1)]
    assert (await readers(alice, one)).people[0].nick == "Bob"
    assert tablet.take("message"), "his other devices are told"
    # A marker that rides on a text goes with it.
    riding = f"<body>yes</body><displayed xmlns='{ns.MARKERS}' id='{one}'/>"
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='m'>{riding}</message>")
    assert texts(alice) == [("Bob", "yes")]
    await world.stop()


async def test_what_became_of_a_marker_that_is_held_back_is_told() -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(markers_up_to=1)})
    alice, bob = await members(world, "Alice", "Bob")
    await bob.send(displayed(await said(alice, "one")))
    story = await CATALOGUE.call(world.context, "explain", "message", {"user": "bob@localhost", "id": "d"})
    [told] = [step.text for step in story.steps if step.step == "accepted"]
    assert told.startswith("the room passes it on to nobody")
    await world.stop()


async def test_who_is_no_member_moves_nothing_with_a_marker_that_is_held_back() -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(markers_up_to=1)})
    alice, bob = await members(world, "Alice", "Bob")
    carol = await occupant(world, "carol", "Carol")
    one = await said(alice, "one")
    for marker in (displayed(one), displayed("nonsense")):
        await carol.send(marker)
        await bob.send(displayed("nonsense"))
    assert alice.take("message") == []
    assert await counts(alice, one) == [(0, 1)]
    await world.stop()


async def test_who_has_no_voice_reads_all_the_same(world: World) -> None:
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    item = "<item nick='Bob' role='visitor'/>"
    await admin(alice, item)
    one = await said(alice, "one")
    carol.take()
    bob.take()
    await bob.send(displayed(one))
    assert await counts(alice, one) == [(1, 2)]
    subject = f"<subject>mine</subject><displayed xmlns='{ns.MARKERS}' id='{one}'/>"
    await bob.send(
        f"<message to='{ROOM}' type='groupchat' id='s'>{subject}</message>",
        say("two"),
        reacts(one, "👍"),
    )
    assert [message.get("type") for message in bob.take("message")] == ["error"] * 3
    assert carol.take("message") == []


async def test_a_marker_that_nobody_is_to_keep_is_held_back_too() -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(markers_up_to=1)})
    alice, bob = await members(world, "Alice", "Bob")
    one = await said(alice, "one")
    hint = "<no-store xmlns='urn:xmpp:hints'/></message>"
    await bob.send(displayed(one).replace("</message>", hint))
    assert alice.take("message") == []
    assert await counts(alice, one) == [(1, 1)]
    await world.stop()


async def test_a_large_room_passes_on_no_chat_states() -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(chat_states_up_to=1)})
    alice, bob = await members(world, "Alice", "Bob")
    composing = f"<composing xmlns='{ns.CHAT_STATES}'/>"
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='s'>{composing}</message>")
    assert alice.take("message") == []
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='s'><body>hi</body>{composing}</message>")
    assert texts(alice) == [("Bob", "hi")]
    await world.stop()


# --- many members


async def test_a_room_of_a_thousand_members_answers_at_once(world: World) -> None:
    alice, _ = await members(world, "Alice", "Bob")
    ledger = world.stores.ledger
    people = [Jid(f"user{number}@localhost") for number in range(1_000)]
    joins = tuple(
        MemberChange(room=ROOM, member=person.text, affiliation="member", joins=True) for person in people
    )
    entry = Entry(archive=ROOM, peer=ROOM)
    told = Append(
        body=b"<message/>", entries=(entry,), kind=EntryKind.MEMBERSHIP, members=joins, raises=(ROOM,)
    )
    await ledger.commit(LedgerBatch(appends=(told,)))
    one = await said(alice, "one")
    id_ = EntryId.parse(one)
    assert id_ is not None
    rng = random.Random(7)
    read = rng.sample(people, 400)
    await ledger.commit(
        LedgerBatch(reads=tuple(ReadMove(owner=each, peer=THE_ROOM, upto=id_.position) for each in read))
    )
    body = reacts(one, "👍").replace("to=", "xmlns='jabber:client' to=").encode()
    place = EntryRef(ROOM, id_.epoch, id_.position)
    await ledger.commit(
        LedgerBatch(
            appends=tuple(
                Append(
                    body=body,
                    entries=(Entry(archive=ROOM, peer=ROOM),),
                    kind=EntryKind.REACTIONS,
                    refers_to=(place,),
                    sender=each.text,
                )
                for each in people
            )
        )
    )
    assert await counts(alice, one) == [(400, 1_001)]
    assert await reactions(alice, one) == [(ReactionCount("👍", 1_000),)]

    async def fastest(payload: Element) -> float:
        times = []
        for _ in range(5):
            began = time.thread_time()
            await ask(alice, payload)
            times.append(time.thread_time() - began)
        return min(times)

    # What it takes on an idle machine is a tenth of this.
    assert await fastest(Seen((SeenMessage(one),)).encode()) < 0.05
    assert await fastest(Readers(id=one).encode()) < 0.05
    assert await fastest(RoomReactions(messages=(ReactedMessage(one),)).encode()) < 0.2


# --- smart markers of rooms (docs/specs/inbox.md §7)


async def smart(client: WorldClient, more: str = "", *, room: str = ROOM) -> list[tuple[str, str, str]]:
    query = f"<query xmlns='{ns.SMART_MARKERS}' peer='{room}' {more}/>"
    answer = await client.request(f"<iq type='get' id='s'>{query}</iq>")
    found = MarkersQuery.decode(answer.children[0])
    assert found.peer == Jid(room)
    return [(str(marker.sender), marker.kind.value, marker.id) for marker in found.markers]


@pytest.mark.parametrize("limit", [0, 1])
async def test_smart_markers_tell_how_far_everybody_is(limit: int) -> None:
    world = await start(features={"muc_receipts": RoomReceiptsOptions(markers_up_to=limit)})
    alice, bob, carol = await members(world, "Alice", "Bob", "Carol")
    one, two = await said(alice, "one"), await said(alice, "two")
    await world.advance(1)
    await bob.send(displayed(two), displayed(one))  # a marker only moves forward
    await world.advance(1)
    await carol.send(displayed(one))
    # The owner sees addresses, as moderators do here; others see occupants, and everybody himself.
    assert await smart(alice) == [
        ("alice@localhost", "displayed", two),
        ("bob@localhost", "displayed", two),
        ("carol@localhost", "displayed", one),
    ]
    assert await smart(bob) == [
        (f"{ROOM}/Alice", "displayed", two),
        ("bob@localhost", "displayed", two),
        (f"{ROOM}/Carol", "displayed", one),
    ]
    assert await smart(alice, "after='2026-01-01T00:00:01Z'") == [("carol@localhost", "displayed", one)]
    await world.stop()


async def test_markers_of_threads_and_of_other_kinds_are_found_among_the_last_entries(world: World) -> None:
    alice, bob = await members(world, "Alice", "Bob")
    one = await said(alice, "one")
    threaded = displayed(one).replace("<displayed", "<thread>t</thread><displayed")
    await bob.send(displayed(one, kind="received"), threaded)
    assert ("bob@localhost", "received", one) in await smart(alice)
    assert await smart(alice, "thread='t'") == [("bob@localhost", "displayed", one)]
    assert await smart(alice, "thread='u'") == []


async def test_smart_markers_of_a_room_are_for_who_is_in_it(world: World) -> None:
    alice, _ = await members(world, "Alice", "Bob")
    await said(alice, "one")
    eve = await world.login("eve@localhost/phone")
    query = f"<query xmlns='{ns.SMART_MARKERS}' peer='{{}}'/>"
    for peer, condition in ((ROOM, "forbidden"), ("none@conference.localhost", "item-not-found")):
        answer = await eve.request(f"<iq type='get' id='s'>{query.format(peer)}</iq>")
        assert answer.children[0].children[0].name == condition
    await admin(alice, "<item jid='bob@localhost' affiliation='none'/>")
    assert "bob@localhost" not in [sender for sender, _, _ in await smart(alice)]
