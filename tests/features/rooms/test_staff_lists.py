"""Owners and admins in the form that configures a room (XEP-0045 §10.2)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import occupant, shown, start
from tests.features.rooms.test_owners_and_admins import admin, condition, owner
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.features.rooms.room import Membership, RoomState
from tidings.features.rooms.staff_lists import ADMINS, OWNERS, StaffLists
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FormKind


def staffed(owners: str, admins: str = "", members: str = "", outcasts: str = "") -> RoomState:
    state = RoomState(1, RoomConfiguration(secret=b"x", created=0.0))
    for affiliation, names in zip(
        (Affiliation.OWNER, Affiliation.ADMIN, Affiliation.MEMBER, Affiliation.OUTCAST),
        (owners, admins, members, outcasts),
        strict=True,
    ):
        for name in names:
            state.put(Jid(f"{name}@localhost"), Membership(affiliation))
    return state


def submitted(**lists: str) -> DataForm:
    names = {"owners": OWNERS, "admins": ADMINS}
    fields = (Field(names[what], tuple(f"{each}@localhost" for each in of)) for what, of in lists.items())
    return DataForm(FormKind.SUBMIT, tuple(fields))


@pytest.mark.parametrize(
    ("state", "lists", "changes"),
    [
        (staffed("a", "b"), {}, ""),
        (staffed("a", "b"), {"owners": "a", "admins": "b"}, ""),
        (staffed("a", "b"), {"owners": "ac"}, "c owner"),
        (staffed("ab"), {"owners": "a"}, "b admin"),
        (staffed("ab"), {"owners": "a", "admins": ""}, "b member"),
        (staffed("ab"), {"owners": "a", "admins": "b"}, "b admin"),
        (staffed("a", "bc"), {"admins": "b"}, "c member"),
        (staffed("a", "bc"), {"admins": ""}, "b member, c member"),
        (staffed("a", "b"), {"owners": ""}, ""),
        (staffed("a", "b"), {"owners": "", "admins": "b"}, ""),
        (staffed("a", "b"), {"owners": "b"}, "a admin, b owner"),
        (staffed("a", "b"), {"owners": "b", "admins": "b"}, "a member, b owner"),
        (staffed("a", "b"), {"admins": "ab"}, ""),
        (staffed("a", "", "m", "o"), {"admins": "mo"}, "m admin, o admin"),
    ],
)
def test_what_becomes_of_people_by_the_lists(state: RoomState, lists: dict[str, str], changes: str) -> None:
    found = StaffLists.of(submitted(**lists)).changes(state)
    told = ", ".join(sorted(f"{jid.local} {affiliation.value}" for jid, affiliation in found.items()))
    assert told == changes


async def test_a_form_names_no_more_people_than_one_request_may_change() -> None:
    world = await start(features={"room_limits": RoomLimitsOptions(max_changes=3)})
    alice = await occupant(world, "alice", "Alice")
    many = "".join(f"<value>user{number}@localhost</value>" for number in range(4))
    wanted = f"<x xmlns='jabber:x:data' type='submit'><field var='{ADMINS}'>{many}</field></x>"
    assert condition(await owner(alice, wanted)) == "not-acceptable"
    for number in range(4):
        await admin(alice, f"<item jid='user{number}@localhost' affiliation='admin'/>")
    form = (await owner(alice, kind="get")).find("query", ns.MUC_OWNER).children[0]
    names = [each.get("var") for each in form.find_all("field")]
    assert (OWNERS in names, ADMINS in names) == (True, False), "a list that is not whole is not shown"
    await world.stop()


async def test_an_admin_who_is_taken_off_the_list_is_no_moderator_any_more() -> None:
    world = await start()
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await admin(alice, "<item jid='bob@localhost' affiliation='admin'/>")
    alice.take(), bob.take()
    none = f"<x xmlns='jabber:x:data' type='submit'><field var='{ADMINS}'/></x>"
    assert condition(await owner(alice, none)) == ""
    assert shown(bob.take()[-1])[2] == "member/participant"
    await world.stop()
