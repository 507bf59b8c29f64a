"""Who belongs to a room: the changes that come with messages, and what is read of them."""

from __future__ import annotations

from typing import Final, NamedTuple

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.inboxes import Inboxes
from tidings.adapters.sql.ledger.reader import Reader
from tidings.adapters.sql.ledger.statements import Rows, Sql
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import MemberChange
from tidings.ports.ledger.reading import Member

_COLUMNS: Final = "SELECT room, member, affiliation, joined, nick, domain FROM members "
_FORGET: Final = "DELETE FROM members WHERE room = ? AND member = ?"
_NONE: Final = bytearray()


class _Kept(NamedTuple):
    affiliation: bytearray = _NONE
    joined: int | None = None
    """The position at joining."""
    nick: bytearray = _NONE
    domain: bytearray = _NONE


class Members:
    """The members that a transaction changes, under the locks of their rooms."""

    def __init__(self, sql: Sql, archives: Archives, inboxes: Inboxes) -> None:
        self._sql = sql
        self._archives = archives
        self._inboxes = inboxes
        self._changed: dict[tuple[int, int], _Kept | None] = {}
        """None for who is to be removed."""

    def change(self, change: MemberChange) -> None:
        """Let somebody belong to a room in another way; the room's position is that of the message."""
        room, member = self._archives.ids[change.room], self._archives.ids[change.member]
        affiliation = bytearray(change.affiliation, "utf-8")
        if not affiliation:
            self.remove(room, member)
            return
        before = _Kept()
        if change.joins is None or change.nick is None or change.domain is None:
            before = self._before(room, member)
        joined = before.joined
        if change.joins:
            joined = self._archives.rows[room].position
            self._inboxes.join(member, room, joined)
        elif change.joins is False:
            joined = None
            self._inboxes.leave(member, room)
        nick = before.nick if change.nick is None else bytearray(change.nick, "utf-8")
        domain = before.domain if change.domain is None else bytearray(change.domain, "utf-8")
        self._changed[room, member] = _Kept(affiliation, joined, nick, domain)

    def remove(self, room: int, member: int) -> None:
        """Let somebody belong to a room no more."""
        self._changed[room, member] = None
        self._inboxes.leave(member, room)
        self._inboxes.followed.discard((room, member))

    def write(self) -> None:
        """Write what was changed, and who has a room in the inbox from now on."""
        followed = self._inboxes.followed
        if not self._changed and not followed:
            return
        feed, put = self._archives.feed, []
        for (room, member), found in self._changed.items():
            if found is None:
                self._sql.run(_FORGET, room, member)
            else:
                names = (found.nick or None, found.domain or None)
                put.append((room, member, found.affiliation, found.joined, feed, *names))
        self._sql.put("members", put)
        new = sorted(pair for pair in followed if self._changed.get(pair) is None)
        self._sql.add("members", [(room, member, _NONE, None, feed, None, None) for room, member in new])

    def _before(self, room: int, member: int) -> _Kept:
        """Give what is kept of somebody who may belong to the room already."""
        if (room, member) in self._changed:
            return self._changed[room, member] or _Kept()
        row = self._sql.run(f"{_COLUMNS}WHERE room = ? AND member = ?", room, member).first()
        if row is None:
            return _Kept()
        return _Kept(bytearray(row[2]), row[3], bytearray(row[4] or b""), bytearray(row[5] or b""))


class MemberReader:
    """Answers who belongs to rooms."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def members(self, room: Jid, after: Jid | None, limit: int) -> tuple[Member, ...]:
        """List who has an affiliation with a room, in the order of their numbers."""
        return self._listed("room", "member", room, after, limit)

    def rooms_of(self, member: Jid, after: Jid | None, limit: int) -> tuple[Member, ...]:
        """List the rooms that somebody has an affiliation with, in the order of their numbers."""
        return self._listed("member", "room", member, after, limit)

    def member(self, room: Jid, jid: Jid) -> Member | None:
        """Tell how somebody belongs to a room."""
        number_of = self._reader.number_of
        condition = "WHERE room = ? AND member = ? AND affiliation <> ?"
        rows = self._reader.run(_COLUMNS + condition, number_of(room), number_of(jid), b"")
        return next(iter(self._members(rows)), None)

    def _listed(self, of: str, by: str, jid: Jid, after: Jid | None, limit: int) -> tuple[Member, ...]:
        start = 0 if after is None else self._reader.number_of(after)
        condition = f"WHERE {of} = ? AND {by} > ? AND affiliation <> ? ORDER BY {by} LIMIT {int(limit)}"
        return self._members(self._reader.run(_COLUMNS + condition, self._reader.number_of(jid), start, b""))

    def _members(self, rows: Rows) -> tuple[Member, ...]:
        names = self._reader.names_of({number for row in rows for number in row[:2]})
        return tuple(
            Member(names[row[0]], names[row[1]], _text(row[2]), row[3], _text(row[4]), _text(row[5]))
            for row in rows
        )


def _text(octets: bytes | None) -> str:
    return bytes(octets or b"").decode()
