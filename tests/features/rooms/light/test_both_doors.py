"""One room through both doors: the same messages, members, name, subject and rights."""

from __future__ import annotations

from tests.features.rooms.light.stage import (
    BY_MUC,
    NS,
    ROOM,
    change,
    configure,
    create,
    error_of,
    info,
    people,
    query,
    same,
    say,
    texts,
    user,
    world,
    written,
)
from tests.features.rooms.light.test_messages import archive, inbox
from tests.features.rooms.stage import enter, shown
from tests.features.rooms.test_owners_and_admins import admin
from tests.harness.world import World, WorldClient
from tidings.base.clock import microseconds
from tidings.base.jid import Jid
from tidings.features.rooms.light_view import as_light
from tidings.ports.ledger.reading import PageQuery
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.date_time import format_date_time
from tidings.wire.xmpp.stanza import Stanza

__all__ = ["world"]


async def room_of_two(world: World, *more: str) -> tuple[WorldClient, WorldClient]:
    """Give Nina, who has the room open by MUC Light, and Omar, who is in it by MUC."""
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"), *map(user, more), fields="<roomname>Ward 7</roomname>")
    got = await enter(omar, "Omar", room=BY_MUC)
    assert [shown(each)[2] for each in got if each.name == "presence"] == ["member/participant"]
    nina.take(), omar.take()
    return nina, omar


async def muc_form(client: WorldClient, **fields: str) -> Element:
    inside = "".join(f"<field var='{name}'><value>{value}</value></field>" for name, value in fields.items())
    return await client.request(
        f"<iq type='set' id='o1' to='{BY_MUC}'><query xmlns='{ns.MUC_OWNER}'>"
        "<x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE'><value>{ns.MUC}#roomconfig</value></field>{inside}</x></query></iq>"
    )


async def test_a_member_who_was_added_enters_at_once_and_others_do_not(world: World) -> None:
    await room_of_two(world)
    [eve] = await people(world, "eve")
    [refused] = await enter(eve, "Eve", room=BY_MUC)
    assert error_of(refused)[0] == "registration-required"


async def test_what_is_said_through_one_door_is_seen_through_the_other(world: World) -> None:
    nina, omar = await room_of_two(world)
    await nina.send(say("by light"))
    [by_muc] = omar.take("message")
    assert by_muc.get("from") == f"{BY_MUC}/nina@localhost"
    assert by_muc.find("stanza-id", ns.STANZA_ID).get("by") == BY_MUC  # type: ignore[union-attr]
    assert by_muc.find("occupant-id", ns.OCCUPANT_ID) is not None
    [by_light] = nina.take("message")
    assert by_light.get("from") == f"{ROOM}/nina@localhost"
    assert by_light.find("occupant-id", ns.OCCUPANT_ID) is None
    ids = [each.find("stanza-id", ns.STANZA_ID).get("id") for each in (by_muc, by_light)]  # type: ignore[union-attr]
    assert ids[0] == ids[1], "one entry"
    await omar.send(say("by muc", to=BY_MUC, id_="m2"))
    assert texts(omar) == [(f"{BY_MUC}/Omar", "by muc")]
    assert texts(nina) == [(f"{ROOM}/omar@localhost", "by muc")]
    assert await archive(world) == ["by light", "by muc"]
    assert (await inbox(world, "nina"), await inbox(world, "omar")) == ({BY_MUC: 1}, {BY_MUC: 0})


async def test_each_session_gets_a_message_once_by_its_own_door(world: World) -> None:
    nina, omar = await room_of_two(world)
    desk = await world.online("omar@localhost/desk")
    await nina.send(say("once"))
    assert texts(omar) == [(f"{BY_MUC}/nina@localhost", "once")]
    assert texts(desk) == [(f"{ROOM}/nina@localhost", "once")]
    await desk.send(say("from my desk", id_="m2"))
    assert texts(omar) == [(f"{BY_MUC}/Omar", "from my desk")], "one person has one name"
    assert texts(desk) == [(f"{ROOM}/omar@localhost", "from my desk")]
    await omar.send(f"<presence to='{BY_MUC}/Omar' type='unavailable'/>")
    omar.take()
    await nina.send(say("still a member", id_="m3"))
    assert texts(omar) == [(f"{ROOM}/nina@localhost", "still a member")]


