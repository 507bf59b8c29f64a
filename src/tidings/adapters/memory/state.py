"""What the memory stores share: one object per account, so that removing it clears every store."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidings.base.jid import Jid
from tidings.ports.accounts import AccountRecord, FastToken, NoSuchAccount, Promotion
from tidings.ports.displayed import Displayed
from tidings.ports.documents import Document
from tidings.ports.nodes import Affiliation, Node, NodeItem, Subscription
from tidings.ports.preferences import StoredPreferences
from tidings.ports.roster import RosterEntry
from tidings.ports.vcard import SearchField


@dataclass(slots=True)
class DeviceTokens:
    """The two token slots of one device (XEP-0484 §4)."""

    new: FastToken | None = None
    current: FastToken | None = None

    def held(self) -> tuple[FastToken, ...]:
        """Give the tokens in use, the new one first."""
        return tuple(token for token in (self.new, self.current) if token is not None)


@dataclass(slots=True)
class RosterState:
    """A roster and when each of its contacts changed last."""

    epoch: str = ""
    number: int = 0
    entries: dict[Jid, RosterEntry] = field(default_factory=dict)
    changes: dict[Jid, int] = field(default_factory=dict)
    """The number of the last visible change of a contact, listed, unlisted or removed."""


@dataclass(slots=True)
class AccountState:
    """Everything that is kept of one account."""

    record: AccountRecord
    tokens: dict[str, DeviceTokens] = field(default_factory=dict)
    roster: RosterState = field(default_factory=RosterState)
    private: dict[tuple[str, str], bytes] = field(default_factory=dict)
    displayed: dict[Jid, Displayed] = field(default_factory=dict)
    """By chat, the one that was put first comes first."""
    vcard: bytes | None = None
    searched: dict[SearchField, str] = field(default_factory=dict)
    """What the vCard says in the fields by which it is found."""
    blocked: set[Jid] = field(default_factory=set)
    preferences: StoredPreferences | None = None
    promotions: dict[str, Promotion] = field(default_factory=dict)
    """By domain."""


Accounts = dict[Jid, AccountState]
"""The state of a server, by bare JID."""

FormerAccounts = dict[Jid, float]
"""When accounts were removed whose names rest, by bare JID."""

Documents = dict[Jid, dict[tuple[str, str], Document]]
"""What features keep of any entity, by namespace and key."""


@dataclass(slots=True)
class NodeState:
    """A node and what is in it."""

    node: Node
    items: dict[str, NodeItem] = field(default_factory=dict)
    """By id, the one that was published first comes first."""
    affiliations: dict[Jid, Affiliation] = field(default_factory=dict)
    subscriptions: dict[Jid, Subscription] = field(default_factory=dict)


Nodes = dict[Jid, dict[str, NodeState]]
"""The nodes of any entity, by name."""


def existing(accounts: Accounts, jid: Jid) -> AccountState:
    """Give the state of an account; raises `NoSuchAccount`."""
    state = accounts.get(jid)
    if state is None:
        raise NoSuchAccount(jid)
    return state
