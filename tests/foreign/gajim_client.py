"""Gajim as a person in a story: on a desktop of its own, with a profile of its own, used by its keyboard."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from tests.harness.desktop import AS_USER, PATIENCE, SIZE, Desktop, background, desktop
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account

AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_NAME: Final = "home"  # what Gajim calls the account

_SCHEMA: Final = """\
CREATE TABLE settings (name TEXT UNIQUE, settings TEXT);
CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT);
PRAGMA user_version = 5;
"""


class GajimPerson:
    """Somebody who uses Gajim."""

    def __init__(self, place: Desktop) -> None:
        self.desktop = place

    async def is_online(self) -> None:
        """Wait until it has logged in and everything that it asks for then has come."""
        async with asyncio.timeout(PATIENCE):
            while "online" not in await self.desktop.run("gajim-remote", "get_status", _NAME, may_fail=True):
                await asyncio.sleep(0.1)  # there is no event to wait for in another process
        await self.desktop.rests()

    async def sees(self, colour: int, pixels: int) -> None:
        """Wait until there is something of exactly this colour on the screen, of that size at least."""
        await self.desktop.shows(colour, pixels)

    async def open_first_chat(self) -> None:
        """Go to the first of the chats that it lists."""
        await self.desktop.press("alt+1")

    async def paste_file(self, file: Path) -> None:
        """Paste a file into the chat that is open; Gajim shows what it is about to send."""
        await self.desktop.copy_files(file)
        await self.desktop.press("ctrl+v")

    async def confirm(self) -> None:
        """Let Gajim do what it has asked about."""
        await self.desktop.press("Return")

    async def enter_room(self, room: str) -> None:
        """Follow a link to a room, with the nickname that Gajim proposes."""
        await self.desktop.run("gajim", f"xmpp:{room}?join")
        await self.desktop.confirm("Start / Join Chat")

    async def say_in_room(self, room: str, text: str) -> None:
        """Say something in a room that Gajim is in."""
        await self.desktop.run("gajim-remote", "send_groupchat_message", room, text, _NAME)


@contextlib.asynccontextmanager
async def gajim(
    account: Account,
    server: ServerProcess,
    folder: Path,
    name: str,
    *,
    chats: Sequence[str] = (),
    native_bookmarks: bool = False,
) -> AsyncIterator[GajimPerson]:
    """Gajim in a new profile that knows the account, logged in, with these chats open.

    Native bookmarks are those of XEP-0402; by itself it uses them where the server converts them for others.
    What it looks like in the end is a picture in the folder, or in SCREENSHOTS if that names one.
    """
    assert shutil.which("gajim"), "Gajim is not installed: make interop installs it"
    home = folder / name
    async with desktop(home) as place:
        write_profile(home, account, server, chats, native_bookmarks)
        async with background(
            _trusting(server, home, "gajim", "--verbose"), home / "gajim.log", place.environment
        ):
            person = GajimPerson(place)
            try:
                await place.focus("Gajim")
                await person.is_online()
                yield person
            finally:
                keep(Path(os.environ.get("SCREENSHOTS") or folder), f"gajim-{name}", place)


def write_profile(
    home: Path, account: Account, server: ServerProcess, chats: Sequence[str], native_bookmarks: bool
) -> None:
    """Write down what somebody has told Gajim who has set up the account, and nothing else."""
    settings = {
        "app": {
            "use_keyring": False,
            "remote_control": True,
            "check_for_update": False,
            "show_notifications": False,
            "dev_force_bookmark_2": native_bookmarks,
            "mainwin_width": SIZE[0],
            "mainwin_height": SIZE[1],
        },
        "soundevents": {},
        "status_presets": {},
        "proxies": {},
        "plugins": {},
        "workspaces": {
            "b2b4a3a6-0000-4000-8000-000000000001": {
                "name": "Work",
                "chats": [
                    {"account": _NAME, "jid": jid, "type": "contact", "pinned": False, "position": -1}
                    for jid in chats
                ],
            }
        },
    }
    of_account = {
        "active": True,
        "account_label": _NAME,
        "name": account.username,
        "hostname": account.domain,
        "password": account.password,
        "savepass": True,
        "use_custom_host": True,
        "custom_host": server.host,
        "custom_port": server.tcp_port,
        "custom_type": "START TLS",
    }
    nested = {"account": of_account, "contact": {}, "group_chat": {}}
    folder = home / ".config" / "gajim"
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "settings.sqlite")) as database:
        database.executescript(_SCHEMA)
        rows = [(name, json.dumps(value)) for name, value in settings.items()]
        database.executemany("INSERT INTO settings VALUES (?, ?)", rows)
        database.execute("INSERT INTO account_settings VALUES (?, ?)", (_NAME, json.dumps(nested)))
        database.commit()


def _trusting(server: ServerProcess, home: Path, *command: str) -> tuple[str, ...]:
    """The command on a machine whose administrator has added the server's certificate to those it trusts."""
    authorities = home / "authorities.crt"
    authorities.write_bytes(AUTHORITIES.read_bytes() + server.authority.read_bytes())
    script = f'mount --bind "$0" {AUTHORITIES} && exec "$@"'
    return ("unshare", "--map-root-user", "--mount", "sh", "-c", script, str(authorities), *AS_USER, *command)


def keep(folder: Path, name: str, place: Desktop) -> None:
    """Write down what the screen shows under a free name."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{name}-{number}.png" for number in itertools.count(1))
    next(each for each in names if not each.exists()).write_bytes(place.picture().png())
