"""Files in SQL: a row each, a row of what each owner and each domain has, and a row for each mention.

What somebody has is counted in a row of his, which every transaction that announces a file locks: of many
that do so at once, on any node, none gets past a quota.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, Select, and_, delete, exists, func, insert, or_, select, update

from tidings.adapters.sql.dialects import put_missing
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import accounts, file_mentions, file_usage, files, key_of
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.files import FileRecord, FileState, Mention, Quota, QuotaExceeded, Usage

Part = TypeVar("Part")

_AT_ONCE: Final = 100
"""Mentions of one transaction; SQLite takes no more than 1,000 conditions in one statement."""
_columns = files.c
_GONE: Final = FileState.GONE.value
_IS_THERE: Final = _columns.state != _GONE
_COUNTED: Final = (
    select(func.count())
    .select_from(file_mentions)
    .where(file_mentions.c.file == _columns.id)
    .scalar_subquery()
)
_RECORD: Final[Select[Any]] = select(
    _columns.id,
    _columns.jid,
    _columns.name,
    _columns.size,
    _columns.content_type,
    _columns.created,
    _columns.expires,
    _columns.state,
    _columns.digest,
    _COUNTED.label("mentions"),
)


class SqlFiles:
    """The files port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, record: FileRecord, *, own: Quota, domain: Quota) -> None:
        """Keep a file whose octets may come."""
        row = {
            "id": record.id,
            "owner": key_of(record.owner),
            "jid": record.owner,
            "domain": record.owner.domain,
            "name": record.name,
            "size": record.size,
            "content_type": record.content_type,
            "created": record.created,
            "expires": record.expires,
            "state": record.state.value,
            "digest": record.sha256,
            "sent": False,
        }

        def work(connection: Connection) -> None:
            if record.owner.local:
                account = select(accounts.c.account).where(accounts.c.account == row["owner"])
                if connection.execute(account).first() is None:
                    raise NoSuchAccount(record.owner)
            for holder, quota in _holders(record.owner, own, domain):
                if not quota.has_room(_locked(connection, holder), record.size):
                    raise QuotaExceeded(holder, _first_end(connection, holder))
            connection.execute(insert(files), row)
            for holder, _ in _holders(record.owner, own, domain):
                _add(connection, key_of(holder), 1, record.size)

        await self._database.write(work)

    async def get(self, id_: str) -> FileRecord | None:
        """Give a file that is not gone."""
        statement = _RECORD.where(_columns.id == id_, _IS_THERE)
        row = await self._database.read(lambda connection: connection.execute(statement).first())
        return None if row is None else _record(row)

    async def postpone(self, id_: str, expires: float) -> bool:
        """Wait longer for the octets."""
        return await self._change(id_, {"expires": expires})

    async def complete(self, id_: str, *, sha256: bytes, expires: float) -> bool:
        """Note that all octets are there."""
        changed = {"state": FileState.COMPLETE.value, "digest": sha256, "expires": expires}
        return await self._change(id_, changed)

    async def _change(self, id_: str, values: dict[str, Any]) -> bool:
        """Change an announced file; tell whether there is one."""
        is_announced = and_(_columns.id == id_, _columns.state == FileState.ANNOUNCED.value)
        statement = update(files).where(is_announced).values(values)
        return await self._database.write(lambda connection: connection.execute(statement).rowcount > 0)

    async def discard(self, ids: Collection[str]) -> int:
        """Let nobody find them any more."""
        return await self._database.write(lambda connection: _discard(connection, ids))

    async def discard_all(self, owner: Jid) -> int:
        """Let nobody find any file of an owner."""
        return await self._database.write(lambda connection: discard_files(connection, owner))

    async def due(self, now: float, *, limit: int = 100) -> tuple[FileRecord, ...]:
        """Give what is gone or has expired."""
        statement = _RECORD.where(_columns.expires <= now).order_by(_columns.expires, _columns.id)
        rows = await self._database.read(lambda connection: connection.execute(statement.limit(limit)).all())
        return tuple(map(_record, rows))

    async def forget(self, ids: Collection[str]) -> None:
        """Forget files."""

        def work(connection: Connection) -> None:
            _discard(connection, ids)
            connection.execute(delete(file_mentions).where(file_mentions.c.file.in_(list(ids))))
            connection.execute(delete(files).where(_columns.id.in_(list(ids))))

        await self._database.write(work)

    async def list(self, owner: Jid, *, after: str = "", limit: int = 100) -> tuple[FileRecord, ...]:
        """Give a page of an owner's files."""
        is_meant = and_(_columns.owner == key_of(owner), _columns.id > after, _IS_THERE)
        statement = _RECORD.where(is_meant).order_by(_columns.id).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(map(_record, rows))

    async def usage(self, holder: Jid) -> Usage:
        """Tell what somebody has."""
        return await self._database.read(lambda connection: _usage(connection, key_of(holder)))

    async def mention(self, mentions: Collection[Mention]) -> None:
        """Note that entries name files."""
        for part in _parts(mentions):
            await self._database.write(partial(_mention, part))

    async def withdraw(self, places: Collection[tuple[Jid, int]]) -> int:
        """Note that entries name nothing any more."""
        return sum([await self._database.write(partial(_withdraw, part)) for part in _parts(places)])


