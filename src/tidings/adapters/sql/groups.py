"""Shared groups in SQL: a head row with the number of the last change, rows of groups and of members.

A write locks the head row of the domain first, so that numbers are dense and what another writer has just
changed is seen. Making and removing an account does so, too, where the domain has groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, func, select, update

from tidings.adapters.sql.dialects import put, put_missing
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.tables import accounts, group_heads, group_members, key_of, shared_groups
from tidings.base import ids
from tidings.base.jid import Jid
from tidings.ports.accounts import NoSuchAccount
from tidings.ports.groups import (
    HISTORY,
    MOST_MEMBERS,
    GroupExists,
    GroupFull,
    Member,
    Membership,
    NoSuchGroup,
    SharedGroup,
    StoredGroups,
)

_encode_names: Final = msgspec.json.Encoder(order="sorted").encode
_decode_names: Final = msgspec.json.Decoder(frozenset[str]).decode

_MANY: Final = 500
"""So many addresses are looked for in one statement."""

_HEAD: Final = select(group_heads.c.epoch, group_heads.c.number, group_heads.c.pruned).where(
    group_heads.c.domain == bindparam("domain")
)
_GROUPS: Final = (
    select(shared_groups).where(shared_groups.c.domain == bindparam("domain")).order_by(shared_groups.c.name)
)
_MEMBERSHIPS: Final = select(group_members).where(
    group_members.c.domain == bindparam("domain"), group_members.c.changed > bindparam("since")
)


class SqlGroups:
    """The groups port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, domain: str, *, since: int = 0) -> StoredGroups:
        """Give all groups, and the memberships that have changed since."""

        def work(connection: Connection) -> StoredGroups:
            # The head comes first: what is committed meanwhile is read now or, being newer, the next time.
            head = connection.execute(_HEAD, {"domain": domain}).first()
            if head is None:
                return StoredGroups()
            groups = connection.execute(_GROUPS, {"domain": domain}).all()
            members = connection.execute(_MEMBERSHIPS, {"domain": domain, "since": since}).all()
            return StoredGroups(
                epoch=head.epoch,
                number=head.number,
                pruned=head.pruned,
                groups=tuple(map(_group, groups)),
                memberships=tuple(map(_membership, members)),
            )

        return await self._database.read(work)

    async def create(self, domain: str, group: SharedGroup) -> None:
        """Make a group."""

        def work(connection: Connection) -> None:
            number = _begin(connection, domain)
            if _find(connection, domain, group.name) is not None:
                raise GroupExists(domain, group.name)
            _keep(connection, domain, group, number)
            if group.for_everybody:
                _join_all(connection, domain, group.name, number)

        await self._database.write(work)

    async def change(self, domain: str, group: SharedGroup) -> None:
        """Give a group another label, description and so on."""

        def work(connection: Connection) -> None:
            number = _begin(connection, domain)
            before = _must_find(connection, domain, group.name)
            _keep(connection, domain, group, number, before.displayed)
            if group.for_everybody and not before.for_everybody:
                _join_all(connection, domain, group.name, number)

        await self._database.write(work)

    async def remove(self, domain: str, name: str) -> None:
        """Have all members leave the group, and forget it."""

        def work(connection: Connection) -> None:
            number = _begin(connection, domain)
            before = _must_find(connection, domain, name)
            _leave(connection, number, group_members.c.domain == domain, group_members.c.group_name == name)
            connection.execute(
                delete(shared_groups).where(shared_groups.c.domain == domain, shared_groups.c.name == name)
            )
            groups = map(_group, connection.execute(_GROUPS, {"domain": domain}))
            showing = {group.name for group in groups if name in group.displayed}
            _mark(connection, domain, before.displayed | showing, number, is_edited=True)
            _prune(connection, domain, number)

        await self._database.write(work)

    async def add(self, domain: str, name: str, members: Sequence[Member]) -> int:
        """Make accounts members, or give members another name."""

        def work(connection: Connection) -> int:
            number = _begin(connection, domain)
            _must_find(connection, domain, name)
            keys = {key_of(member.jid): member for member in members}
            found = _existing(connection, list(keys))
            for key, member in keys.items():
                if key not in found:
                    raise NoSuchAccount(member.jid)
            called = _names(connection, domain, name, list(keys))
            new = [member for key, member in keys.items() if called.get(key) != member.name]
            return _join(connection, domain, name, new, number)

        return await self._database.write(work)

    async def drop(self, domain: str, name: str, jids: Collection[Jid]) -> int:
        """Have accounts leave a group."""

        def work(connection: Connection) -> int:
            number = _begin(connection, domain)
            _must_find(connection, domain, name)
            count = 0
            of_group = and_(group_members.c.domain == domain, group_members.c.group_name == name)
            for jid in jids:
                count += _leave(connection, number, of_group, group_members.c.account == key_of(jid))
            if count:
                _mark(connection, domain, (name,), number)
            _prune(connection, domain, number)
            return count

        return await self._database.write(work)

    async def clear(self, domain: str) -> None:
        """Forget all groups of a domain."""

        def work(connection: Connection) -> None:
            for table in (group_members, shared_groups, group_heads):
                connection.execute(delete(table).where(table.c.domain == domain))

        await self._database.write(work)


