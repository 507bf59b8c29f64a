"""Gajim on desktops: another's avatar, a picture that is shared, bookmarks on a second device.

`make interop SCREENSHOTS=folder` keeps what was seen.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.foreign.gajim_client import gajim
from tests.harness.desktop import PATIENCE, png
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account, befriend, make_account
from tests.interop.room_people import takes_text
from tests.interop.slixmpp_client import SlixmppPerson, logged_in

pytestmark = pytest.mark.timeout(300)
MAGENTA, CYAN = 0xFF00C8, 0x00C8FF
AVATAR = png(96, 96, MAGENTA.to_bytes(3) * 96 * 96)
PHOTO = png(200, 150, CYAN.to_bytes(3) * 200 * 150)
SMALL_AVATAR = 600  # pixels of the disc in a list
LARGE_AVATAR = 1500  # and of the one above a chat
ROOM = "ward7@conference.localhost"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess.start(tmp_path)
    yield running
    running.stop()


async def test_an_avatar_and_a_picture(server: ServerProcess, tmp_path: Path) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    befriend(server, nina, otto)
    photo = tmp_path / "summer 🌻.png"
    photo.write_bytes(PHOTO)
    async with (
        logged_in(nina, server, plugins=("xep_0066", "xep_0084", "xep_0115", "xep_0163")) as phone,
        gajim(otto, server, tmp_path, "otto", chats=[nina.bare]) as his,
        gajim(nina, server, tmp_path, "nina", chats=[otto.bare]) as hers,
    ):
        phone.send_presence()
        # He sees her avatar as soon as she has one.
        await publish_avatar(phone)
        await his.sees(MAGENTA, SMALL_AVATAR)
        await his.open_first_chat()
        await his.sees(MAGENTA, SMALL_AVATAR + LARGE_AVATAR)

        # She is sent a picture: the file is on the server, and each of her devices finds it.
        await his.paste_file(photo)
        await his.sees(CYAN, 1000)
        await his.confirm()
        message = await takes_text(phone, otto.bare)
        assert message["oob"]["url"] == message["body"]
        assert await fetch(message["body"], server) == PHOTO
        await hers.open_first_chat()
        for each in (his, hers):
            await each.sees(CYAN, 200 * 150)


async def publish_avatar(person: SlixmppPerson) -> None:
    """Publish what XEP-0084 asks for: the data, and then what is known of it."""
    avatars = person.plugin["xep_0084"]
    await avatars.publish_avatar(AVATAR)
    told = {
        "id": avatars.generate_id(AVATAR),
        "type": "image/png",
        "bytes": len(AVATAR),
        "width": 96,
        "height": 96,
    }
    await avatars.publish_avatar_metadata([{name: str(value) for name, value in told.items()}])


async def fetch(url: str, server: ServerProcess) -> bytes:
    """What is at an address of the server, whose certificate is verified."""
    trust = ssl.create_default_context(cafile=str(server.authority))
    async with aiohttp.ClientSession() as session, session.get(url, ssl=trust) as answer:
        assert (answer.status, answer.content_type) == (200, "image/png")
        return await answer.read()


@pytest.mark.parametrize("native", [False, True], ids=["by default", "native"])
async def test_bookmarks(native: bool, server: ServerProcess, tmp_path: Path) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    made = server.command("muc", "create", "--room", ROOM, "--owner", nina.bare, "--nick", "Nina")
    assert made.returncode == 0, made.stderr
    async with logged_in(nina, server, plugins=("xep_0045",)) as person:
        await person.plugin["xep_0045"].join_muc_wait(ROOM, "Nina", maxstanzas=0)
        async with gajim(otto, server, tmp_path, "desk", native_bookmarks=native) as desk:
            await desk.enter_room(ROOM)
            await has_entered(server, otto, devices=1)
            # Another device enters by the bookmark that the first one has made.
            async with gajim(otto, server, tmp_path, "laptop", native_bookmarks=native) as laptop:
                await has_entered(server, otto, devices=2)
                await laptop.open_first_chat()
                await laptop.say_in_room(ROOM, "from the laptop")
                assert (await takes_text(person, ROOM))["body"] == "from the laptop"


async def test_a_bookmark_that_another_device_makes(server: ServerProcess, tmp_path: Path) -> None:
    nina, otto = (make_account(server, name) for name in ("nina", "otto"))
    server.command("muc", "create", "--room", ROOM, "--owner", nina.bare, "--nick", "Nina")
    async with (
        gajim(otto, server, tmp_path, "desk", native_bookmarks=True) as desk,
        gajim(otto, server, tmp_path, "laptop", native_bookmarks=True) as laptop,
    ):
        await desk.enter_room(ROOM)
        # The other one hears of it, and enters at once.
        await has_entered(server, otto, devices=2)
        await laptop.open_first_chat()


async def has_entered(server: ServerProcess, account: Account, devices: int) -> None:
    """Wait until that many devices of somebody are in the room."""
    seen: dict[str, int] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while seen.get(account.bare) != devices:
                told = await asyncio.to_thread(server.command, "muc", "occupants", "--room", ROOM, "--json")
                seen = {each["user"]: each["devices"] for each in json.loads(told.stdout)["items"]}
                await asyncio.sleep(0.1)  # there is no event to wait for in another process
    except TimeoutError:
        raise AssertionError(f"not {devices} devices of {account.bare} are in the room: {seen}") from None
