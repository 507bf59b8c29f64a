"""SessionLog: what the log tells at info of sessions, log-ins and streams: who, from where, and why it ended.

Every line has the same keys, as far as they are known: `account`, `session` (its full address), `address`,
`device` and `transport`; why something happened stands in `reason`, and in `condition` where it is a stream
error or an error of a log-in.

Invariants:
- nobody fills the disk: of a network whose clients have not logged in there is one line a minute for each
  event (of wrong passwords `OF_GUESSES`), of all strangers together there are `OF_STRANGERS` times as many,
  and of an account `OF_ACCOUNT`; `more` counts what was passed over, and that stands in the debug log;
- nothing of what anybody writes to anybody else is told; what a client says of an error is cut.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import structlog

from tidings.base.errors import StanzaError, StreamError
from tidings.base.jid import Jid
from tidings.base.network import network_of
from tidings.base.seldom_told import SeldomTold
from tidings.kernel.clock import Clock
from tidings.kernel.session import Client, Session

log = structlog.get_logger("tidings.sessions")

MINUTE: Final = 60.0
OF_ACCOUNT: Final = 10
"""Lines of one event and one account in a minute."""
OF_GUESSES: Final = 10
"""Lines of wrong passwords from one network in a minute; the throttle looks at few more."""
OF_STRANGERS: Final = 300
"""Lines in a minute of all together who have not logged in."""

_LONGEST: Final = 256
"""Characters that are told of what a client has written."""
GOODBYE: Final = "the client has ended it"


class SessionLog:
    """Tells of the sessions and streams of one server."""

    def __init__(self, clock: Clock) -> None:
        now = clock.monotonic
        self._accounts = defaultdict[str, SeldomTold](lambda: SeldomTold(MINUTE, now, at_once=OF_ACCOUNT))
        self._guesses = SeldomTold(MINUTE, now, at_once=OF_GUESSES, most=OF_GUESSES * OF_STRANGERS)
        self._strangers = defaultdict[str, SeldomTold](lambda: SeldomTold(MINUTE, now, most=OF_STRANGERS))

    # --- sessions

    def bound(self, session: Session) -> None:
        """A client has logged in and has a new session."""
        self._tell("session_bound", session.client, session, mechanism=session.client.mechanism)

    def resumed(self, session: Session) -> None:
        """A client has logged in and goes on with the session that it had."""
        self._tell("session_resumed", session.client, session, mechanism=session.client.mechanism)

    def detached(self, session: Session, reason: StreamError | None) -> None:
        """A session has lost its connection and waits for its client."""
        seconds = session.flow.resume_seconds
        self._tell("session_detached", session.client, session, reason, seconds=seconds)

    def ended(self, session: Session, reason: StreamError | None) -> None:
        """A session is over; without a reason its client has ended it in order."""
        if reason is None:
            self._tell("session_ended", session.client, session, reason=GOODBYE)
        else:
            self._tell("session_ended", session.client, session, reason)

    def not_begun(self, account: Jid, client: Client, error: StanzaError, *, is_told: bool = True) -> None:
        """Somebody has logged in and gets no session; unless `is_told`, the log tells of it otherwise."""
        told = _keys(client, account, condition=error.condition, reason=error.text)
        count = self._of_account("session_refused", account, client) if is_told else None
        _write("session_refused", told, count)

    # --- streams

    def login_failed(
        self, client: Client, name: str, mechanism: str, condition: str, *, is_wrong: bool
    ) -> None:
        """A log-in has failed; `name` is the account, or what the client called itself.

        One that `is_wrong` is told more often, for whoever counts guesses to shut a network out.
        """
        told = _keys(client, None, account=printable(name), mechanism=mechanism, condition=condition)
        seldom = self._guesses if is_wrong else self._strangers["login_failed"]
        _write("login_failed", told, seldom.kept_quiet(network_of(client.address)))

    def login_throttled(self, client: Client, name: str) -> None:
        """A log-in was refused before it was looked at: its network has failed too often."""
        self._tell("login_throttled", client, None, account=printable(name))

    def stream_error(
        self, client: Client, session: Session | None, error: StreamError, *, sent: bool = True
    ) -> None:
        """A stream ends with an error: one that we send, or one that the client has sent."""
        self._tell("stream_error_sent" if sent else "stream_error_received", client, session, error)

    def connection_failed(
        self,
        event: str,
        client: Client,
        session: Session | None,
        reason: str,
        *,
        ending: str = "",
        condition: str = "",
    ) -> None:
        """What carries a stream has failed: how it ended, under which condition, and why in words."""
        self._tell(event, client, session, ending=ending, condition=condition, reason=printable(reason))

    def slow_reader(self, client: Client, session: Session | None, octets: int) -> None:
        """A connection is cut, since its client does not read what it is sent."""
        self._tell("slow_reader", client, session, is_warning=True, octets=octets)

    # --- telling

    def _tell(
        self,
        event: str,
        client: Client,
        session: Session | None,
        error: StreamError | None = None,
        *,
        is_warning: bool = False,
        **more: str | int,
    ) -> None:
        if session is None:
            told = _keys(client, None, **more)
            count = self._strangers[event].kept_quiet(network_of(client.address))
        else:
            told = _keys(client, session.jid, **more)
            count = self._of_account(event, session.jid, client)
        if error is not None:
            _add_reason(told, error)
        _write(event, told, count, is_warning=is_warning)

    def _of_account(self, event: str, who: Jid, client: Client) -> int | None:
        """Count a line; a guest has a new account each time, but not a new network."""
        of = network_of(client.address) if client.anonymous else who.bare.text
        return self._accounts[event].kept_quiet(of)


def printable(text: str) -> str:
    """Give what a client has written, for a terminal and a log: cut, and without what controls a terminal."""
    cut = text[:_LONGEST]
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "�" for each in cut)


def _write(event: str, told: dict[str, object], count: int | None, *, is_warning: bool = False) -> None:
    """Write a line, which is for the debug log alone where too much is told."""
    if count is None:
        log.debug(event, **told)
        return
    if count:
        told["more"] = count
    if is_warning:
        log.warning(event, **told)
    else:
        log.info(event, **told)


def _keys(client: Client, who: Jid | None, **more: str | int) -> dict[str, object]:
    """Give what is told of every client, without what is not known."""
    told: dict[str, object] = {}
    if who is not None:
        told["account"] = who.bare.text
        if who.resource:
            told["session"] = who.text
    told["address"] = client.address
    if client.device:
        told["device"] = printable(client.device)
    told["transport"] = client.transport
    told.update((key, value) for key, value in more.items() if value != "")
    return told


def _add_reason(told: dict[str, object], error: StreamError) -> None:
    told["condition"] = printable(error.condition)
    if error.text:
        told["reason"] = printable(error.text)
    if error.by:
        told["by"] = error.by
