"""Contacts: who is on an account's roster, who may see its presence, and telling them (RFC 6121 §2 to §4)."""

from tidings.features.contacts.presence import Presences
from tidings.features.contacts.roster import Rosters
from tidings.features.contacts.shared_groups import SharedGroups
from tidings.features.contacts.subscriptions import Subscriptions

__all__ = ["Presences", "Rosters", "SharedGroups", "Subscriptions"]
