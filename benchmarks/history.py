"""What an archive holds before its server starts, written through the port of the ledger."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from benchmarks.servers.base import History
from tidings.base.jid import Jid
from tidings.features.rooms.configuration import RoomConfiguration
from tidings.features.rooms.storing import CONFIGURATION
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import (
    Append,
    Committed,
    Entry,
    EntryKind,
    LedgerBatch,
    MemberChange,
    PropertyChange,
    message_key,
)
from tidings.ports.nodes import AccessModel, NodeConfig, NodeItem, NodeLimits, NodeStore

_SIZES = {
    History.NOTHING: (0, 1),
    History.THOUSAND: (1_000, 100),
    History.MILLION: (1_000_000, 1_000),
    History.CONVERSATIONS: (20_000, 1_000),
}
_MEMBERS = {History.SMALL_LIGHT_ROOM: 50, History.LARGE_LIGHT_ROOM: 10_000, History.LARGE_ROOM: 2_000}
"""How many members a room has; those who have no account here are never online."""

LIGHT_ROOM, LARGE_ROOM = "light", "large"
NODES = tuple(f"urn:example:node{number}" for number in range(10))
_ITEM = (
    b"<mood xmlns='http://jabber.org/protocol/mood'><happy/><text>Shall we meet this evening?</text></mood>"
)
_MEMBERS_AT_ONCE = 500
"""How many messages, of how many conversations."""

_BATCH = 250
_BATCHES_UNDER_WAY = 8
_BODY = (
    "<message xmlns='jabber:client' type='chat' id='{number}' from='{peer}/phone' to='{owner}'>"
    "<body>Message {number}: shall we meet at the usual place, a quarter past seven?</body></message>"
)


async def fill(ledger: Ledger, owner: Jid, history: History) -> None:
    """Let the owner have received these messages, in turn from people of another domain."""
    count, peers = _SIZES.get(history, (0, 1))
    people = [Jid(f"friend{number}@elsewhere.example") for number in range(peers)]
    under_way: deque[asyncio.Future[Committed]] = deque()
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        appends = tuple(_received(owner, people[number % peers], number) for number in numbers)
        under_way.append(ledger.commit(LedgerBatch(appends=appends)))
        if len(under_way) == _BATCHES_UNDER_WAY:
            await under_way.popleft()
    for future in under_way:
        await future


async def fill_room(ledger: Ledger, users: Sequence[Jid], history: History) -> None:
    """Let there be a room, whose first members these are; the first of all owns it."""
    count = _MEMBERS.get(history, 0)
    if not count:
        return
    is_light = history is not History.LARGE_ROOM
    domain = users[0].domain
    room = Jid.of(LIGHT_ROOM if is_light else LARGE_ROOM, f"conference.{domain}")
    configuration = RoomConfiguration(
        secret=bytes(16), created=time.time(), is_persistent=True, is_members_only=is_light, whois="anyone"
    )
    kept = PropertyChange(archive=room, name=CONFIGURATION, value=msgspec.json.encode(configuration))
    people = [*users, *(Jid.of(f"member{number}", domain) for number in range(count))][:count]
    for start in range(0, count, _MEMBERS_AT_ONCE):
        members = tuple(
            MemberChange(
                room=room,
                member=jid,
                affiliation="owner" if jid == users[0] else "member",
                joins=True,
                domain=f"muclight.{domain}" if is_light else "",
            )
            for jid in people[start : start + _MEMBERS_AT_ONCE]
        )
        told = Append(
            body=b"<message/>",
            entries=(Entry(archive=room, peer=room, groupchat=True),),
            kind=EntryKind.MEMBERSHIP,
            members=members,
            properties=() if start else (kept,),
            raises=(room,),
        )
        await ledger.commit(LedgerBatch(appends=(told,)))


async def fill_nodes(nodes: NodeStore, owners: Sequence[Jid], history: History) -> None:
    """Let each of these accounts have published something to each node."""
    if history is not History.PERSONAL_NODES:
        return
    limits = NodeLimits(nodes=len(NODES), items=1, octets=100_000)
    config = NodeConfig(access_model=AccessModel.PRESENCE)
    for owner in owners:
        for node in NODES:
            item = NodeItem("current", owner, time.time(), _ITEM)
            await nodes.publish(owner, node, item, make=config, check=lambda *_: None, limits=limits)


def _received(owner: Jid, peer: Jid, number: int) -> Append:
    key = message_key("origin", peer, owner, str(number))
    return Append(
        body=_BODY.format(number=number, peer=peer, owner=owner).encode(),
        entries=(Entry(archive=owner, peer=peer, countable=True),),
        keys=(key,),
        repeat=key,
    )
