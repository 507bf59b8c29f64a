"""Routing: what the parts of the router, and whoever sends, ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.wire.xmpp.stanza import Stanza


class Routing(Protocol):
    """The router, as those who send know it."""

    hosts: dict[str, Host]

    def submit(self, session: Session, stanza: Stanza) -> MaybeAwaitable:
        """Take a presence or iq of a local session."""
        ...

    def submit_messages(
        self, session: Session, messages: list[Stanza], numbers: Sequence[int] = ()
    ) -> MaybeAwaitable:
        """Take messages of a local session that arrived together."""
        ...

    def route(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """Take a stanza to its address; its `from` is verified."""
        ...

    def to_domain(self, stanza: Stanza, session: Session | None = None) -> MaybeAwaitable:
        """Take a stanza that is for a host itself."""
        ...

    def pass_on(self, stanza: Stanza, to: Jid) -> MaybeAwaitable:
        """Hand a stanza to whoever answers for a domain that is not served here."""
        ...

    def has_way_to(self, domain: str) -> bool:
        """Tell whether somebody answers for a domain that is not served here."""
        ...

    def refuse(self, stanza: Stanza, error: StanzaError) -> MaybeAwaitable:
        """Answer a stanza with an error, unless it is one that must not be answered."""
        ...

    def refusal(self, error: Exception, place: str = "", **details: object) -> StanzaError:
        """Give the answer to a stanza whose handling raised this."""
        ...
