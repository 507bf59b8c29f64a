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
