"""Affiliation changes: who enters again is told who has become what meanwhile, and no more (XEP-0463 0.2.0).

The archive has an entry for each change, with the versions before it and after it. From the newest one on
they are followed back to the version that the client knows; where the chain is broken, since an entry was
erased, an account was removed or the version is older than a thousand changes, the whole list is told. The
same goes for who has become something else himself: what others were before that may not be for him (§6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_access import may_list
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import EntryKind
from tidings.ports.ledger.reading import Archived, EntryId, NoSuchEntry, PageQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.muc_user import AffiliationList, OccupantItem, VersionMark
from tidings.wire.xmpp.stanza import Stanza, error_element

ITEMS_OF_MESSAGE: Final = 500
"""So many people one message tells of."""
_PAGES: Final = 5
_PAGE: Final = 200
_OCTETS: Final = 1 << 20
_TRIES: Final = 5
_OTHERS: Final = tuple(kind for kind in EntryKind if kind is not EntryKind.MEMBERSHIP)


async def told_at_entering(room: Room, ledger: Ledger, device: Jid, since: str) -> tuple[Stanza, ...]:
    """Give the messages that tell who enters of affiliations since a version, empty for all (§5.2.1).

    They are of the list as it is when this returns. Raises `BackendError`.
    """
    asker = device.bare
    mine = room.state.affiliation_of(asker)
    if not may_list(room, mine, room.state.role_of(asker), Affiliation.MEMBER):
        error = error_element(StanzaError("forbidden", "who is what to the room is not for you"))
        return (Stanza.build("message", kind="error", sender=room.jid, content=(error,)),)
    changes: Mapping[Jid, Affiliation] | None = None
    for _ in range(_TRIES):
        until = room.state.affiliations.text
        if since == until:
            return ()
        changes = await _changes_since(room, ledger, since) if since else None
        if room.state.affiliations.text == until:
            break
        changes = None  # it has changed meanwhile
    if not changes or asker in changes:
        known = ((jid, member.affiliation) for jid, member in room.state.members.items())
        return _messages(room, mine, "", known)
    return _messages(room, mine, since, changes.items())


def _messages(
    room: Room, mine: Affiliation, since: str, people: Iterable[tuple[Jid, Affiliation]]
) -> tuple[Stanza, ...]:
    """Write a list, in several messages where it is long; who is banned is told to the staff alone."""
    if not mine.is_staff:
        shown = ((jid, Affiliation.NONE if each is Affiliation.OUTCAST else each) for jid, each in people)
        people = ((jid, each) for jid, each in shown if since or each is not Affiliation.NONE)
    until, left = room.state.affiliations.text, list(people)
    parts = [left[start : start + ITEMS_OF_MESSAGE] for start in range(0, len(left), ITEMS_OF_MESSAGE)] or [
        []
    ]
    told = []
    for number, part in enumerate(parts, start=1):
        # A client that loses the connection in between does not know the version of the whole.
        to = until if number == len(parts) else f"{until}.{number}"
        items = tuple(OccupantItem(affiliation=affiliation.value, jid=jid) for jid, affiliation in part)
        content = AffiliationList(VersionMark(since=since, until=to), items).encode()
        told.append(Stanza.build("message", sender=room.jid, content=(content,)))
        since = to
    return tuple(told)


async def _changes_since(room: Room, ledger: Ledger, since: str) -> Mapping[Jid, Affiliation] | None:
    """Give what people have become since a version; None where that cannot be told any more."""
    wanted, before = room.state.affiliations.text, None
    found: dict[Jid, Affiliation] = {}
    for _ in range(_PAGES):
        entries, is_complete = await _older(room, ledger, before)
        for entry in entries:
            change = _change_of(entry)
            if change is None:
                continue  # somebody has joined, or is called in another way
            if change.version.until != wanted:
                return None
            for item in reversed(change.items):
                if item.jid is not None:
                    found.setdefault(item.jid, Affiliation(item.affiliation))
            wanted = change.version.since
            if wanted == since:
                return found
        if is_complete or not entries:
            return None
        before = entries[-1].id
    return None


async def _older(room: Room, ledger: Ledger, before: EntryId | None) -> tuple[tuple[Archived, ...], bool]:
    """Give changes of members before an entry, newest first, and whether these are the last."""
    query = PageQuery(
        limit=_PAGE, newest=True, flipped=True, counted=False, without=_OTHERS, before=before, octets=_OCTETS
    )
    try:
        page = await ledger.page(room.jid, query)
    except NoSuchEntry:  # erased meanwhile
        return (), True
    return page.entries, page.is_complete


def _change_of(entry: Archived) -> AffiliationList | None:
    element = None if entry.body is None else kept(entry.body).decode(ns.MUC_USER, "x")
    return None if element is None else AffiliationList.decode(element)
