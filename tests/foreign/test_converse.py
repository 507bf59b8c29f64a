"""Converse.js in a real browser: in a room with slixmpp and MUC Light, and in chats of two.

`make interop SCREENSHOTS=folder` keeps what was seen.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from slixmpp import JID, Message

from tests.foreign.converse_client import converse
from tests.harness.chromium import chromium
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import befriend, make_account
from tests.interop.room_people import light_person, takes_text
from tests.interop.slixmpp_client import PATIENCE, logged_in

pytestmark = pytest.mark.timeout(300)
AT_ONCE = 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path)
    yield running
    running.stop()


async def test_a_room(server: ServerProcess, tmp_path: Path) -> None:
    nina, slix, otto = (make_account(server, name) for name in ("nina", "slix", "otto"))
    room, light = (f"ward7@{host}.localhost" for host in ("conference", "muclight"))
    nicks = {nina.bare: nina.bare, slix.bare: "Slix", otto.bare: "Otto"}
    async with (
        light_person(nina, light, server) as person,
        logged_in(slix, server, plugins=("xep_0045", "xep_0359", "xep_0425")) as slixmpp,
        chromium(tmp_path) as browser,
    ):

        async def say(*texts: str) -> list[tuple[str, str]]:
            """Let Nina say a text, then Slix one, and so on, without waiting for each other."""
            for text, name in zip(texts, itertools.cycle(("Nina", "Slix"))):
                if name == "Nina":
                    await person.say(text)
                else:
                    slixmpp.send_message(mto=room, mbody=text, mtype="groupchat")
            return list(zip(itertools.cycle((nina.bare, "Slix")), texts))

        messages: list[Message] = []

        async def hear(count: int) -> list[tuple[str, str]]:
            """Let Slix hear the next messages, in the order of the room."""
            messages.extend([await takes_text(slixmpp, room) for _ in range(count)])
            return [(each["from"].resource, each["body"]) for each in messages[-count:]]

        await person.make_room("Ward 7", slix, otto)
        await person.make_administrator(slix)
        await slixmpp.plugin["xep_0045"].join_muc_wait(room, "Slix", maxstanzas=0)
        async with converse(browser, server, otto, tmp_path, rooms=((room, "Otto"),)) as web:
            # One after the other, and what Converse has said it shows once.
            seen = await say("Guten Morgen ☕ 🦦")
            await web.shows(seen)
            await web.say("aus dem Browser")
            seen.append(("Otto", "aus dem Browser"))
            await web.shows(seen)
            assert await hear(2) == seen

            # All at once: the room has one order.
            async def write() -> list[tuple[str, str]]:
                texts = [f"Otto {number}" for number in range(AT_ONCE)]
                for text in texts:
                    await web.say(text)
                return [("Otto", text) for text in texts]

            written, spoken = await asyncio.gather(write(), say(*map(str, range(2 * AT_ONCE))))
            heard = await hear(3 * AT_ONCE)
            assert sorted(heard) == sorted(written + spoken)
            heard = seen + heard
            assert [(nicks[who], text) for who, text in await person.takes(len(heard))] == heard
            # Converse shows its own messages when it sends them, which may be before others that come later.
            own = [each for each in heard if each[0] == "Otto"]
            others = [each for each in heard if each[0] != "Otto"]
            await web.shows(own, whose="me")
            await web.shows(others, whose="them")

            # A moderator takes something back.
            mistake = heard.index(("Otto", "Otto 7"))
            taken_back = messages[mistake]["stanza_id"]["id"]
            await slixmpp.plugin["xep_0425"].moderate(JID(room), taken_back, "off-topic")
            own[own.index(heard[mistake])] = heard[mistake] = ("", "Slix has removed a message\noff-topic")
            await web.shows(own, whose="me")

            # What was said while he was elsewhere is there when he comes back, to a session that is resumed.
            await web.leave()
            await asyncio.to_thread(server.wait_for, "session_detached")
            await say("Wo ist Otto?", "he is away")
            missed = await hear(2)
            await web.come()
            await web.shows(others + missed, whose="them")
            await web.say("wieder da")
            back = await hear(1)
            assert back == [("Otto", "wieder da")]
            await web.shows(own + back, whose="me")

            # And in another tab, which reads it from the archive.
            await web.close()
            await say("Schon wieder weg", "well")
            missed_again = await hear(2)
            await web.come()
            await web.shows(others + missed + missed_again, whose="them")
            await web.shows(own + back, whose="me")
            heard += missed + back + missed_again

        # And in another browser, which enters the room by the bookmark that the first one has published.
        async with converse(browser, server, otto, tmp_path) as web:
            await web.shows(heard)


async def test_two_people(server: ServerProcess, tmp_path: Path) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    befriend(server, otto, nina)
    async with (
        logged_in(nina, server, plugins=("xep_0184",)) as slixmpp,
        chromium(tmp_path) as browser,
        converse(browser, server, otto, tmp_path, chats=[nina.bare]) as desk,
    ):
        slixmpp.send_presence()
        await slixmpp.takes_presence("available", otto.bare)
        slixmpp.send_message(mto=otto.bare, mbody="Guten Morgen", mtype="chat")
        said = [(nina.bare, "Guten Morgen")]
        await desk.shows(said)
        async with converse(browser, server, otto, tmp_path, chats=[nina.bare]) as laptop:
            # A second device has what was said, and what either says.
            await laptop.shows(said)
            for device, text in ((desk, "vom Schreibtisch"), (laptop, "vom Sofa")):
                await device.say(text)
                said.append((otto.bare, text))
                assert (await takes_text(slixmpp, otto.bare))["body"] == text
                await desk.shows(said)
                await laptop.shows(said)
            await desk.shows_receipts("vom Schreibtisch", "vom Sofa")
            await laptop.shows_receipts("vom Schreibtisch", "vom Sofa")

            # One device is away for a while.
            await laptop.leave()
            await asyncio.to_thread(server.wait_for, "session_detached")
            received = asyncio.ensure_future(slixmpp.wait_until("receipt_received", timeout=PATIENCE))
            question = slixmpp.make_message(mto=otto.bare, mbody="bist du da?", mtype="chat")
            question["request_receipt"] = True
            question.send()
            said.append((nina.bare, "bist du da?"))
            await desk.shows(said)
            assert (await received)["receipt"] == question["id"]
            await desk.say("ja")
            said.append((otto.bare, "ja"))
            await desk.shows(said)
            await laptop.come()
            await laptop.shows(said)

        # And another is new.
        async with converse(browser, server, otto, tmp_path, chats=[nina.bare]) as phone:
            await phone.shows(said)


async def test_two_people_whose_messages_nobody_else_reads(server: ServerProcess, tmp_path: Path) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    said = [(nina.bare, "for everybody"), (nina.bare, "for you alone"), (otto.bare, "and you")]
    befriend(server, nina, otto)
    async with chromium(tmp_path) as browser, converse(browser, server, otto, tmp_path) as his:
        await his.has_keys()
        async with converse(browser, server, nina, tmp_path, chats=[otto.bare]) as hers:
            await hers.say("for everybody")
            await hers.encrypt()
            await hers.say("for you alone")
            await his.open_chat(nina.bare)
            await his.shows(said[:2])
            await his.encrypt()
            await his.say("and you")
            for each in (hers, his):
                await each.shows(said)
                await each.shows_locks("for you alone", "and you")
    files = (each for each in (server.directory / "data").rglob("*") if each.is_file())
    stored = b"".join(each.read_bytes() for each in files)
    assert b"for everybody" in stored
    assert b"for you alone" not in stored
