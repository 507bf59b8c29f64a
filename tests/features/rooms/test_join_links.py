"""Links into rooms: who has one enters and is a member (XEP-0147, XEP-0379)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, shown, start
from tests.features.rooms.test_hats import command, rows, status
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.gateways.test_http import serving
from tests.gateways.test_invitation_door import Page
from tests.harness.world import World, WorldClient
from tidings.features.rooms.join_links import JoinLinkOptions
from tidings.gateways.invitation_door import InvitationDoor
from tidings.kernel.invitations import Invitations
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

NODE = "urn:tidings:rooms:0#join-link"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start(features={"join_links": JoinLinkOptions(max_links=2, max_hours=48, max_uses=5)})
    yield world
    await world.stop()


async def host_of(world: World) -> WorldClient:
    """Give Alice, who owns a room for its members."""
    alice = await occupant(world, "alice", "Alice")
    await owner(alice, form(membersonly="1"))
    alice.take()
    return alice


def fields_of(answer: Element) -> dict[str, str]:
    shown_ = answer.find("command", ns.COMMANDS).find("x", ns.DATA_FORMS)
    return {each.get("var") or "": each.text_of("value") or "" for each in shown_.find_all("field")}


async def link(client: WorldClient, **fields: str) -> tuple[str, str]:
    """Make a link; gives its token and its id."""
    answer = await command(client, f"{NODE}:create", **(fields or {"uses": "1"}))
    assert status(answer) == "completed", answer.to_bytes()
    uri, told = f"xmpp:{ROOM}?join;password=", fields_of(answer)
    assert told["uri"].startswith(uri)
    return told["uri"].removeprefix(uri), told["id"]


async def refusal(world: World, name: str, token: str) -> str:
    """Give the condition by which somebody is kept out who shows a token; nothing where he enters."""
    client = await world.login(f"{name}@localhost/phone")
    got = await enter(client, name.title(), password=token)
    return condition(got[0]) if got[0].get("type") == "error" else ""


async def test_who_has_a_link_enters_once_and_is_a_member_for_good(world: World) -> None:
    alice = await host_of(world)
    token, _ = await link(alice)
    assert await refusal(world, "bob", "") == "registration-required"
    bob = await world.login("bob@localhost/phone")
    got = await enter(bob, "Bob", password=token)
    assert [shown(each)[2] for each in got if each.name == "presence"][-1] == "member/participant"
    seen = alice.take()
    assert token not in "".join(each.to_bytes().decode() for each in seen)
    assert await refusal(world, "carol", token) == "registration-required", "it is used up"
    await world.restart()
    assert await refusal(world, "bob", "") == ""


async def test_a_client_that_knows_more_shows_the_token_beside(world: World) -> None:
    alice = await host_of(world)
    token, _ = await link(alice, uses="2")
    bob = await world.login("bob@localhost/phone")
    preauth = f"<preauth xmlns='{ns.PREAUTH}' token='{token}'/>"
    await bob.send(f"<presence to='{ROOM}/Bob'><x xmlns='{ns.MUC}'/>{preauth}</presence>")
    *_, own, _ = bob.take()
    assert shown(own)[4] == ["110"]
    seen = alice.take("presence")
    assert len(seen) == 1
    assert seen[0].find("preauth", ns.PREAUTH) is None, "it is between the two"
    await bob.send(f"<presence to='{ROOM}/Bob'><x xmlns='{ns.MUC}'/>{preauth}</presence>")
    assert await refusal(world, "carol", token) == "", "who is a member uses nothing up"
    assert await refusal(world, "dora", token) == "registration-required"


async def test_a_link_ends_by_time_by_revocation_and_with_who_has_made_it(world: World) -> None:
    alice = await host_of(world)
    late, _ = await link(alice, hours="1")
    await world.advance(3_601)
    assert await refusal(world, "bob", late) == "registration-required"
    revoked, id_ = await link(alice)
    table = rows(await command(alice, f"{NODE}:list"))
    assert [(row[0], row[2], row[3], row[4]) for row in table] == [(id_, "1", "0", "alice@localhost")]
    assert status(await command(alice, f"{NODE}:revoke", id=id_)) == "completed"
    assert condition(await command(alice, f"{NODE}:revoke", id=id_)) == "item-not-found"
    assert await refusal(world, "bob", revoked) == "registration-required"
    await admin(alice, "<item jid='dora@localhost' affiliation='admin'/>")
    dora = await world.login("dora@localhost/phone")
    token, _ = await link(dora)
    await admin(alice, "<item jid='dora@localhost' affiliation='none'/>")
    assert await refusal(world, "bob", token) == "registration-required"


async def test_a_link_is_for_one_room_and_goes_with_it(world: World) -> None:
    alice = await host_of(world)
    token, _ = await link(alice)
    other = "coffee@conference.localhost"
    await enter(alice, "Alice", room=other)
    await owner(alice, form(membersonly="1"), room=other)
    bob = await world.login("bob@localhost/phone")
    assert condition((await enter(bob, "Bob", room=other, password=token))[0]) == "registration-required"
    await owner(alice, "<destroy/>")
    await enter(alice, "Alice")
    await owner(alice, form(membersonly="1"))
    assert await refusal(world, "bob", token) == "registration-required", "it is another room of that name"
    assert rows(await command(alice, f"{NODE}:list")) == []


async def test_who_is_banned_is_let_in_by_no_link(world: World) -> None:
    alice = await host_of(world)
    token, _ = await link(alice)
    await admin(alice, "<item jid='bob@localhost' affiliation='outcast'/>")
    assert await refusal(world, "bob", token) == "forbidden"
    assert await refusal(world, "carol", token) == "", "he has used nothing up"


async def test_by_a_link_one_is_a_member_of_an_open_room_too(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    token, _ = await link(alice)
    bob = await world.login("bob@localhost/phone")
    got = await enter(bob, "Bob", password=token)
    assert shown(got[-2])[2] == "member/participant"
    await alice.send(say("hello"))
    assert await refusal(world, "carol", "a" * 36) == "", (
        "a token that is none keeps nobody out of an open room"
    )


@pytest.mark.parametrize("fields", [{"hours": "49"}, {"hours": "0"}, {"uses": "6"}, {"uses": "many"}])
async def test_links_have_limits(world: World, fields: dict[str, str]) -> None:
    alice = await host_of(world)
    assert condition(await command(alice, f"{NODE}:create", **fields)) == "bad-request"
    await link(alice)
    _, second = await link(alice)
    refused = await command(alice, f"{NODE}:create", uses="1")
    assert condition(refused) == "resource-constraint"
    assert "2 links" in refused.find("error").text_of("text", ns.STANZA_ERRORS)
    await command(alice, f"{NODE}:revoke", id=second)
    await link(alice)


async def test_links_are_made_by_the_staff_and_not_for_rooms_with_a_password(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    assert condition(await command(bob, f"{NODE}:create", uses="1")) == "forbidden"
    assert condition(await command(bob, f"{NODE}:list")) == "forbidden"
    asked = fields_of(await command(alice, f"{NODE}:create"))
    assert (asked["hours"], asked["uses"]) == ("48", "1")
    await owner(alice, form(passwordprotectedroom="1", roomsecret="milk"))
    assert condition(await command(alice, f"{NODE}:create", uses="1")) == "not-acceptable"


async def test_people_without_a_client_read_a_page_first(world: World) -> None:
    token, _ = await link(await host_of(world))
    invitations = Invitations(world.stores.documents, world.stores.accounts, world.clock)
    async with serving() as served:
        InvitationDoor(served.gateway, world.server.hosts, invitations, world.clock.monotonic)
        status_, _, text = await served.ask("GET", f"/invite/{ROOM}/{token}")
        page = Page(text)
        assert status_ == 200
        assert page.links[0] == f"xmpp:{ROOM}?join;password={token}"
        assert f"You are invited to {ROOM}" in page.text
        for path in (
            f"/invite/coffee@conference.localhost/{token}",
            f"/invite/{ROOM}/x/{token}",
            f"/invite/localhost/{token}",
        ):
            assert (await served.ask("GET", path))[0] == 404
