"""Succession: who owns a room after its last owner, whichever door he goes through.

An admin comes before a member, a member who may speak before one who may not; of equals, whoever joined
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.light_view import is_in
from tidings.features.rooms.room import Membership

_NEVER: Final = 1 << 62


def heir_of(members: Mapping[Jid, Membership]) -> Jid | None:
    """Name who is to own a room with these members; None where it has none."""
    heirs = [jid for jid, member in members.items() if is_in(member)]
    return min(heirs, key=lambda jid: _order(members[jid]), default=None)


def _order(member: Membership) -> tuple[int, bool, int]:
    is_silent = member.is_read_only and member.affiliation is Affiliation.MEMBER
    return -member.affiliation.rank, is_silent, member.joined or _NEVER
