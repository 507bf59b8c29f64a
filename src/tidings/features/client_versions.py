"""Client versions: an operator can have clients asked which software they are, each once (XEP-0092 §3).

Nobody is asked by itself: a question at each log-in would cost every client an answer that hardly anybody
reads. What a session has answered is kept for as long as it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from tidings.base.ids import token
from tidings.kernel.events import RequestAnswered, SessionEnded
from tidings.kernel.feature import Feature, listens
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.wire.xmpp.payloads.version import Version
from tidings.wire.xmpp.stanza import Stanza

ANSWERED: Final[Slot[Version | None]] = Slot("client_version", default=None)
"""What a session's client has said that it is; empty where it did not want to say."""
_ASKED: Final[Slot[str]] = Slot("client_version_asked", default="")
"""The id of the question; empty where it was not asked."""

_PATIENCE_SECONDS: Final = 3.0


class ClientVersions(Feature):
    """Asks clients for their names and versions, and keeps what they say."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def ask(self, sessions: Iterable[Session]) -> None:
        """Ask those that were not asked yet, and wait a moment for their answers."""
        asked = [self._ask(each) for each in sessions if each.link is not None and not each[_ASKED]]
        if asked:
            await asyncio.wait(asked, timeout=_PATIENCE_SECONDS)

    def _ask(self, session: Session) -> asyncio.Future[None]:
        number = session[_ASKED] = f"version-{token()}"
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        question = Version().encode()
        sender = session.host.jid
        session.send(
            Stanza.build("iq", kind="get", to=session.jid, sender=sender, id=number, content=(question,))
        )
        return answered

    @listens(RequestAnswered)
    def answered(self, event: RequestAnswered) -> None:
        """Keep what a client says of itself; one that refuses has answered, too."""
        session, stanza = event.session, event.stanza
        if not session[_ASKED] or stanza.id != session[_ASKED] or session[ANSWERED] is not None:
            return
        element = stanza.payload() if stanza.kind == "result" and stanza.payload_tag == Version.TAG else None
        session[ANSWERED] = Version() if element is None else Version.decode(element)
        self._forget(session)

    @listens(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        """Wait for nobody who has gone."""
        self._forget(event.session)

    def _forget(self, session: Session) -> None:
        waiting = self._waiting.pop(session[_ASKED], None)
        if waiting is not None:
            with contextlib.suppress(asyncio.InvalidStateError):
                waiting.set_result(None)
