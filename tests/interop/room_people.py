"""People in rooms: one who knows his room by MUC Light, and what slixmpp hears in one."""

import contextlib
import itertools
from collections.abc import AsyncIterator

from lxml import etree
from slixmpp import Message

from tests.dialogs.raw_client import RawClient, raw_client
from tests.harness.server_process import ServerProcess
from tests.interop.conftest import Account
from tests.interop.slixmpp_client import SlixmppPerson

LIGHT = "urn:xmpp:muclight:0"


class LightPerson:
    """Somebody who knows the room by MUC Light alone."""

    def __init__(self, client: RawClient, room: str) -> None:
        self._client = client
        self._room = room
        self._numbers = itertools.count(1)

    async def make_room(self, name: str, *members: Account) -> None:
        """Make the room with its members, and wait until it is there."""
        users = "".join(f'<user affiliation="member">{each.bare}</user>' for each in members)
        await self._set(
            "create",
            f"<configuration><roomname>{name}</roomname></configuration><occupants>{users}</occupants>",
        )

    async def make_administrator(self, account: Account) -> None:
        """Let a member look after the others."""
        await self._set(
            "affiliations", f'<user affiliation="member" role="administrator">{account.bare}</user>'
        )

    async def say(self, text: str) -> None:
        """Say something in the room."""
        id_ = f"said-{next(self._numbers)}"
        await self._client.send(
            f'<message type="groupchat" id="{id_}" to="{self._room}"><body>{text}</body></message>'
        )

    async def remove(self, account: Account) -> None:
        """Let somebody be a member no more."""
        await self._set("affiliations", f'<user affiliation="none">{account.bare}</user>')

    async def takes(self, count: int) -> list[tuple[str, str]]:
        """The next messages with a text, each with who has said it: by MUC Light it has the real address."""
        taken: list[tuple[str, str]] = []
        while len(taken) < count:
            stanza = await self._client.receive()
            if text := stanza.findtext("{jabber:client}body"):
                taken.append((stanza.get("from", "").removeprefix(f"{self._room}/"), text))
        return taken

    async def hears(self, author: str, text: str) -> None:
        """Wait for a text, and see who has said it."""
        while (said := (await self.takes(1))[0])[1] != text:
            continue
        assert said == (author, text)

    async def _set(self, node: str, content: str) -> None:
        await self._client.send(
            f'<iq type="set" id="set" to="{self._room}"><query xmlns="{LIGHT}#{node}">{content}</query></iq>'
        )
        while (answer := await self._client.receive()).get("id") != "set" or not answer.tag.endswith("iq"):
            continue
        assert answer.get("type") == "result", etree.tostring(answer)


async def takes_text(person: SlixmppPerson, sender: str) -> Message:
    """The next message from there that has a text."""
    while not (message := await person.takes_message(sender))["body"]:
        continue
    return message


async def hears(person: SlixmppPerson, room: str, text: str, *, nick: str = "") -> None:
    """Wait until slixmpp hears a text in a room, of a certain occupant if one is named."""
    while (message := await takes_text(person, room))["body"] != text:
        continue
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
