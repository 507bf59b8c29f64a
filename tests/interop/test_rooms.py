"""One room that three clients are in at once: slixmpp and profanity by MUC, and a plain one by MUC Light."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.harness.server_process import ServerProcess
from tests.interop.conftest import make_account
from tests.interop.profanity_client import profanity_logged_in
from tests.interop.room_people import hears, light_person
from tests.interop.slixmpp_client import PATIENCE, logged_in


async def test_slixmpp_profanity_and_muc_light_are_in_one_room(
    profanity: str, server: ServerProcess, next_number: Callable[[], int], tmp_path: Path
) -> None:
    number = next_number()
    owner, slix, terminal = (make_account(server, f"{name}{number}") for name in ("light", "slix", "profane"))
    conference, light = (f"ward{number}@{host}.localhost" for host in ("conference", "muclight"))
    async with (
        light_person(owner, light, server) as person,
        logged_in(slix, server, plugins=("xep_0045",)) as slixmpp,
        profanity_logged_in(profanity, server, terminal, tmp_path) as window,
    ):
        await person.make_room("Ward 7", slix, terminal)
        await slixmpp.plugin["xep_0045"].join_muc_wait(conference, "Slix", maxstanzas=0)
        window.type(f"/join {conference} nick Profane")
        await window.logs(f"""RECV: <presence [^>]*from=.{conference}/Profane[^§]*?code=.110""")

        await person.say("Guten Morgen 🦦")
        await hears(slixmpp, conference, "Guten Morgen 🦦")
        await window.logs(f"RECV: <message [^>]*from=.{conference}/[^§]*?Guten Morgen")
        slixmpp.send_message(mto=conference, mbody="from slixmpp", mtype="groupchat")
        await person.hears(slix.bare, "from slixmpp")
        await window.logs(f"RECV: <message [^>]*from=.{conference}/Slix[^§]*?from slixmpp")
        window.type("vom Terminal")
        await person.hears(terminal.bare, "vom Terminal")
        await hears(slixmpp, conference, "vom Terminal", nick="Profane")

        await person.remove(slix)
        await window.logs(f"RECV: <presence [^>]*from=.{conference}/Slix[^§]*?code=.321")
        window.type("nur noch wir")
        await person.hears(terminal.bare, "nur noch wir")
        refusal = asyncio.ensure_future(slixmpp.wait_until("message_error", timeout=PATIENCE))
        slixmpp.send_message(mto=conference, mbody="still here?", mtype="groupchat")
        assert (await refusal)["error"]["condition"] == "not-acceptable"
        assert [each for each in slixmpp.kept if each["body"] == "nur noch wir"] == []
