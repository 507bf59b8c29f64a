"""Affiliations and subscriptions of nodes in SQL, inside of transactions that have begun."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Row, Table, delete, func, insert, select, update

from tidings.adapters.sql.dialects import put
from tidings.adapters.sql.tables import key_of, node_affiliations, node_subscriptions, nodes
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded
from tidings.ports.nodes import (
    DEFAULT_OPTIONS,
    Affiliation,
    NoOwnerLeft,
    Standing,
    Subscription,
    SubscriptionOptions,
    SubscriptionState,
    has_owner,
)
from tidings.ports.renaming import moved

_affiliated, _subscribed = node_affiliations.c, node_subscriptions.c
AnyRow = Row[*tuple[Any, ...]]
"""A row of some columns, which are found by name."""
_SUBSCRIPTION: Final = (
    _subscribed.jid,
    _subscribed.state,
    _subscribed.subscription_id,
    _subscribed.since,
    _subscribed.options,
)


def standing(connection: Connection, owner: Jid, name: str, by: Jid) -> Standing:
    """Give how the bare JID of somebody stands to a node."""
    account = key_of(by.bare)
    affiliation = connection.execute(
        select(_affiliated.affiliation).where(
            _of(node_affiliations, owner, name), _affiliated.account == account
        )
    ).scalar()
    rows = connection.execute(
        select(*_SUBSCRIPTION)
        .where(_of(node_subscriptions, owner, name), _subscribed.account == account)
        .order_by(_subscribed.since)
    )
    return Standing(Affiliation(affiliation or Affiliation.NONE), tuple(map(_subscription_of, rows)))


def make_owner(connection: Connection, owner: Jid, name: str, by: Jid) -> None:
    """Make somebody an owner of a new node, unless the node is his own."""
    if by.bare != owner:
        connection.execute(insert(node_affiliations), _row(owner, name, by.bare, Affiliation.OWNER))


def affiliations(connection: Connection, owner: Jid, name: str) -> dict[Jid, Affiliation]:
    """Give the affiliations of a node."""
    statement = select(_affiliated.jid, _affiliated.affiliation).where(_of(node_affiliations, owner, name))
    return {Jid(row.jid): Affiliation(row.affiliation) for row in connection.execute(statement)}


def affiliations_of(connection: Connection, owner: Jid, jid: Jid) -> dict[str, Affiliation]:
    """Give the affiliations of a bare JID with the nodes of an owner."""
    statement = (
        select(nodes.c.name, _affiliated.affiliation)
        .join_from(node_affiliations, nodes, _is_of(node_affiliations))
        .where(_affiliated.account == key_of(jid), _affiliated.owner == key_of(owner))
        .order_by(nodes.c.name)
    )
    return {row.name: Affiliation(row.affiliation) for row in connection.execute(statement)}


def affiliate(
    connection: Connection, owner: Jid, name: str, wanted: Mapping[Jid, Affiliation], most: int
) -> None:
    """Change affiliations of a node whose row is locked."""
    here = _of(node_affiliations, owner, name)
    counted = select(func.count()).select_from(node_affiliations).where(here)
    before = connection.execute(counted).scalar_one()
    gone = [key_of(jid) for jid, each in wanted.items() if each is Affiliation.NONE]
    if gone:
        connection.execute(delete(node_affiliations).where(here, _affiliated.account.in_(gone)))
    rows = [_row(owner, name, jid, each) for jid, each in wanted.items() if each is not Affiliation.NONE]
    if rows:
        put(connection, node_affiliations, rows)
    after = connection.execute(counted).scalar_one()
    if after > most and after > before:
        raise ShareExceeded("the node", after, most, "affiliations")
    if not has_owner(owner, affiliations(connection, owner, name).values()):
        raise NoOwnerLeft(name)


def subscriptions(connection: Connection, owner: Jid, name: str) -> tuple[Subscription, ...]:
    """Give the subscriptions of a node."""
    here = _of(node_subscriptions, owner, name)
    rows = connection.execute(select(*_SUBSCRIPTION).where(here).order_by(_subscribed.since))
    return tuple(map(_subscription_of, rows))


def subscriptions_of(connection: Connection, owner: Jid, jid: Jid) -> dict[str, tuple[Subscription, ...]]:
    """Give the subscriptions of a bare JID to the nodes of an owner."""
    statement = (
        select(nodes.c.name, *_SUBSCRIPTION)
        .join_from(node_subscriptions, nodes, _is_of(node_subscriptions))
        .where(_subscribed.account == key_of(jid.bare), _subscribed.owner == key_of(owner))
        .order_by(nodes.c.name, _subscribed.since)
    )
    found: dict[str, list[Subscription]] = defaultdict(list)
    for row in connection.execute(statement):
        found[row.name].append(_subscription_of(row))
    return {name: tuple(each) for name, each in found.items()}


def subscribe(
    connection: Connection,
    owner: Jid,
    name: str,
    subscription: Subscription,
    most: int,
    *,
    keeps_options: bool,
) -> Subscription:
    """Keep a subscription to a node whose row is locked."""
    here = _of(node_subscriptions, owner, name)
    mine = here & (_subscribed.subscriber == key_of(subscription.jid))
    row = connection.execute(select(*_SUBSCRIPTION).where(mine)).first()
    if row is not None:
        before = _subscription_of(row)
        options = before.options if keeps_options else subscription.options
        kept = replace(before, state=subscription.state, options=options)
        values: dict[str, object] = {"state": kept.state.value, **_options(options)}
        connection.execute(update(node_subscriptions).where(mine).values(values))
        return kept
    counted = select(func.count()).select_from(node_subscriptions).where(here)
    number = connection.execute(counted).scalar_one()
    if number >= most:
        raise ShareExceeded("the node", number + 1, most, "subscriptions")
    values = {
        **_options(subscription.options),
        "owner": key_of(owner),
        "node": key_of(name),
        "subscriber": key_of(subscription.jid),
        "account": key_of(subscription.jid.bare),
        "jid": subscription.jid,
        "state": subscription.state.value,
        "subscription_id": subscription.id,
        "since": subscription.since,
    }
    connection.execute(insert(node_subscriptions), values)
    return subscription


def unsubscribe(connection: Connection, owner: Jid, name: str, jid: Jid) -> Subscription | None:
    """Delete the subscription of a JID to a node whose row is locked."""
    mine = _of(node_subscriptions, owner, name) & (_subscribed.subscriber == key_of(jid))
    row = connection.execute(select(*_SUBSCRIPTION).where(mine)).first()
    connection.execute(delete(node_subscriptions).where(mine))
    return None if row is None else _subscription_of(row)


def unsubscribe_all(connection: Connection, owner: Jid, name: str, jids: Collection[Jid]) -> None:
    """Delete the subscriptions of some JIDs to a node whose row is locked."""
    keys = [key_of(jid) for jid in jids]
    here = _of(node_subscriptions, owner, name)
    connection.execute(delete(node_subscriptions).where(here, _subscribed.subscriber.in_(keys)))


def end(connection: Connection, now: float, limit: int) -> list[tuple[AnyRow, Subscription]]:
    """Delete subscriptions whose time is over; give them with the rows of their nodes."""
    statement = (
        select(nodes, _subscribed.subscriber, *(each.label(f"its_{each.name}") for each in _SUBSCRIPTION))
        .join_from(node_subscriptions, nodes, _is_of(node_subscriptions))
        .where(_subscribed.expires <= now)
        .order_by(_subscribed.expires)
        .limit(limit)
    )
    ended = []
    for row in connection.execute(statement).all():
        mine = (_subscribed.owner == row.owner) & (_subscribed.node == row.node)
        mine &= (_subscribed.subscriber == row.subscriber) & (_subscribed.expires <= now)
        if connection.execute(delete(node_subscriptions).where(mine)).rowcount:
            ended.append(
                (
                    row,
                    _read(
                        row.its_jid, row.its_state, row.its_subscription_id, row.its_since, row.its_options
                    ),
                )
            )
    return ended


def forget(connection: Connection, jid: Jid) -> None:
    """Let an account that is gone be neither affiliated nor subscribed anywhere."""
    for table in (node_affiliations, node_subscriptions):
        connection.execute(delete(table).where(table.c.account == key_of(jid)))


def move(connection: Connection, account: Jid, to: Jid) -> None:
    """Let the new address be affiliated and subscribed where the former one was."""
    old, new = key_of(account), key_of(to)
    connection.execute(
        update(node_affiliations).where(_affiliated.account == old).values(account=new, jid=to)
    )
    found = connection.execute(select(_subscribed.jid).where(_subscribed.account == old).distinct())
    for jid in [Jid(row.jid) for row in found]:
        now = moved(jid, account, to)
        connection.execute(
            update(node_subscriptions)
            .where(_subscribed.subscriber == key_of(jid))
            .values(subscriber=key_of(now), account=new, jid=now)
        )


def _of(table: Table, owner: Jid, name: str) -> ColumnElement[bool]:
    return (table.c.owner == key_of(owner)) & (table.c.node == key_of(name))


def _is_of(table: Table) -> ColumnElement[bool]:
    return (nodes.c.owner == table.c.owner) & (nodes.c.node == table.c.node)


def _row(owner: Jid, name: str, jid: Jid, affiliation: Affiliation) -> dict[str, object]:
    return {
        "owner": key_of(owner),
        "node": key_of(name),
        "account": key_of(jid),
        "jid": jid,
        "affiliation": affiliation.value,
    }


def _subscription_of(row: AnyRow) -> Subscription:
    return _read(row.jid, row.state, row.subscription_id, row.since, row.options)


def _read(jid: str, state: str, id_: str, since: float, options: bytes | None) -> Subscription:
    wanted = DEFAULT_OPTIONS
    if options is not None:
        wanted = msgspec.json.decode(options, type=SubscriptionOptions)
    return Subscription(Jid(jid), SubscriptionState(state), id_, since, wanted)


def _options(options: SubscriptionOptions) -> dict[str, object]:
    is_default = options == DEFAULT_OPTIONS
    return {"options": None if is_default else msgspec.json.encode(options), "expires": options.expire}
