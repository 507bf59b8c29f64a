"""The catalogue of hook events: where features meet without knowing each other.

The base class of an event is its contract; see `kernel/hooks.py`. All are msgspec's structs, which cost half
of a dataclass to make.
"""

from __future__ import annotations

import msgspec

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.entity import Entity
from tidings.kernel.hooks import Decision, Fact, Guard, Question, Work
from tidings.kernel.session import Session
from tidings.kernel.stored_copy import StoredCopy, stored_copy
from tidings.ports.ledger.batch import Accepted
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.classification import NOTHING, Classification
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.stanza import Stanza


class SessionBound(Work):
    """A client has bound a resource; nothing has been sent to it yet."""

    session: Session
    inline: tuple[Element, ...] = ()
    """What the client asked for together with the binding (XEP-0386 §3.2)."""
    answers: list[Element] = msgspec.field(default_factory=list)
    """What <bound/> is to contain."""


class SessionEnded(Fact):
    """A session is over, in order or not; it is no longer among its account's sessions."""

    session: Session
    reason: StreamError | None


class PresenceSent(Work):
    """A local session sends a presence stanza of any kind; `from` is stamped with its full JID."""

    session: Session
    stanza: Stanza


class PresenceArrived(Work):
    """A presence stanza of any kind has come for a local entity, which may not exist, from anywhere."""

    entity: Entity
    stanza: Stanza


class MessageSubmitted(Decision):
    """Somebody submits a message; asked on the sender's host, and on the recipient's if that is another.

    A handler may refuse it, or put another stanza in its place; its addresses stay as they are.
    """

    stanza: Stanza
    sender: Jid
    """The bare JID in whose name it is sent."""
    recipient: Jid
    """The bare JID that it is for."""
    via: str
    """How it came: session, operation, server or self."""
    session: Session | None = None
    """The session that sends, where it is one of this server."""


class StanzaSubmitted(Guard, frozen=True):
    """A stanza is submitted in the name of a local entity, by whatever means; guards may refuse it."""

    entity: Entity
    stanza: Stanza


class StanzaArriving(Guard, frozen=True):
    """A stanza is about to reach a local entity or one of its sessions; guards may refuse it."""

    entity: Entity
    stanza: Stanza


class MessageAccepted(Fact):
    """A message of a local account is durable, or needs no storage; COPY serves the sender's other devices.

    Told of repeats, too, which are not delivered again. `session` is the one that sent it, None where an
    operation or somebody else did in its account's name. `stored` is about the sender's archive, None where
    nothing is stored; the stanza carries no stanza-id of that archive yet.
    """

    account: Account
    session: Session | None
    stanza: Stanza
    classification: Classification = NOTHING
    accepted: Accepted | None = None
    _stored: StoredCopy | None = None

    @property
    def stored(self) -> StoredCopy | None:
        """What the ledger answered; made when it is asked for, since most messages are not copied."""
        if self._stored is None and self.accepted is not None:
            self._stored = stored_copy(self.classification, self.accepted, self.account.jid)
        return self._stored


class MessageDelivered(Fact):
    """A message has come to a local account; COPY serves the devices that it was not for.

    `recipients` are the sessions that it was for, among them those that are `behind`, which read it from the
    archive.
    """

    account: Account
    message: Stanza
    """The message as it was sent."""
    recipients: list[Session]
    stored: StoredCopy | None = None
    _stamped: Stanza | None = None

    @property
    def stanza(self) -> Stanza:
        """The message as devices see it, with stanza-id and time where it is `stored`."""
        if self._stamped is None:
            stored = self.stored
            self._stamped = self.message
            if stored is not None and stored.place is not None:
                self._stamped = stamped(
                    self.message, self.account.jid, stored.place.id, stored.time, is_live=True
                )
        return self._stamped


class EntryReferenced(Fact):
    """A new entry of a local account refers to an earlier one of its archive, `stored.target`.

    `is_own`: the owner of the account has sent it; `by` is the session that did, where it was one.
    """

    account: Account
    peer: Jid
    stored: StoredCopy
    is_own: bool
    by: Session | None = None


class ConversationReturned(Fact):
    """A new message has brought a conversation of a local account back from the box `archive`."""

    account: Account
    peer: Jid


class CommitUncertain(Fact):
    """The ledger has not said in time whether it has taken a message for this account, and may take it yet.

    The message was not delivered; its sender was told to try again.
    """

    account: Account


class ArchivePulled(Fact):
    """A client has asked for archive, inbox or sync, for the first time in its session.

    It fetches by itself what its device has missed; `kernel/pulling.py` tells this.
    """

    session: Session


class RequestAnswered(Fact):
    """A client has answered an iq request of the server; `stanza` is of kind result or error."""

    session: Session
    stanza: Stanza


class ConversationRead(Fact):
    """The owner of the account has read a conversation up to a position of its archive, by whatever means.

    `by` is the session that said so, None where it was no session of this server.
    """

    account: Account
    peer: Jid
    position: int
    by: Session | None = None


class AccountWanted(Work):
    """An account is about to be made, unless there is one; a handler that raises StanzaError prevents it."""

    account: Jid


class AccountRegistered(Fact):
    """An account has been made."""

    account: Jid


class AccountRemoved(Fact):
    """An account has been removed with all that was stored for it; its sessions are ending."""

    account: Jid


class PasswordChanged(Fact):
    """An account has another password."""

    account: Jid


class ContactBlocked(Fact):
    """The owner of the account has blocked these addresses; nothing but this may tell them."""

    account: Account
    addresses: tuple[Jid, ...]


class ContactUnblocked(Fact):
    """The owner of the account has unblocked these addresses."""

    account: Account
    addresses: tuple[Jid, ...]


class DiscoInfo(Question):
    """Somebody asks what an entity is (XEP-0030 §3); handlers add to the lists.

    `target` is the domain or a bare JID of this host; `entity` is the latter's.
    """

    target: Jid
    node: str
    asker: Jid
    entity: Entity | None
    identities: list[tuple[str, str, str]] = msgspec.field(default_factory=list)
    """(category, type, name)"""
    features: list[str] = msgspec.field(default_factory=list)
    forms: list[Element] = msgspec.field(default_factory=list)
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""


class DiscoItems(Question):
    """Somebody asks what an entity holds (XEP-0030 §4); handlers add (address, node, name)."""

    target: Jid
    node: str
    asker: Jid
    entity: Entity | None
    items: list[tuple[Jid, str, str]] = msgspec.field(default_factory=list)
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""


class SessionDetached(Fact):
    """A session has lost its connection and waits for its client; its presence stays as it is."""

    session: Session


class SessionResumed(Fact):
    """The client of a detached session is back and is sent first what it had not acknowledged."""

    session: Session


class StanzasAcknowledged(Fact):
    """The client has said that it has every stanza up to the number `sent`, as its flow counts them."""

    session: Session
    sent: int
