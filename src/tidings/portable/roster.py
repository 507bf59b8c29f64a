"""A roster of another server: what clients see of it, and the requests that wait for an answer."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tidings.base.jid import Jid
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.roster import ItemSubscription, RosterItem


def contacts_of(items: Iterable[RosterItem], requests: Iterable[Element]) -> tuple[RosterEntry, ...]:
    """Join contacts with the requests of those who wait for an answer; of two for one address the last."""
    entries: dict[Jid, RosterEntry] = {}
    for item in items:
        if item.subscription is not ItemSubscription.REMOVE:
            entries[item.jid] = RosterEntry(
                jid=item.jid,
                name=item.name,
                groups=frozenset(filter(None, item.groups)),
                subscription=Subscription(item.subscription.value),
                ask=item.ask,
                approved=item.approved,
            )
    for request in requests:
        jid = Jid(request.get("from") or "").bare
        known = entries.get(jid) or RosterEntry(jid=jid, listed=False)
        entries[jid] = msgspec.structs.replace(known, pending_in=request.to_bytes(ns.CLIENT))
    return tuple(entries.values())
