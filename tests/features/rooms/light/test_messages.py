"""What is said by MUC Light reaches every member's sessions, the speaker's own included, once."""

from __future__ import annotations

import asyncio

import pytest

from tests.features.rooms.light.stage import (
    ROOM,
    change,
    create,
    error_of,
    people,
    query,
    same,
    say,
    start,
    texts,
    user,
    world,
    written,
)
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.rooms.attendance import delivery_of
from tidings.features.rooms.room import room_of
from tidings.ports.ledger.reading import InboxQuery, PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["world"]


async def inbox(world: World, name: str) -> dict[str, int]:
    found = await world.stores.ledger.inbox(Jid(f"{name}@localhost"), InboxQuery())
    return {row.peer: row.unread for row in found.rows}


async def archive(world: World) -> list[str]:
    """Give the texts that the archive of the room has."""
    page = await world.stores.ledger.page(Jid("ward7@conference.localhost"), PageQuery(limit=100))
    bodies = (kept(each.body) for each in page.entries if each.body is not None)
    found = (each.decode(ns.CLIENT, "body") for each in bodies)
    return [body.text for body in found if body is not None and body.text]


async def test_a_message_comes_from_the_address_of_who_has_said_it(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take(), omar.take()
    await nina.send(
        f"<message to='{ROOM}' type='groupchat' id='m1' xml:lang='de' other='x'>"
        "<body>Hello</body><thread>t</thread><stuff xmlns='urn:x'/></message>"
    )
    for client, name in ((nina, "nina"), (omar, "omar")):
        [message] = client.received
        stanza_id = message.find("stanza-id", ns.STANZA_ID)
        assert stanza_id is not None
        assert written(client) == [
            same(
                f"<message from='{ROOM}/nina@localhost' to='{name}@localhost' type='groupchat' id='m1'>"
                "<body>Hello</body><thread>t</thread><stuff xmlns='urn:x'/>"
                f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='{stanza_id.get('id')}'/></message>"
            )
        ]
    assert await archive(world) == ["Hello"]


async def test_every_available_session_of_a_member_gets_it_once(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    desk = await world.online("omar@localhost/desk")
    quiet = await world.online("omar@localhost/quiet", "<presence><priority>-1</priority></presence>")
    absent = await world.login("omar@localhost/absent")
    await create(nina, user("omar"))
    for client in (omar, desk, quiet, absent):
        client.take()
    await nina.send(say("one"))
    assert [len(texts(each)) for each in (omar, desk, quiet, absent)] == [1, 1, 0, 0]
    await omar.leave()
    await desk.send("<presence type='unavailable'/>")
    await nina.send(say("two", id_="m2"))
    assert texts(desk) == []
    back = await world.online("omar@localhost/phone")
    await nina.send(say("three", id_="m3"))
    assert texts(back) == [(f"{ROOM}/nina@localhost", "three")]


async def test_a_member_who_comes_later_gets_what_is_said_from_then_on(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina, user("omar"))
    await nina.send(say("before"))
    [omar] = await people(world, "omar")
    await nina.send(say("after", id_="m2"))
    assert [text for _, text in texts(omar)] == ["after"]
    assert await inbox(world, "omar") == {"ward7@conference.localhost": 2}
    await omar.send(say("read", id_="m3"))
    assert await inbox(world, "omar") == {"ward7@conference.localhost": 0}
    assert await inbox(world, "nina") == {"ward7@conference.localhost": 1}


async def test_a_restart_loses_no_member(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina, user("omar"))
    await world.restart()
    nina, omar = await people(world, "nina", "omar")
    await nina.send(say("again"))
    assert [texts(each) for each in (nina, omar)] == [[(f"{ROOM}/nina@localhost", "again")]] * 2


async def test_who_is_put_out_gets_nothing_more_and_may_say_nothing(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await change(nina, user("omar", "none"))
    omar.take()
    await omar.send(say("still here?"))
    assert [error_of(each)[0] for each in omar.take("message")] == ["item-not-found"]
    await nina.send(say("no"))
    assert texts(omar) == []
    assert await inbox(world, "omar") == {}


async def test_a_message_without_an_id_is_given_one(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take(), omar.take()
    await nina.send(f"<message to='{ROOM}' type='groupchat'><body>Hello</body></message>")
    [mine], [theirs] = nina.take("message"), omar.take("message")
    assert mine.get("id")
    assert mine.get("id") == theirs.get("id")


async def test_typing_is_for_who_is_there_and_kept_by_nobody(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    omar.take()
    composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    await nina.send(f"<message to='{ROOM}' type='groupchat' id='s1'>{composing}</message>")
    [state] = omar.take("message")
    assert state.find("composing", ns.CHAT_STATES) is not None
    assert state.find("stanza-id", ns.STANZA_ID) is None
    assert await archive(world) == []


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        (
            f"<message to='{ROOM}/omar@localhost' type='groupchat' id='x'><body>x</body></message>",
            "bad-request",
        ),
        (f"<message to='{ROOM}/omar@localhost' type='chat' id='x'><body>x</body></message>", "bad-request"),
        (f"<message to='{ROOM}' type='chat' id='x'><body>x</body></message>", "bad-request"),
        (f"<message to='{ROOM}' id='x'><body>x</body></message>", "bad-request"),
        (f"<message to='{ROOM}' type='headline' id='x'><body>x</body></message>", "bad-request"),
        (
            "<message to='muclight.localhost' type='groupchat' id='x'><body>x</body></message>",
            "service-unavailable",
        ),
        (
            f"<iq to='{ROOM}/omar@localhost' type='get' id='x'><query xmlns='jabber:iq:version'/></iq>",
            "bad-request",
        ),
        (f"<iq to='{ROOM}' type='set' id='x'><query xmlns='urn:x'/></iq>", "feature-not-implemented"),
        (
            "<iq to='muclight.localhost' type='set' id='x'><query xmlns='urn:x'/></iq>",
            "feature-not-implemented",
        ),
    ],
)
async def test_what_is_no_message_for_the_room_is_refused(world: World, message: str, condition: str) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take(), omar.take()
    await nina.send(message)
    assert [error_of(each)[0] for each in nina.take()] == [condition]
    assert omar.take() == []


async def test_errors_and_presence_are_passed_over(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take(), omar.take()
    await nina.send(
        f"<message to='{ROOM}' type='error' id='e1'><error type='cancel'><gone "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        f"<presence to='{ROOM}'/>",
        f"<presence to='{ROOM}/Nina'><x xmlns='{ns.MUC}'/></presence>",
        f"<presence to='{ROOM}/Nina' type='unavailable'/>",
    )
    assert (nina.take(), omar.take()) == ([], [])


async def test_ids_in_the_name_of_the_room_are_the_rooms_own(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    omar.take()
    forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='forged'/>"
    other = "<stanza-id xmlns='urn:xmpp:sid:0' by='ward7@conference.localhost' id='forged'/>"
    id_ = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>"
    await nina.send(
        f"<message to='{ROOM}' type='groupchat' id='m1'><body>x</body>{forged}{other}{id_}</message>"
    )
    [message] = omar.take("message")
    assert "forged" not in message.to_bytes().decode()
    assert len(list(message.find_all("stanza-id", ns.STANZA_ID))) == 1


async def test_the_same_message_sent_twice_is_said_once(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    omar.take()
    twice = (
        f"<message to='{ROOM}' type='groupchat' id='m1'><body>once</body>"
        "<origin-id xmlns='urn:xmpp:sid:0' id='0123456789abcdef'/></message>"
    )
    await nina.send(twice)
    await nina.send(twice)
    assert texts(omar) == [(f"{ROOM}/nina@localhost", "once")]
    assert await archive(world) == ["once"]


async def test_members_of_other_servers_get_everything_by_their_server(world: World) -> None:
    got: list[Stanza] = []

    class Elsewhere:
        def route(self, stanza: Stanza) -> None:
            got.append(stanza)

    world.router.elsewhere = Elsewhere()
    [nina] = await people(world, "nina")
    await create(nina, user("lea@far.example"))
    await nina.send(say("far away"))
    assert [str(each.to) for each in got] == ["lea@far.example"] * 2
    assert [str(each.sender) for each in got] == [ROOM, f"{ROOM}/nina@localhost"]
    await change(nina, user("lea@far.example", "none"))
    assert len(got) == 3
    await nina.send(say("no more", id_="m2"))
    assert len(got) == 3


async def test_the_room_is_gone_from_inboxes_when_it_is_ended(world: World) -> None:
    nina, _ = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await nina.send(say("one"))
    assert await inbox(world, "omar") == {"ward7@conference.localhost": 1}
    await nina.request(query("set", "destroy"))
    assert (await inbox(world, "omar"), await inbox(world, "nina")) == ({}, {})


async def test_nobody_who_is_away_has_a_place_in_the_index(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"), user("pia"))
    online = delivery_of(world.router.hosts["conference.localhost"]).online

    def there() -> set[str]:
        return {account.jid.local for account in online.of(Jid("ward7@conference.localhost"))}

    assert there() == {"nina", "omar"}
    await omar.leave()
    assert there() == {"nina"}
    [omar] = await people(world, "omar")
    assert there() == {"nina", "omar"}
    await change(nina, user("omar", "none"))
    assert there() == {"nina"}
    await nina.request(query("set", "destroy"))
    assert there() == set()


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_is_kept_of_who_is_put_out_is_heard_by_who_is_there(is_first: bool) -> None:
    for turns in range(8):
        world = await start()
        nina, omar, pia = await people(world, "nina", "omar", "pia")
        await create(nina, user("omar"), user("pia"))
        pia.take()
        acts = ((omar, say("hello")), (nina, query("set", "affiliations", user("omar", "none"))))
        for client, stanza in acts if is_first else acts[::-1]:
            client.push(stanza)
            for _ in range(turns):
                await asyncio.sleep(0)
        await world.settle()
        assert [text for _, text in texts(pia)] == await archive(world)
        await world.stop()


async def test_a_message_that_is_kept_is_heard_though_its_author_is_known_to_be_out(world: World) -> None:
    """Memory may have read of a removal that was committed later before a message is delivered."""
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await create(nina, user("omar"), user("pia"))
    pia.take()
    host = world.server.hosts["conference.localhost"]
    omar.push(say("hello"))
    room = room_of(host.directory.get(Jid("ward7@conference.localhost")))
    room.state.put(Jid("omar@localhost"), None)
    await world.settle()
    assert texts(pia) == [(f"{ROOM}/omar@localhost", "hello")]
