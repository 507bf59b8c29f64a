"""Who may change what in rooms: roles, affiliations, configuration, the end (XEP-0045 §8 to §10)."""

from __future__ import annotations

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start, texts, world
from tests.harness.world import World, WorldClient
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]


async def admin(client: WorldClient, *items: str, kind: str = "set", room: str = ROOM) -> Element:
    query = f"<query xmlns='{ns.MUC_ADMIN}'>{''.join(items)}</query>"
    return await client.request(f"<iq type='{kind}' id='a1' to='{room}'>{query}</iq>")


async def owner(client: WorldClient, content: str = "", *, kind: str = "set", room: str = ROOM) -> Element:
    query = f"<query xmlns='{ns.MUC_OWNER}'>{content}</query>"
    return await client.request(f"<iq type='{kind}' id='o1' to='{room}'>{query}</iq>")


def form(**fields: str) -> str:
    values = "".join(
        f"<field var='muc#roomconfig_{name}'><value>{value}</value></field>" for name, value in fields.items()
    )
    kind = "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{kind}{values}</x>"


def condition(answer: Element) -> str:
    error = answer.find("error")
    return "" if error is None else error.children[0].name


async def test_a_moderator_kicks_and_who_is_kicked_says_nothing_more(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    for client in (alice, bob, carol):
        client.take()
    answer = await admin(alice, "<item nick='Bob' role='none'><reason>noise</reason></item>")
    assert condition(answer) == ""
    [gone] = carol.take()
    assert shown(gone) == ("Bob", "unavailable", "none/none", None, ["307"])
    item = gone.find("x", ns.MUC_USER).find("item")
    assert item.text_of("reason") == "noise"
    assert item.find("actor").get("nick") == "Alice"
    [own] = bob.take()
    assert shown(own)[4] == ["110", "307"]
    await bob.send(say("still here"))
    assert condition(bob.take()[0]) == "not-acceptable"
    assert texts(carol) == []
    assert shown((await enter(bob, "Bob"))[-2])[2] == "none/participant"  # a kick is not for good


async def test_nobody_takes_anything_from_who_stands_above(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    assert condition(await admin(bob, "<item nick='Carol' role='none'/>")) == "forbidden"
    await admin(alice, "<item nick='Bob' role='moderator'/>")
    assert condition(await admin(bob, "<item nick='Carol' role='visitor'/>")) == ""
    assert condition(await admin(bob, "<item nick='Alice' role='none'/>")) == "not-allowed"
    assert condition(await admin(bob, "<item nick='Carol' role='moderator'/>")) == "forbidden"
    assert condition(await admin(bob, "<item jid='carol@localhost' affiliation='outcast'/>")) == "forbidden"
    carol.take()
    await carol.send(say("me"))
    assert condition(carol.take()[0]) == "forbidden"  # a visitor has no voice
    assert condition(await admin(alice, "<item jid='bob@localhost' affiliation='admin'/>")) == ""
    assert condition(await admin(bob, "<item jid='alice@localhost' affiliation='none'/>")) == "forbidden"
    assert condition(await admin(bob, "<item jid='alice@localhost' affiliation='outcast'/>")) == "not-allowed"
    assert condition(await admin(alice, "<item jid='alice@localhost' affiliation='none'/>")) == "conflict"


async def test_who_is_banned_is_put_out_and_never_enters_again(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    bob.take()
    await admin(alice, "<item jid='bob@localhost' affiliation='outcast'><reason>spam</reason></item>")
    [own] = bob.take()
    assert shown(own) == ("Bob", "unavailable", "outcast/none", None, ["110", "301"])
    assert condition((await enter(bob, "Bob"))[0]) == "forbidden"
    await world.restart()
    bob = await world.login("bob@localhost/phone")
    assert condition((await enter(bob, "Bob"))[0]) == "forbidden"
    alice = await world.login("alice@localhost/phone")
    listed = await admin(alice, "<item affiliation='outcast'/>", kind="get")
    [item] = listed.find("query", ns.MUC_ADMIN).children
    assert item.get("jid") == "bob@localhost"


async def test_who_loses_membership_of_a_room_for_members_leaves_it(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    carol = await occupant(world, "carol", "Carol")
    await admin(alice, "<item jid='bob@localhost' affiliation='member'/>")
    bob.take()
    carol.take()
    assert condition(await owner(alice, form(membersonly="1"))) == ""
    *_, own = carol.take("presence")
    assert shown(own)[4] == ["110", "322"]
    carol.take()
    assert condition((await enter(carol, "Carol"))[0]) == "registration-required"
    [told] = bob.take("message")
    assert [each.get("code") for each in told.find("x", ns.MUC_USER).find_all("status")] == ["104"]
    bob.take()
    await admin(alice, "<item jid='bob@localhost' affiliation='none'/>")
    [own] = bob.take()
    assert shown(own)[4] == ["110", "321"]


async def test_a_new_room_waits_for_its_owner() -> None:
    world = await start(locks_new=True)
    alice = await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    assert condition((await enter(bob, "Bob"))[0]) == "item-not-found"
    assert condition(await owner(bob, kind="get")) == "forbidden"
    got = await owner(alice, kind="get")
    fields = {each.get("var"): each for each in got.find("query", ns.MUC_OWNER).children[0].find_all("field")}
    assert fields["muc#roomconfig_whois"].text_of("value") == "moderators"
    await owner(alice, form(roomname="Tea", passwordprotectedroom="1", roomsecret="milk", whois="anyone"))
    assert condition((await enter(bob, "Bob"))[0]) == "not-authorized"
    *_, own, _ = await enter(bob, "Bob", password="milk")
    assert shown(own)[3:] == ("bob@localhost/phone", ["100", "110"])
    await world.stop()


async def test_a_room_that_is_made_anew_shows_nothing_of_the_one_before(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("a secret of ours"))
    await alice.send(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    assert condition(await owner(alice, "<destroy/>")) == ""
    mallory = await world.login("mallory@localhost/phone")
    got = await enter(mallory, "Mallory")
    assert [each.text_of("body") for each in got if each.find("body") is not None] == []


async def test_a_destroyed_room_is_gone_for_everybody(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await alice.send(say("secret"))
    bob.take()
    end = "<destroy jid='coffee@conference.localhost'><reason>moved</reason></destroy>"
    assert condition(await owner(bob, end)) == "forbidden"
    assert condition(await owner(alice, end)) == ""
    [own] = bob.take()
    assert shown(own)[:3] == ("Bob", "unavailable", "none/none")
    destroyed = own.find("x", ns.MUC_USER).find("destroy")
    assert (destroyed.get("jid"), destroyed.text_of("reason")) == ("coffee@conference.localhost", "moved")
    await bob.send(say("anybody?"))
    assert condition(bob.take()[0]) == "item-not-found"
    got = await enter(bob, "Bob")
    assert [shown(each)[2] for each in got if each.name == "presence"] == ["owner/moderator"]
    assert [each for each in got if each.find("body") is not None] == []


async def test_a_temporary_room_ends_with_the_last_who_leaves() -> None:
    world = await start(keeps_new=False)
    alice = await occupant(world, "alice", "Alice")
    await alice.send(say("hello"))
    await alice.send(f"<presence to='{ROOM}/Alice' type='unavailable'/>")
    alice.take()
    got = await enter(await world.login("bob@localhost/phone"), "Bob")
    assert shown(got[0])[4] == ["110", "201"]
    assert [each for each in got if each.find("body") is not None] == []
    await world.stop()
