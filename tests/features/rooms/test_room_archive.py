"""Archives of rooms: who reads what was said, how it is shown, and what is never told (XEP-0313 §6.1.2)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.features.pulling import Pulled, iq, refusal
from tests.features.rooms.stage import ROOM, enter, occupant, say, start, world
from tests.features.rooms.test_moderation import MODERATE
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.archive import ArchiveOptions
from tidings.features.rooms.configuration import FORM_TYPE, HISTORY_VISIBILITY
from tidings.kernel.maybe_awaitable import until_done
from tidings.ports.ledger.batch import Append, Entry, EntryKind, EntryRef, LedgerBatch
from tidings.ports.ledger.reading import EntryId, PageQuery
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveMetadata, ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind
from tidings.wire.xmpp.payloads.disco import Info
from tidings.wire.xmpp.payloads.result_set import PageRequest
from tidings.wire.xmpp.payloads.retraction import Retraction
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["world"]


async def read(client: WorldClient, **wishes: object) -> Pulled:
    """Ask the room for a page, and give what came."""
    query = ArchiveQuery(**wishes)  # type: ignore[arg-type]
    client.take()
    await client.send(iq(query.encode(), to=ROOM))
    *messages, answer = client.take()
    assert (answer.name, answer.get("type"), answer.get("from")) == ("iq", "result", ROOM), answer
    assert {message.get("from") for message in messages} <= {ROOM}
    results = [ArchiveResult.decode(message.find("result", ns.MAM2)) for message in messages]  # type: ignore[arg-type]
    fin = answer.find("fin", ns.MAM2)
    assert fin is not None
    return Pulled(results, ArchiveFin.decode(fin))


async def refused(client: WorldClient) -> str:
    return (await refusal(client, ArchiveQuery().encode(), to=ROOM))[0]


async def configure(owner: WorldClient, **fields: str) -> None:
    names = {"visibility": HISTORY_VISIBILITY}
    form = DataForm(
        FormKind.SUBMIT,
        (
            Field("FORM_TYPE", (FORM_TYPE,)),
            *(Field(names.get(name, f"muc#roomconfig_{name}"), (text,)) for name, text in fields.items()),
        ),
    )
    query = Element("query", ns.MUC_OWNER, None, form.encode())
    answer = await owner.request(iq(query, to=ROOM))
    assert answer.get("type") == "result", answer
    owner.take()


def authors(found: Pulled) -> list[tuple[str, str | None]]:
    """Give who has said each, by name and by real address where that is shown."""
    seen = []
    for stanza in stanzas(found):
        about = stanza.decode(ns.MUC_USER, "x")
        item = None if about is None else about.find("item")
        assert stanza.sender is not None
        seen.append((stanza.sender.resource, None if item is None else item.get("jid")))
    return seen


def stanzas(found: Pulled) -> Iterable[Stanza]:
    for result in found.results:
        stanza = result.forwarded.stanza()
        assert stanza is not None
        assert stanza.to is None
        yield stanza


# --- what is shown


async def test_the_live_copy_has_the_id_of_the_archive(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    bob.take()
    await alice.send(say("one"), say("two", id_="2"))
    live = {
        client: [message.find("stanza-id", ns.STANZA_ID) for message in client.take("message")]
        for client in (alice, bob)
    }
    found = await read(bob)
    assert found.texts == ["one", "two"]
    for ids in live.values():
        assert [(each.get("by"), each.get("id")) for each in ids if each is not None] == [
            (ROOM, id_) for id_ in found.ids
        ]


async def test_only_messages_and_subjects_are_in_it(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await alice.send(say("one"))
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    await configure(alice, roomname="Tea")
    await alice.send(f"<message to='{ROOM}' type='groupchat'><subject>Scones</subject></message>")
    await alice.send(f"<message to='{ROOM}/Bob' type='chat'><body>between us</body></message>")
    await bob.send(say("two"))
    found = await read(bob)
    assert found.texts == ["one", None, "two"]
    assert found.fin.page.count == 3
    subject = list(stanzas(found))[1].decode(ns.CLIENT, "subject")
    assert subject is not None
    assert subject.text == "Scones"


async def test_pages_go_both_ways_and_their_ends_are_told(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await alice.send(*(say(f"no {number}", id_=str(number)) for number in range(5)))
    first = await read(alice, page=PageRequest(maximum=2))
    assert (first.texts, first.fin.is_complete, first.fin.page.count) == (["no 0", "no 1"], False, 5)
    second = await read(alice, page=PageRequest(maximum=3, after=first.ids[-1]))
    assert (second.texts, second.fin.is_complete) == (["no 2", "no 3", "no 4"], True)
    last = await read(alice, page=PageRequest(maximum=2, before=""), is_flipped=True)
    assert last.texts == ["no 4", "no 3"]
    answer = await alice.request(iq(ArchiveMetadata().encode(), "get", to=ROOM))
    told = ArchiveMetadata.decode(answer.children[0])
    assert told.start is not None
    assert told.end is not None
    assert (told.start.id, told.end.id) == (first.ids[0], second.ids[-1])


async def test_words_and_ids_are_found(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("Earl Grey", id_="1"), say("Darjeeling", id_="2"), say("earl again", id_="3"))
    assert (await read(alice, text="earl")).texts == ["Earl Grey", "earl again"]
    [one] = (await read(alice, text="darj")).ids
    assert (await read(alice, ids=(one,))).texts == ["Darjeeling"]


async def test_the_form_is_offered_and_disco_announces_the_archive(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    answer = await bob.request(iq(ArchiveQuery().encode(), "get", to=ROOM))
    form = DataForm.decode(answer.children[0].children[0])
    assert form.get("with") is not None
    info = Info.decode((await bob.request(iq(Info().encode(), "get", to=ROOM))).children[0])
    assert {ns.MAM2, ns.MAM2_EXTENDED, f"{ns.RETRACTION1}#tombstone"} <= set(info.features)


# --- real addresses


async def test_real_addresses_are_shown_to_moderators_alone_where_the_room_is_semi_anonymous(
    world: World,
) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("one"))
    assert authors(await read(alice)) == [("Bob", "bob@localhost")]
    assert authors(await read(bob)) == [("Bob", None)]
    await configure(alice, whois="anyone")
    assert authors(await read(bob)) == [("Bob", "bob@localhost")]


async def test_what_an_occupant_forges_is_in_no_copy(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take()
    forged = (
        f"<x xmlns='{ns.MUC_USER}'><item jid='queen@localhost' affiliation='owner'/></x>"
        f"<occupant-id xmlns='{ns.OCCUPANT_ID}' id='another'/>"
        f"<stanza-id xmlns='{ns.STANZA_ID}' by='{ROOM}' id='another'/>"
    )
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='f'><body>one</body>{forged}</message>")
    [live] = [message for message in alice.take("message") if message.find("body") is not None]
    assert live.find("x", ns.MUC_USER) is None
    found = await read(alice)
    [stanza] = stanzas(found)
    tags = [tag for tag, _ in stanza.index]
    assert [tags.count(f"{ns.MUC_USER} x"), tags.count(f"{ns.STANZA_ID} stanza-id")] == [1, 1]
    assert authors(found) == [("Bob", "bob@localhost")]
    assert b"another" not in stanza.to_bytes()
    assert b"another" not in live.to_bytes(ns.CLIENT)


async def test_an_author_is_asked_for_by_name_or_by_those_who_see_addresses(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await alice.send(say("one"))
    await bob.send(say("two"), f"<presence to='{ROOM}/Robert'/>")
    await bob.send(say("three", id_="3"))
    assert (await read(bob, peer=Jid(f"{ROOM}/Bob"))).texts == ["two"]
    assert (await read(alice, peer=Jid("bob@localhost"))).texts == ["two", "three"]
    assert (await read(bob, peer=Jid(ROOM))).texts == ["one", "two", "three"]
    condition, _ = await refusal(bob, ArchiveQuery(peer=Jid("alice@localhost")).encode(), to=ROOM)
    assert condition == "forbidden"


# --- who reads


async def test_an_open_room_is_read_by_everybody_but_outcasts(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await alice.send(say("one"))
    assert (await read(bob)).texts == ["one"]
    await admin(alice, "<item jid='bob@localhost' affiliation='outcast'/>")
    assert await refused(bob) == "forbidden"


async def test_a_room_for_members_is_read_by_members(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await configure(alice, membersonly="1")
    await alice.send(say("one"))
    assert await refused(bob) == "forbidden"
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    assert (await read(bob)).texts == ["one"]


async def test_a_room_with_a_password_is_read_by_members_and_by_who_is_in_it(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await configure(alice, passwordprotectedroom="1", roomsecret="milk")
    await alice.send(say("one"))
    assert await refused(bob) == "forbidden"
    await enter(bob, "Bob", password="milk")
    assert (await read(bob)).texts == ["one"]
    await bob.send(f"<presence to='{ROOM}/Bob' type='unavailable'/>")
    assert await refused(bob) == "forbidden"
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    assert (await read(bob)).texts == ["one"]


async def test_a_room_that_nobody_has_made_or_configured_has_nothing_to_read(world: World) -> None:
    bob = await world.login("bob@localhost/phone")
    assert await refused(bob) == "item-not-found"


async def test_a_locked_room_is_read_by_its_owner_alone() -> None:
    world = await start(locks_new=True)
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    assert await refused(bob) == "item-not-found"
    assert (await read(alice)).texts == []
    await world.stop()


async def test_members_see_what_was_said_since_they_joined_where_the_room_says_so(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await configure(alice, visibility="joined")
    await alice.send(say("before"))
    assert await refused(bob) == "forbidden"
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    assert (await read(bob)).texts == []
    assert [each for each in await enter(bob, "Bob") if each.find("body") is not None] == []
    await alice.send(say("after"))
    found = await read(bob)
    assert (found.texts, found.fin.page.count, found.fin.is_complete) == (["after"], 1, True)
    answer = await bob.request(iq(ArchiveMetadata().encode(), "get", to=ROOM))
    told = ArchiveMetadata.decode(answer.children[0])
    assert told.start is not None
    assert told.start.id == found.ids[0]
    assert (await read(alice)).texts == ["before", "after"]
    tablet = await world.login("bob@localhost/tablet")
    got = await enter(tablet, "Bob")
    assert [each.text_of("body") for each in got if each.find("body") is not None] == ["after"]


class Far:
    """Another server, which keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[Stanza] = []

    def route(self, stanza: Stanza) -> None:
        self.got.append(stanza)


