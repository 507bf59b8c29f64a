"""What an account keeps, as one of its devices would find it: the archive and the counts of unread messages.

    assert [message.text for message in await archived(world, "alice@localhost")] == ["hi"]
    assert await unread(world, "bob@localhost") == {"alice@localhost": 1}

A device is logged in for each question and leaves after it; it is never available, so nothing is delivered to
it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.harness.world import World, WorldClient
from tidings.base.jid import Jid
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.inbox import InboxResult
from tidings.wire.xmpp.stanza import Stanza


class ArchivedMessage(msgspec.Struct, frozen=True):
    """A message in an archive; `id` is its archive id."""

    id: str
    sender: str
    to: str
    text: str | None


async def archived(world: World, account: str) -> list[ArchivedMessage]:
    """Give the messages that the archive of an account shows, the oldest first."""
    async with _device(world, account) as device:
        await device.send(
            f"<iq type='set' id='q'>{ArchiveQuery().encode().to_bytes(ns.CLIENT).decode()}</iq>"
        )
        [answer] = device.take("iq")
        fin = answer.find("fin", ns.MAM2)
        assert fin is not None, answer
        assert ArchiveFin.decode(fin).is_complete, "the archive has more than one page"
        results = [message.find("result", ns.MAM2) for message in device.take("message")]
        return [_message(ArchiveResult.decode(result)) for result in results if result is not None]


async def unread(world: World, account: str) -> dict[str, int]:
    """Give how many messages of each conversation in the inbox of an account are unread."""
    async with _device(world, account) as device:
        answer = await device.request(f"<iq type='set' id='q'><inbox xmlns='{ns.INBOX}'/></iq>")
        assert answer.get("type") == "result", answer
        counts = {}
        for message in device.take("message"):
            result = InboxResult.decode(message.children[0])
            last = result.forwarded.stanza()
            assert last is not None
            counts[_other(last, device.jid.bare)] = result.unread
        return counts


@asynccontextmanager
async def _device(world: World, account: str) -> AsyncIterator[WorldClient]:
    assert await world.stores.accounts.exists(Jid(account)), f"there is no account {account}"
    device = await world.login(account)
    yield device
    await device.leave()


def _message(result: ArchiveResult) -> ArchivedMessage:
    stanza = result.forwarded.stanza()
    assert stanza is not None
    body = stanza.decode(ns.CLIENT, "body")
    text = None if body is None else body.text
    return ArchivedMessage(result.id, str(stanza.sender), str(stanza.to), text)


def _other(message: Stanza, owner: Jid) -> str:
    """Give the other party of a message of the owner's."""
    assert message.sender is not None
    assert message.to is not None
    return str(message.to.bare if message.sender.bare == owner else message.sender.bare)
