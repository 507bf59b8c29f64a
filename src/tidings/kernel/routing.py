"""Routing: what the parts of the router ask of the whole."""

from __future__ import annotations

from typing import Protocol

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.kernel.traces import Traces
from tidings.wire.xmpp.stanza import Stanza


class Routing(Protocol):
    """The router, as those know it who work for it."""

    hosts: dict[str, Host]
    """By domain."""
    traces: Traces
    """What became of the messages that came last."""

    def route(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """Take a stanza to its address; its `from` is verified."""
        ...

    def pass_on(self, stanza: Stanza, to: Jid) -> MaybeAwaitable:
        """Hand a stanza to whoever answers for a domain that is not served here."""
        ...

    def has_way_to(self, domain: str) -> bool:
        """Tell whether somebody answers for a domain that is not served here."""
        ...

    def refuse(self, stanza: Stanza, error: StanzaError) -> None:
        """Answer a stanza with an error, unless it is one that must not be answered."""
        ...

    def refusal(self, error: Exception, place: str = "", **details: object) -> StanzaError:
        """Give the answer to a stanza whose handling raised this."""
        ...