async def test_somebody_of_another_server_reads_a_bounded_page(world: World) -> None:
    alice, far = await occupant(world, "alice", "Alice"), Far()
    world.router.services["far.example"] = far
    await alice.send(*(say(f"no {number}", id_=str(number)) for number in range(60)))
    query = ArchiveQuery(page=PageRequest(maximum=1_000)).encode()
    request = Stanza.build(
        "iq",
        kind="set",
        id="q",
        to=Jid(ROOM),
        sender=Jid("carol@far.example/phone"),
        content=(query,),
    )
    await until_done(world.router.route(request))
    await world.settle()
    *messages, answer = far.got
    assert len(messages) == 50
    assert {(message.name, message.to, message.sender) for message in messages} == {
        ("message", Jid("carol@far.example/phone"), Jid(ROOM))
    }
    fin = ArchiveFin.decode(decode(answer.content, ns.CLIENT))
    assert (answer.kind, fin.is_complete, fin.page.count) == ("result", False, 60)


# --- what is taken back


async def take_back(client: WorldClient, id_: str) -> None:
    inside = Retraction(id_).encode().to_bytes(ns.CLIENT).decode()
    await client.send(f"<message to='{ROOM}' type='groupchat' id='r1'>{inside}</message>")


async def test_what_its_author_takes_back_is_a_tombstone_for_all_who_read(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("regrets"), say("stays", id_="2"))
    first = (await read(alice)).ids[0]
    await take_back(bob, first)
    found = await read(alice)
    assert found.texts == [None, "stays", None]
    stone = next(iter(stanzas(found))).decode(ns.RETRACTION1, "retracted")
    assert stone is not None
    assert stone.get("id") == "r1"
    assert next(iter(stanzas(found))).has(ns.OCCUPANT_ID, "occupant-id")
    assert (await read(alice, text="regrets")).texts == []
    carol = await world.login("carol@localhost/phone")
    got = await enter(carol, "Carol")
    assert [each.text_of("body") for each in got if each.find("body") is not None] == ["stays"]


