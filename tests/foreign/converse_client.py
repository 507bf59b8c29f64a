"""Converse.js as a person in a story: in a browser, used by typing and by what it shows."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from tests.harness.chromium import Browser, Page, Profile
from tests.harness.ports import HOST
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account

DIST = Path(__file__).parent / "converse" / "node_modules" / "converse.js" / "dist"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Converse</title>
    <link rel="stylesheet" href="/dist/converse.min.css">
  </head>
  <body class="converse-fullscreen">
    <converse-root class="conversejs"></converse-root>
    <script type="module">
      import converse from "/dist/converse.min.js";
      converse.initialize(SETTINGS);
    </script>
  </body>
</html>
"""

# A message that follows another of the same author shows no name; one that was taken back shows who did it.
_SHOWN = """(() => {
  let author = "";
  return [...document.querySelectorAll(".chat-msg")].map((message) => {
    author = message.querySelector(".chat-msg__author")?.innerText.trim() ?? author;
    const retraction = message.querySelector(".retraction");
    const text = retraction ?? message.querySelector(".chat-msg__text");
    return [message, [retraction ? "" : author, text?.innerText.trim()]];
  })
})()"""

_RECEIVED = """[...document.querySelectorAll(".chat-msg")]
  .filter((message) => message.querySelector(".chat-msg__content--me .chat-msg__receipt"))
  .map((message) => message.querySelector(".chat-msg__text").innerText.trim())"""

_ENCRYPTED = """[...document.querySelectorAll(".chat-msg[data-encrypted=true]")]
  .map((message) => message.querySelector(".chat-msg__text").innerText.trim())"""

_PADLOCK = """document.querySelector(".toggle-omemo:not([data-disabled=true])")"""

# Converse writes what it shows later, or when the page is hidden. A transaction waits for those before it.
_WRITTEN = """(async () => {
  window.dispatchEvent(new Event("pagehide"));
  for (const { name } of await indexedDB.databases()) {
    const database = await new Promise((done, failed) => {
      const opening = indexedDB.open(name);
      opening.onsuccess = () => done(opening.result);
      opening.onerror = failed;
    });
    await new Promise((done) => {
      database.transaction([...database.objectStoreNames], "readwrite").oncomplete = done;
    });
    database.close();
  }
})()"""


class ConversePerson:
    """Somebody who uses Converse.js."""

    def __init__(self, profile: Profile, url: str) -> None:
        self._profile = profile
        self._url = url
        self.page: Page | None = None

    async def come(self) -> None:
        """Open Converse, which logs in by itself, in the tab that is there, or in a new one."""
        self.page = self.page or await self._profile.open_tab()
        await self.page.go(self._url)

    async def leave(self) -> None:
        """Go to another page in the same tab, to which Converse can return."""
        await self.page.evaluate(_WRITTEN)
        await self.page.go("about:blank")

    async def close(self) -> None:
        """Close the tab: what Converse has stored is left, but no session."""
        await self.page.evaluate(_WRITTEN)
        await self.page.close()
        self.page = None

    async def open_chat(self, jid: str) -> None:
        """Click on a contact."""
        contact = f"""document.querySelector('.open-chat[data-jid="{jid}"]')"""
        await self.page.until(f"!!{contact}")
        await self.page.evaluate(f"{contact}.click()")

    async def say(self, text: str) -> None:
        """Write in what is open."""
        await self.page.type(".chat-textarea", text)

    async def has_keys(self) -> None:
        """Wait until others can find its keys (OMEMO): it hears of what it has published itself."""
        for node in ("eu.siacs.conversations.axolotl.devicelist", "urn:xmpp:omemo:2:devices"):
            await self.page.logs(f'#event"><items node="{node}">')

    async def encrypt(self) -> None:
        """Let what is said next be encrypted."""
        await self.page.until(f"!!{_PADLOCK}")
        await self.page.evaluate(f"{_PADLOCK}.click()")
        await self.page.until("!!document.querySelector('.toggle-omemo .fa-lock')")

    async def shows(
        self, messages: Sequence[tuple[str, str]], *, whose: Literal["", "me", "them"] = ""
    ) -> None:
        """Wait until it shows these messages with their authors, in this order, and no other.

        It may be about the own ones alone (me), or about those of the others (them).
        """
        class_ = f"chat-msg__content{whose and f'--{whose}'}"
        shown = f".filter(([it]) => it.querySelector('.{class_}')).map(([, told]) => told)"
        await self.page.until(_SHOWN + shown, [list(each) for each in messages])

    async def shows_receipts(self, *texts: str) -> None:
        """Wait until these of its own messages are marked as received, and no other."""
        await self.page.until(_RECEIVED, list(texts))

    async def shows_locks(self, *texts: str) -> None:
        """Wait until these messages are marked as encrypted, and no other."""
        await self.page.until(_ENCRYPTED, list(texts))


@contextlib.asynccontextmanager
async def converse(
    browser: Browser,
    server: ServerProcess,
    account: Account,
    folder: Path,
    *,
    rooms: Sequence[tuple[str, str]] = (),
    chats: Sequence[str] = (),
) -> AsyncIterator[ConversePerson]:
    """Converse.js in a profile of its own, logged in as the account, in rooms under nicknames and in chats.

    What it looks like in the end is a picture in the folder, or in SCREENSHOTS if that names one.
    """
    settings = {
        "websocket_url": f"ws://{server.web_host}:{server.http_port}/xmpp-websocket",
        "discover_connection_methods": False,
        "auto_login": True,
        "jid": account.bare,
        "password": account.password,
        "auto_join_rooms": [{"jid": room, "nick": nick} for room, nick in rooms],
        "auto_join_private_chats": list(chats),
        "assets_path": "/dist/",
        "i18n": "en",
    }
    async with served(settings) as url, browser.profile() as profile:
        person = ConversePerson(profile, url)
        await person.come()
        try:
            yield person
        finally:
            place = Path(os.environ.get("SCREENSHOTS") or folder)
            keep(place, account.username, await person.page.picture(), person.page.console)


def keep(folder: Path, name: str, picture: bytes, console: Iterable[str]) -> None:
    """Write down what a page looks like, and what has happened in it, under a free name."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (folder / f"{name}-{number}" for number in itertools.count(1))
    free = next(each for each in names if not each.with_suffix(".png").exists())
    free.with_suffix(".png").write_bytes(picture)
    free.with_suffix(".log").write_text("\n".join(console))


@contextlib.asynccontextmanager
async def served(settings: dict[str, Any]) -> AsyncIterator[str]:
    """Serve a page with Converse.js and its settings on loopback; gives its address."""
    assert DIST.is_dir(), "Converse.js is not installed: make interop installs it"

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.replace("SETTINGS", json.dumps(settings)), content_type="text/html")

    site = web.Application()
    site.router.add_get("/dist/", page)  # Converse looks for its WebAssembly beside the page
    site.router.add_static("/dist", DIST)
    runner = web.AppRunner(site)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://localhost:{runner.addresses[0][1]}/dist/"
    finally:
        await runner.cleanup()
