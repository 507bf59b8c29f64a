"""slixmpp in rooms: pictures, hats, versions of affiliations, and links that let people in."""

from typing import Any

import pytest
from slixmpp.exceptions import PresenceError

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import SlixmppPerson, logged_in

PLUGINS = ("xep_0004", "xep_0030", "xep_0045", "xep_0050", "xep_0054", "xep_0153", "xep_0317", "xep_0463")
PATIENCE = 15.0


async def owned_room(person: SlixmppPerson, server: ServerProcess, name: str) -> str:
    """Make a room for its members."""
    room = f"{name}@conference.{server.domain}"
    muc = person.plugin["xep_0045"]
    await muc.join_muc_wait(room, "Owner", timeout=PATIENCE)
    form = await muc.get_room_config(room)
    form["type"] = "submit"
    form["values"] = {
        **form.get_values(),
        "muc#roomconfig_membersonly": True,
        "muc#roomconfig_whois": "anyone",
    }
    await muc.set_room_config(room, form)
    return room


def watch(person: SlixmppPerson) -> None:
    """Keep every stanza that comes in: of rooms, slixmpp tells of changes alone."""

    def keep(stanza: Any) -> Any:
        person.keep(stanza)
        return stanza

    person.add_filter("in", keep)


async def run(person: SlixmppPerson, room: str, node: str, **fields: str) -> Any:
    """Run a command of a room with what is filled in; gives its form."""
    form = person.plugin["xep_0004"].make_form("submit")
    for name, value in fields.items():
        form.add_field(var=name.replace("__", "#").replace("_", "-"), value=value)
    answer = await person.plugin["xep_0050"].send_command(room, node, payload=form)
    assert answer["command"]["status"] == "completed"
    return answer["command"]["form"]


async def test_what_owners_do_with_their_rooms(server: ServerProcess, alice: Account, bob: Account) -> None:
    async with (
        logged_in(alice, server, plugins=PLUGINS) as she,
        logged_in(bob, server, plugins=PLUGINS) as he,
    ):
        room = await owned_room(she, server, f"tea-{alice.username}")
        watch(she), watch(he)
        with pytest.raises(PresenceError) as refused:
            await he.plugin["xep_0045"].join_muc_wait(room, "Guest", timeout=PATIENCE)
        assert refused.value.condition == "registration-required"
        made = await run(she, room, "urn:tidings:rooms:0#join-link:create", uses="1", hours="1")
        _, _, token = made.get_values()["uri"].partition("?join;password=")
        own = (await he.plugin["xep_0045"].join_muc_wait(room, "Guest", password=token, timeout=PATIENCE))[0]
        assert own["muc"]["affiliation"] == "member"

        vcard = she.plugin["xep_0054"].make_vcard()
        vcard["PHOTO"]["TYPE"], vcard["PHOTO"]["BINVAL"] = "image/png", b"a picture"
        setting = she.make_iq_set(ito=room)
        setting.append(vcard)
        await setting.send(timeout=PATIENCE)
        told = await he.takes(
            "the picture", lambda each: each.name == "presence" and each["from"].full == room
        )
        digest = told["vcard_temp_update"]["photo"]
        info = await he.plugin["xep_0030"].get_info(room)
        [form] = [each for each in info["disco_info"]["substanzas"] if each.name == "x"]
        assert form.get_values()["muc#roominfo_avatarhash"] in (digest, [digest])
        shown = await he.plugin["xep_0054"].get_vcard(room)
        assert shown["vcard_temp"]["PHOTO"]["BINVAL"] == b"a picture"

        hat = "urn:example:hats:tea"
        hats = "urn:xmpp:hats:commands"
        await run(she, room, f"{hats}:create", hats__uri=hat, hats__title="Tea maker", hats__hue="120.5")
        await run(she, room, f"{hats}:assign", hats__uri=hat, hats__jid=bob.bare)
        worn = await she.takes(
            "the hat", lambda each: each.name == "presence" and len(each["hats"]["hats"]) > 0
        )
        assert [(each["uri"], each["title"], each["hue"]) for each in worn["hats"]["hats"]] == [
            (hat, "Tea maker", 120.5)
        ]


async def rejoins(person: SlixmppPerson, room: str, since: str) -> tuple[str, str, dict[str, str]]:
    """Join and ask for affiliations; gives between which versions they are, and what was told."""
    person.kept.clear()
    join = person.plugin["xep_0045"].make_join_stanza(room, "Owner")
    join["muc_join"].enable("mav")
    if since:
        join["muc_join"]["mav"]["since"] = since
    join.send()
    told = await person.takes(
        "a list", lambda each: each.name == "message" and bool(each["muc"]["mav"]["until"])
    )
    own = await person.takes(
        "the own presence", lambda each: each.name == "presence" and 110 in each["muc"]["status_codes"]
    )
    version = told["muc"]["mav"]
    assert own["muc"]["mav"]["until"] == version["until"]
    items = told.xml.iter("{http://jabber.org/protocol/muc#user}item")
    return version["since"], version["until"], {each.get("jid"): each.get("affiliation") for each in items}


async def test_who_joins_again_is_told_what_has_changed(
    server: ServerProcess, alice: Account, bob: Account
) -> None:
    async with logged_in(alice, server, plugins=PLUGINS) as she:
        room = await owned_room(she, server, f"list-{alice.username}")
        watch(she)
        since, known, people = await rejoins(she, room, "")
        assert (since, people) == ("", {alice.bare: "owner"})
        await she.plugin["xep_0045"].set_affiliation(room, affiliation="member", jid=bob.bare)
        since, until, people = await rejoins(she, room, known)
        assert (since, people) == (known, {bob.bare: "member"})
        assert until != known
