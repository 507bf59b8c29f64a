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
from tidings.kernel.traces import Traced
from tidings.ports.ledger.batch import Accepted
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.classification import NOTHING, Classification
from tidings.wire.xmpp.payloads.arrival import stamped
from tidings.wire.xmpp.payloads.reporting import Report
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.smart_markers import KeptMarker
from tidings.wire.xmpp.stanza import Stanza


class SessionBound(Work):
    """A client binds a resource; it has been sent nothing yet, and gets the answer after the handlers."""

    session: Session
    """The new session, which is among those of its account."""
    inline: tuple[Element, ...] = ()
    """What the client asked for together with the binding (XEP-0386 §3.2)."""
    is_bind2: bool = False
    """Whether it binds by XEP-0386, and so reads the archive for what it has missed."""
    answers: list[Element] = msgspec.field(default_factory=list)
    """What <bound/> is to contain; handlers append."""


class SessionEnded(Fact):
    """A session is over, in order or not; it is no longer among its account's sessions."""

    session: Session
    reason: StreamError | None
    """Why; None where the client has ended it in order."""


class PresenceSent(Work):
    """A local session sends presence: to all, or to one address, of any type.

    Handlers route it and remember it; nobody else does.
    """

    session: Session
    stanza: Stanza
    """With the full JID of the session as its `from`."""


class PresenceArrived(Work):
    """Presence has come for a local entity, from a session, another domain or the server itself.

    Handlers deliver it or answer it; nobody else does.
    """

    entity: Entity
    """Whom it is for; it may be that nobody has made it."""
    stanza: Stanza
    """As it came; its `from` is verified."""


class PresenceWanted(Work):
    """Sessions on another node than the asker's are to show themselves, as in answer to a probe."""

    account: Account
    """Whose sessions."""
    asker: Jid
    """To whom they are to show themselves."""
    resource: str
    """That of the only session that is asked for, empty for all."""
    is_allowed: bool
    """The asker may see the account; otherwise only a session answers that has shown itself to him."""


class MessageSubmitted(Decision):
    """Somebody submits a message; asked on the sender's host, and on the recipient's if that is another.

    A handler may put another stanza in its place; the addresses stay as they are.
    """

    stanza: Stanza
    """The message; what a handler puts here is what is kept and delivered."""
    sender: Jid
    """The bare JID in whose name it is sent."""
    recipient: Jid
    """The bare JID that it is for."""
    via: str
    """How it came: session, operation, server or self."""
    session: Session | None = None
    """The session that sends, where it is one of this server."""


class StanzaSubmitted(Guard, frozen=True):
    """A stanza is sent in the name of a local entity, by whatever means."""

    entity: Entity
    """In whose name."""
    stanza: Stanza


class StanzaArriving(Guard, frozen=True):
    """A stanza is about to reach a local entity or one of its sessions."""

    entity: Entity
    """Whom it is for."""
    stanza: Stanza


class MessageAccepted(Fact, gc=False):
    """A message that a local account sends is durable, or needs no storage; its sender has been told.

    Told of repeats, too, which are not delivered again. At COPY the sender's other devices are served.
    """

    account: Account
    """The sender."""
    session: Session | None
    """The session that sent it, None where an operation did in the account's name."""
    stanza: Stanza
    """As it is delivered, without a stanza-id of the sender's archive."""
    classification: Classification = NOTHING
    """What kind of message it is, and which archives are to keep it."""
    accepted: Accepted | None = None
    """The ledger's answer, None where nobody keeps the message."""
    traced: Traced | None = None
    """The message on its way, for who tells what he decides about it."""
    _stored: StoredCopy | None = None

    @property
    def stored(self) -> StoredCopy | None:
        """Where and when the sender's archive has it; None where it keeps nothing."""
        # Made when it is asked for, since most messages are not copied.
        if self._stored is None and self.accepted is not None:
            self._stored = stored_copy(self.classification, self.accepted, self.account.jid)
        return self._stored


class MessageDelivered(Fact, gc=False):
    """A message has come to a local account. At COPY the devices are served that it was not for."""

    account: Account
    """The recipient."""
    message: Stanza
    """The message as it was sent."""
    recipients: list[Session]
    """The sessions that it was for; one that is catching up reads it from the archive."""
    stored: StoredCopy | None = None
    """Where and when the recipient's archive has it; None where it keeps nothing."""
    traced: Traced | None = None
    """The message on its way, for who tells what he decides about it."""
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
    """A new entry of an archive refers to an earlier one: it corrects, retracts, marks or reacts."""

    account: Account
    """Whose archive it is."""
    peer: Jid
    """The other side of the conversation."""
    stored: StoredCopy
    """The new entry; `target` is the earlier one."""
    is_own: bool
    """Whether the owner of the archive has sent it."""
    by: Session | None = None
    """The owner's session that did, where it was one."""


class EntryRetracted(Fact):
    """A message of a room was taken back, by its author or by the room."""

    entity: Entity
    """Whose archive it is in."""
    position: int
    """Where it stands there."""


class ConversationReturned(Fact):
    """A new message has brought a conversation back to the inbox, whose owner had put it into the archive."""

    account: Account
    """Whose inbox it is."""
    peer: Jid
    """The other side of the conversation."""


class CommitUncertain(Fact):
    """The ledger has not said in time whether it has a message for this account, and may take it yet.

    The message was not delivered; its sender was told to try again.
    """

    account: Account
    """Whose archive may have it."""


class ArchivePulled(Fact):
    """A client asks for archive, inbox or sync, for the first time in its session or while it is away.

    It fetches by itself what its device has missed until now, and need not be sent that.
    """

    session: Session


