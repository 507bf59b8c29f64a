"""Accounts that are removed leave their rooms by either door; rooms get other owners, or end."""

from __future__ import annotations

from tests.features.rooms.light.stage import ROOM as BY_LIGHT
from tests.features.rooms.light.stage import change, create, info, people, user, world, written
from tests.features.rooms.stage import enter, shown, texts
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World, WorldClient
from tests.operations.test_domain import run_removal
from tidings.base.jid import Jid
from tidings.features.retention import FIRST_PASS
from tidings.operations.all import CATALOGUE
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

ROOM = "tea@conference.localhost"
BY_MUC = "ward7@conference.localhost"


async def there(world: World, *names: str, room: str = ROOM) -> list[WorldClient]:
    """Let people enter a room, the first of whom makes it, each under his own name."""
    found = []
    for name in names:
        client = await world.login(f"{name}@localhost/phone")
        await enter(client, name, room=room)
        found.append(client)
    for client in found:
        client.take()
    return found


async def affiliate(client: WorldClient, **people: str) -> None:
    items = (
        f"<item jid='{name}@localhost' affiliation='{affiliation}'/>" for name, affiliation in people.items()
    )
    assert condition(await admin(client, *items)) == ""


async def remove(world: World, name: str) -> None:
    await world.context.accounts.remove(Jid(f"{name}@localhost"))
    await world.settle()


async def affiliations(world: World, room: str = ROOM) -> dict[str, str]:
    members = await world.stores.ledger.members(Jid(room))
    return {each.member.local: each.affiliation for each in members}


def presences(client: WorldClient) -> list[tuple[str, str, str, str | None, list[str]]]:
    return [shown(each) for each in client.take("presence")]


def reason_of(presence: Element) -> str | None:
    return presence.find("x", ns.MUC_USER).find("item").text_of("reason")  # type: ignore[union-attr]


async def test_who_is_in_the_room_sees_that_a_member_is_gone(world: World) -> None:
    nina, omar = await there(world, "nina", "omar")
    await affiliate(nina, omar="member")
    nina.take(), omar.take()
    await remove(world, "omar")
    gone, *more = nina.take("presence")
    assert more == [], "he leaves once, and his session leaves nothing behind when it ends"
    assert shown(gone) == ("omar", "unavailable", "none/none", "omar@localhost/phone", ["321"])
    assert reason_of(gone) == "the account has been removed"
    [own] = omar.take("presence")
    assert shown(own)[4] == ["110", "321"]
    assert await affiliations(world) == {"nina": "owner"}


async def test_the_archive_tells_that_somebody_has_gone(world: World) -> None:
    nina, _ = await there(world, "nina", "omar")
    await affiliate(nina, omar="member")
    await remove(world, "omar")
    page = await world.stores.ledger.page(Jid(ROOM), PageQuery(limit=1, newest=True))
    [entry] = page.entries
    assert entry.kind is EntryKind.MEMBERSHIP
    assert b"omar@localhost" in entry.body
    assert b"affiliation='none'" in entry.body.replace(b'"', b"'")


async def test_a_room_that_shows_addresses_tells_of_a_member_who_was_away(world: World) -> None:
    [nina] = await there(world, "nina")
    await world.register("omar@localhost")
    await owner(nina, form(whois="anyone"))
    await affiliate(nina, omar="member")
    nina.take()
    await remove(world, "omar")
    [told] = nina.take("message")
    item = told.find("x", ns.MUC_USER).find("item")
    assert (item.get("jid"), item.get("affiliation")) == ("omar@localhost", "none")


async def test_an_admin_owns_the_room_after_its_last_owner(world: World) -> None:
    nina, omar, pia = await there(world, "nina", "omar", "pia")
    await affiliate(nina, omar="member", pia="admin")
    for client in (nina, omar, pia):
        client.take()
    await remove(world, "nina")
    assert await affiliations(world) == {"omar": "member", "pia": "owner"}
    assert [each[:3] for each in presences(omar)] == [
        ("nina", "unavailable", "none/none"),
        ("pia", "", "owner/moderator"),
    ]
    assert condition(await owner(pia, form(roomname="Pia's"))) == "", "she may do what owners may"


async def test_without_an_admin_it_is_who_joined_first_and_may_speak(world: World) -> None:
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await create(nina)
    await change(nina, user("omar", "member", "read-only"))
    await change(nina, user("zoe"))
    await change(nina, user("pia"))
    omar.take(), pia.take()
    await remove(world, "nina")
    assert (await info(pia))[2] == {"omar": "member/read-only", "zoe": "owner", "pia": "member"}


