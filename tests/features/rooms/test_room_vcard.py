"""Pictures of rooms (XEP-0486, XEP-0054)."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, start, world
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.features.rooms.room_vcard import RoomVCardOptions
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

__all__ = ["world"]

PNG, SVG = b"\x89PNG a picture", b"<svg/>"


def photo(picture: bytes) -> str:
    return f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{b64encode(picture).decode()}</BINVAL></PHOTO>"


def sha1(picture: bytes) -> str:
    return hashlib.sha1(picture, usedforsecurity=False).hexdigest()


async def publish(client: WorldClient, inside: str) -> Element:
    return await client.request(
        f"<iq type='set' id='v1' to='{ROOM}'><vCard xmlns='vcard-temp'>{inside}</vCard></iq>"
    )


async def vcard(client: WorldClient) -> Element:
    return await client.request(f"<iq type='get' id='v2' to='{ROOM}'><vCard xmlns='vcard-temp'/></iq>")


async def described(client: WorldClient, to: str = ROOM) -> tuple[set[str], list[str]]:
    """Give the features and the hashes of pictures."""
    got = await client.request(f"<iq type='get' id='d1' to='{to}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    query = got.find("query", ns.DISCO_INFO)
    features = {each.get("var") or "" for each in query.find_all("feature")}
    fields = [field for each in query.find_all("x", ns.DATA_FORMS) for field in each.find_all("field")]
    hashes = [each for each in fields if each.get("var") == "muc#roominfo_avatarhash"]
    return features, [value.text for field in hashes for value in field.find_all("value")]


def told(client: WorldClient) -> list[tuple[str, list[str]]]:
    """Give what the room itself has told: the status codes of messages, the hashes of presences."""
    seen = []
    for each in client.take():
        if each.get("from") == ROOM and (update := each.find("x", ns.VCARD_UPDATE)) is not None:
            seen.append(("picture", [photo.text for photo in update.find_all("photo")]))
        elif each.get("from") == ROOM and (about := each.find("x", ns.MUC_USER)) is not None:
            seen.append((each.get("type") or "", [code.get("code") for code in about.find_all("status")]))
    return seen


async def test_a_picture_of_an_owner_is_seen_by_everybody_and_after_a_restart(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    alice.take(), bob.take()
    assert ns.VCARD in (await described(bob, "conference.localhost"))[0]
    assert condition(await publish(bob, photo(PNG))) == "forbidden"
    assert (await vcard(bob)).find("vCard", ns.VCARD).children == []
    features, hashes = await described(bob)
    assert ns.VCARD in features
    assert hashes == []
    assert told(bob) == []

    assert condition(await publish(alice, photo(PNG))) == ""
    assert told(bob) == [("groupchat", ["104"]), ("picture", [sha1(PNG)])]
    for _ in range(2):
        carol = await world.login("carol@localhost/phone")
        shown = (await vcard(carol)).find("vCard", ns.VCARD).find("PHOTO")
        assert shown.text_of("BINVAL") == b64encode(PNG).decode()
        assert (await described(carol))[1] == [sha1(PNG)]
        await enter(carol, "Carol")
        await world.restart()
    carol = await world.login("carol@localhost/phone")
    got = await enter(carol, "Carol")
    assert got[-1].find("x", ns.VCARD_UPDATE).text_of("photo") == sha1(PNG)


async def test_two_forms_of_a_picture_and_none_any_more(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await publish(alice, photo(SVG) + photo(PNG))
    assert (await described(bob))[1] == [sha1(SVG), sha1(PNG)]
    bob.take()
    await publish(alice, f"<FN>Tea</FN>{photo(SVG)}{photo(PNG)}")
    assert told(bob) == [("groupchat", ["104"])], "the picture is the same"
    assert condition(await publish(alice, "")) == ""
    assert told(bob) == [("groupchat", ["104"]), ("picture", [""])]
    assert (await described(bob))[1] == []
    assert (await vcard(bob)).find("vCard", ns.VCARD).children == []
    got = await enter(await world.login("carol@localhost/phone"), "Carol")
    assert [each for each in got if each.find("x", ns.VCARD_UPDATE) is not None] == []


async def test_a_hidden_room_of_members_shows_its_picture_to_them_alone(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await world.login("bob@localhost/phone")
    await publish(alice, photo(PNG))
    await owner(alice, form(membersonly="1", publicroom="0"))
    assert condition(await vcard(bob)) == "forbidden"
    assert (await described(bob))[1] == []
    assert (await vcard(alice)).find("vCard", ns.VCARD).find("PHOTO") is not None


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<PHOTO><BINVAL>no base64 at all</BINVAL></PHOTO>", "bad-request"),
        (photo(b"x" * 2_000), "policy-violation"),
    ],
)
async def test_what_cannot_be_kept_is_refused_and_changes_nothing(inside: str, expected: str) -> None:
    world = await start(features={"room_vcard": RoomVCardOptions(max_bytes=1_024)})
    alice = await occupant(world, "alice", "Alice")
    await publish(alice, photo(PNG))
    alice.take()
    refused = await publish(alice, inside)
    assert condition(refused) == expected
    if expected == "policy-violation":
        assert "1024 are allowed" in refused.find("error").text_of("text", ns.STANZA_ERRORS)
    assert told(alice) == []
    assert (await described(alice))[1] == [sha1(PNG)]
    await world.stop()
