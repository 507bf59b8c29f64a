"""Portable account: all that belongs to one person, as it leaves one server and comes to another.

A source reads what another server has written, and gives accounts one after another, and the history of each
when it is asked for: an archive may be larger than memory. What a source has and nobody here takes is named
in `left_out`, so that it is told and not lost in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from tidings.base.jid import Jid
from tidings.ports.accounts import Ban, ScramKeys
from tidings.ports.nodes import Affiliation, NodeConfig, NodeItem, Subscription
from tidings.ports.preferences import StoredPreferences
from tidings.ports.roster import RosterEntry
from tidings.wire.xmpp.stanza import Stanza


class PrivateFragment(msgspec.Struct, frozen=True):
    """One element of private XML storage (XEP-0049), as bytes that name its namespace."""

    namespace: str
    name: str
    raw: bytes


class PastMessage(msgspec.Struct, frozen=True):
    """A message that another server has accepted, with both addresses."""

    time: int
    """When, in microseconds since 1970."""
    message: Stanza
    is_sent: bool = False
    """By the owner of the archive."""


class Conversation(msgspec.Struct, frozen=True):
    """How a conversation stands in the inbox."""

    peer: Jid
    box: str = "inbox"
    muted_until: int = 0
    """In microseconds since 1970; 0 is not muted."""
    unread: int = 0


def past_message(owner: Jid, message: Stanza, time: int) -> PastMessage:
    """Give a message of somebody's archive; an address that it does not have is the owner's."""
    sender, to = message.sender or owner, message.to or owner
    return PastMessage(time, message.replace(sender=sender, to=to), is_sent=sender.bare == owner)


class PortableMembership(msgspec.Struct, frozen=True):
    """A shared group that an account is in, and what the others' rosters call the account."""

    group: str
    label: str = ""
    called: str = ""


class PortableNode(msgspec.Struct, frozen=True):
    """A node of an account with its items, in the order of publication."""

    name: str
    config: NodeConfig
    items: tuple[NodeItem, ...] = ()
    affiliations: tuple[tuple[Jid, Affiliation], ...] = ()
    subscriptions: tuple[Subscription, ...] = ()


class PortableAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One account but for its archive; times are seconds since 1970."""

    jid: Jid
    keys: tuple[ScramKeys, ...] = ()
    password: str | None = None
    """Where the other server knows it; without it and `keys` nobody can log in until a password is set."""
    created: float | None = None
    ban: Ban | None = None
    last_activity: float | None = None
    last_status: str = ""
    contacts: tuple[RosterEntry, ...] = ()
    vcard: bytes | None = None
    private: tuple[PrivateFragment, ...] = ()
    blocked: frozenset[Jid] = frozenset()
    preferences: StoredPreferences | None = None
    groups: tuple[PortableMembership, ...] = ()
    """The shared groups that it is in."""
    nodes: tuple[PortableNode, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    """Those whose place in the inbox is known; all others are read but for what is undelivered."""
    undelivered: tuple[PastMessage, ...] = ()
    """What no device has had yet, oldest first; it may be in the archive, too."""
    left_out: tuple[str, ...] = ()
    """What the source has of the account, and nobody here takes: a few words each, without content."""


class Source(Protocol):
    """Accounts as another server has left them."""

    def accounts(self) -> Iterator[PortableAccount]:
        """Give every account; raises `PortableError` where the data cannot be read."""
        ...

    def history(self, account: Jid) -> Iterator[PastMessage]:
        """Give the archive of an account that was given before, oldest first; the same each time."""
        ...
