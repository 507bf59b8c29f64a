"""Showing and hiding an account's devices to somebody who may begin or cease to see them.

What a device says of itself is known on its own node, which is asked to show it; that it is there is known on
every node.
"""

from __future__ import annotations

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn
from tidings.kernel.session_manager import SessionManager
from tidings.messages.router import Router
from tidings.ports.bus import ShowPresence
from tidings.wire.xmpp.stanza import Stanza


def show(router: Router, sessions: SessionManager, account: Account, to: Jid) -> MaybeAwaitable:
    """Send the current presence of every available session."""
    sessions.hand_over(account, ShowPresence(account.jid.text, to.text))
    presences = [session.presence for session in account.available]
    return in_turn(router.route(presence.replace(to=to)) for presence in presences if presence is not None)


def hide(router: Router, account: Account, to: Jid) -> MaybeAwaitable:
    """Send unavailable presence of every available session."""
    return in_turn(router.route(unavailable(sender, to)) for sender in account.available_jids)


def unavailable(sender: Jid, to: Jid | None = None) -> Stanza:
    """Make the presence that says that this resource is gone."""
    return Stanza.build("presence", kind="unavailable", sender=sender, to=to)