async def test_who_reads_what_was_said_gets_it_by_either_door(world: World) -> None:
    nina, omar = await room_of_two(world)
    await nina.send(say("early"))
    omar.take()
    await omar.send(f"<presence to='{BY_MUC}/Omar' type='unavailable'/>")
    got = await enter(omar, "Omar", room=BY_MUC)
    assert [each.text_of("body") for each in got if each.find("body") is not None] == ["early"]


async def test_nobody_takes_the_address_of_a_member_for_a_name(world: World) -> None:
    _, omar = await room_of_two(world, "pia")
    [refused] = await enter(omar, "Pia@localhost", room=BY_MUC)
    assert error_of(refused)[0] == "conflict"


async def test_a_subject_is_one_subject(world: World) -> None:
    nina, omar = await room_of_two(world)
    assert error_of(await configure(nina, "<subject>Shifts</subject>")) == ("", "")
    [subject] = omar.take("message")
    assert (subject.get("from"), subject.text_of("subject")) == (f"{BY_MUC}/nina@localhost", "Shifts")
    assert subject.find("body") is None
    nina.take()
    before = (await info(nina))[0]
    await omar.send(f"<message to='{BY_MUC}' type='groupchat' id='s1'><subject>Lunch</subject></message>")
    after, fields, _ = await info(nina)
    assert fields["subject"] == "Lunch"
    assert written(nina) == [
        same(
            f"<message from='{ROOM}' to='nina@localhost' type='groupchat' id='s1'>"
            f"<x xmlns='{NS}#configuration'><prev-version>{before}</prev-version><version>{after}</version>"
            "<subject>Lunch</subject></x><body/></message>"
        )
    ]
    omar.take()
    [seen] = [each for each in await enter(omar, "Omar", room=BY_MUC) if each.find("subject") is not None]
    assert seen.text_of("subject") == "Lunch"


async def test_messages_go_on_after_a_subject(world: World) -> None:
    nina, omar = await room_of_two(world)
    await omar.send(f"<message to='{BY_MUC}' type='groupchat' id='s1'><subject>Lunch</subject></message>")
    nina.take(), omar.take()
    await omar.send(say("where?", to=BY_MUC), say("when?", to=BY_MUC, id_="m2"))
    await nina.send(say("here", id_="m3"))
    assert [text for _, text in texts(nina)] == ["where?", "when?", "here"]


async def test_a_message_with_nothing_but_a_subject_sets_it_by_light_too(world: World) -> None:
    nina, omar = await room_of_two(world)
    await nina.send(f"<message to='{ROOM}' type='groupchat' id='s1'><subject>Tea</subject></message>")
    [subject] = omar.take("message")
    assert (subject.get("from"), subject.text_of("subject")) == (f"{BY_MUC}/nina@localhost", "Tea")
    assert (await info(nina))[1]["subject"] == "Tea"
    message, notice = nina.take("message")
    assert (message.get("from"), message.text_of("subject")) == (f"{ROOM}/nina@localhost", "Tea")
    assert notice.children[0].text_of("subject") == "Tea"