class DeviceCaughtUp(Fact):
    """A device that was away is available again, and has been sent what its account's archive had for it.

    It is not told of devices that fetch by themselves what they have missed.
    """

    session: Session
    since: int
    """When the device was here last, in microseconds since 1970; a little earlier where that is not certain.

    Of a new device it is when any other one was, and 0 where there is none.
    """


class RequestAnswered(Fact):
    """A client has answered an iq request of the server."""

    session: Session
    stanza: Stanza
    """The answer, of type `result` or `error`."""


class ConversationRead(Fact):
    """The owner of an account has read a conversation up to a position of the archive, by whatever means."""

    account: Account
    """Who has read."""
    peer: Jid
    """The other side of the conversation."""
    position: int
    """The last position that is read."""
    by: Session | None = None
    """The session that said so, None where it was none of this server."""


class AccountWanted(Work):
    """Somebody wants to make an account, or a room; a handler that refuses prevents it."""

    account: Jid
    """The bare JID that it would have."""


class ArchiveShortened(Fact):
    """Entries of an archive were erased or trimmed; who remembers some of them reads them anew."""

    archive: Jid


class AccountRegistered(Fact):
    """An account has been made."""

    account: Jid


class ContactsAgreed(Fact):
    """Somebody has registered by the invitation of another account, and they are to be contacts."""

    inviter: Jid
    invited: Jid


class AccountRemoved(Fact):
    """An account has been removed with all that was stored for it; its sessions are ending."""

    account: Jid


class AccountMissed(Fact):
    """An account is gone that has left something behind: it was removed while no server ran."""

    account: Jid


class AccountRenaming(Work):
    """An account is about to get another address, and has no sessions any more.

    Handlers write what they still have of it; a handler that refuses prevents it.
    """

    account: Jid
    to: Jid


class AccountRenamed(Fact):
    """An account has got another address, in all stores; each host with accounts is told."""

    account: Jid
    """The former address, which nobody has now."""
    to: Jid
    rosters: tuple[Jid, ...] = ()
    """The accounts, of all domains, on whose rosters the new address has taken its place."""
    blocking: tuple[Jid, ...] = ()
    """Those on whose block lists it has."""


class PasswordChanged(Fact):
    """An account has another password."""

    account: Jid


class ContactBlocked(Fact):
    """The owner of an account has blocked addresses; handlers show them no presence any more."""

    account: Account
    addresses: tuple[Jid, ...]


class ContactsReported(Fact):
    """The owner of an account has blocked addresses and said why."""

    account: Account
    reports: tuple[tuple[Jid, Report], ...]


class ContactUnblocked(Fact):
    """The owner of an account has unblocked addresses."""

    account: Account
    addresses: tuple[Jid, ...]


class DiscoInfo(Question):
    """Somebody asks what the domain or an entity is (XEP-0030 §3); handlers add to the lists."""

    target: Jid
    """The domain, or a bare JID of it."""
    node: str
    """The node that is asked about; empty where it is `target` itself."""
    asker: Jid
    entity: Entity | None
    """The entity of that bare JID; None for the domain."""
    identities: list[tuple[str, str, str]] = msgspec.field(default_factory=list)
    """(category, type, name)"""
    features: list[str] = msgspec.field(default_factory=list)
    """Namespaces; those of `spec` are there already for the domain."""
    forms: list[Element] = msgspec.field(default_factory=list)
    """Data forms with more about it (XEP-0128)."""
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""


class DiscoItems(Question):
    """Somebody asks what the domain or an entity holds (XEP-0030 §4); handlers add to the list."""

    target: Jid
    """The domain, or a bare JID of it."""
    node: str
    """The node that is asked about; empty where it is `target` itself."""
    asker: Jid
    entity: Entity | None
    """The entity of that bare JID; None for the domain."""
    items: list[tuple[Jid, str, str]] = msgspec.field(default_factory=list)
    """(address, node, name)"""
    known: bool = False
    """A handler that knows the node sets this; an unknown node is answered `item-not-found`."""
    page: PageRequest = PageRequest()
    """The page that is asked for (XEP-0059); who lists few things adds them all."""
    shown: Page | None = None
    """Set by a handler that has added a page alone: which one it is."""


class MarkersWanted(Question):
    """Somebody asks how far the members of a room are; who keeps rooms adds the last markers of each.

    Raises `StanzaError` where the room tells that nobody who asks.
    """

    room: Jid
    """The bare JID, of this host."""
    asker: Jid
    thread: str | None
    """Which markers are wanted: those of a thread, or those of none."""
    markers: list[KeptMarker] = msgspec.field(default_factory=list)


class RosterWanted(Question):
    """A client asks for the roster of its account; handlers add items that are not kept there."""

    account: Account
    items: list[Element] = msgspec.field(default_factory=list)
    """Each an `<item/>`."""
    is_whole: bool = False
    """Whether the roster is answered as a whole, whatever the client knows: what is added has no versions."""


class NewsWanted(Fact):
    """The client of a session wants to hear what is new at nodes of which it has not heard until now."""

    session: Session
    nodes: frozenset[str]
    """The names of the nodes, whoever has them."""


class SessionDetached(Fact):
    """A session has lost its connection and waits for its client to come back; its presence stays."""

    session: Session


class SessionResumed(Fact):
    """The client of a detached session is back and is sent first what it had not acknowledged."""

    session: Session


class StanzasAcknowledged(Fact):
    """A client has said that it has what it was sent."""

    session: Session
    sent: int
    """The number of the last stanza that it has, as the session's flow counts them."""
