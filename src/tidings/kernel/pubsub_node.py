"""PubSub node: what a feature offers to whoever serves nodes, when clients see its state as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tidings.kernel.account import Account
from tidings.kernel.session import Session
from tidings.wire.xmpp.payloads.pubsub import PubSubItem


@runtime_checkable
class PubSubNode(Protocol):
    """A node of every account that shows, and changes, what is kept elsewhere; found among `Host.features`.

    Only the account itself has it (XEP-0223). It notifies by itself, and its items cannot be retracted.
    """

    node: str
    """The name of the node."""

    async def publish(self, account: Account, item: PubSubItem, by: Session) -> str:
        """Take an item and give its id; raises `StanzaError` for one that it cannot take."""
        ...

    async def items(
        self, account: Account, ids: Sequence[str], maximum: int | None, by: Session
    ) -> tuple[PubSubItem, ...]:
        """Give the newest items up to `maximum`, newest first, or those of these ids that there are."""
        ...