def _mention(mentions: Collection[Mention], connection: Connection) -> None:
    ids = {each.file for each in mentions}
    statement = select(_columns.id, _columns.owner).where(_columns.id.in_(ids), _IS_THERE)
    owners = {row.id: row.owner for row in connection.execute(statement)}
    found = [each for each in mentions if each.file in owners]
    rows = [{"archive": key_of(each.archive), "position": each.position, "file": each.file} for each in found]
    if rows:
        put_missing(connection, file_mentions, rows)
    sent = {each.file for each in found if key_of(each.sender) == owners[each.file]}
    if sent:
        connection.execute(update(files).where(_columns.id.in_(sent)).values(sent=True))


def _withdraw(places: Collection[tuple[Jid, int]], connection: Connection) -> int:
    positions: dict[bytes, list[int]] = defaultdict(list)
    for archive, position in places:
        positions[key_of(archive)].append(position)
    mentions = file_mentions.c
    are_meant = or_(
        *(and_(mentions.archive == key, mentions.position.in_(each)) for key, each in positions.items())
    )
    named = connection.execute(select(mentions.file).where(are_meant)).scalars().all()
    if not named:
        return 0
    connection.execute(delete(file_mentions).where(are_meant))
    left = exists().where(mentions.file == _columns.id)
    alone = select(_columns.id).where(_columns.id.in_(set(named)), _columns.sent, ~left)
    return _discard(connection, connection.execute(alone).scalars().all())


def _parts(of: Collection[Part]) -> Iterator[Sequence[Part]]:
    """Divide what strangers may have made long into what one statement takes in every database."""
    whole = list(of)
    for at in range(0, len(whole), _AT_ONCE):
        yield whole[at : at + _AT_ONCE]


def discard_files(connection: Connection, owner: Jid) -> int:
    """Discard all files of an owner, and the mentions in its archive, in a transaction that has begun."""
    connection.execute(delete(file_mentions).where(file_mentions.c.archive == key_of(owner)))
    return _discard_where(connection, _columns.owner == key_of(owner))


def move_files(connection: Connection, account: Jid, to: Jid) -> None:
    """Let all of an account be that of its new address, in a transaction that has begun."""
    discard_files(connection, to)  # what there was of the name while there was no account
    old, new = key_of(account), key_of(to)
    usage = _usage(connection, old)
    moved = {"owner": new, "jid": to, "domain": to.domain}
    connection.execute(update(files).where(_columns.owner == old).values(moved))
    connection.execute(update(file_mentions).where(file_mentions.c.archive == old).values(archive=new))
    if usage.files:
        for holder, sign in ((account, -1), (account.host, -1), (to, 1), (to.host, 1)):
            _add(connection, key_of(holder), sign * usage.files, sign * usage.octets)


def _discard(connection: Connection, ids: Collection[str]) -> int:
    return _discard_where(connection, _columns.id.in_(list(ids))) if ids else 0


def _discard_where(connection: Connection, are_meant: Any) -> int:  # noqa: ANN401  # a condition
    statement = select(_columns.id, _columns.owner, _columns.domain, _columns.size)
    rows = connection.execute(statement.where(are_meant, _IS_THERE).with_for_update()).all()
    if not rows:
        return 0
    connection.execute(update(files).where(are_meant, _IS_THERE).values(state=_GONE, expires=0.0))
    sizes: dict[bytes, list[int]] = defaultdict(list)
    for row in rows:
        for holder in {row.owner, key_of(row.domain)}:
            sizes[holder].append(row.size)
    for holder in sorted(sizes):
        _add(connection, holder, -len(sizes[holder]), -sum(sizes[holder]))
    return len(rows)


def _holders(owner: Jid, own: Quota, domain: Quota) -> tuple[tuple[Jid, Quota], ...]:
    """Give who is counted, each once: a domain may own files itself."""
    return ((owner, own), (owner.host, domain)) if owner.local else ((owner, domain),)


def _add(connection: Connection, holder: bytes, count: int, octets: int) -> None:
    counted = file_usage.c
    put_missing(connection, file_usage, {"holder": holder, "files": 0, "octets": 0})
    connection.execute(
        update(file_usage)
        .where(counted.holder == holder)
        .values(files=counted.files + count, octets=counted.octets + octets)
    )


def _locked(connection: Connection, holder: Jid) -> Usage:
    """Tell what somebody has, and keep others from changing it."""
    put_missing(connection, file_usage, {"holder": key_of(holder), "files": 0, "octets": 0})
    return _usage(connection, key_of(holder))


def _usage(connection: Connection, holder: bytes) -> Usage:
    statement = select(file_usage.c.files, file_usage.c.octets).where(file_usage.c.holder == holder)
    row = connection.execute(statement).first()
    return Usage() if row is None else Usage(int(row.files), int(row.octets))


def _first_end(connection: Connection, holder: Jid) -> float | None:
    """Tell when the first file of somebody expires."""
    is_his = _columns.owner == key_of(holder) if holder.local else _columns.domain == holder.domain
    statement = select(_columns.expires).where(is_his, _IS_THERE).order_by(_columns.expires).limit(1)
    return connection.execute(statement).scalar()


def _record(row: Row[Any]) -> FileRecord:
    return FileRecord(
        id=row.id,
        owner=Jid(row.jid),
        name=row.name,
        size=int(row.size),
        content_type=row.content_type,
        created=row.created,
        expires=row.expires,
        state=FileState(row.state),
        sha256=row.digest,
        references=int(row.mentions),
    )
