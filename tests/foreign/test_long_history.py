"""Two people write ten thousand messages on a real server of another make, and read them all on ours.

They log in with their old passwords on a server that runs, and have their contacts, cards and block lists.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from pathlib import Path
from typing import Protocol

import pytest
from lxml import etree

from tests.faults.archive import ArchiveReader
from tests.faults.stream import Stream, StreamBrokenError, password_of
from tests.harness.ejabberd import ERLANG, Ejabberd
from tests.harness.prosody import PROSODY, Prosody
from tests.harness.server_process import ServerProcess, tidings_command
from tests.portable.foreign import OF_ALICE, ask
from tests.streams.stand import Raw

MESSAGES = 10_000
AT_ONCE = 100
NAMES = ("alice", "bob")
PATIENCE = 30.0

Said = tuple[str, str, str]
"""The id of a message, who sent it, and to whom."""


class Foreign(Protocol):
    """A server of another make, and what it leaves for `tidings import`."""

    async def log_in(self, name: str, password: str) -> Raw:
        """Log in as a client does."""
        ...


class Used:
    """What is taken over: the arguments of `tidings import`."""

    def __init__(self, make: str, place: str) -> None:
        self.arguments = (make, place)


async def of_prosody(folder: Path, storage: str) -> tuple[Used, list[Said]]:
    """Let them use Prosody."""
    assert PROSODY, "Prosody is not installed: run tests/install.sh"
    server = Prosody(folder, storage=storage)
    for name in NAMES:
        server.register(name, "localhost", password_of(name))
    server.start()
    try:
        said = await live(server)
    finally:
        server.stop()
    place = f"sqlite:///{folder}/prosody.sqlite" if storage == "sql" else f"{folder}/data"
    return Used("prosody", place), said


async def of_ejabberd(folder: Path, storage: str) -> tuple[Used, list[Said]]:
    """Let them use ejabberd."""
    assert ERLANG, "ejabberd is not installed: make interop installs it"
    server = Ejabberd(folder, storage, {name: password_of(name) for name in NAMES})
    server.start()
    try:
        said = await live(server)
        server.write_down()
    finally:
        server.stop()
    place = f"sqlite:///{folder}/ejabberd.sqlite" if storage == "sql" else f"{folder}/dump.txt"
    return Used("ejabberd", place), said


async def live(server: Foreign) -> list[Said]:
    """Let two people fill their accounts and write to each other; gives what was said, in its order."""
    alice, bob = [await server.log_in(name, password_of(name)) for name in NAMES]
    clients = {"alice": alice, "bob": bob}
    for client in clients.values():
        await client.say("<presence/>", until="<presence")
    for request in OF_ALICE:
        await ask(alice, request)
    said: list[Said] = []
    writing = zip(itertools.cycle((NAMES, NAMES[::-1])), range(0, MESSAGES, AT_ONCE), strict=False)
    for (sender, recipient), start in writing:
        for number in range(start, start + AT_ONCE):
            clients[sender].push(
                f"<message type='chat' to='{recipient}@localhost' id='said-{number}.'>"
                f"<body>Number {number}</body></message>"
            )
            said.append((f"said-{number}.", f"{sender}@localhost", f"{recipient}@localhost"))
        await clients[recipient].hear(f"<body>Number {start + AT_ONCE - 1}</body>")
    for client in clients.values():
        await ask(client, "<query xmlns='http://jabber.org/protocol/disco#info'/>", "get")
        await client.say("</stream:stream>", until="</stream:stream>")
        await client.close()
    return said


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("make", "storage"),
    # Not Mnesia: it takes longer for each message of an archive, the more there are.
    [(of_prosody, "internal"), (of_prosody, "sql"), (of_ejabberd, "sql")],
)
async def test_people_read_their_whole_history_from_the_server_that_runs(
    tmp_path: Path, make, storage
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    used, said = await make(there, storage)
    assert len(said) == MESSAGES
    server = await asyncio.to_thread(ServerProcess.start, here)
    try:
        await asyncio.to_thread(server.stop)
        await take_over(used, here)
        await asyncio.to_thread(server.start_again)
        for name in NAMES:
            reader = await ArchiveReader.open(server.tcp_port, name)
            entries = await reader.after("")
            await reader.close()
            assert [(entry.id, entry.sender, entry.recipient) for entry in entries] == said
            assert [entry.position for entry in entries] == list(range(1, MESSAGES + 1))
            times = [entry.stamp for entry in entries]
            assert times == sorted(times)
        alice = await Stream.log_in(server.tcp_port, "alice")
        await alice.bind("phone")
        roster = await answer(alice, "<query xmlns='jabber:iq:roster'/>")
        assert [item.get("jid") for item in roster.iter("{*}item")] == ["bob@localhost"]
        card = await answer(alice, "<vCard xmlns='vcard-temp'/>")
        assert [each.text for each in card.iter("{*}FN")] == ["Alice"]
        blocked = await answer(alice, "<blocklist xmlns='urn:xmpp:blocking'/>")
        assert [item.get("jid") for item in blocked.iter("{*}item")] == ["eve@localhost"]
        await alice.close()
    finally:
        await asyncio.to_thread(server.stop)


async def take_over(used: Used, folder: Path) -> None:
    """Import into the data directory of a server that does not run."""
    which = ["--domain", "localhost", "--config", folder / "tidings.toml"]
    command = [tidings_command(), "import", *used.arguments, *which]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def answer(stream: Stream, payload: str) -> etree._Element:
    """Ask, and give the answer."""
    stream.send(f"<iq type='get' id='answer'>{payload}</iq>")
    async with asyncio.timeout(PATIENCE):
        while True:
            element = await stream.receive()
            if element.get("id") == "answer":
                if element.get("type") != "result":
                    raise StreamBrokenError(etree.tostring(element, encoding="unicode"))
                return element