async def test_a_second_owner_stays_the_only_one(world: World) -> None:
    nina, omar = (await there(world, "nina", "omar", "pia"))[:2]
    await affiliate(nina, omar="owner", pia="admin")
    await remove(world, "nina")
    assert await affiliations(world) == {"omar": "owner", "pia": "admin"}
    assert omar.take("presence")


async def test_a_room_ends_whose_last_member_goes(world: World) -> None:
    [nina] = await there(world, "nina")
    await world.register("omar@localhost")
    await affiliate(nina, omar="outcast")
    await nina.send(f"<message to='{ROOM}' type='groupchat'><body>alone</body></message>")
    await remove(world, "nina")
    assert await world.stores.ledger.properties(Jid(ROOM)) == {}
    head = await world.stores.ledger.head(Jid(ROOM))
    assert head.first > head.position, "nothing of it is kept"
    assert await affiliations(world) == {}, "a ban is nobody's membership"
    pia = await world.login("pia@localhost/phone")
    assert shown((await enter(pia, "pia"))[-2])[2:] == (
        "owner/moderator",
        "pia@localhost/phone",
        ["110", "201"],
    )


async def test_a_room_lasts_as_long_as_people_are_in_it_who_are_nothing_to_it(world: World) -> None:
    _, omar, pia = await there(world, "nina", "omar", "pia")
    await remove(world, "nina")
    told = [each.find("x", ns.MUC_USER) for each in omar.take("message")]
    assert [status.get("code") for each in told for status in each.find_all("status")] == ["104"]
    pia.take()
    await omar.send(f"<message to='{ROOM}' type='groupchat'><body>who owns it now?</body></message>")
    assert texts(pia) == [("omar", "who owns it now?")]
    for client in (omar, pia):
        assert await world.stores.ledger.properties(Jid(ROOM))
        await client.send(f"<presence to='{ROOM}/x' type='unavailable'/>")
        await world.settle()
    assert await world.stores.ledger.properties(Jid(ROOM)) == {}


async def test_a_banned_account_goes_without_a_trace(world: World) -> None:
    nina, _ = await there(world, "nina", "omar")
    await affiliate(nina, omar="outcast")
    nina.take()
    await remove(world, "omar")
    assert presences(nina) == []
    assert await affiliations(world) == {"nina": "owner"}
    assert await world.stores.ledger.properties(Jid(ROOM))


async def test_both_doors_are_told_of_one_departure(world: World) -> None:
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await create(nina, user("omar"), user("pia"))
    await enter(omar, "Omar", room=BY_MUC)
    for client in (nina, omar, pia):
        client.take()
    await remove(world, "nina")
    [notice] = written(pia)
    assert 'affiliation="none">nina@localhost' in notice
    assert 'affiliation="owner">omar@localhost' in notice
    assert "kicked" not in notice, "nobody has put her out"
    assert [each[:3] for each in presences(omar)] == [("Omar", "", "owner/moderator")]
    assert BY_LIGHT in notice


async def test_who_was_removed_while_no_server_ran_leaves_when_one_runs(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await omar.send(f"<message to='{BY_LIGHT}' type='groupchat' id='1'><body>hello</body></message>")
    await nina.send("<message to='omar@localhost' type='chat' id='2'><body>kept</body></message>")
    await world.stores.accounts.remove(Jid("nina@localhost"))
    await world.restart()
    [omar] = await people(world, "omar")
    await world.advance(FIRST_PASS)
    [notice] = written(omar)
    assert 'affiliation="none">nina@localhost' in notice
    assert (await info(omar))[2] == {"omar": "owner"}


async def test_a_successor_of_the_name_is_in_no_room_of_the_earlier_account(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await world.stores.accounts.remove(Jid("nina@localhost"))
    omar.take()
    again = {"user": "nina@localhost", "password": "secret"}
    await CATALOGUE.call(world.context, "account", "register", again)
    assert 'affiliation="none">nina@localhost' in written(omar)[0]
    assert (await info(omar))[2] == {"omar": "owner"}


async def test_the_accounts_of_a_domain_that_is_removed_leave_the_rooms_of_others(world: World) -> None:
    await CATALOGUE.call(world.context, "domain", "add", {"domain": "new.test"})
    [omar] = await people(world, "omar")
    zoe = await world.online("zoe@new.test/phone")
    await create(zoe, user("omar"))
    omar.take()
    await CATALOGUE.call(world.context, "domain", "remove", {"domain": "new.test"})
    await run_removal(world)
    [notice] = written(omar)
    assert 'affiliation="none">zoe@new.test' in notice
    assert (await info(omar))[2] == {"omar": "owner"}
