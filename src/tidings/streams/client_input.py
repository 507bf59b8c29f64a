"""Client input: what comes on the XML stream of a bound session becomes stanzas for its queue, and nonzas."""

from __future__ import annotations

from collections.abc import Callable

from tidings.base.errors import StanzaError, StreamError
from tidings.kernel.maybe_awaitable import until_done
from tidings.kernel.session import Session
from tidings.kernel.supervisor import Supervisor
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.elements import read_stream_error
from tidings.wire.xmpp.stanza import NAMES, Stanza


class ReceivedStreamError(StreamError):
    """The client has found a fault with our stream and ends its own; this is not sent back."""


class ClientStreamInput:
    """Reads elements of one client's stream, in their order."""

    __slots__ = ("_lang", "_session", "_supervisor", "queue")

    def __init__(self, session: Session, supervisor: Supervisor, lang: str | None = None) -> None:
        """Begin; `lang` is the language of the stream, which stanzas inherit."""
        self._session = session
        self._supervisor = supervisor
        self._lang = lang
        self.queue = session.inbound
        """Where stanzas go; it outlives the session."""

    @property
    def idle(self) -> bool:
        """Whether everything that came has been dealt with."""
        return self.queue.idle

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call this once when everything that came has been dealt with, which it has not yet."""
        self.queue.when_idle(callback)

    def receive(self, fragments: list[Fragment]) -> None:
        """Take what came in one read.

        Raises `StreamError` for what ends the stream; what came before it has been taken.
        """
        stanzas: list[Stanza | None] = []
        try:
            for fragment in fragments:
                if fragment.namespace == ns.CLIENT and fragment.name in NAMES:
                    stanzas.append(self._stamped(fragment))
                    continue
                if stanzas:  # a nonza never waits, but it may count or change what comes before it
                    before, stanzas = stanzas, []
                    self.queue.submit(before)
                self._nonza(fragment)
                if self._session.ended:
                    return  # nothing that comes after the end is looked at
        finally:
            if stanzas:
                self.queue.submit(stanzas)

    def _stamped(self, fragment: Fragment) -> Stanza | None:
        """RFC 6120 §8.1.2.1: the server says who a stanza is from; None for one that has been refused.

        A client may be wrong about its resource, as pages are that were loaded anew: it is overwritten.
        """
        session = self._session
        try:
            stanza = Stanza.received(fragment, self._lang)
        except StanzaError as error:
            broken = Stanza.received_broken(fragment)
            broken.sender, broken.to = session.jid, session.host.jid
            self.queue.refuse(broken, error)
            return None
        sender = stanza.sender
        if sender is not None and sender != session.jid and sender.bare != session.jid.bare:
            raise StreamError("invalid-from", f"this stream may send as {session.jid.bare} only")
        stanza.sender = session.jid
        return stanza

    def _nonza(self, fragment: Fragment) -> None:
        """Give an element that is no stanza to the feature that knows it; it never waits."""
        session = self._session
        if session.ended:
            return
        if (fragment.namespace, fragment.name) == (ns.STREAMS, "error"):
            told = read_stream_error(fragment.to_element())
            raise ReceivedStreamError(told.condition, told.text)
        handler = session.host.nonza_handlers.get((fragment.namespace, fragment.name))
        if handler is None:
            raise StreamError("unsupported-stanza-type", f"<{fragment.name}/> is not known here")
        wait = handler(session, fragment.to_element())
        if wait is not None:
            self._supervisor.start("nonza", until_done(wait))
