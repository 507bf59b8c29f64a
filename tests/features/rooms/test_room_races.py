"""Who is put out while something of his is under way, at every point where another task may run.

Whatever comes first: nobody speaks or enters after everybody has heard that he is out, what is in the archive
is what was heard, and each request has one answer.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.harness.service import RemoteService
from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.features.rooms.room import room_of
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

TURNS = range(12)
BAN = "<item jid='bob@localhost' affiliation='outcast'/>"
KICK = "<item nick='Bob' role='none'/>"
REMOVE = "<item jid='bob@localhost' affiliation='none'/>"
DESTROY = "<destroy/>"


def put_out(content: str) -> str:
    namespace = ns.MUC_OWNER if content == DESTROY else ns.MUC_ADMIN
    return f"<iq type='set' id='out' to='{ROOM}'><query xmlns='{namespace}'>{content}</query></iq>"


async def race(world: World, turns: int, *acts: tuple[WorldClient, str]) -> None:
    """Let one thing be done so many turns of the event loop after the other."""
    for client, stanza in acts:
        client.push(stanza)
        for _ in range(turns):
            await asyncio.sleep(0)
    await world.settle()


def is_goodbye(stanza: Element) -> bool:
    return stanza.name == "presence" and stanza.get("type") == "unavailable" and shown(stanza)[0] == "Bob"


async def kept(world: World) -> list[str]:
    """Give what is in the archive of the room that somebody has said."""
    page = await world.stores.ledger.page(Jid(ROOM), PageQuery(limit=100))
    bodies = [each.body.decode() for each in page.entries if each.body is not None]
    return [body.partition("<body>")[2].partition("</body>")[0] for body in bodies if "<body>" in body]


def heard(client: WorldClient) -> tuple[list[str], list[str]]:
    """Give what Bob was heard to say before and after his goodbye."""
    before: list[str] = []
    after: list[str] = []
    heard_by_now = before
    for stanza in client.take():
        if is_goodbye(stanza):
            heard_by_now = after
        elif stanza.name == "message" and stanza.find("body") is not None and stanza.get("type") != "error":
            heard_by_now.append(stanza.text_of("body") or "")
    return before, after


async def people(world: World) -> tuple[WorldClient, WorldClient, WorldClient]:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    for client in (alice, bob, carol):
        client.take()
    return alice, bob, carol


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("how", [BAN, KICK])
async def test_who_is_put_out_says_nothing_that_others_do_not_hear(how: str, is_first: bool) -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        acts = ((bob, say("hello")), (alice, put_out(how)))
        await race(world, turns, *(acts if is_first else acts[::-1]))
        before, after = heard(carol)
        refused = [condition(each) for each in bob.take("message") if each.get("type") == "error"]
        assert (before + after, refused) in ((["hello"], []), ([], ["not-acceptable"]), ([], ["forbidden"]))
        assert before + after == await kept(world)
        if how == BAN:  # a kick is no change of the archive: what was sent before is heard after it
            assert after == []
        await bob.send(say("later"))
        assert heard(carol) == ([], [])
        await world.stop()


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_is_no_member_any_more_says_nothing_in_a_room_of_members(is_first: bool) -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        await alice.send(put_out("<item jid='bob@localhost' affiliation='member'/>"))
        await alice.send(put_out("<item jid='carol@localhost' affiliation='member'/>"))
        assert condition(await owner(alice, form(membersonly="1"))) == ""
        carol.take()
        bob.take()
        acts = ((bob, say("hello")), (alice, put_out(REMOVE)))
        await race(world, turns, *(acts if is_first else acts[::-1]))
        before, after = heard(carol)
        assert after == []
        assert before == await kept(world)
        assert len(before) + sum(each.get("type") == "error" for each in bob.take("message")) == 1
        await world.stop()


@pytest.mark.parametrize("is_first", [True, False])
async def test_an_outcast_whispers_nothing_that_is_kept(is_first: bool) -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        whisper = f"<message to='{ROOM}/Carol' type='chat' id='w'><body>psst</body></message>"
        acts = ((bob, whisper), (alice, put_out(BAN)))
        await race(world, turns, *(acts if is_first else acts[::-1]))
        before, after = heard(carol)
        assert after == []
        page = await world.stores.ledger.page(Jid("carol@localhost"), PageQuery(limit=10))
        assert sum(b"psst" in (each.body or b"") for each in page.entries) == len(before)
        assert len(before) + sum(each.get("type") == "error" for each in bob.take("message")) == 1
        await world.stop()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("how", [BAN, DESTROY])
async def test_nobody_is_in_a_room_that_he_was_put_out_of_while_he_entered(how: str, is_first: bool) -> None:
    for turns in TURNS:
        world = await start()
        alice, carol = await occupant(world, "alice", "Alice"), await occupant(world, "carol", "Carol")
        bob = await world.login("bob@localhost/phone")
        carol.take()
        entering = f"<presence to='{ROOM}/Bob'><x xmlns='{ns.MUC}'/></presence>"
        acts = ((bob, entering), (alice, put_out(how)))
        await race(world, turns, *(acts if is_first else acts[::-1]))
        got = bob.take("presence")
        last = got[-1]
        entity = world.server.hosts["conference.localhost"].directory.get(Jid(ROOM))
        room = None if entity is None else room_of(entity)
        if how == BAN:
            assert last.get("type") in {"error", "unavailable"}
            assert room is not None
            assert room.occupants.called("Bob") is None
            seen = [each.get("type") or "" for each in carol.take("presence") if shown(each)[0] == "Bob"]
            assert seen in ([], ["", "unavailable"])
        elif last.get("type") is None:  # he has made a new one
            assert "201" in shown(last)[4]
            assert room is not None
            assert (room.exists, [each.nick for each in room.occupants]) == (True, ["Bob"])
        else:
            assert last.get("type") in {"error", "unavailable"}
            assert room is None or (not room.exists and not len(room.occupants))
        await world.stop()


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_is_said_in_a_room_that_ends_is_heard_or_refused(is_first: bool) -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        acts = ((bob, say("hello")), (alice, put_out(DESTROY)))
        await race(world, turns, *(acts if is_first else acts[::-1]))
        before, _ = heard(carol)
        refused = [condition(each) for each in bob.take("message") if each.get("type") == "error"]
        assert (before, refused) in ((["hello"], []), ([], ["item-not-found"]), ([], ["not-acceptable"]))
        assert await kept(world) == []
        alice.take()
        again = await enter(alice, "Alice")
        assert "201" in shown(again[0])[4]
        assert [each for each in again if each.find("body") is not None] == []
        await world.stop()


async def test_who_says_something_and_leaves_is_heard() -> None:
    world = await start()
    _, bob, carol = await people(world)
    await bob.send(say("bye"), f"<presence to='{ROOM}/Bob' type='unavailable'/>")
    before, after = heard(carol)
    assert before + after == ["bye"] == await kept(world)
    await world.stop()


async def test_a_room_that_is_made_anew_knows_nothing_of_the_one_before() -> None:
    world = await start()
    alice, bob, _ = await people(world)
    await bob.send(say("secret"), f"<message to='{ROOM}' type='groupchat'><subject>Tea</subject></message>")
    assert condition(await owner(alice, DESTROY)) == ""
    bob.take()
    presence, subject = await enter(bob, "Bob")
    assert shown(presence)[2:] == ("owner/moderator", "bob@localhost/phone", ["110", "201"])
    assert subject.text_of("subject") == ""
    await world.stop()


async def test_of_two_who_take_a_name_at_once_one_has_it() -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        for client in (alice, bob, carol):
            client.take()
        rename = f"<presence to='{ROOM}/Robert'/>"
        await race(world, turns, (bob, rename), (carol, rename))
        room = room_of(world.server.hosts["conference.localhost"].directory.get(Jid(ROOM)))
        assert sorted(each.nick for each in room.occupants) in (
            ["Alice", "Carol", "Robert"],
            ["Alice", "Bob", "Robert"],
        )
        refused = [each for client in (bob, carol) for each in client.take() if each.get("type") == "error"]
        assert [condition(each) for each in refused] == ["conflict"]
        there = {shown(each)[0]: each.get("type") for each in alice.take("presence")}
        assert {nick for nick, kind in there.items() if kind is None} in (
            {"Robert"},
            {"Robert", "Carol"},
            {"Robert", "Bob"},
        )
        await world.stop()


async def test_a_name_is_taken_before_a_slow_server_is_told_of_it() -> None:
    """Somebody is in the room from another server, which takes its time."""
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        far = RemoteService(world, "far.example")
        await far.send(
            f"<presence from='dora@far.example/x' to='{ROOM}/Dora'><x xmlns='{ns.MUC}'/></presence>"
        )
        far.take()
        for client in (alice, bob, carol):
            client.take()
        far.stall()
        bob.push(f"<presence to='{ROOM}/Robert'/>")
        await far.until_asked(far.asked + 1)
        carol.push(f"<presence to='{ROOM}/Robert'/>")
        for _ in range(turns):
            await asyncio.sleep(0)
        far.go_on()
        await world.settle()
        assert [condition(each) for each in carol.take() if each.get("type") == "error"] == ["conflict"]
        seen = [shown(each)[:2] for each in alice.take("presence")]
        assert seen == [("Bob", "unavailable"), ("Robert", "")]
        assert [shown(each)[:2] for each in far.take("presence")] == [("Bob", "unavailable"), ("Robert", "")]
        room = room_of(world.server.hosts["conference.localhost"].directory.get(Jid(ROOM)))
        robert = room.occupants.called("Robert")
        assert robert is not None
        assert robert.jid == Jid("bob@localhost")
        await world.stop()


async def test_who_is_put_out_while_a_slow_server_is_told_of_his_name_is_out() -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        far = RemoteService(world, "far.example")
        await far.send(
            f"<presence from='dora@far.example/x' to='{ROOM}/Dora'><x xmlns='{ns.MUC}'/></presence>"
        )
        carol.take()
        far.take()
        far.stall()
        bob.push(f"<presence to='{ROOM}/Robert'/>")
        await far.until_asked(far.asked + 1)
        alice.push(put_out(BAN))
        for _ in range(turns):
            await asyncio.sleep(0)
        far.go_on()
        await world.settle()
        for seen in (carol, far):
            there = {shown(each)[0]: each.get("type") for each in seen.take("presence")}
            assert set(there.values()) <= {"unavailable"}, there
        await world.stop()


async def test_who_is_put_out_while_he_takes_another_name_is_out() -> None:
    for turns in TURNS:
        world = await start()
        alice, bob, carol = await people(world)
        carol.take()
        await race(world, turns, (bob, f"<presence to='{ROOM}/Robert'/>"), (alice, put_out(BAN)))
        room = room_of(world.server.hosts["conference.localhost"].directory.get(Jid(ROOM)))
        assert sorted(each.nick for each in room.occupants) == ["Alice", "Carol"]
        there = {shown(each)[0]: each.get("type") for each in carol.take("presence")}
        assert set(there.values()) <= {"unavailable"}, there
        await world.stop()
