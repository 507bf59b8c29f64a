"""One room that three clients are in at once: slixmpp and profanity by MUC, and a plain one by MUC Light."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from lxml import etree

from tests.dialogs.raw_client import RawClient, raw_client
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account, make_account
from tests.interop.profanity_client import profanity_logged_in
from tests.interop.slixmpp_client import PATIENCE, SlixmppPerson, logged_in

LIGHT = "urn:xmpp:muclight:0"


class LightPerson:
    """Somebody who knows the room by MUC Light alone."""

    def __init__(self, client: RawClient, room: str) -> None:
        self._client = client
        self._room = room

    async def make_room(self, name: str, *members: Account) -> None:
        """Make the room with its members, and wait until it is there."""
        users = "".join(f'<user affiliation="member">{each.bare}</user>' for each in members)
        await self._client.send(
            f'<iq type="set" id="make" to="{self._room}"><query xmlns="{LIGHT}#create">'
            f"<configuration><roomname>{name}</roomname></configuration>"
            f"<occupants>{users}</occupants></query></iq>"
        )
        while (answer := await self._client.receive()).get("id") != "make" or not answer.tag.endswith("iq"):
            continue
        assert answer.get("type") == "result", etree.tostring(answer)

    async def say(self, text: str) -> None:
        """Say something in the room."""
        await self._client.send(
            f'<message type="groupchat" id="{text[:3]}" to="{self._room}"><body>{text}</body></message>'
        )

    async def remove(self, account: Account) -> None:
        """Let somebody be a member no more."""
        await self._client.send(
            f'<iq type="set" id="remove" to="{self._room}"><query xmlns="{LIGHT}#affiliations">'
            f'<user affiliation="none">{account.bare}</user></query></iq>'
        )

    async def hears(self, author: str, text: str) -> None:
        """Wait for a text, and see who has said it: by MUC Light it has the real address."""
        while (stanza := await self._client.receive()).findtext("{jabber:client}body") != text:
            continue
        assert stanza.get("from") == f"{self._room}/{author}"


async def hears(person: SlixmppPerson, room: str, text: str, *, nick: str = "") -> None:
    """Wait until slixmpp hears a text in a room, of a certain occupant if one is named."""
    message = await person.takes_message(room)
    while message["body"] != text:
        message = await person.takes_message(room)
    assert nick in {"", message["from"].resource}


@contextlib.asynccontextmanager
async def light_person(account: Account, room: str, server: ServerProcess) -> AsyncIterator[LightPerson]:
    """Somebody who is logged in, and is logged out afterwards."""
    client = raw_client(server, "tcp", [])
    try:
        await client.log_in(account.username, account.password, "plain")
        await client.send("<presence/>")
        yield LightPerson(client, room)
        await client.close()
    finally:
        await client.abort()


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
