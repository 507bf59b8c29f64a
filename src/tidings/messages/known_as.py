"""Known as: under which address somebody knows a conversation, and which one the ledger has.

A room may have several addresses, of which a member knows one (`InboxRow.domain`). What is read of inboxes is
shown under it, and what a client says of it is asked of the ledger under the canonical one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from tidings.base.jid import Jid
from tidings.kernel.host import Host
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived, InboxRow

_OF_ROOMS: Final = frozenset({EntryKind.MEMBERSHIP, EntryKind.CONFIGURATION})


class KnownAs:
    """Turns addresses that clients know into those of the ledger, and the other way round."""

    def __init__(self, hosts: Mapping[str, Host]) -> None:
        """Take the hosts by domain; where none run, everything is shown as the ledger has it."""
        self._hosts = hosts

    def canonical(self, jid: Jid) -> Jid:
        """Give the bare JID under which the ledger has a conversation."""
        host = self._hosts.get(jid.domain)
        return jid.bare if host is None or not jid.local else host.kind.address(jid.bare)

    def rows(self, rows: Iterable[InboxRow]) -> Iterator[InboxRow]:
        """Give conversations with their last messages as their owner is shown them."""
        return map(self.row, rows)

    def row(self, row: InboxRow) -> InboxRow:
        """Do the same for one."""
        if row.last is None or row.source != row.peer:  # nothing to show, or no room
            return row
        return msgspec.structs.replace(row, last=self.entry(row, row.last))

    def entry(self, row: InboxRow, entry: Archived) -> Archived:
        """Give an entry of the archive behind a conversation as its owner is shown it.

        Of a room that nobody serves now, what tells of its members has no content to show.
        """
        host = self._hosts.get(row.domain or row.source.domain)
        body = entry.body
        if host is not None and body is not None:
            body = host.kind.shown(entry, body)
        elif entry.kind in _OF_ROOMS:
            body = None
        if body is entry.body and not entry.pointers:
            return entry
        pointers = tuple(self.entry(row, each) for each in entry.pointers)
        return msgspec.structs.replace(entry, body=body, pointers=pointers)
