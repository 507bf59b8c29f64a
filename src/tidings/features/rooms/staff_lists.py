"""Staff lists: the owners and admins of a room, as fields of the form that configures it (XEP-0045 §10.2).

A list that is submitted is the full one. Who is taken off the owners becomes an admin, unless the list of
admins is submitted, too, without him; who is on neither any more becomes a member. An empty list of owners
says nothing: the document's own forms leave it empty where the room has an owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.room import RoomState
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind

OWNERS: Final = "muc#roomconfig_roomowners"
ADMINS: Final = "muc#roomconfig_roomadmins"
_FIELDS: Final = (
    (ADMINS, Affiliation.ADMIN, "Admins"),
    (OWNERS, Affiliation.OWNER, "Owners"),
)


class StaffLists(NamedTuple):
    """The lists that a form names; None for one that it says nothing of."""

    owners: frozenset[Jid] | None
    admins: frozenset[Jid] | None

    @classmethod
    def of(cls, form: DataForm) -> Self:
        """Read them; raises `jid-malformed`."""
        owners, admins = (frozenset(jid.bare for jid in form.jids(name)) for name in (OWNERS, ADMINS))
        return cls(owners or None, None if form.get(ADMINS) is None else admins)

    def changes(self, state: RoomState) -> dict[Jid, Affiliation]:
        """Give what becomes of people by them."""
        if self.owners is None and self.admins is None:
            return {}
        wanted = dict.fromkeys(self.admins or (), Affiliation.ADMIN)
        wanted |= dict.fromkeys(self.owners or (), Affiliation.OWNER)
        for jid, member in state.members.items():
            if member.affiliation is Affiliation.OWNER and self.owners is None:
                wanted[jid] = Affiliation.OWNER
            elif member.affiliation.is_staff and jid not in wanted:
                wanted[jid] = Affiliation.ADMIN if self.admins is None else Affiliation.MEMBER
        return {jid: after for jid, after in wanted.items() if state.affiliation_of(jid) is not after}


def fields_of(state: RoomState, most: int) -> Iterator[Field]:
    """Give the fields, each with its list; one of more than `most` people is left out."""
    for name, affiliation, label in _FIELDS:
        jids = [jid.text for jid, member in state.members.items() if member.affiliation is affiliation]
        if len(jids) <= most:
            yield Field(name, tuple(sorted(jids)), FieldKind.JID_MULTI, label)
