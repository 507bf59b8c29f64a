"""Renaming an archive: its number gets another address, and all that names it by the number follows.

Nothing of the archive is written anew, however long it is: entries, inbox, devices and memberships stand
under the number, and so do the conversations that others have with it. The two addresses change places. So
who still means the former one finds an archive whose version is another than any that he can have seen.
"""

from __future__ import annotations

import secrets
from typing import Final

from tidings.adapters.sql.ledger.archives import Archives
from tidings.adapters.sql.ledger.caches import Caches
from tidings.adapters.sql.ledger.encoding import ERASED, GROUPCHAT, SENT, decode_places, encode_places
from tidings.adapters.sql.ledger.rows import ArchiveRow
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.tables import DIGEST_OCTETS, key_of
from tidings.base.jid import Jid
from tidings.ports.ledger.batch import KeysOf
from tidings.ports.ledger.reading import ArchiveInUse

KEYED: Final = 1_000
"""So many of the newest entries are found by the ids of their authors under the new address, too."""

_ROOMS: Final = "SELECT room FROM members WHERE member = ? ORDER BY room"
_LAST: Final = (
    "SELECT message, peer, flags FROM entries WHERE archive = ? AND position > ? "  # noqa: S608  # ours
    f"AND flags & {ERASED | GROUPCHAT} = 0"
)
_MESSAGES: Final = "SELECT id, places, body FROM messages WHERE id IN LIST ORDER BY id"
_MOVE: Final = "UPDATE jids SET digest = ?, jid = ? WHERE id = ?"


def rename_archive(sql: Sql, archive: Jid, to: Jid, keys: KeysOf | None) -> tuple[Jid, ...]:
    """Give an archive the address of an empty one, in a transaction; give the rooms that it is a member of.

    Raises `ArchiveInUse` where the other one has entries.
    """
    archives = Archives(sql, Caches())
    archives.intern({archive, to})
    old, new = archives.ids[archive], archives.ids[to]
    # Which rooms these are is asked before the locks, which are taken in one order.
    rooms = {int(row[0]) for row in sql.run(_ROOMS, old).all()}
    archives.lock({old, new, *rooms})
    rows = archives.rows
    if rows[new].first <= rows[new].position:
        raise ArchiveInUse(to)
    rows[old].version = rows[new].version = max(rows[old].version, rows[new].version) + 1
    for room in rooms:
        rows[room].version += 1
    for row in rows.values():
        archives.save(row)
    if keys is not None:
        _add_keys(sql, archives, rows[old], to, keys)
    archives.take_feed(secrets.token_bytes(DIGEST_OCTETS))
    sql.run("UPDATE ledger SET renames = renames + 1 WHERE id = 1")
    sql.run(_MOVE, secrets.token_bytes(DIGEST_OCTETS), archive.text.encode(), old)
    sql.run(_MOVE, key_of(archive), archive.text.encode(), new)
    sql.run(_MOVE, key_of(to), to.text.encode(), old)
    return tuple(Jid(name) for name in archives.names_of(rooms).values())


def _add_keys(sql: Sql, archives: Archives, head: ArchiveRow, to: Jid, keys: KeysOf) -> None:
    """Let the newest messages be called what they would be had they been sent under the new address, too."""
    entries = {row[0]: row[1:] for row in sql.run(_LAST, head.archive, head.position - KEYED).all()}
    names = archives.names_of({peer for peer, _ in entries.values()})
    names[head.archive] = to.text
    added = []
    for message, places, body in sql.find(_MESSAGES + sql.locked, sorted(entries)):
        peer, flags = entries[message]
        there = Jid(names[peer]).bare
        parties = (to, there) if flags & SENT else (there, to)
        stored = decode_places(bytes(places))
        new = [key for key in keys(bytes(body), *parties) if key not in stored.keys] if body else []
        if new:
            added += [(bytearray(key), message) for key in new]
            kept = (stored.places, [*stored.keys, *new], stored.content)
            sql.run("UPDATE messages SET places = ? WHERE id = ?", encode_places(kept), message)
    sql.insert("message_keys", added)
