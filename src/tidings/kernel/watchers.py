"""Watchers: what features that are shown to some people only ask the feature that keeps contacts."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tidings.base.jid import Jid
from tidings.kernel.account import Account


@runtime_checkable
class Watchers(Protocol):
    """Whatever feature knows who may see the presence of an account; found by `Host.feature`."""

    def is_watched_by(self, account: Account, contact: Jid) -> bool:
        """Tell whether the contact has a subscription to the account's presence."""
        ...


@runtime_checkable
class Contacts(Watchers, Protocol):
    """What is known of an account's contacts, for features that send something to all of them."""

    def watchers_of(self, account: Account) -> frozenset[Jid]:
        """Give the bare JIDs that see the account's presence."""
        ...

    def watched_by(self, account: Account) -> tuple[Jid, ...]:
        """Give the bare JIDs whose presence the account sees."""
        ...

    def groups_of(self, account: Account, contact: Jid) -> frozenset[str]:
        """Give the roster groups that the account has a contact in."""
        ...
