"""Versions of affiliations: who enters again is told what has changed (XEP-0463)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, start, world
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.features.rooms import affiliation_changes
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

NS = "urn:xmpp:muc:affiliations:1"


async def rejoin(
    client: WorldClient, since: str | None = None, room: str = ROOM
) -> tuple[list[tuple[str, str, dict[str, str]]], str, list[Element]]:
    """Enter and ask; gives (since, until, items) of each message, the version of the own presence, all."""
    nick = client.jid.local.title()
    known = "" if since is None else f" since='{since}'"
    await client.send(
        f"<presence to='{room}/{nick}'><x xmlns='{ns.MUC}'><mav xmlns='{NS}'{known}/></x></presence>"
    )
    got = client.take()
    [own] = [each for each in got if each.name == "presence" and "110" in codes(each)]
    return [of for each in got if each.name == "message" and (of := told(each))], version(own), got


def codes(stanza: Element) -> list[str | None]:
    about = stanza.find("x", ns.MUC_USER)
    return [] if about is None else [each.get("code") for each in about.find_all("status")]


def told(stanza: Element) -> tuple[str, str, dict[str, str]] | None:
    about = stanza.find("x", ns.MUC_USER)
    mark = None if about is None else about.find("mav", NS)
    if about is None or mark is None:
        return None
    items = {each.get("jid") or "": each.get("affiliation") or "" for each in about.find_all("item")}
    return mark.get("since") or "", mark.get("until") or "", items


def version(presence: Element) -> str:
    mark = presence.find("x", ns.MUC_USER).find("mav", NS)
    return mark.get("until") or ""


async def leave(client: WorldClient) -> None:
    await client.send(f"<presence to='{ROOM}' type='unavailable'/>")
    client.take()


def item(name: str, affiliation: str) -> str:
    return f"<item jid='{name}@localhost' affiliation='{affiliation}'/>"


async def test_who_asks_first_is_told_all_and_who_knows_it_nothing(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(whois="anyone"))
    await admin(alice, item("bob", "member"), item("dora", "admin"))
    bob = await world.login("bob@localhost/phone")
    [(since, until, items)], own, got = await rejoin(bob)
    assert (since, until) == ("", own)
    assert items == {"alice@localhost": "owner", "bob@localhost": "member", "dora@localhost": "admin"}
    assert got[0].name == "message", "before any presence"
    await leave(bob)
    assert (await rejoin(bob, since=own))[:2] == ([], own)
    query = f"<iq type='get' id='d1' to='{ROOM}'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    features = (await bob.request(query)).find("query", ns.DISCO_INFO).find_all("feature")
    assert NS in {each.get("var") for each in features}


async def test_who_enters_again_is_told_what_has_changed_and_who_was_removed(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(whois="anyone"))
    await admin(alice, *(item(name, "member") for name in ("bob", "carol", "dora")))
    bob = await world.login("bob@localhost/phone")
    _, known, _ = await rejoin(bob)
    await leave(bob)
    await admin(alice, item("carol", "none"))
    await owner(alice, form(roomname="Tea"))
    await admin(alice, item("dora", "admin"), item("eve", "member"))
    await admin(alice, item("eve", "outcast"))
    for _ in range(2):
        [(since, until, items)], own, _ = await rejoin(bob, since=known)
        assert (since, until) == (known, own)
        assert items == {"carol@localhost": "none", "dora@localhost": "admin", "eve@localhost": "none"}
        await world.restart()  # what changes is in the archive
        bob = await world.login("bob@localhost/phone")
    alice = await world.login("alice@localhost/phone")
    [(_, _, items)], _, _ = await rejoin(alice, since=known)
    assert items["eve@localhost"] == "outcast", "the staff sees who is banned"


async def test_each_change_is_told_with_the_version_that_follows_the_one_before(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await owner(alice, form(whois="anyone"))
    await leave(bob)
    _, known, _ = await rejoin(bob)
    carol = await occupant(world, "carol", "Carol")
    bob.take()
    await admin(alice, item("carol", "member"), item("dora", "member"))
    await admin(alice, item("bob", "admin"))
    await carol.request(
        f"<iq type='set' id='r1' to='{ROOM}'><query xmlns='{ns.REGISTER}'><remove/></query></iq>"
    )
    await admin(alice, item("dora", "none"))
    seen = [
        of for each in bob.take() if each.get("from") != ROOM or each.name == "message" if (of := told(each))
    ]
    assert [set(items) for _, _, items in seen][1] == {"dora@localhost"}
    assert len(seen) == 5
    for since, until, _ in seen:
        assert since == known
        assert until != since
        known = until
    await bob.send(f"<presence to='{ROOM}/Bob'><show>away</show></presence>")
    [presence] = bob.take()
    assert version(presence) == known, "every own presence has it"


async def test_what_cannot_be_told_as_changes_is_told_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(affiliation_changes, "ITEMS_OF_MESSAGE", 2)
    monkeypatch.setattr(affiliation_changes, "_PAGE", 2)
    monkeypatch.setattr(affiliation_changes, "_PAGES", 2)
    alice = await occupant(world, "alice", "Alice")
    _, known, _ = await rejoin(alice)
    names = ("bob", "carol", "dora", "eve")
    for name in names:
        await admin(alice, item(name, "member"))
    alice.take()
    parts, own, _ = await rejoin(alice, since="nonsense")
    assert [len(items) for _, _, items in parts] == [2, 2, 1]
    assert (parts[0][0], parts[-1][1]) == ("", own)
    assert [part[0] for part in parts[1:]] == [part[1] for part in parts[:-1]], (
        "each goes on from the one before"
    )
    parts, _, _ = await rejoin(alice, since=known)
    assert [(since, len(items)) for since, _, items in parts] == [(known, 2), (parts[0][1], 2)]
    await admin(alice, item("frank", "member"))
    alice.take()
    parts, _, _ = await rejoin(alice, since=known)
    assert parts[0][0] == "", "so many changes are not looked through"


async def test_who_has_become_something_else_himself_is_told_nothing_of_before(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await owner(alice, form(whois="anyone"))
    await leave(bob)
    _, known, _ = await rejoin(bob)
    await leave(bob)
    await admin(alice, item("carol", "member"))
    await admin(alice, item("carol", "none"))
    await admin(alice, item("bob", "member"))
    [(since, _, items)], _, _ = await rejoin(bob, since=known)
    assert since == ""
    assert items == {"alice@localhost": "owner", "bob@localhost": "member"}


async def test_who_may_not_see_the_lists_is_refused_and_enters(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await owner(alice, form(getmemberlist="moderators"))
    told_, own, got = await rejoin(bob)
    assert told_ == []
    assert (got[0].name, got[0].get("type"), condition(got[0])) == ("message", "error", "forbidden")
    assert own
    [seen] = alice.take("presence")
    assert seen.find("x", ns.MUC) is None, "what is asked for is between the two"


async def test_the_version_of_one_list_is_another_one_in_another_room() -> None:
    world = await start()
    alice = await world.login("alice@localhost/phone")
    await enter(alice, "Alice")
    first = (await rejoin(alice))[1]
    assert (await rejoin(alice, room="coffee@conference.localhost"))[1] not in {first, ""}
    await world.stop()


async def test_where_nobody_asks_nothing_is_told_of_versions(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await owner(alice, form(whois="anyone"))
    await admin(alice, item("bob", "member"), item("carol", "member"))
    carol = await world.login("carol@localhost/phone")
    _, known, _ = await rejoin(carol)
    await leave(carol)
    await admin(alice, item("bob", "admin"))
    assert all(told(each) is None for each in (*alice.take(), *bob.take()))
    [(since, until, items)], own, _ = await rejoin(carol, since=known)
    assert (since, until, items) == (known, own, {"bob@localhost": "admin"}), "it counts all the same"


async def test_one_message_tells_of_all_who_were_changed_together_and_are_away() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(whois="anyone"))
    bob = await occupant(world, "bob", "Bob")
    _, before, _ = await rejoin(bob, since="")
    many = [f"member{number}" for number in range(499)]
    assert not condition(await admin(alice, *(item(name, "member") for name in many[:300])))
    [(since, until, items)] = [told(each) for each in bob.take()]
    assert (since, items) == (before, {f"{name}@localhost": "member" for name in many[:300]})
    changes = [item(name, "member") for name in many[300:]]
    assert not condition(await admin(alice, *changes[:100], item("bob", "member"), *changes[100:]))
    first, own, last = (told(each) for each in bob.take())
    assert [first[0], own[0], last[0]] == [until, first[1], own[1]], "each follows the one before"
    assert [len(each[2]) for each in (first, own, last)] == [100, 1, 99]
    assert (await rejoin(bob, since=last[1]))[0] == []
    await world.stop()


async def test_a_message_about_people_with_very_long_addresses_stays_short_enough() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(whois="anyone"))
    bob = await occupant(world, "bob", "Bob")
    changes = (item(f"{number:03}{'x' * 900}", "member") for number in range(200))
    assert not condition(await admin(alice, *changes))
    got = bob.take()
    sizes = [len(each.to_bytes(ns.CLIENT)) for each in got]
    assert max(sizes) < 70_000
    found = [each for message in got for each in message.find("x", ns.MUC_USER).find_all("item")]
    assert (len(got), len({each.get("jid") for each in found})) == (3, 200)
    await world.stop()
