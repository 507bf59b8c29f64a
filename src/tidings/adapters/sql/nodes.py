"""Nodes in SQL: what changes a node locks its row first, so that two changes of one node come one by one.

The row has the numbers that a publication needs: how many items there are, what they count for, and which
number the next one gets. Who is affiliated and subscribed is in `node_people.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, select, update

from tidings.adapters.sql import node_people
from tidings.adapters.sql.dialects import put, put_missing
from tidings.adapters.sql.engine import Database
from tidings.adapters.sql.node_people import AnyRow
from tidings.adapters.sql.tables import (
    key_of,
    node_affiliations,
    node_items,
    node_subscriptions,
    nodes,
)
from tidings.base.jid import Jid
from tidings.ports.nodes import (
    Affiliation,
    Check,
    EndedSubscription,
    ItemPage,
    ItemQuery,
    Node,
    NodeConfig,
    NodeExists,
    NodeItem,
    NodeLimits,
    NoSuchItem,
    NoSuchNode,
    OwnedItem,
    Published,
    Standing,
    Subscription,
    check_nodes,
    check_octets,
    page_of,
    room_for_items,
)

_node, _item = nodes.c, node_items.c
_OF_NODES: Final[tuple[Table, ...]] = (node_items, node_affiliations, node_subscriptions)
_ITEM: Final = (_item.id, _item.publisher, _item.published, _item.payload)


class SqlNodes:
    """The nodes port over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- nodes

    async def get(self, owner: Jid, name: str) -> Node | None:
        """Give the node, or None."""
        row = await self._database.read(lambda connection: _find(connection, owner, name))
        return None if row is None else _node_of(row)

    async def list(self, owner: Jid, *, after: str = "", limit: int = 1_000) -> tuple[Node, ...]:
        """Give nodes of an owner."""
        statement = (
            select(nodes)
            .where(_node.owner == key_of(owner), _node.name > after)
            .order_by(_node.name)
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(map(_node_of, rows))

    async def create(
        self, owner: Jid, name: str, config: NodeConfig, now: float, *, by: Jid, limits: NodeLimits
    ) -> Node:
        """Make a node."""

        def work(connection: Connection) -> Node:
            if _find(connection, owner, name) is not None:
                raise NodeExists(name)
            _check_number(connection, owner, limits)
            connection.execute(insert(nodes), _row(owner, name, config, now))
            node_people.make_owner(connection, owner, name, by)
            return Node(owner=owner, name=name, config=config, created=now)

        return await self._database.write(work, refused=NodeExists(name))

    async def configure(
        self, owner: Jid, name: str, config: Callable[[NodeConfig], NodeConfig], *, by: Jid, check: Check
    ) -> tuple[Node, tuple[str, ...]]:
        """Change the configuration."""

        def work(connection: Connection) -> tuple[Node, tuple[str, ...]]:
            row = _checked(connection, owner, name, by, check)
            node = _node_of(row)
            after = msgspec.structs.replace(node, config=config(node.config))
            most = after.config.max_items if after.config.persist_items else 0
            left = [] if most is None else _oldest(connection, row, row.items - most)
            _drop(connection, row, left)
            _update(
                connection,
                row,
                config=msgspec.json.encode(after.config),
                item_expire=after.config.item_expire,
                items=row.items - len(left),
                octets=row.octets - sum(each.octets for each in left),
            )
            return after, tuple(each.id for each in left)

        return await self._database.write(work)

    async def delete(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete a node."""

        def work(connection: Connection) -> Node:
            row = _checked(connection, owner, name, by, check)
            for table in (nodes, *_OF_NODES):
                connection.execute(delete(table).where(_of(table, row)))
            return _node_of(row)

        return await self._database.write(work)

    async def clear(self, owner: Jid) -> int:
        """Delete all nodes of an owner."""
        return await self._database.write(lambda connection: clear_nodes(connection, owner))

    # --- items

    async def publish(
        self,
        owner: Jid,
        name: str,
        item: NodeItem,
        *,
        make: NodeConfig | None,
        check: Check,
        limits: NodeLimits,
    ) -> Published:
        """Keep an item as the newest."""

        def work(connection: Connection) -> Published:
            row = _find(connection, owner, name, locked=True)
            if row is None:
                if make is None:
                    raise NoSuchNode(name)
                _check_number(connection, owner, limits)
                # Another process may make it at the same moment: then this waits, and takes that one.
                put_missing(connection, nodes, _row(owner, name, make, item.published))
                row = _find(connection, owner, name, locked=True)
                assert row is not None
                if not row.published:
                    node_people.make_owner(connection, owner, name, item.publisher)
            node = _node_of(row)
            check(node, node_people.standing(connection, owner, name, item.publisher))
            left = _put_item(connection, row, node.config, item, limits)
            return Published(node, is_new=not row.published, left=left)

        return await self._database.write(work)

    async def items(self, owner: Jid, name: str, query: ItemQuery) -> ItemPage:
        """Give items."""
        return await self._database.read(lambda connection: _page(connection, owner, name, query))

    async def last_items(
        self, owners: Collection[Jid], names: Collection[str], *, by: Jid
    ) -> tuple[OwnedItem, ...]:
        """Give the newest item of each node."""
        if not owners or not names:
            return ()
        return await self._database.read(lambda connection: _last_items(connection, owners, names, by))

    async def retract(self, owner: Jid, name: str, item: str, *, by: Jid, check: Check) -> tuple[Node, bool]:
        """Delete an item."""

        def work(connection: Connection) -> tuple[Node, bool]:
            row = _checked(connection, owner, name, by, check)
            found = _sizes(connection, _of(node_items, row) & (_item.item == key_of(item)))
            _drop(connection, row, found)
            if found:
                _update(connection, row, items=row.items - 1, octets=row.octets - found[0].octets)
            return _node_of(row), bool(found)

        return await self._database.write(work)

    async def purge(self, owner: Jid, name: str, *, by: Jid, check: Check) -> Node:
        """Delete all items of a node."""

        def work(connection: Connection) -> Node:
            row = _checked(connection, owner, name, by, check)
            connection.execute(delete(node_items).where(_of(node_items, row)))
            _update(connection, row, items=0, octets=0)
            return _node_of(row)

        return await self._database.write(work)

    # --- people

    async def standing(self, owner: Jid, name: str, by: Jid) -> tuple[Node, Standing] | None:
        """Give a node and how somebody stands to it."""

        def work(connection: Connection) -> tuple[Node, Standing] | None:
            row = _find(connection, owner, name)
            return None if row is None else (_node_of(row), node_people.standing(connection, owner, name, by))

        return await self._database.read(work)

    async def affiliations(self, owner: Jid, name: str) -> dict[Jid, Affiliation]:
        """Give the affiliations of a node."""
        return await self._database.read(lambda connection: node_people.affiliations(connection, owner, name))

    async def affiliations_of(self, owner: Jid, jid: Jid) -> dict[str, Affiliation]:
        """Give the affiliations of a bare JID."""
        return await self._database.read(
            lambda connection: node_people.affiliations_of(connection, owner, jid)
        )

    async def affiliate(
        self,
        owner: Jid,
        name: str,
        affiliations: Mapping[Jid, Affiliation],
        *,
        by: Jid,
        check: Check,
        most: int,
    ) -> Node:
        """Change affiliations."""

        def work(connection: Connection) -> Node:
            row = _checked(connection, owner, name, by, check)
            node_people.affiliate(connection, owner, name, affiliations, most)
            return _node_of(row)

        return await self._database.write(work)

    async def subscriptions(self, owner: Jid, name: str) -> tuple[Subscription, ...]:
        """Give the subscriptions of a node."""
        return await self._database.read(
            lambda connection: node_people.subscriptions(connection, owner, name)
        )

    async def subscriptions_of(self, owner: Jid, jid: Jid) -> dict[str, tuple[Subscription, ...]]:
        """Give the subscriptions of a bare JID."""
        return await self._database.read(
            lambda connection: node_people.subscriptions_of(connection, owner, jid)
        )

    async def subscribe(
        self,
        owner: Jid,
        name: str,
        subscription: Subscription,
        *,
        by: Jid,
        check: Check,
        most: int,
        keeps_options: bool = True,
    ) -> Subscription:
        """Keep a subscription."""

        def work(connection: Connection) -> Subscription:
            _checked(connection, owner, name, by, check)
            return node_people.subscribe(
                connection, owner, name, subscription, most, keeps_options=keeps_options
            )

        return await self._database.write(work)

    async def unsubscribe(
        self, owner: Jid, name: str, jid: Jid, *, by: Jid, check: Check
    ) -> Subscription | None:
        """Delete a subscription."""

        def work(connection: Connection) -> Subscription | None:
            _checked(connection, owner, name, by, check)
            return node_people.unsubscribe(connection, owner, name, jid)

        return await self._database.write(work)

    async def unsubscribe_refused(
        self, owner: Jid, name: str, jids: Collection[Jid], *, may_stay: Callable[[Node, Jid, Standing], bool]
    ) -> tuple[Subscription, ...]:
        """Delete subscriptions that may not stay."""

        def work(connection: Connection) -> tuple[Subscription, ...]:
            row = _find(connection, owner, name, locked=True)
            if row is None:
                return ()
            node, gone = _node_of(row), []
            for jid in jids:
                standing = node_people.standing(connection, owner, name, jid)
                mine = next((each for each in standing.subscriptions if each.jid == jid), None)
                if mine is not None and not may_stay(node, jid, standing):
                    gone.append(mine)
            node_people.unsubscribe_all(connection, owner, name, [each.jid for each in gone])
            return tuple(gone)

        return await self._database.write(work)

    # --- what goes by itself

    async def delete_expired(self, now: float, *, after: str = "", limit: int) -> tuple[int, str]:
        """Delete the expired items of so many nodes, each in a transaction of its own."""
        statement = select(_node.owner, _node.node).where(_node.item_expire.is_not(None))
        if after:
            owner, name = (bytes.fromhex(each) for each in after.split("."))
            behind = (_node.owner > owner) | ((_node.owner == owner) & (_node.node > name))
            statement = statement.where(behind)
        statement = statement.order_by(_node.owner, _node.node).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        gone = 0
        for row in rows:
            gone += await self._database.write(partial(_expire, row=row, now=now))
        last = rows[-1] if len(rows) == limit else None
        return gone, "" if last is None else f"{last.owner.hex()}.{last.node.hex()}"

    async def end_subscriptions(self, now: float, *, limit: int) -> tuple[EndedSubscription, ...]:
        """Delete subscriptions whose time is over."""

        def work(connection: Connection) -> tuple[EndedSubscription, ...]:
            ended = node_people.end(connection, now, limit)
            return tuple(EndedSubscription(_node_of(row), each) for row, each in ended)

        return await self._database.write(work)


# --- in a transaction that has begun


def _expire(connection: Connection, row: AnyRow, now: float) -> int:
    """Delete the expired items of a node; tell how many there were."""
    here = (_node.owner == row.owner) & (_node.node == row.node)
    found = connection.execute(select(nodes).where(here).with_for_update()).first()
    if found is None or found.item_expire is None:
        return 0
    gone = _sizes(connection, _of(node_items, found) & (_item.published <= now - found.item_expire))
    if gone:
        _drop(connection, found, gone)
        octets = found.octets - sum(each.octets for each in gone)
        _update(connection, found, items=found.items - len(gone), octets=octets)
    return len(gone)


def clear_nodes(connection: Connection, owner: Jid) -> int:
    """Delete all nodes of an owner, the rows that others lock first; tell how many there were."""
    found = connection.execute(delete(nodes).where(_node.owner == key_of(owner))).rowcount
    if found:
        for table in _OF_NODES:
            connection.execute(delete(table).where(table.c.owner == key_of(owner)))
    return found


def forget_nodes(connection: Connection, account: Jid) -> None:
    """Delete all nodes of an account that goes, and what it has at others' nodes."""
    clear_nodes(connection, account)
    node_people.forget(connection, account)


def move_nodes(connection: Connection, account: Jid, to: Jid) -> None:
    """Let the new address own, publish, and be affiliated and subscribed where the former one was."""
    connection.execute(update(nodes).where(_node.owner == key_of(account)).values(owner=key_of(to), jid=to))
    for table in _OF_NODES:
        connection.execute(update(table).where(table.c.owner == key_of(account)).values(owner=key_of(to)))
    connection.execute(update(node_items).where(_item.publisher == account.text).values(publisher=to))
    node_people.move(connection, account, to)


def _find(connection: Connection, owner: Jid, name: str, *, locked: bool = False) -> AnyRow | None:
    statement = select(nodes).where(_node.owner == key_of(owner), _node.node == key_of(name))
    return connection.execute(statement.with_for_update() if locked else statement).first()


def _checked(connection: Connection, owner: Jid, name: str, by: Jid, check: Check) -> AnyRow:
    row = _find(connection, owner, name, locked=True)
    if row is None:
        raise NoSuchNode(name)
    check(_node_of(row), node_people.standing(connection, owner, name, by))
    return row


def _check_number(connection: Connection, owner: Jid, limits: NodeLimits) -> None:
    counted = select(func.count()).where(_node.owner == key_of(owner))
    check_nodes(connection.execute(counted).scalar_one(), limits)


def _put_item(
    connection: Connection, row: AnyRow, config: NodeConfig, item: NodeItem, limits: NodeLimits
) -> tuple[str, ...]:
    """Write an item as the newest, and delete what it takes the place of; give what has left for it."""
    room = room_for_items(config, limits)
    if not room:
        _update(connection, row, published=row.published + 1)
        return ()
    here, key = _of(node_items, row), key_of(item.id)
    replaced = _sizes(connection, here & (_item.item == key))
    others = here & (_item.item != key)
    expired: Sequence[AnyRow] = ()
    if config.item_expire is not None:
        expired = _sizes(connection, others & (_item.published <= item.published - config.item_expire))
    staying = row.items - len(replaced) - len(expired)
    left: list[AnyRow] = []
    if staying + 1 > room:
        gone = {each.item for each in expired}
        oldest = _oldest(connection, row, staying + 1 - room + len(gone) + 1)
        left = [each for each in oldest if each.item not in gone and each.item != key][: staying + 1 - room]
    freed = sum(each.octets for each in (*replaced, *expired, *left))
    counted = select(func.coalesce(func.sum(_node.octets), 0)).where(_node.owner == row.owner)
    check_octets(int(connection.execute(counted).scalar_one()), freed, item, limits)
    _drop(connection, row, [*expired, *left])
    number = row.published + 1
    values = {
        "owner": row.owner,
        "node": row.node,
        "item": key,
        "id": item.id,
        "publisher": item.publisher,
        "published": item.published,
        "payload": item.payload,
        "octets": item.octets,
        "number": number,
    }
    put(connection, node_items, values)
    _update(
        connection,
        row,
        published=number,
        items=staying - len(left) + 1,
        octets=row.octets - freed + item.octets,
    )
    return tuple(each.id for each in left)


def _page(connection: Connection, owner: Jid, name: str, query: ItemQuery) -> ItemPage:
    here = (_item.owner == key_of(owner)) & (_item.node == key_of(name))
    if query.above is not None:
        here &= _item.published > query.above
    count = connection.execute(select(func.count()).select_from(node_items).where(here)).scalar_one()
    if query.ids:
        wanted = here & _item.item.in_([key_of(each) for each in query.ids])
        rows = connection.execute(select(*_ITEM).where(wanted).order_by(_item.number)).all()
        return ItemPage(tuple(map(_item_of, rows)), 0, count)
    page = here
    if query.after is not None:
        page &= _item.number > _number_of(connection, here, query.after)
    if query.before is not None:
        page &= _item.number < _number_of(connection, here, query.before)
    is_forward = query.after is not None or query.from_start
    order = _item.number if is_forward else _item.number.desc()
    sizes = connection.execute(
        select(_item.id, func.length(_item.payload).label("size"))
        .where(page)
        .order_by(order)
        .limit(query.limit)
    ).all()
    kept = [(each.id, each.size) for each in sizes]
    taken = page_of(kept if is_forward else kept[::-1], query)
    if not taken:
        return ItemPage((), 0, count)
    wanted = here & _item.item.in_([key_of(each) for each in taken])
    found = connection.execute(select(_item.number, *_ITEM).where(wanted).order_by(_item.number)).all()
    if not found:  # they have gone between two statements
        return ItemPage((), 0, count)
    earlier = here & (_item.number < found[0].number)
    index = connection.execute(select(func.count()).select_from(node_items).where(earlier)).scalar_one()
    return ItemPage(tuple(map(_item_of, found)), index, count)


def _last_items(
    connection: Connection, owners: Collection[Jid], names: Collection[str], by: Jid
) -> tuple[OwnedItem, ...]:
    # Made here and not on the event loop: the keys of many owners and names take a while.
    newest = (
        select(_item.owner, _item.node, func.max(_item.number).label("number"))
        .where(
            _item.owner.in_([key_of(owner) for owner in owners]),
            _item.node.in_([key_of(name) for name in names]),
        )
        .group_by(_item.owner, _item.node)
        .subquery()
    )
    affiliated = node_affiliations.c
    statement = (
        select(_node.jid, _node.name, _node.config, _node.created, *_ITEM, affiliated.affiliation)
        .select_from(newest)
        .join(
            node_items,
            and_(
                _item.owner == newest.c.owner,
                _item.node == newest.c.node,
                _item.number == newest.c.number,
            ),
        )
        .join(nodes, and_(_node.owner == _item.owner, _node.node == _item.node))
        .outerjoin(
            node_affiliations,
            and_(
                affiliated.owner == _item.owner,
                affiliated.node == _item.node,
                affiliated.account == key_of(by),
            ),
        )
    )
    return tuple(
        OwnedItem(_node_of(row), _item_of(row), Affiliation(row.affiliation or Affiliation.NONE))
        for row in connection.execute(statement)
    )


def _number_of(connection: Connection, here: ColumnElement[bool], item: str) -> int:
    found = connection.execute(select(_item.number).where(here, _item.item == key_of(item))).scalar()
    if found is None:
        raise NoSuchItem(item)
    return int(found)


def _oldest(connection: Connection, row: AnyRow, number: int) -> Sequence[AnyRow]:
    if number <= 0:
        return ()
    return _sizes(connection, _of(node_items, row), number)


def _sizes(connection: Connection, where: ColumnElement[bool], limit: int | None = None) -> Sequence[AnyRow]:
    statement = select(_item.item, _item.id, _item.octets).where(where).order_by(_item.number)
    return connection.execute(statement if limit is None else statement.limit(limit)).all()


def _drop(connection: Connection, row: AnyRow, items: Sequence[AnyRow]) -> None:
    if items:
        gone = _item.item.in_([each.item for each in items])
        connection.execute(delete(node_items).where(_of(node_items, row), gone))


def _update(connection: Connection, row: AnyRow, **values: object) -> None:
    connection.execute(update(nodes).where(_of(nodes, row)).values(**values))


def _of(table: Table, row: AnyRow) -> ColumnElement[bool]:
    """Give the condition that a row belongs to the node of this row."""
    return and_(table.c.owner == row.owner, table.c.node == row.node)


def _row(owner: Jid, name: str, config: NodeConfig, now: float) -> dict[str, object]:
    return {
        "owner": key_of(owner),
        "node": key_of(name),
        "jid": owner,
        "name": name,
        "config": msgspec.json.encode(config),
        "created": now,
        "published": 0,
        "items": 0,
        "octets": 0,
        "item_expire": config.item_expire,
    }


def _node_of(row: AnyRow) -> Node:
    config = msgspec.json.decode(row.config, type=NodeConfig)
    return Node(owner=Jid(row.jid), name=row.name, config=config, created=row.created)


def _item_of(row: AnyRow) -> NodeItem:
    return NodeItem(row.id, Jid(row.publisher), row.published, bytes(row.payload))
