"""slixmpp and what is kept for it: archive, carbons, stream management, markers and inbox."""

from typing import Any
from xml.etree import ElementTree as ET

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import INBOX, SlixmppPerson, logged_in

ARCHIVE = ("xep_0313", "xep_0359")
CARBONS = ("xep_0280",)
MANAGEMENT = ("xep_0198",)
MARKERS = ("xep_0333",)


async def test_archive(server: ServerProcess, alice: Account, bob: Account) -> None:
    """What was said is in both archives, in order, by the ids that the messages came with."""
    async with (
        logged_in(alice, server, plugins=ARCHIVE) as she,
        logged_in(bob, server, plugins=ARCHIVE) as he,
    ):
        she.send_presence()
        he.send_presence()
        ids = []
        for number in range(12):
            she.send_message(mto=bob.bare, mbody=f"number {number}", mtype="chat")
            ids.append((await he.takes_message(alice.bare))["stanza_id"]["id"])
        he.send_message(mto=alice.bare, mbody="an answer", mtype="chat")
        await she.takes_message(bob.bare)

        expected = [*(f"number {number}" for number in range(12)), "an answer"]
        for person, peer in ((she, bob), (he, alice)):
            found = [
                each async for each in person.plugin["xep_0313"].iterate(with_jid=peer.bare, rsm={"max": 5})
            ]
            assert [_body(each) for each in found] == expected
            if person is he:
                assert [each["mam_result"]["id"] for each in found[:12]] == ids
        newest = he.plugin["xep_0313"].iterate(reverse=True, rsm={"max": 2}, total=3)
        assert [_body(each) async for each in newest] == expected[:-4:-1]


async def test_carbons(server: ServerProcess, alice: Account, bob: Account) -> None:
    """A second device sees what the first one sends, and each device gets what arrives, once."""
    async with (
        logged_in(alice, server, resource="phone", plugins=CARBONS) as phone,
        logged_in(alice, server, resource="desk", plugins=CARBONS) as desk,
        logged_in(bob, server) as he,
    ):
        for device in (phone, desk):
            device.send_presence()
            await device.plugin["xep_0280"].enable()
        he.send_presence()

        phone.send_message(mto=bob.bare, mbody="from the phone", mtype="chat")
        assert (await he.takes_message(alice.bare))["body"] == "from the phone"
        copy = await desk.takes_message(alice.bare)
        assert copy["carbon_sent"]["body"] == "from the phone"

        he.send_message(mto=phone.boundjid.full, mbody="to the phone", mtype="chat")
        assert (await phone.takes_message(bob.bare))["body"] == "to the phone"
        copy = await desk.takes_message(alice.bare)
        assert copy["carbon_received"]["body"] == "to the phone"

        he.send_message(mto=alice.bare, mbody="to both", mtype="chat")
        for device in (phone, desk):
            assert (await device.takes_message(bob.bare))["body"] == "to both"


async def test_resumption(server: ServerProcess, alice: Account, bob: Account) -> None:
    """The socket is cut: the session goes on, and nothing is lost or comes twice."""
    async with (
        logged_in(alice, server, plugins=(*MANAGEMENT, *ARCHIVE)) as she,
        logged_in(bob, server) as he,
    ):
        she.send_presence()
        he.send_presence()
        he.send_message(mto=alice.bare, mbody="before", mtype="chat")
        assert (await she.takes_message(bob.bare))["body"] == "before"
        address = she.boundjid.full

        she.send_message(mto=bob.bare, mbody="with the last breath", mtype="chat")
        await he.takes_message(alice.bare)
        await she.lose_connection()
        he.send_message(mto=alice.bare, mbody="while you were away", mtype="chat")
        await she.resume()
        assert she.boundjid.full == address
        assert (await she.takes_message(bob.bare))["body"] == "while you were away"

        she.send_message(mto=bob.bare, mbody="after", mtype="chat")
        assert (await he.takes_message(alice.bare))["body"] == "after"
        spoken = [_body(each) async for each in she.plugin["xep_0313"].iterate(with_jid=bob.bare)]
        assert spoken == ["before", "with the last breath", "while you were away", "after"]


async def test_markers_move_the_inbox(server: ServerProcess, alice: Account, bob: Account) -> None:
    """Reading a part leaves the rest unread, and the number is exact."""
    async with (
        logged_in(alice, server, plugins=MARKERS) as she,
        logged_in(bob, server, plugins=MARKERS) as he,
    ):
        she.send_presence()
        he.send_presence()
        ids = []
        for number in range(3):
            she.send_message(mto=bob.bare, mbody=f"number {number}", mtype="chat")
            ids.append((await he.takes_message(alice.bare))["id"])
        assert await _unread(he) == {alice.bare: 3}
        he.plugin["xep_0333"].send_marker(alice.bare, ids[1], "displayed", mtype="chat")
        marker = await she.takes_message(bob.bare)
        assert marker.xml.find("{urn:xmpp:chat-markers:0}displayed").get("id") == ids[1]
        assert await _unread(he) == {alice.bare: 1}
        he.plugin["xep_0333"].send_marker(alice.bare, ids[2], "displayed", mtype="chat")
        await she.takes_message(bob.bare)
        assert await _unread(he) == {alice.bare: 0}


def _body(result: Any) -> str:
    body: str = result["mam_result"]["forwarded"]["stanza"]["body"]
    return body


async def _unread(person: SlixmppPerson) -> dict[str, int]:
    """The unread count of each conversation, as MongooseIM's inbox tells it."""
    request = person.make_iq_set()
    request.append(ET.Element(f"{{{INBOX}}}inbox"))
    await request.send()
    counts = {}
    for stanza in [each for each in person.kept if each.xml.find(f"{{{INBOX}}}result") is not None]:
        person.kept.remove(stanza)
        result = stanza.xml.find(f"{{{INBOX}}}result")
        message = result.find(".//{jabber:client}message")
        (peer,) = {message.get(name).partition("/")[0] for name in ("from", "to")} - {person.boundjid.bare}
        counts[peer] = int(result.get("unread"))
    return counts
