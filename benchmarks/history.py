"""What an archive holds before its server starts, written through the port of the ledger."""

import asyncio
from collections import deque

from benchmarks.servers.base import History
from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import Append, Committed, Entry, LedgerBatch, message_key

_SIZES = {
    History.NOTHING: (0, 1),
    History.THOUSAND: (1_000, 100),
    History.MILLION: (1_000_000, 1_000),
    History.CONVERSATIONS: (20_000, 1_000),
}
"""How many messages, of how many conversations."""

_BATCH = 250
_BATCHES_UNDER_WAY = 8
_BODY = (
    "<message xmlns='jabber:client' type='chat' id='{number}' from='{peer}/phone' to='{owner}'>"
    "<body>Message {number}: shall we meet at the usual place, a quarter past seven?</body></message>"
)


async def fill(ledger: Ledger, owner: Jid, history: History) -> None:
    """Let the owner have received these messages, in turn from people of another domain."""
    count, peers = _SIZES[history]
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


def _received(owner: Jid, peer: Jid, number: int) -> Append:
    key = message_key("origin", peer, owner, str(number))
    return Append(
        body=_BODY.format(number=number, peer=peer, owner=owner).encode(),
        entries=(Entry(archive=owner, peer=peer, countable=True),),
        keys=(key,),
        repeat=key,
    )
