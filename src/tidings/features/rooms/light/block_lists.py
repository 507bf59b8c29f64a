"""Block lists of MUC Light: who adds somebody to rooms, and to which rooms nobody does.

A list is one document of its account, and goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.documents import Document, DocumentConflict, DocumentStore
from tidings.wire.xmpp.payloads.muc_light import BlockingItem

_NAMESPACE: Final = "muc-light.blocking"
_TRIES: Final = 5


class BlockList(msgspec.Struct, frozen=True):
    """What one account blocks at one host of MUC Light."""

    rooms: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.rooms) + len(self.users)

    def prevents(self, room: Jid, inviter: Jid) -> bool:
        """Tell whether its owner is not to be added to a room by somebody."""
        return room.text in self.rooms or inviter.text in self.users

    def changed(self, items: Iterable[BlockingItem]) -> BlockList:
        """Give the list with these denials and without what is allowed."""
        kept = {"room": set(self.rooms), "user": set(self.users)}
        for item in items:
            if item.is_denied:
                kept[item.what].add(item.jid.text)
            else:
                kept[item.what].discard(item.jid.text)
        return BlockList(frozenset(kept["room"]), frozenset(kept["user"]))


class BlockLists:
    """Keeps the block lists of one host of MUC Light. Everything raises `BackendError`."""

    def __init__(self, documents: DocumentStore, domain: str) -> None:
        self._documents = documents
        self._domain = domain

    async def of(self, owner: Jid) -> BlockList:
        """Give what somebody blocks."""
        return _read(await self._documents.get(owner, _NAMESPACE, self._domain))

    async def change(self, owner: Jid, items: Iterable[BlockingItem], most: int) -> None:
        """Change what somebody blocks; raises `resource-constraint` for a list of more than `most`."""
        items = tuple(items)
        for _ in range(_TRIES):
            document = await self._documents.get(owner, _NAMESPACE, self._domain)
            before = _read(document)
            after = before.changed(items)
            if after == before:
                return
            if len(after) > most and len(after) > len(before):
                raise StanzaError("resource-constraint", f"{most} rooms and people may be blocked")
            try:
                await self._documents.put(
                    owner,
                    _NAMESPACE,
                    self._domain,
                    msgspec.json.encode(after),
                    expected=None if document is None else document.version,
                )
            except DocumentConflict:
                continue
            return
        raise StanzaError("resource-constraint", "the list changes all the time; try again")


def _read(document: Document | None) -> BlockList:
    return BlockList() if document is None else msgspec.json.decode(document.value, type=BlockList)
