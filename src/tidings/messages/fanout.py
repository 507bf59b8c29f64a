"""Fan-out: one stanza for many, such as the occupants of a room.

The stanza is written once in each encoding; a copy costs no ledger and no guard. Whether somebody may get
what passes is asked when he enters the fan-out and when his lists change, by whoever keeps the recipients.
"""

from __future__ import annotations

from collections.abc import Iterable

from tidings.base.jid import Jid
from tidings.kernel.guests import Guests
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.routing import Routing
from tidings.kernel.session import Session
from tidings.wire.xmpp.stanza import Stanza


def fan_out(
    stanza: Stanza, sessions: Iterable[Session], elsewhere: Iterable[Jid], routing: Routing
) -> MaybeAwaitable:
    """Send a stanza to sessions of this server, and to addresses of others; each gets it as its own.

    Nothing is waited for but ways to other servers, one after another.
    """
    for session in sessions:
        if session.outbound_filter is None:
            session.write(Outgoing(stanza, session.jid))
        else:
            session.send(stanza, session.jid)
    return in_turn(routing.pass_on(stanza.addressed(jid), jid) for jid in elsewhere)


def fan_out_from(
    entity: Jid,
    stanza: Stanza,
    sessions: Iterable[Session],
    elsewhere: list[Jid],
    routing: Routing,
    guests: Guests | None,
) -> MaybeAwaitable:
    """Send a stanza to those who are in an entity of this node: one copy goes to each other node."""
    if elsewhere and guests is not None:
        elsewhere = guests.send(entity, stanza, elsewhere)
    return fan_out(stanza, sessions, elsewhere, routing)
