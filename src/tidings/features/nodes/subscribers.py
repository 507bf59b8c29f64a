"""Subscribers: news go to who has subscribed, to a device or to all of an account.

Implements XEP-0060 1.30.0 §7.1.2, §12.1 to §12.3. What is worth nothing later reaches who is there; accounts
that are not connected are not even looked for then. A bare address gets it as any message to it, a full one
at that resource. Left out: subscribers on other servers.

What goes to many is written once and goes out in slices, others have their turn in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.nodes.terms import News
from tidings.kernel.clock import Clock
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.time_slice import TimeSlice
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.ports.nodes import Subscription, SubscriptionState
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.stanza import Child, Stanza

_STRETCH: Final = 16
"""So many recipients are dealt with at once: some milliseconds at most."""
_UNKEPT: Final = "headline"


class Subscribers:
    """Sends news to subscribers."""

    def __init__(self, router: Router, sessions: SessionManager, clock: Clock) -> None:
        self._router = router
        self._sessions = sessions
        self._clock = clock
        self.time_slice = TimeSlice(clock.monotonic)
        """What news may take of a turn of the event loop."""

    async def tell(
        self,
        news: News,
        subscriptions: tuple[Subscription, ...],
        may_hear: Callable[[Subscription], bool],
    ) -> None:
        """Send news to those of a node's subscribers who want and may hear them."""
        message = message_of(news.owner, news.config.notification_type, news.content)
        now = self._clock.now()
        for start in range(0, len(subscriptions), _STRETCH):
            await until_done(self.time_slice.turn())
            part = subscriptions[start : start + _STRETCH]
            await self._send(message, [each.jid for each in part if _wants(each, now) and may_hear(each)])

    async def tell_one(self, news: News) -> None:
        """Send news to the one whom they are for."""
        assert news.only is not None
        kind = news.config.notification_type
        if news.is_notice:
            kind = "normal" if news.is_kept else _UNKEPT
        await self._send(message_of(news.owner, kind, news.content), [news.only])

    async def _send(self, message: Stanza, to: list[Jid]) -> None:
        assert message.sender is not None
        reached = [message.addressed(jid) for jid in to if self._can_be_reached(jid, message)]
        if reached:
            await self._router.send(self._router.origin_of(message.sender, Via.SERVER), reached)

    def _can_be_reached(self, jid: Jid, message: Stanza) -> bool:
        if jid.domain not in self._router.hosts:
            return self._router.has_way_to(jid.domain)
        return message.kind != _UNKEPT or self._sessions.may_be_connected(jid)


def message_of(owner: Jid, kind: str, *content: Element | Child) -> Stanza:
    """Give the message that tells of something, without an address."""
    return Stanza.build("message", kind=kind, id=token(9), sender=owner, content=content)


def _wants(subscription: Subscription, now: float) -> bool:
    options = subscription.options
    is_over = options.expire is not None and options.expire <= now
    return subscription.state is SubscriptionState.SUBSCRIBED and options.deliver and not is_over
