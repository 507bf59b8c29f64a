"""The catalogue of hook events: where features meet without knowing each other.

The base class of an event is its contract; see `kernel/hooks.py`. All are msgspec's structs, which cost half
of a dataclass to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.kernel.hooks import Fact, Guard, Question, Work
from tidings.kernel.stored_copy import StoredCopy, stored_copy
from tidings.ports.ledger.batch import Accepted
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.classification import Classification
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.stanza import Stanza

if TYPE_CHECKING:
    from tidings.kernel.account import Account
    from tidings.kernel.session import Session

NOTHING: Final = Classification()
"""What a message is that nobody archives."""


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
    """A presence stanza of any kind has come for a local account, which may not exist, from anywhere."""

    account: Account
    stanza: Stanza


class StanzaSubmitted(Guard):
    """A local session submits a stanza to somebody; GUARD may refuse it."""

    session: Session
    stanza: Stanza


class StanzaArriving(Guard):
    """A stanza is about to reach a local account or one of its sessions; GUARD may refuse it."""

    account: Account
    stanza: Stanza


class MessageAccepted(Fact):
    """A message of a local session is durable, or needs no storage; COPY serves the sender's other devices.

    Told of repeats, too, which are not delivered again. `stored` is about the sender's archive, None where
    nothing is stored; the stanza carries no stanza-id of that archive yet.
    """

    session: Session
    stanza: Stanza
    classification: Classification = NOTHING
    accepted: Accepted | None = None
    _stored: StoredCopy | None = None

    @property
    def stored(self) -> StoredCopy | None:
        """What the ledger answered; made when it is asked for, since most messages are not copied."""
        if self._stored is None and self.accepted is not None:
            self._stored = stored_copy(self.classification, self.accepted, self.session.account.jid)
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


class ConversationAffected(Fact):
    """A new entry of a local account does something to earlier ones.

    It refers to one (`stored.target`), or has brought its conversation back from the box `archive`
    (`stored.returned`). `by` is the session of this account that sent it, None where it was received.
    """

    account: Account
    peer: Jid
    stored: StoredCopy
    by: Session | None


class CommitUncertain(Fact):
    """The ledger has not said in time whether it has taken a message for this account, and may take it yet.

    The message was not delivered; its sender was told to try again.
    """

    account: Account


class ArchivePulled(Fact):
    """A client has asked for archive, inbox or sync: it fetches by itself what its device has missed."""

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

    `target` is the domain or a bare JID of this host; `account` is the latter's account.
    """

    target: Jid
    node: str
    asker: Jid
    account: Account | None
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
    account: Account | None
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
    """The client has said that it has every stanza up to the number `sent`, as `session.sent` counts them."""

    session: Session
    sent: int
