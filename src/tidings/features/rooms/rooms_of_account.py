"""Rooms of an account: everything that somebody is to rooms, at all domains, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import Member

_PAGE: Final = 500


async def rooms_of(ledger: Ledger, account: Jid) -> AsyncIterator[Member]:
    """Go through the rooms of an account in a fixed order; it may leave those that it has come by.

    Raises `BackendError`.
    """
    after = None
    while page := await ledger.rooms_of(account, after, _PAGE):
        for each in page:
            yield each
        if len(page) < _PAGE:
            return
        after = page[-1].room