async def test_nobody_takes_back_what_somebody_else_has_said(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("stays"))
    [first] = (await read(alice)).ids
    await take_back(alice, first)
    assert (await read(bob)).texts[0] == "stays"


@pytest.mark.parametrize(("policy", "is_kept"), [("erase", False), ("tombstone", True)])
async def test_what_is_taken_back_goes_from_the_database_where_that_is_the_policy(
    policy: str, is_kept: bool
) -> None:
    world = await start(features={"archive": ArchiveOptions(retracted=policy)})  # type: ignore[arg-type]
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("regrets"))
    [first] = (await read(alice)).ids
    await take_back(alice, first)
    await world.settle()
    page = await world.stores.ledger.page(Jid(ROOM), PageQuery(ids=(EntryId.parse(first),), tombstones=True))  # type: ignore[arg-type]
    assert (page.entries[0].body is not None) is is_kept
    await world.stop()


async def test_a_fold_tells_of_corrections_and_reactions_under_the_names_of_the_room(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await alice.send(say("ona", id_="m1"))
    [first] = (await read(alice)).ids
    replace = "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"
    await alice.send(f"<message to='{ROOM}' type='groupchat' id='m2'><body>one</body>{replace}</message>")
    reactions = f"<reactions xmlns='urn:xmpp:reactions:0' id='{first}'><reaction>x</reaction></reactions>"
    await bob.send(f"<message to='{ROOM}' type='groupchat' id='m3'>{reactions}</message>")
    folded = (await read(bob, ids=(first,), is_folded=True)).results[0].folded
    assert folded is not None
    assert folded.correction is not None
    assert b"<body>one</body>" in folded.correction.raw
    assert [(each.by, each.reactions) for each in folded.reactions] == [(Jid(f"{ROOM}/Bob"), ("x",))]


@pytest.mark.parametrize(("sender", "is_told"), [(ROOM, True), ("bob@localhost", False)])
async def test_a_tombstone_tells_who_has_moderated_where_the_room_says_so(
    world: World, sender: str, is_told: bool
) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("regrets"))
    [first] = (await read(alice)).ids
    inside = f"<moderated xmlns='urn:xmpp:message-moderate:1' by='{ROOM}/Alice'/><reason>No.</reason>"
    body = (
        f"<message from='{ROOM}' type='groupchat' id='mod1'><retract xmlns='{ns.RETRACTION1}' id='{first}'>"
        f"{inside}</retract></message>"
    )
    id_ = EntryId.parse(first)
    assert id_ is not None
    told = Append(
        body=body.encode(),
        entries=(Entry(archive=ROOM, peer=ROOM, groupchat=True),),
        kind=EntryKind.RETRACTION,
        refers_to=(EntryRef(ROOM, id_.epoch, id_.position),),
        sender=sender,
    )
    await world.stores.ledger.commit(LedgerBatch(appends=(told,)))
    stone = next(iter(stanzas(await read(alice)))).decode(ns.RETRACTION1, "retracted")
    assert stone is not None
    assert stone.get("id") == "mod1"
    assert ([child.name for child in stone.children] == ["moderated", "reason"]) is is_told


async def test_a_room_that_nobody_is_in_is_read_after_a_restart(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("one"))
    await alice.leave()
    await world.restart()
    bob = await world.login("bob@localhost/phone")
    assert (await read(bob)).texts == ["one"]


@pytest.mark.parametrize(("policy", "is_kept"), [("erase", False), ("tombstone", True)])
async def test_what_a_moderator_takes_back_is_a_tombstone_or_gone(policy: str, is_kept: bool) -> None:
    world = await start(features={"archive": ArchiveOptions(retracted=policy)})  # type: ignore[arg-type]
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("regrets"))
    [first] = (await read(bob)).ids
    answer = await alice.request(MODERATE.format(ROOM, first))
    assert answer.get("type") == "result", answer
    await world.settle()
    if is_kept:
        stone = next(iter(stanzas(await read(bob)))).decode(ns.RETRACTION1, "retracted")
        assert stone is not None
        assert [child.name for child in stone.children] == ["moderated", "reason"]
    page = await world.stores.ledger.page(Jid(ROOM), PageQuery(ids=(EntryId.parse(first),), tombstones=True))  # type: ignore[arg-type]
    assert (page.entries[0].body is not None) is is_kept
    await world.stop()
