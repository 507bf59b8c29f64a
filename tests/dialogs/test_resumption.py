"""A session that wanders: each transport loses its connection, and each other one takes the session up."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from tests.dialogs.raw_client import TRANSPORTS, RawClient, raw_client
from tests.harness.server_process import ServerProcess

SM = "urn:xmpp:sm:3"
PASSWORD = "Rosencrantz"
LEGS = list(itertools.permutations(sorted(TRANSPORTS), 2))


async def hear(client: RawClient, name: str) -> etree._Element:
    """Give the next element of this name, and forget what comes before it."""
    while True:
        element = await client.receive()
        if etree.QName(element).localname == name:
            return element


def chat(to: str, number: int) -> str:
    return f'<message to="{to}" type="chat" id="{number}"><body>{number}</body></message>'


@pytest.mark.parametrize(("before", "after"), LEGS, ids=lambda name: name)
async def test_a_session_goes_on_over_another_transport(
    before: str, after: str, server: ServerProcess, next_mark: Callable[[], str]
) -> None:
    names = [f"{name}-{next_mark()}" for name in ("alice", "bob")]
    for name in names:
        server.register(name, PASSWORD)
    alice_jid, bob_jid = [f"{name}@{server.domain}/r" for name in names]
    bob, alice, again = [raw_client(server, way, []) for way in (before, before, after)]
    try:
        await bob.log_in(names[1], PASSWORD, "r")
        await alice.log_in(names[0], PASSWORD, "r")
        await alice.send(f'<enable xmlns="{SM}" resume="true"/>')
        stream = (await hear(alice, "enabled")).get("id")
        await alice.send(chat(bob_jid, 1))
        await alice.send(f'<r xmlns="{SM}"/>')
        for number in (1, 2):
            await bob.send(chat(alice_jid, number))
        assert (await hear(alice, "message")).get("id") == "1"
        assert (await hear(bob, "message")).get("id") == "1"
        await alice.abort()
        await bob.send(chat(alice_jid, 3))
        await again.authenticate(names[0], PASSWORD)
        await again.send(f'<resume xmlns="{SM}" previd="{stream}" h="1"/>')
        resumed = await again.receive()
        assert etree.QName(resumed).localname == "resumed"
        assert resumed.get("h") == "1"
        assert [(await hear(again, "message")).get("id") for _ in range(2)] == ["2", "3"]
        await again.send(chat(bob_jid, 2))
        assert (await hear(bob, "message")).get("id") == "2"
        await again.send(f'<a xmlns="{SM}" h="3"/>')
        await again.close()
        await bob.close()
    finally:
        for client in (bob, alice, again):
            await client.abort()


async def test_after_a_kill_the_client_learns_what_was_stored(tmp_path: Path) -> None:
    server = ServerProcess.start(tmp_path)
    try:
        server.register("alice", PASSWORD)
        server.register("bob", PASSWORD)
        alice, again = raw_client(server, "tcp", []), raw_client(server, "wss", [])
        await alice.log_in("alice", PASSWORD, "r")
        await alice.send(f'<enable xmlns="{SM}" resume="true"/>')
        stream = (await hear(alice, "enabled")).get("id")
        for number in (1, 2, 3):
            await alice.send(chat(f"bob@{server.domain}", number))
        await alice.send(f'<r xmlns="{SM}"/>')
        while (await hear(alice, "a")).get("h") != "3":
            pass
        server.kill()
        await alice.abort()
        server.start_again()
        await again.authenticate("alice", PASSWORD)
        await again.send(f'<resume xmlns="{SM}" previd="{stream}" h="0"/>')
        failed = await again.receive()
        assert (etree.QName(failed).localname, failed.get("h")) == ("failed", "3")
        await again.bind("r")
        await again.send(f'<enable xmlns="{SM}" resume="true"/>')
        assert (await hear(again, "enabled")).get("id") not in {None, stream}
        await again.close()
    finally:
        server.stop()