# --- accounts that come and go, in their own transactions


def join_everybody(connection: Connection, jids: Iterable[Jid]) -> None:
    """Make accounts that were just made members of the groups for everybody, as far as there is room."""
    by_domain: dict[str, list[Jid]] = {}
    for jid in jids:
        by_domain.setdefault(jid.domain, []).append(jid)
    for domain, new in by_domain.items():
        head = connection.execute(_HEAD.with_for_update(), {"domain": domain}).first()
        if head is None:
            continue
        groups = connection.execute(_GROUPS, {"domain": domain}).all()
        names = [group.name for group in groups if group.for_everybody]
        if not names:
            continue
        number = _count_up(connection, domain, head.number)
        for name in names:
            room = max(0, MOST_MEMBERS - _size(connection, domain, name))
            _join(connection, domain, name, [Member(jid) for jid in new[:room]], number)


def leave_groups(connection: Connection, jid: Jid) -> None:
    """Have an account that is to be removed leave all groups."""
    head = connection.execute(_HEAD.with_for_update(), {"domain": jid.domain}).first()
    if head is None:
        return
    is_his = and_(group_members.c.account == key_of(jid), group_members.c.removed.is_(False))
    names = connection.execute(select(group_members.c.group_name).where(is_his)).scalars().all()
    if names:
        number = _count_up(connection, jid.domain, head.number)
        _leave(connection, number, is_his)
        _mark(connection, jid.domain, names, number)


def rename_member(connection: Connection, jid: Jid, to: Jid) -> None:
    """Have an account that gets another address be in its groups under that, as what it is called there."""
    if jid.domain != to.domain:
        leave_groups(connection, jid)
        join_everybody(connection, (to,))
        return
    head = connection.execute(_HEAD.with_for_update(), {"domain": jid.domain}).first()
    if head is None:
        return
    is_his = and_(group_members.c.account == key_of(jid), group_members.c.removed.is_(False))
    found = connection.execute(select(group_members.c.group_name, group_members.c.name).where(is_his)).all()
    if found:
        number = _count_up(connection, jid.domain, head.number)
        _leave(connection, number, is_his)
        for group, name in found:
            _join(connection, jid.domain, group, [Member(to, name)], number)


# --- within a transaction


def _begin(connection: Connection, domain: str) -> int:
    """Lock the head row of a domain, made when it is missing; give the number of the change that begins."""
    names = {"domain": domain}
    head = connection.execute(_HEAD.with_for_update(), names).first()
    if head is None:
        put_missing(connection, group_heads, {**names, "epoch": ids.token(6), "number": 0, "pruned": 0})
        head = connection.execute(_HEAD.with_for_update(), names).one()
    return _count_up(connection, domain, head.number)


def _count_up(connection: Connection, domain: str, number: int) -> int:
    connection.execute(update(group_heads).where(group_heads.c.domain == domain).values(number=number + 1))
    return number + 1


def _find(connection: Connection, domain: str, name: str) -> SharedGroup | None:
    statement = select(shared_groups).where(shared_groups.c.domain == domain, shared_groups.c.name == name)
    row = connection.execute(statement).first()
    return None if row is None else _group(row)


def _must_find(connection: Connection, domain: str, name: str) -> SharedGroup:
    found = _find(connection, domain, name)
    if found is None:
        raise NoSuchGroup(domain, name)
    return found


