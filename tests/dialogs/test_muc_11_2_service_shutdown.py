"""The end of the server, for who is in a room, through every transport (XEP-0045 §11.2).

A play cannot tell of it, since its server serves all plays.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from lxml import etree

from tests.dialogs.raw_client import TRANSPORTS, RawClient, raw_client
from tests.dialogs.wire_tools import CLIENT
from tests.harness.dialog import StreamEnd
from tests.harness.server_process import ServerProcess

MUC = "http://jabber.org/protocol/muc"
SM = "urn:xmpp:sm:3"
ROOM = "coven@conference.localhost"


async def until(client: RawClient, tag: str) -> etree._Element:
    while (found := await client.receive()).tag != tag:
        continue
    return found


async def enter(client: RawClient, nick: str) -> None:
    """Enter the room; the subject is the last that tells of it."""
    await client.send(f'<presence to="{ROOM}/{nick}"><x xmlns="{MUC}"/></presence>')
    await until(client, f"{{{CLIENT}}}message")


async def open_room(client: RawClient, nick: str) -> None:
    """Enter the room first, and let others in (§10.1.2)."""
    await enter(client, nick)
    await client.send(
        f'<iq type="set" id="open" to="{ROOM}"><query xmlns="{MUC}#owner">'
        '<x xmlns="jabber:x:data" type="submit"/></query></iq>'
    )
    await until(client, f"{{{CLIENT}}}iq")


async def left(client: RawClient) -> tuple[list[etree._Element], str]:
    """Read until the stream ends; gives the presence of others and the condition of the end."""
    found = []
    while True:
        try:
            stanza = await client.receive()
        except StreamEnd as end:
            return found, end.condition
        if stanza.get("type") == "unavailable":
            found.append(stanza)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_occupants_are_told_before_their_streams_end(transport: str, tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)
    clients: list[RawClient] = []
    try:
        for name in ("pistol", "othello"):
            server.register(name, "secret")
            client = raw_client(server, transport, [])
            clients.append(client)
            await client.log_in(name, "secret", "client")
            await (enter if clients[1:] else open_room)(client, name)
        server.process.send_signal(signal.SIGTERM)
        for client, name in zip(clients, ("pistol", "othello"), strict=True):
            [told], condition = await left(client)
            assert told.get("from") == f"{ROOM}/{name}"
            assert [each.get("code") for each in told.iter(f"{{{MUC}#user}}status")] == ["110", "332"]
            item = told.find(f".//{{{MUC}#user}}item")
            assert item is not None
            assert (item.get("affiliation"), item.get("role")) == ("none", "none")
            assert condition == "system-shutdown"
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    finally:
        for client in clients:
            await client.abort()
        server.stop()


async def test_who_would_resume_is_told_and_comes_back_with_a_new_session(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)
    clients: list[RawClient] = []
    try:
        server.register("pistol", "secret")
        client = raw_client(server, "tls", [])
        clients.append(client)
        await client.log_in("pistol", "secret", "client")
        await client.send(f'<enable xmlns="{SM}" resume="true"/>')
        stream = (await until(client, f"{{{SM}}}enabled")).get("id")
        await open_room(client, "Pistol")
        server.process.send_signal(signal.SIGTERM)
        [told], condition = await left(client)
        assert [each.get("code") for each in told.iter(f"{{{MUC}#user}}status")] == ["110", "332"]
        assert condition == "system-shutdown"
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        server.start_again()
        again = raw_client(server, "tls", [])
        clients.append(again)
        await again.authenticate("pistol", "secret")
        await again.send(f'<resume xmlns="{SM}" h="0" previd="{stream}"/>')
        failed = await again.receive()
        assert failed.tag == f"{{{SM}}}failed"
        await again.bind("client")
        await enter(again, "Pistol")
    finally:
        for client in clients:
            await client.abort()
        server.stop()
