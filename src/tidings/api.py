"""What features of others stand on: the names that stay as they are from one release to the next.

A feature that is a package of its own imports from here and from nowhere else in Tidings. `__all__` is the
contract; docs/reference/api.md lists it. Until release 1.0 a name may still change with a word in the
release notes; from then on only with a new major version.
"""

from collections.abc import Mapping
from typing import Final

from tidings.base.errors import BackendError, StanzaError, StreamError, TidingsError
from tidings.base.jid import Jid, JidError
from tidings.base.shares import ShareExceeded, share
from tidings.kernel.account import Account
from tidings.kernel.audience import AVAILABLE, Audience
from tidings.kernel.clock import Clock
from tidings.kernel.cluster import Cluster
from tidings.kernel.current import Current
from tidings.kernel.entity import Entity
from tidings.kernel.events import (
    AccountMissed,
    AccountRegistered,
    AccountRemoved,
    AccountRenamed,
    AccountRenaming,
    AccountWanted,
    ArchivePulled,
    ArchiveShortened,
    CommitUncertain,
    ContactBlocked,
    ContactsAgreed,
    ContactsReported,
    ContactUnblocked,
    ConversationRead,
    ConversationReturned,
    DeviceCaughtUp,
    DiscoInfo,
    DiscoItems,
    EntryReferenced,
    EntryRetracted,
    MarkersWanted,
    MessageAccepted,
    MessageDelivered,
    MessageSubmitted,
    NewsWanted,
    PasswordChanged,
    PresenceArrived,
    PresenceSent,
    PresenceWanted,
    RequestAnswered,
    RosterWanted,
    SessionBound,
    SessionDetached,
    SessionEnded,
    SessionResumed,
    StanzaArriving,
    StanzasAcknowledged,
    StanzaSubmitted,
)
from tidings.kernel.feature import (
    Addressee,
    Feature,
    Payload,
    Spec,
    StreamStage,
    VersionedPayload,
    handles,
    handles_nonza,
    listens,
    loads,
    reloads,
)
from tidings.kernel.hooks import (
    Decision,
    Dropped,
    Fact,
    Guard,
    OnFailure,
    Question,
    Stage,
    Work,
)
from tidings.kernel.host import Host
from tidings.kernel.iq import Answer, Iq
from tidings.kernel.job import Job
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.kernel.session import Session
from tidings.kernel.session_manager import SessionManager
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.messages.origin import Origin, Via
from tidings.messages.router import Router
from tidings.messages.submission import Outcome
from tidings.operations.catalogue import (
    ADMINISTRATORS,
    EVERYBODY,
    OPERATORS,
    Operation,
    operation,
)
from tidings.operations.context import Caller, Context, Role
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress, Address, Domain, Moment, Page, SessionAddress
from tidings.ports.documents import Document, DocumentConflict, DocumentRefused, DocumentStore
from tidings.wire.xml.element import Element
from tidings.wire.xmpp.stanza import Child, Stanza

__all__ = [
    "ADMINISTRATORS",
    "AVAILABLE",
    "EVERYBODY",
    "OPERATORS",
    "Account",
    "AccountAddress",
    "AccountMissed",
    "AccountRegistered",
    "AccountRemoved",
    "AccountRenamed",
    "AccountRenaming",
    "AccountWanted",
    "Address",
    "Addressee",
    "Answer",
    "ArchivePulled",
    "ArchiveShortened",
    "Audience",
    "BackendError",
    "Caller",
    "Child",
    "Clock",
    "Cluster",
    "CommitUncertain",
    "ContactBlocked",
    "ContactUnblocked",
    "ContactsAgreed",
    "ContactsReported",
    "Context",
    "ConversationRead",
    "ConversationReturned",
    "Current",
    "Decision",
    "DeviceCaughtUp",
    "DiscoInfo",
    "DiscoItems",
    "Document",
    "DocumentConflict",
    "DocumentRefused",
    "DocumentStore",
    "Domain",
    "Dropped",
    "Element",
    "Entity",
    "EntryReferenced",
    "EntryRetracted",
    "Fact",
    "Feature",
    "Guard",
    "Host",
    "Iq",
    "Jid",
    "JidError",
    "Job",
    "MarkersWanted",
    "MaybeAwaitable",
    "MessageAccepted",
    "MessageDelivered",
    "MessageSubmitted",
    "Moment",
    "NewsWanted",
    "OnFailure",
    "Operation",
    "OperationError",
    "Origin",
    "Outcome",
    "Page",
    "PasswordChanged",
    "Payload",
    "PresenceArrived",
    "PresenceSent",
    "PresenceWanted",
    "Question",
    "RequestAnswered",
    "Role",
    "RosterWanted",
    "Router",
    "Session",
    "SessionAddress",
    "SessionBound",
    "SessionDetached",
    "SessionEnded",
    "SessionManager",
    "SessionResumed",
    "ShareExceeded",
    "Slot",
    "Spec",
    "Stage",
    "Stanza",
    "StanzaArriving",
    "StanzaError",
    "StanzaSubmitted",
    "StanzasAcknowledged",
    "StreamError",
    "StreamStage",
    "Supervisor",
    "TidingsError",
    "VersionedPayload",
    "Via",
    "Work",
    "handles",
    "handles_nonza",
    "listens",
    "loads",
    "operation",
    "reloads",
    "share",
]

PROMISED: Final[Mapping[str, tuple[str, ...]]] = {
    "Account": ("jid", "exists", "sessions", "available", "is_connected", "has", "available_jids"),
    "Clock": ("now", "monotonic", "call_later"),
    "Cluster": ("publish",),
    "Context": ("caller", "clock", "domains", "stores", "host", "sessions_of"),
    "Dropped": (),
    "Entity": ("jid", "exists"),
    "Host": ("jid", "domain", "kind", "directory", "admins", "has_archives", "feature"),
    "Job": ("begin", "stop"),
    "Operation": ("category", "name"),
    "Origin": ("jid", "host", "via"),
    "Router": ("send", "route", "origin_of"),
    "Session": ("jid", "account", "host", "priority", "secure", "address", "since", "send", "close"),
    "SessionManager": ("to_devices", "has_devices", "may_be_connected", "end_sessions"),
    "StanzaError": ("condition", "text", "kind", "payload"),
    "StreamError": ("condition", "text", "payload"),
    "Stanza": (
        *("name", "kind", "id", "to", "sender", "lang", "children"),
        *("build", "replace", "result", "error", "has", "child", "decode", "payload", "to_bytes"),
    ),
    "Supervisor": ("start",),
}
"""What is promised of classes that have more for the server's own use; of the others it is all."""
