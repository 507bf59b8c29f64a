"""A circle of friends in place of rosters, for stories in which it matters who may see whose presence."""

from tidings.base.jid import Jid
from tidings.kernel.account import Account
from tidings.kernel.feature import Feature

FRIENDS = frozenset({"romeo@localhost", "juliet@localhost", "nurse@other.test"})


class Friends(Feature):
    """Lets these accounts see each other's presence, and nobody else."""

    def is_watched_by(self, account: Account, contact: Jid) -> bool:
        return {account.jid, contact.bare} <= FRIENDS
