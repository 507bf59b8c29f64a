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
from tidings.adapters.sql.ledger.statements import Sql
from tidings.adapters.sql.tables import DIGEST_OCTETS, key_of
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import ArchiveInUse

_ROOMS: Final = "SELECT room FROM members WHERE member = ? ORDER BY room"
_MOVE: Final = "UPDATE jids SET digest = ?, jid = ? WHERE id = ?"


def rename_archive(sql: Sql, archive: Jid, to: Jid) -> tuple[Jid, ...]:
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
    archives.take_feed(secrets.token_bytes(DIGEST_OCTETS))
    sql.run("UPDATE ledger SET renames = renames + 1 WHERE id = 1")
    sql.run(_MOVE, secrets.token_bytes(DIGEST_OCTETS), archive.text.encode(), old)
    sql.run(_MOVE, key_of(archive), archive.text.encode(), new)
    sql.run(_MOVE, key_of(to), to.text.encode(), old)
    return tuple(Jid(name) for name in archives.names_of(rooms).values())
