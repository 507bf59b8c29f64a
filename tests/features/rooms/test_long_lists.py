"""Rooms with very many members: what is done with the list of them holds up nobody (class of bad inputs)."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TypeVar

from tests.features.rooms.stage import ROOM, enter, occupant, start
from tests.features.rooms.test_owners_and_admins import admin, condition
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.features.rooms.room import Membership, room_of
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

MEMBERS = 100_000
LONGEST_TURN = 0.05
"""Seconds of CPU."""

T = TypeVar("T")


async def with_members(world: World, count: int) -> None:
    """Have so many members in the memory of a room, each with a name, as they are read from the database."""
    room = room_of(world.server.hosts["conference.localhost"].directory.get(Jid(ROOM)))
    for number in range(count):
        jid = Jid(f"member{number * 7_919 % count:06}@localhost")  # in no order
        room.state.put(jid, Membership(Affiliation.MEMBER, f"Member {number}"))


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    before = time.process_time()
    result = await work
    return result, time.process_time() - before


def page_of(answer: Element) -> tuple[list[str], str, str]:
    """Give the addresses of a page, the last of it and how many there are in all."""
    query = answer.children[0]
    set_ = query.find("set", ns.RSM)
    assert set_ is not None
    jids = [item.get("jid") or "" for item in query.find_all("item")]
    return jids, set_.text_of("last") or "", set_.text_of("count") or ""


async def test_a_list_of_a_hundred_thousand_is_read_in_pages_and_holds_up_nobody() -> None:
    world = await start(features={"room_limits": RoomLimitsOptions(max_members=MEMBERS + 1_000)})
    alice = await occupant(world, "alice", "Alice")
    await with_members(world, MEMBERS)
    wanted = "<item affiliation='member'/>"
    answer, seconds = await timed(admin(alice, wanted, kind="get"))
    assert (condition(answer), seconds < LONGEST_TURN) == ("not-acceptable", True), seconds
    text = answer.find("error").text_of("text", ns.STANZA_ERRORS)
    assert text == "the list has 100000 people, and one answer 10000: ask for pages (XEP-0059)"
    after, found, slowest = "", [], 0.0
    for number in range(3):
        asked = f"<set xmlns='{ns.RSM}'><max>1000</max><after>{after}</after></set>"
        answer, seconds = await timed(admin(alice, wanted, asked, kind="get"))
        jids, after, count = page_of(answer)
        found += jids
        slowest = max(slowest, seconds if number else 0.0)
        assert count == str(MEMBERS)
    assert found == [f"member{number:06}@localhost" for number in range(3_000)]
    assert slowest < 2 * LONGEST_TURN  # the client of the test has read a thousand elements in it
    last = f"<set xmlns='{ns.RSM}'><max>2</max><before/></set>"
    assert page_of(await admin(alice, wanted, last, kind="get"))[0] == [
        "member099998@localhost",
        "member099999@localhost",
    ]
    before = f"<set xmlns='{ns.RSM}'><max>2</max><before>member000002@localhost</before></set>"
    assert page_of(await admin(alice, wanted, before, kind="get"))[0] == [
        "member000000@localhost",
        "member000001@localhost",
    ]
    assert (
        page_of(await admin(alice, wanted, f"<set xmlns='{ns.RSM}'><max>0</max></set>", kind="get"))[0] == []
    )
    await world.stop()


async def test_a_room_of_a_hundred_thousand_is_entered_and_changed_as_any_other() -> None:
    world = await start(features={"room_limits": RoomLimitsOptions(max_members=MEMBERS + 1_000)})
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await with_members(world, MEMBERS)
    got, seconds = await timed(enter(bob, "Member 99999"))
    assert (condition(got[0]), seconds < LONGEST_TURN) == ("conflict", True), seconds
    got, seconds = await timed(enter(bob, "Bob"))
    assert seconds < LONGEST_TURN
    items = [
        f"<item jid='new{number}@localhost' affiliation='member' nick='N{number}'/>" for number in range(20)
    ]
    answer, seconds = await timed(admin(alice, *items))
    assert (condition(answer), seconds < LONGEST_TURN) == ("", True), seconds
    await world.stop()


async def test_an_owner_who_sends_a_list_of_a_hundred_thousand_is_told_how_many_one_request_takes() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    many = [f"<item jid='u{number}@x' affiliation='member'/>" for number in range(4_000)]
    answer = await admin(alice, *many)
    text = answer.find("error").text_of("text", ns.STANZA_ERRORS)
    assert (condition(answer), text) == (
        "not-acceptable",
        "the request names 4000 people; 500 are allowed: send several requests",
    )
    # In as many requests as it takes, as far as the room may have members.
    conditions = []
    for first in range(0, 11_000, 500):
        items = (f"<item jid='u{number}@x' affiliation='member'/>" for number in range(first, first + 500))
        conditions.append(condition(await admin(alice, *items)))
    assert conditions == [""] * 19 + ["resource-constraint"] * 3
    await world.stop()


async def test_a_list_of_as_many_as_a_room_has_usually_is_answered_whole() -> None:
    world = await start()
    alice = await occupant(world, "alice", "Alice")
    await with_members(world, 9_000)
    answer, _ = await timed(admin(alice, "<item affiliation='member'/>", kind="get"))
    items = list(answer.children[0].find_all("item"))
    assert len(items) == 9_000
    assert (items[0].get("jid"), items[0].get("nick"), items[0].get("affiliation")) == (
        "member000000@localhost",
        "Member 0",
        "member",
    )
    await world.stop()
