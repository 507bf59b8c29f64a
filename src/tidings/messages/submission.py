"""Submission: a message on its way through the router, and what has been found out about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.events import NOTHING
from tidings.kernel.host import Host
from tidings.ports.ledger.batch import Append
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.session import Session


class Submission(msgspec.Struct, eq=False):
    """A message and where it goes: bare address, virtual host if it is one, accounts that are loaded."""

    message: Stanza
    recipient: Jid
    host: Host | None
    account: Account | None
    number: int = 0
    """Which stanza of its stream it is, 0 where nobody counts."""
    sender: Account | None = None
    """The sender's account, where that has an archive."""
    classification: Classification = NOTHING
    append: Append | None = None
    sessions: list[Session] | None = None
    """Those that get the message, where it is delivered in the turn in which they were found."""
    tries: int = 0

    @property
    def is_unloaded(self) -> bool:
        """Whether the recipient is an account of this server that is not in memory."""
        return self.account is None and self.host is not None and bool(self.recipient.local)

    async def load(self) -> None:
        """Bring the recipient into memory if it is an account of this server. Raises `BackendError`."""
        if self.host is not None and self.recipient.local:
            self.account = await self.host.directory.load(self.recipient)

    def refresh(self) -> None:
        """Take the account that is in memory now, where there is one: what was loaded may be out of date.

        An account that has sessions is the one in memory.
        """
        if self.account is not None and not self.account.sessions and self.host is not None:
            self.account = self.host.directory.get(self.recipient) or self.account
