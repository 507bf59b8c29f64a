"""Last Activity: contacts learn how long somebody has been away, and everybody how long the server has run.

Implements XEP-0012 2.0; the marks § point at its sections. When an account was last there is stored as its
last session ends.
"""

import structlog

from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.account import Account, account_of
from tidings.kernel.clock import Clock
from tidings.kernel.events import PresenceSent, SessionBound, SessionEnded, StanzaArriving
from tidings.kernel.feature import Addressee, Feature, Spec, handles, listens
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.kernel.slots import Slot
from tidings.kernel.watchers import Watchers
from tidings.ports.accounts import AccountStore
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.last import LastActivity

log = structlog.get_logger("tidings.last_activity")

LAST_STATUS: Slot[str] = Slot("last_activity.status", default="")
"""What an account said when its last session became unavailable."""

LONGEST_STATUS = 1_023
"""Characters of a status that are kept."""


class LastActivityFeature(Feature):
    """Tells those who may see its presence since when an account is away, and all the server's uptime."""

    spec = Spec.xep(12, version="2.0", advertises=(ns.LAST,))  # §6

    def __init__(self, host: Host, clock: Clock, store: AccountStore) -> None:
        self._host = host
        self._clock = clock
        self._store = store
        self._started = clock.monotonic()

    @handles(LastActivity, kind="get", at=Addressee.SELF | Addressee.ENTITY)  # §3
    async def tell_absence(self, request: Iq[LastActivity]) -> Element:
        """Answer with 0 while a session is there, else with the time and the words of the last good-bye."""
        account = request.own_account
        self._check(account, request.sender)
        if account.is_connected:
            return LastActivity(0).encode()
        record = await self._store.get(account.jid)
        if record is None:
            raise _forbidden()
        since = record.created if record.last_activity is None else record.last_activity
        return LastActivity(seconds_between(since, self._clock.now()), record.last_status).encode()

    @listens(StanzaArriving)  # §4
    def guard_idle_time(self, event: StanzaArriving) -> None:
        """Keep questions away from an account's clients, unless they come from those who see its presence."""
        stanza = event.stanza
        if stanza.kind == "get" and stanza.name == "iq" and stanza.sender and stanza.has(*LastActivity.TAG):
            self._check(account_of(event.entity), stanza.sender)

    @handles(LastActivity, kind="get", at=Addressee.SERVER)  # §5
    def tell_uptime(self, request: Iq[LastActivity]) -> Element:  # noqa: ARG002 - a request says nothing
        """Answer with the seconds that this server has run."""
        return LastActivity(seconds_between(self._started, self._clock.monotonic())).encode()

    @listens(SessionBound)
    def forget_status(self, event: SessionBound) -> None:
        """Let a new session begin without the words of the one before."""
        del event.session.account[LAST_STATUS]

    @listens(PresenceSent)
    def note_status(self, event: PresenceSent) -> None:
        """Remember the words of a good-bye to everybody (§3)."""
        if event.stanza.kind == "unavailable" and event.stanza.to is None:
            status = event.stanza.decode(ns.CLIENT, "status")
            event.session.account[LAST_STATUS] = "" if status is None else status.text[:LONGEST_STATUS]

    @listens(SessionEnded)
    async def note_absence(self, event: SessionEnded) -> None:
        """Store when the account was last there, once nothing of it is there any more."""
        account = event.session.account
        if account.is_connected or not account.exists:
            return
        try:
            await self._store.touch_last(account.jid, self._clock.now(), account[LAST_STATUS])
        except BackendError as error:  # not worth disturbing what else happens at the end of a session
            log.warning("last_activity_not_stored", account=str(account.jid), reason=str(error))

    def _check(self, account: Account, asker: Jid) -> None:
        """Raise `forbidden` unless the asker may see the presence of the account (§8)."""
        if asker.bare == account.jid:
            return
        watchers = self._host.feature(Watchers)  # type: ignore[type-abstract]  # asks for whoever satisfies it
        if not account.exists or watchers is None or not watchers.is_watched_by(account, asker.bare):
            raise _forbidden()


def _forbidden() -> StanzaError:
    return StanzaError("forbidden", "this is told to those who see the presence of the account")


def seconds_between(earlier: float, later: float) -> int:
    """Return the whole seconds from one moment to the other, none if a clock was set back meanwhile."""
    return max(0, int(later - earlier))
