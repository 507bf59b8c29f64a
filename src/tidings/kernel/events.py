"""The catalogue of hook events: where features meet without knowing each other.

Handlers of GUARD and REWRITE are plain functions; others may return an awaitable. A handler that raises
`StanzaError` refuses what the event is about; `Dropped` makes it vanish without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidings.base.errors import StreamError, TidingsError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.account import Account
    from tidings.kernel.session import Session


class Dropped(TidingsError):  # noqa: N818  # a decision, no error
    """The stanza is not to be delivered and not to be answered."""


@dataclass(slots=True)
class SessionBound:
    """A client has bound a resource; nothing has been sent to it yet."""

    session: Session
    inline: tuple[Element, ...] = ()
    """What the client asked for together with the binding (XEP-0386 §3.2)."""
    answers: list[Element] = field(default_factory=list)
    """What <bound/> is to contain."""


@dataclass(slots=True)
class SessionEnded:
    """A session is over, in order or not; it is no longer among its account's sessions."""

    session: Session
    reason: StreamError | None


@dataclass(slots=True)
class PresenceSent:
    """A local session sends a presence stanza of any kind; `from` is stamped with its full JID."""

    session: Session
    stanza: Stanza


@dataclass(slots=True)
class PresenceArrived:
    """A presence stanza of any kind has come for a local account, which may not exist, from anywhere."""

    account: Account
    stanza: Stanza


@dataclass(slots=True)
class StanzaOut:
    """A local session submits a stanza to somebody; GUARD may refuse it."""

    session: Session
    stanza: Stanza


@dataclass(slots=True)
class StanzaIn:
    """A stanza is about to reach a local account or one of its sessions; GUARD may refuse it."""

    account: Account
    stanza: Stanza


@dataclass(slots=True)
class MessageAccepted:
    """A message of a local session is durable; COPY sends it to the sender's other devices."""

    session: Session
    stanza: Stanza


@dataclass(slots=True)
class MessageDelivered:
    """A message has been handed to these sessions of a local account; COPY serves the others."""

    account: Account
    stanza: Stanza
    recipients: list[Session]


@dataclass(slots=True)
class AccountRegistered:
    """An account has been made."""

    account: Jid


@dataclass(slots=True)
class AccountRemoved:
    """An account has been removed with all that was stored for it; its sessions are ending."""

    account: Jid


@dataclass(slots=True)
class PasswordChanged:
    """An account has another password."""

    account: Jid


@dataclass(slots=True)
class ContactBlocked:
    """The owner of the account has blocked these addresses; nothing but this may tell them."""

    account: Account
    addresses: tuple[Jid, ...]


@dataclass(slots=True)
class ContactUnblocked:
    """The owner of the account has unblocked these addresses."""

    account: Account
    addresses: tuple[Jid, ...]


@dataclass(slots=True)
class DiscoInfo:
    """Somebody asks what an entity is (XEP-0030 §3); handlers add to the lists.

    `target` is the domain or a bare JID of this host; `account` is the latter's account.
    """

    target: Jid
    node: str
    asker: Jid
    account: Account | None
    identities: list[tuple[str, str, str]] = field(default_factory=list)
    """(category, type, name)"""
    features: list[str] = field(default_factory=list)
    forms: list[Element] = field(default_factory=list)
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""


@dataclass(slots=True)
class DiscoItems:
    """Somebody asks what an entity holds (XEP-0030 §4); handlers add (address, node, name)."""

    target: Jid
    node: str
    asker: Jid
    account: Account | None
    items: list[tuple[Jid, str, str]] = field(default_factory=list)
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""
