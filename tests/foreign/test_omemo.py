"""OMEMO between real devices (XEP-0384): messages, devices that come and go, and many of them at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from slixmpp import JID

from tests.foreign.omemo_client import BUNDLES_OF_OMEMO_2, EncryptingDevice, KeyStore, device
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import befriend, make_account
from tests.interop.slixmpp_client import SlixmppPerson

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:Accessing plugins through the XMPP object:DeprecationWarning"),
]
AT_ONCE = 5
MANY = 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path)
    yield running
    running.stop()


async def test_devices_come_and_go(server: ServerProcess) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    befriend(server, nina, otto)
    keys_of_laptop = KeyStore()
    async with device(nina, server, "desk") as desk, device(otto, server, "phone") as phone:
        async with device(otto, server, "laptop", keys_of_laptop) as laptop:
            his = {phone.number, laptop.number}
            await desk.knows(otto, *his)
            await phone.knows(otto, *his)
            for each in (phone, laptop):
                await each.knows(nina, desk.number)

            # What either says is read by the other, and by his own other device.
            assert await desk.say(otto, "for both of you") == his
            for each in (phone, laptop):
                assert await each.reads(nina) == "for both of you"
            assert await phone.say(nina, "from the phone") == {desk.number, laptop.number}
            assert await desk.reads(otto) == "from the phone"
            assert await laptop.reads(otto) == "from the phone"

            async with device(nina, server, "tablet") as tablet:
                # Others encrypt to a new device from then on, and it can read nothing of before.
                await tablet.knows(otto, *his)
                await laptop.knows(nina, desk.number, tablet.number)
                assert await laptop.say(nina, "to all") == {desk.number, tablet.number, phone.number}
                for each in (desk, tablet, phone):
                    assert await each.reads(otto) == "to all"

                # And not any more to one that was removed.
                await tablet.forget()
                for each in (phone, laptop):
                    await each.knows(nina, desk.number)
                assert await phone.say(nina, "without the tablet") == {desk.number, laptop.number}
                for each in (desk, laptop):
                    assert await each.reads(otto) == "without the tablet"

            read_before = laptop.read_up_to

        # Who was away reads it in the archive; the device is the same as before.
        assert await desk.say(otto, "while you are away") == his
        assert await phone.reads(nina) == "while you are away"
        assert await phone.say(nina, "he comes later") == {desk.number, laptop.number}
        assert await desk.reads(otto) == "he comes later"
        async with device(otto, server, "laptop", keys_of_laptop) as laptop:
            assert laptop.number in his
            assert await laptop.reads_archive(read_before) == ["while you are away", "he comes later"]

        # Nobody finds what was said; what was said in the open is found.
        desk.person.send_message(mto=otto.bare, mbody="meet me on Monday", mtype="chat")
        await phone.person.takes_message(nina.bare)
        for each in (desk, phone):
            assert await finds(each.person, "monday")
            for word in ("tablet", "away", "later", "phone"):
                assert not await finds(each.person, word)
    stored = b"".join(file.read_bytes() for file in (server.directory / "data").rglob("*") if file.is_file())
    assert b"meet me on Monday" in stored
    for text in (b"for both of you", b"from the phone", b"to all", b"while you are away"):
        assert text not in stored


async def test_devices_that_come_at_once(server: ServerProcess) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    befriend(server, nina, otto)
    async with device(otto, server, "phone") as phone, contextlib.AsyncExitStack() as stack:
        hers: list[EncryptingDevice] = await asyncio.gather(
            *(stack.enter_async_context(device(nina, server, f"device{number}")) for number in range(AT_ONCE))
        )
        numbers = {each.number for each in hers}
        assert len(numbers) == AT_ONCE
        # No publication has overwritten a bundle of another device.
        items = await phone.person.plugin["xep_0060"].get_items(JID(nina.bare), BUNDLES_OF_OMEMO_2)
        assert {int(each["id"]) for each in items["pubsub"]["items"]} == numbers
        # The list of them is one item: who is missing there adds itself when it hears of it.
        await phone.knows(nina, *numbers)
        assert await phone.say(nina, "to every one") == numbers
        for each in hers:
            assert await each.reads(otto) == "to every one"


async def test_many_devices(server: ServerProcess) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    befriend(server, nina, otto)
    async with device(nina, server, "desk") as desk, device(otto, server, "phone") as phone:
        numbers = [desk.number, *range(1, MANY)]
        await desk.has_more(*numbers[1:])
        await phone.knows(nina, *numbers)
        assert await phone.say(nina, "to a hundred") == set(numbers)
        assert await desk.reads(otto) == "to a hundred"


async def finds(person: SlixmppPerson, word: str) -> bool:
    """Whether somebody's archive has a message with the word (XEP-0431)."""
    query = ET.fromstring(
        f"""<query xmlns="urn:xmpp:mam:2"><x xmlns="jabber:x:data" type="submit">
          <field var="FORM_TYPE" type="hidden"><value>urn:xmpp:mam:2</value></field>
          <field var="{{urn:xmpp:fulltext:0}}fulltext"><value>{word}</value></field>
        </x></query>"""
    )
    request = person.make_iq_set()
    request.append(query)
    answer = await request.send()
    return answer.xml.find(".//{http://jabber.org/protocol/rsm}first") is not None
