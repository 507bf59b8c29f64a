"""Members are added, removed and leave by MUC Light; each is told what concerns him."""

from __future__ import annotations

from tests.features.rooms.light.stage import (
    NS,
    ROOM,
    change,
    create,
    error_of,
    info,
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
from tidings.wire.xmpp import ns

__all__ = ["world"]


def listing(to: str, inside: str, *, more: str = "", id_: str = "a1") -> str:
    return same(
        f"<message from='{ROOM}' to='{to}@localhost' type='groupchat' id='{id_}'>"
        f"<x xmlns='{NS}#affiliations'>{inside}</x>{more}<body/></message>"
    )


def kicked(*names: str, by: str) -> str:
    users = "".join(f"<user>{name}@localhost</user>" for name in names)
    return f"<kicked xmlns='{ns.TIDINGS_MUC_LIGHT}' by='{by}@localhost'>{users}</kicked>"


async def test_who_stays_comes_and_goes_is_told_different_things(world: World) -> None:
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await create(nina, user("omar"))
    before = (await info(nina))[0]
    for client in (nina, omar, pia):
        client.take()
    await nina.send(query("set", "affiliations", user("pia") + user("omar", "none"), id_="a1"))
    assert [each.name for each in nina.received] == ["message", "iq"], "told before it is answered"
    nina.take("iq")
    after = (await info(nina))[0]
    assert after != before
    versions = f"<prev-version>{before}</prev-version><version>{after}</version>"
    removal = kicked("omar", by="nina")
    assert written(nina) == [listing("nina", versions + user("pia") + user("omar", "none"), more=removal)]
    assert written(pia) == [listing("pia", f"<version>{after}</version>" + user("pia"))]
    assert written(omar) == [listing("omar", user("omar", "none"), more=removal)]
    assert error_of(await omar.request(query("get", "info")))[0] == "item-not-found"


async def test_who_leaves_is_told_apart_from_who_is_put_out(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    before = (await info(nina))[0]
    nina.take(), omar.take()
    assert error_of(await change(omar, user("omar", "none"))) == ("", "")
    after = (await info(nina))[0]
    versions = f"<prev-version>{before}</prev-version><version>{after}</version>"
    assert written(nina) == [listing("nina", versions + user("omar", "none"))]
    assert written(omar) == [listing("omar", user("omar", "none"))]


async def test_a_new_owner_takes_the_place_of_the_old_one(world: World) -> None:
    nina, _ = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    nina.take()
    await change(nina, user("omar", "owner"))
    assert (await info(nina))[2] == {"nina": "member", "omar": "owner"}
    [notice] = nina.take("message")
    users = notice.children[0].find_all("user")
    assert {(each.text, each.get("affiliation")) for each in users} == {
        ("omar@localhost", "owner"),
        ("nina@localhost", "member"),
    }


async def test_several_owners_where_the_options_allow_it() -> None:
    world = await start(allow_multiple_owners=True)
    [nina] = await people(world, "nina")
    await create(nina, user("omar", "owner"), user("pia"))
    await change(nina, user("pia", "owner"))
    assert (await info(nina))[2] == {"nina": "owner", "omar": "owner", "pia": "owner"}
    await change(nina, user("nina", "none"))
    await world.stop()


async def test_the_last_owner_leaves_the_room_to_an_old_member(world: World) -> None:
    nina, omar, _ = await people(world, "nina", "omar", "pia")
    await create(nina, user("omar"))
    omar.take()
    await change(nina, user("pia"), user("nina", "none"))
    assert (await info(omar))[2] == {"omar": "owner", "pia": "member"}
    [notice] = omar.take("message")
    assert [(each.text, each.get("affiliation")) for each in notice.children[0].find_all("user")] == [
        ("pia@localhost", "member"),
        ("nina@localhost", "none"),
        ("omar@localhost", "owner"),
    ]


async def test_the_last_owner_may_not_leave_where_nobody_takes_his_place() -> None:
    world = await start(promote_on_last_owner_leave=False)
    [nina] = await people(world, "nina")
    await create(nina, user("omar"))
    refused = await change(nina, user("nina", "none"))
    assert error_of(refused) == ("bad-request", "Cannot remove the last owner")
    assert (await info(nina))[2] == {"nina": "owner", "omar": "member"}
    await world.stop()


async def test_a_room_ends_with_its_last_member(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina)
    nina.take()
    assert error_of(await change(nina, user("nina", "none"))) == ("", "")
    assert written(nina) == [listing("nina", user("nina", "none"))]
    assert error_of(await create(nina)) == ("", "")


async def test_members_do_to_others_what_the_options_allow(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"), user("quinn"))
    before = await info(nina)
    for refused in (
        await change(omar, user("pia")),
        await change(omar, user("quinn", "none")),
        await change(omar, user("omar", "owner")),
        await change(omar, user("nina", "member")),
        await change(omar, user("omar", "none"), user("quinn", "none")),
    ):
        assert error_of(refused)[0] == "not-allowed"
    assert await info(nina) == before
    await world.stop()
    world = await start(all_can_invite=True)
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    assert error_of(await change(omar, user("pia"))) == ("", "")
    assert error_of(await change(omar, user("nina", "none")))[0] == "not-allowed"
    assert error_of(await change(omar, user("quinn", "owner")))[0] == "not-allowed"
    assert (await info(nina))[2] == {"nina": "owner", "omar": "member", "pia": "member"}


async def test_each_change_changes_something(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina, user("omar"))
    before = await info(nina)
    meaningless = ("bad-request", "Meaningless change")
    assert error_of(await change(nina, user("omar"))) == meaningless
    assert error_of(await change(nina, user("pia", "none"))) == meaningless
    assert error_of(await change(nina, user("nina", "owner"))) == meaningless
    assert error_of(await change(nina, user("pia"), user("pia", "none")))[0] == "bad-request"
    assert error_of(await change(nina))[0] == "bad-request"
    assert await info(nina) == before


async def test_nobody_learns_anything_of_a_room_who_is_not_in_it(world: World) -> None:
    nina, eve = await people(world, "nina", "eve")
    await create(nina)
    requests = [query("get", each) for each in ("info", "configuration", "affiliations")]
    requests += [
        query("set", "affiliations", user("eve")),
        query("set", "configuration", "<subject>x</subject>"),
    ]
    requests += [query("set", "destroy")]
    for request in requests:
        there = await eve.request(request)
        missing = await eve.request(request.replace(ROOM, "nobody@muclight.localhost"))
        assert error_of(there) == error_of(missing) == ("item-not-found", "")
    await eve.send(say("let me in"), say("let me in", to="nobody@muclight.localhost"))
    assert [error_of(each) for each in eve.take("message")] == [("item-not-found", "")] * 2
    assert texts(nina) == []


async def test_known_versions_are_answered_with_nothing(world: World) -> None:
    [nina] = await people(world, "nina")
    await create(nina, user("omar"))
    version = (await info(nina))[0]
    for part in ("info", "configuration", "affiliations"):
        known = await nina.request(query("get", part, f"<version>{version}</version>"))
        assert (known.get("type"), known.children) == ("result", [])
        for other in ("<version/>", "<version>old</version>", ""):
            answer = await nina.request(query("get", part, other))
            assert answer.children[0].text_of("version") == version
    listed = await nina.request(query("get", "affiliations"))
    assert listed.children[0].to_bytes(ns.CLIENT).decode() == same(
        f"<query xmlns='{NS}#affiliations'><version>{version}</version>"
        f"{user('nina', 'owner')}{user('omar')}</query>"
    )


async def test_people_of_other_domains_are_members_like_all(world: World) -> None:
    [nina] = await people(world, "nina")
    lea = await world.online("lea@other.test/pad")
    await create(nina, user("lea@other.test"))
    assert len(lea.take("message")) == 1
    await lea.send(say("from afar"))
    assert texts(nina) == [(f"{ROOM}/lea@other.test", "from afar")]
    assert texts(lea) == [(f"{ROOM}/lea@other.test", "from afar")]
    await change(nina, user("lea@other.test", "none"))
    lea.take()
    await nina.send(say("gone"))
    assert texts(lea) == []


async def test_administrators_and_readers_are_members_to_old_clients(world: World) -> None:
    nina, omar, pia = await people(world, "nina", "omar", "pia")
    await create(nina, user("omar"), user("pia"))
    await change(nina, user("omar", "member", "administrator"), user("pia", "member", "read-only"))
    assert (await info(nina))[2] == {
        "nina": "owner",
        "omar": "member/administrator",
        "pia": "member/read-only",
    }
    await pia.send(say("may I?"))
    assert [error_of(each)[0] for each in pia.take("message") if each.get("type") == "error"] == [
        "not-allowed"
    ]
    assert (
        error_of(await pia.request(query("set", "configuration", "<subject>x</subject>")))[0] == "not-allowed"
    )
    assert error_of(await change(omar, user("quinn"))) == ("", "")
    assert error_of(await change(omar, user("nina", "none")))[0] == "not-allowed"
    assert error_of(await change(omar, user("quinn", "member", "administrator")))[0] == "not-allowed"
    assert error_of(await change(omar, user("pia"))) == ("", "")
    pia.take(), nina.take()
    await pia.send(say("thanks"))
    assert texts(nina) == [(f"{ROOM}/pia@localhost", "thanks")]
    await world.restart()
    [nina] = await people(world, "nina")
    assert (await info(nina))[2]["omar"] == "member/administrator"


async def test_an_account_that_is_removed_leaves_its_rooms(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await create(nina, to="alone@muclight.localhost")
    omar.take()
    await world.context.accounts.remove(Jid("nina@localhost"))
    await world.settle()
    [notice] = omar.take("message")
    assert [(each.text, each.get("affiliation")) for each in notice.children[0].find_all("user")] == [
        ("nina@localhost", "none"),
        ("omar@localhost", "owner"),
    ]
    assert (await info(omar))[2] == {"omar": "owner"}
    assert error_of(await create(omar, to="alone@muclight.localhost")) == ("", ""), "nobody has it any more"