async def test_a_name_is_one_name(world: World) -> None:
    nina, omar = await room_of_two(world)
    await configure(nina, "<roomname>Ward 8</roomname>")
    [told] = omar.take("message")
    assert shown_codes(told) == ["104"]
    about = await omar.request(f"<iq type='get' id='i1' to='{BY_MUC}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    assert [each.get("name") for each in about.children[0].find_all("identity")] == ["Ward 8"]
    nina.take()
    await enter(nina, "Nina", room=BY_MUC)
    desk = await world.online("nina@localhost/desk")
    assert (await muc_form(nina, **{"muc#roomconfig_roomname": "Ward 9"})).get("type") == "result"
    [notice] = desk.take("message")
    assert notice.children[0].text_of("roomname") == "Ward 9"
    assert (await info(desk))[1]["roomname"] == "Ward 9"


def shown_codes(message: Element) -> list[str | None]:
    about = message.find("x", ns.MUC_USER)
    assert about is not None
    return [each.get("code") for each in about.find_all("status")]


async def test_who_is_put_out_by_light_is_out_by_muc(world: World) -> None:
    nina, omar = await room_of_two(world)
    [pia] = await people(world, "pia")
    await change(nina, user("pia"))
    await enter(pia, "Pia", room=BY_MUC)
    omar.take(), pia.take()
    await change(nina, user("omar", "none"))
    [gone] = omar.take("presence")
    assert shown(gone) == ("Omar", "unavailable", "none/none", "omar@localhost/phone", ["110", "321"])
    [seen] = pia.take("presence")
    assert shown(seen)[:3] == ("Omar", "unavailable", "none/none")
    await omar.send(say("back?", to=BY_MUC))
    assert [error_of(each)[0] for each in omar.take("message") if each.get("type") == "error"] == [
        "not-acceptable"
    ]
    [refused] = await enter(omar, "Omar", room=BY_MUC)
    assert error_of(refused)[0] == "registration-required"


async def test_who_is_put_out_by_muc_is_out_by_light(world: World) -> None:
    nina, omar = await room_of_two(world)
    [pia] = await people(world, "pia")
    await change(nina, user("pia"))
    await enter(nina, "Nina", room=BY_MUC)
    pia.take()
    await admin(nina, "<item jid='pia@localhost' affiliation='none'/>", room=BY_MUC)
    [notice] = pia.take("message")
    assert notice.get("from") == ROOM
    assert [(each.text, each.get("affiliation")) for each in notice.children[0].find_all("user")] == [
        ("pia@localhost", "none")
    ]
    assert notice.find("kicked", ns.TIDINGS_MUC_LIGHT).get("by") == "nina@localhost"  # type: ignore[union-attr]
    assert "pia" not in (await info(omar))[2]
    await admin(nina, "<item jid='omar@localhost' affiliation='outcast'/>", room=BY_MUC)
    assert error_of(await omar.request(query("get", "info")))[0] == "item-not-found"
    omar.take()
    await nina.send(say("alone", to=BY_MUC))
    assert (texts(omar), texts(pia)) == ([], [])


async def test_what_people_are_is_the_same_through_both_doors(world: World) -> None:
    nina, omar = await room_of_two(world)
    await change(nina, user("omar", "member", "administrator"))
    [presence] = omar.take("presence")
    assert shown(presence)[2] == "admin/moderator"
    await change(nina, user("omar", "member", "read-only"))
    [presence] = omar.take("presence")
    assert shown(presence)[2] == "member/visitor"
    await omar.send(say("mute", to=BY_MUC))
    assert [error_of(each)[0] for each in omar.take("message")] == ["forbidden"]
    await change(nina, user("omar", "owner"))
    [presence] = omar.take("presence")
    assert shown(presence)[2] == "owner/moderator"
    assert (await info(nina))[2] == {"nina": "member", "omar": "owner"}


async def test_a_room_that_is_ended_is_ended_through_both_doors(world: World) -> None:
    nina, omar = await room_of_two(world)
    await nina.request(query("set", "destroy", id_="d1"))
    [gone] = omar.take("presence")
    assert gone.find("x", ns.MUC_USER).find("destroy") is not None  # type: ignore[union-attr]
    assert len(nina.take("message")) == 1
    await create(nina, user("omar"))
    await enter(nina, "Nina", room=BY_MUC)
    omar.take()
    ended = await nina.request(
        f"<iq type='set' id='o1' to='{BY_MUC}'><query xmlns='{ns.MUC_OWNER}'><destroy/></query></iq>"
    )
    assert ended.get("type") == "result"
    [notice] = omar.take("message")
    assert [each.namespace for each in notice.children if each.name == "x"] == [
        f"{NS}#affiliations",
        f"{NS}#destroy",
    ]


async def test_a_room_made_by_muc_opens_where_it_hides_nobody(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await enter(nina, "Nina", room=BY_MUC)
    await admin(nina, "<item jid='omar@localhost' affiliation='member'/>", room=BY_MUC)
    assert error_of(await nina.request(query("get", "info")))[0] == "item-not-found"
    await omar.send(say("hidden"))
    assert [error_of(each)[0] for each in omar.take("message")] == ["item-not-found"]
    await muc_form(nina, **{"muc#roomconfig_whois": "anyone", "muc#roomconfig_membersonly": "1"})
    assert (await info(omar))[2] == {"nina": "owner", "omar": "member"}
    nina.take(), omar.take()
    await nina.send(say("not yet", to=BY_MUC))
    assert texts(omar) == [], "he has not entered by any door"
    await omar.send(say("I am in", id_="m2"))
    assert texts(omar) == [(f"{ROOM}/omar@localhost", "I am in")]
    nina.take()
    await nina.send(say("welcome", to=BY_MUC, id_="m3"))
    assert texts(omar) == [(f"{ROOM}/nina@localhost", "welcome")]
    assert await inbox(world, "omar") == {BY_MUC: 1}
    for taken_back in ("membersonly", "persistentroom"):
        refused = await muc_form(nina, **{f"muc#roomconfig_{taken_back}": "0"})
        assert error_of(refused)[0] == "not-acceptable"


async def test_the_archive_tells_of_changes_in_the_words_of_both(world: World) -> None:
    nina, omar = await room_of_two(world)
    await change(nina, user("pia"), id_="a1")
    await configure(nina, "<subject>Shifts</subject>", id_="k1")
    await omar.send(say("hello", to=BY_MUC))
    entries = (await world.stores.ledger.page(Jid(BY_MUC), PageQuery(limit=100))).entries
    told = [(kept(each.body), each.sender) for each in entries if each.body is not None]
    made, added, named = (each for each, _ in told if each.id in {"c1", "a1", "k1"})
    version = _light(made).children[0].text_of("version")
    assert _xml(_light(made)) == same(
        f"<message from='{ROOM}' type='groupchat' id='c1'><x xmlns='{NS}#affiliations'>"
        f"<version>{version}</version>{user('nina', 'owner')}{user('omar')}</x><body/></message>"
    )
    version = _light(added).children[0].text_of("version")
    assert _xml(_light(added)) == same(
        f"<message from='{ROOM}' type='groupchat' id='a1'><x xmlns='{NS}#affiliations'>"
        f"<version>{version}</version>{user('pia')}</x><body/></message>"
    )
    version = _light(named).children[0].text_of("version")
    assert _xml(_light(named)) == same(
        f"<message from='{ROOM}' type='groupchat' id='k1'><x xmlns='{NS}#configuration'>"
        f"<version>{version}</version><subject>Shifts</subject></x><body/></message>"
    )
    assert named.has(ns.CLIENT, "subject"), "as MUC has it"
    said, sender = next((each, who) for each, who in told if each.has(ns.CLIENT, "body") and each.id == "m1")
    assert sender == Jid("omar@localhost")
    assert _xml(as_light(said, Jid(ROOM), sender).to_bytes()) == same(
        f"<message from='{ROOM}/omar@localhost' type='groupchat' id='m1'><body>hello</body></message>"
    )


def _light(message: Stanza) -> Element:
    return decode(as_light(message, Jid(ROOM), None).to_bytes(), ns.CLIENT)


def _xml(message: Element | bytes) -> str:
    return message.decode() if isinstance(message, bytes) else message.to_bytes(ns.CLIENT).decode()


async def test_who_said_it_may_take_it_back_and_nobody_else(world: World) -> None:
    nina, omar = await room_of_two(world)
    await nina.send(say("oops", id_="m1"))
    [seen] = omar.take("message")
    id_ = seen.find("stanza-id", ns.STANZA_ID).get("id")  # type: ignore[union-attr]
    retract = f"<retract xmlns='urn:xmpp:message-retract:1' id='{id_}'/>"

    async def retracted() -> list[int | None]:
        page = await world.stores.ledger.page(Jid(BY_MUC), PageQuery(limit=100))
        return [each.retracted for each in page.entries if str(each.id) == id_]

    await omar.send(f"<message to='{BY_MUC}' type='groupchat' id='r1'>{retract}</message>")
    assert await retracted() == [None]
    await nina.send(f"<message to='{ROOM}' type='groupchat' id='r2'>{retract}</message>")
    assert await retracted() != [None]


async def test_who_is_banned_and_taken_back_by_muc_knows_the_room_by_muc(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await create(nina, user("omar"))
    await enter(nina, "Nina", room=BY_MUC)
    await admin(nina, "<item jid='omar@localhost' affiliation='outcast'/>", room=BY_MUC)
    await admin(nina, "<item jid='omar@localhost' affiliation='member'/>", room=BY_MUC)
    omar.take()
    await nina.send(say("he has not entered again", to=BY_MUC))
    assert texts(omar) == []
    await omar.send(say("now I have", id_="m2"))
    assert texts(omar) == [(f"{ROOM}/omar@localhost", "now I have")]
    assert texts(nina)[-1] == (f"{BY_MUC}/omar@localhost", "now I have")


async def test_what_a_private_room_is_called_is_told_to_its_members_alone(world: World) -> None:
    _, omar = await room_of_two(world)
    [eve] = await people(world, "eve")
    request = f"<iq type='get' id='i1' to='{BY_MUC}'><query xmlns='{ns.DISCO_INFO}'/></iq>"
    seen, hidden = (await omar.request(request)).children[0], (await eve.request(request)).children[0]
    assert "Ward 7" in seen.to_bytes().decode()
    assert "Ward 7" not in hidden.to_bytes().decode()
    assert "muc_membersonly" in {each.get("var") for each in hidden.find_all("feature")}
    assert hidden.find("x", ns.DATA_FORMS) is None


async def test_what_comes_in_one_read_is_said_in_its_order(world: World) -> None:
    nina, omar = await people(world, "nina", "omar")
    await enter(nina, "Nina", room=BY_MUC)
    await muc_form(nina, **{"muc#roomconfig_whois": "anyone", "muc#roomconfig_membersonly": "1"})
    await admin(nina, "<item jid='omar@localhost' affiliation='member'/>", room=BY_MUC)
    omar.take()
    await omar.send(*(say(f"{number}", id_=f"m{number}") for number in range(5)))
    assert [text for _, text in texts(omar)] == ["0", "1", "2", "3", "4"]
    subject = f"<message to='{BY_MUC}' type='groupchat' id='s1'><subject>Tea</subject></message>"
    await nina.send(say("before", to=BY_MUC, id_="b"), subject, say("after", to=BY_MUC, id_="a"))
    got = omar.take("message")
    assert [each.text_of("body") for each in got] == ["before", "", "after"]
    assert got[1].children[0].text_of("subject") == "Tea"
    assert await inbox(world, "omar") == {BY_MUC: 2}
    assert await archive(world) == ["0", "1", "2", "3", "4", "before", "after"]


async def test_a_subject_is_known_with_its_time_after_a_restart(world: World) -> None:
    nina, omar = await room_of_two(world)
    await omar.send(f"<message to='{BY_MUC}' type='groupchat' id='s1'><subject>Lunch</subject></message>")
    set_at = format_date_time(microseconds(world.clock.now()))
    await world.advance(3_600)
    await world.restart()
    nina, omar = await people(world, "nina", "omar")
    [subject] = [each for each in await enter(omar, "Omar", room=BY_MUC) if each.find("subject") is not None]
    assert subject.text_of("subject") == "Lunch"
    assert subject.find("delay", ns.DELAY).get("stamp") == set_at  # type: ignore[union-attr]
    assert (await info(nina))[1]["subject"] == "Lunch"
