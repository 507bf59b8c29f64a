"""Member lists: who is what in a room, written without an element for each (XEP-0045 §9.5 to §10.8).

A list may be as long as the room is large, and nobody else runs while it is written. So a whole list is
answered only as far as it is short enough; a longer one comes in pages (XEP-0059), in the order of addresses.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.room import Room
from tidings.wire.xml.writer import escape_attribute
from tidings.wire.xmpp.payloads.muc_admin import list_written
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.stanza import Child

LARGEST_PAGE: Final = 1_000


def affiliated(room: Room, wanted: Affiliation, request: PageRequest | None, most: int) -> Child:
    """Write who has an affiliation: all of them, if they are no more than `most`, or a page.

    Raises `not-acceptable` where there are more and no page is asked for.
    """
    members = room.state.members
    found = [jid for jid, member in members.items() if member.affiliation is wanted]
    if request is None:
        if len(found) > most:
            text = f"the list has {len(found)} people, and one answer {most}: ask for pages (XEP-0059)"
            raise StanzaError("not-acceptable", text)
        return list_written(_items(room, wanted, sorted(found)))
    shown, page = _paged(found, request)
    return list_written(_items(room, wanted, shown), page)


def with_role(room: Room, wanted: Role) -> Child:
    """Write which occupants have a role now."""
    return list_written(_occupants(room, wanted))


def _occupants(room: Room, wanted: Role) -> Iterator[str]:
    for each in room.occupants:
        if each.role is wanted:
            affiliation, device = room.state.affiliation_of(each.jid), next(reversed(each.devices))
            yield (
                f'<item affiliation="{affiliation.value}" jid="{device.xml.decode()}" '
                f'nick="{escape_attribute(each.nick)}" role="{wanted.value}"/>'
            )


def _items(room: Room, wanted: Affiliation, shown: Iterable[Jid]) -> Iterator[str]:
    members = room.state.members
    opening = f'<item affiliation="{wanted.value}" jid="'
    for jid in shown:
        nick = members[jid].nick
        name = f' nick="{escape_attribute(nick)}"' if nick else ""
        yield f'{opening}{jid.text}"{name}/>'  # no character of a bare address has to be escaped


def _paged(found: Sequence[Jid], request: PageRequest) -> tuple[list[Jid], Page]:
    """Give a page of addresses, and where it stands; the whole is never sorted."""
    if request.index is not None:
        raise StanzaError("feature-not-implemented", "pages are asked for by the address beside them")
    size = request.size(default=LARGEST_PAGE, limit=LARGEST_PAGE)
    left: Iterable[Jid] = found
    if request.after:
        after = request.after
        left = [jid for jid in left if jid > after]
    if request.before:
        before = request.before
        left = [jid for jid in left if jid < before]
    shown = heapq.nlargest(size, left)[::-1] if request.is_backward else heapq.nsmallest(size, left)
    if not shown:
        return [], Page(count=len(found))
    return shown, Page(shown[0].text, shown[-1].text, count=len(found))
