"""Reaction sums: which reactions messages have, from the newest set of each person (XEP-0444 §3.2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.reactions import Reactions
from tidings.wire.xmpp.payloads.room_receipts import ReactionCount

_USUAL: Final = re.compile(
    rb"""<message\s[^<>]*>"""
    # What has neither children nor a prefix may stand before: so this is a child of the message.
    rb"""(?:<((?!reactions[\s/>])[A-Za-z_-]+)(?:\s[^<>]*)?(?:/>|>[^<>]*</\1>))*+"""
    rb"""<reactions\s(?:[^<>]*\s)?xmlns=["']urn:xmpp:reactions:0["'](?:\s[^<>]*?)?"""
    rb"""(?:/>|>((?:<reaction>[^<>&]+</reaction>)*+)</reactions>)"""
)
_TEXT: Final = re.compile(rb"<reaction>([^<]*)</reaction>")


class ReactionSet(NamedTuple):
    """What one person feels about one message."""

    target: int
    """The position of the message."""
    sender: Jid
    """A bare JID."""
    time: int
    reactions: tuple[str, ...]


class ReactionSums:
    """Reads reactions from the archives of rooms."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of(self, room: Jid, ids: Sequence[EntryId], asker: Jid) -> dict[int, tuple[ReactionCount, ...]]:
        """Count the reactions to messages, by their positions, the commonest first."""
        counts: dict[int, Counter[str]] = {}
        mine: set[tuple[int, str]] = set()
        for each in await self.sets(room, ids):
            counts.setdefault(each.target, Counter()).update(each.reactions)
            if each.sender == asker:
                mine.update((each.target, text) for text in each.reactions)
        return {
            target: tuple(
                ReactionCount(text, count, (target, text) in mine) for text, count in found.most_common()
            )
            for target, found in counts.items()
        }

    async def sets(self, room: Jid, ids: Sequence[EntryId]) -> list[ReactionSet]:
        """Give everybody's reactions to messages, who has reacted last at the end; no empty sets."""
        found: list[ReactionSet] = []
        after, is_complete = 0, not ids
        while not is_complete:
            page = await self._ledger.reactions(room, ids, after)
            for entry in page.entries:
                reactions = reactions_in(entry.body or b"")
                if reactions and entry.sender is not None:
                    found.append(ReactionSet(entry.target, entry.sender, entry.time, reactions))
            is_complete = page.is_complete or not page.entries
            after = page.entries[-1].id.position if page.entries else after
        return found


def reactions_in(body: bytes) -> tuple[str, ...]:
    """Read the reactions of a stored message; of the usual form without a parser, since there may be many."""
    usual = _USUAL.match(body)
    if usual is None:
        return _parse(body)
    return tuple(dict.fromkeys(text.decode() for text in _TEXT.findall(usual[2] or b"")))


def _parse(body: bytes) -> tuple[str, ...]:
    element = kept(body).decode(*Reactions.TAG) if body else None
    if element is None:
        return ()
    try:
        return Reactions.decode(element).reactions
    except StanzaError:
        return ()