def _existing(connection: Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Give those keys that have accounts."""
    found: set[bytes] = set()
    for start in range(0, len(keys), _MANY):
        some = accounts.c.account.in_(keys[start : start + _MANY])
        found.update(connection.execute(select(accounts.c.account).where(some)).scalars())
    return found


def _names(connection: Connection, domain: str, group: str, keys: Sequence[bytes]) -> dict[bytes, str]:
    """Give the names of those who are members."""
    names: dict[bytes, str] = {}
    for start in range(0, len(keys), _MANY):
        statement = select(group_members.c.account, group_members.c.name).where(
            group_members.c.domain == domain,
            group_members.c.group_name == group,
            group_members.c.account.in_(keys[start : start + _MANY]),
            group_members.c.removed.is_(False),
        )
        names.update((row.account, row.name) for row in connection.execute(statement))
    return names


def _size(connection: Connection, domain: str, name: str) -> int:
    statement = select(func.count()).where(
        group_members.c.domain == domain,
        group_members.c.group_name == name,
        group_members.c.removed.is_(False),
    )
    return int(connection.execute(statement).scalar_one())


def _keep(
    connection: Connection,
    domain: str,
    group: SharedGroup,
    number: int,
    displayed_before: frozenset[str] = frozenset(),
) -> None:
    row = {
        "domain": domain,
        "name": group.name,
        "label": group.label,
        "description": group.description,
        "for_everybody": group.for_everybody,
        "displayed": _encode_names(group.displayed),
        "changed": number,
        "edited": number,
    }
    put(connection, shared_groups, row)
    _mark(connection, domain, group.displayed | displayed_before, number, is_edited=True)


def _mark(
    connection: Connection, domain: str, names: Iterable[str], number: int, *, is_edited: bool = False
) -> None:
    """Note that groups, or who is in them, have changed."""
    values = {"changed": number, "edited": number} if is_edited else {"changed": number}
    statement = update(shared_groups).where(
        shared_groups.c.domain == domain, shared_groups.c.name.in_(list(names))
    )
    connection.execute(statement.values(values))


def _join_all(connection: Connection, domain: str, name: str, number: int) -> None:
    """Make all accounts of a domain members, but those that are."""
    found = connection.execute(select(accounts.c.local).where(accounts.c.domain == domain)).scalars().all()
    everybody = [Jid.of(local, domain) for local in found]
    if len(everybody) > MOST_MEMBERS:
        raise GroupFull(name, len(everybody))
    present = connection.execute(
        select(group_members.c.account).where(
            group_members.c.domain == domain,
            group_members.c.group_name == name,
            group_members.c.removed.is_(False),
        )
    )
    members = set(present.scalars())
    _join(connection, domain, name, [Member(jid) for jid in everybody if key_of(jid) not in members], number)


def _join(connection: Connection, domain: str, group: str, members: Sequence[Member], number: int) -> int:
    """Write members; tell how many there are. Raises `GroupFull`."""
    rows: list[dict[str, Any]] = [
        {
            "domain": domain,
            "group_name": group,
            "account": key_of(member.jid),
            "jid": member.jid,
            "name": member.name,
            "changed": number,
            "removed": False,
        }
        for member in {member.jid: member for member in members}.values()
    ]
    if not rows:
        return 0
    put(connection, group_members, rows)
    size = _size(connection, domain, group)
    if size > MOST_MEMBERS:
        raise GroupFull(group, size)
    _mark(connection, domain, (group,), number)
    return len(rows)


def _leave(connection: Connection, number: int, *conditions: ColumnElement[bool]) -> int:
    """Make tombstones of memberships; tell how many."""
    statement = update(group_members).where(*conditions, group_members.c.removed.is_(False))
    return connection.execute(statement.values(removed=True, changed=number)).rowcount


def _prune(connection: Connection, domain: str, number: int) -> None:
    """Drop the tombstones that no answer needs."""
    old = number - HISTORY
    is_old = and_(
        group_members.c.domain == domain, group_members.c.removed.is_(True), group_members.c.changed <= old
    )
    if connection.execute(delete(group_members).where(is_old)).rowcount:
        connection.execute(update(group_heads).where(group_heads.c.domain == domain).values(pruned=old))


def _group(row: Row[Any]) -> SharedGroup:
    return SharedGroup(
        name=row.name,
        label=row.label,
        description=row.description,
        for_everybody=row.for_everybody,
        displayed=_decode_names(row.displayed),
        changed=row.changed,
        edited=row.edited,
    )


def _membership(row: Row[Any]) -> Membership:
    return Membership(
        group=row.group_name, jid=Jid(row.jid), name=row.name, changed=row.changed, removed=row.removed
    )
