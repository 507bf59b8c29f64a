"""Client State Indication: a phone in a pocket is not woken for what can wait.

Implements XEP-0352 1.0.0; the marks § point at its sections. While a client is inactive, presence and
typing notifications are held back, only the newest from each sender; before anything that matters, and when
the client is active again, they go out in order. Whether a client is active is told to nobody.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.kernel.current import Current
from tidings.kernel.events import SessionBound, SessionResumed
from tidings.kernel.feature import Feature, Spec, StreamStage, handles_nonza, listens
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.reasons import Reason
from tidings.kernel.session import Session
from tidings.kernel.slots import Slot
from tidings.kernel.traces import Traces
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.client_state import client_state_feature
from tidings.wire.xmpp.stanza import Stanza

log = structlog.get_logger("tidings.client_state")


class ClientStateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much is held back for one inactive client."""

    held_stanzas: Annotated[int, Meta(description="Stanzas held back before all of them are sent.", ge=1)] = (
        500
    )
    held_bytes: Annotated[int, Meta(description="Bytes held back before all of them are sent.", ge=1)] = (
        262_144
    )


class HeldBack:
    """What an inactive client has not been sent yet: the newest unimportant stanza of each sender."""

    __slots__ = ("_bytes", "_options", "_stanzas", "_tell")

    def __init__(self, options: ClientStateOptions, tell: Callable[[Stanza], object] | None = None) -> None:
        self._options = options
        self._tell = tell
        self._stanzas: dict[tuple[str, str], Stanza] = {}
        self._bytes = 0

    def pass_on(self, stanza: Stanza) -> Iterable[Stanza]:
        """Take a stanza for the client and return what is to be sent now, in order."""
        if is_important(stanza):
            return (*self.release(), stanza)
        self._hold(stanza)
        if self._tell is not None:
            self._tell(stanza)
        if len(self._stanzas) > self._options.held_stanzas or self._bytes > self._options.held_bytes:
            return self.release()
        return ()

    def holds(self, id: str | None, sender: Jid) -> bool:  # noqa: A002  # what it is
        """Tell whether a message waits here."""
        message = self._stanzas.get(("message", sender))
        return message is not None and message.id == id

    def release(self) -> tuple[Stanza, ...]:
        """Return everything that was held back, oldest first, and hold nothing any more."""
        released = tuple(self._stanzas.values())
        self._stanzas.clear()
        self._bytes = 0
        return released

    def _hold(self, stanza: Stanza) -> None:
        """Keep the stanza at the end, in place of an older one of its kind and sender."""
        key = stanza.name, stanza.sender or ""
        older = self._stanzas.pop(key, None)
        self._bytes += octets_of(stanza) - (octets_of(older) if older else 0)
        self._stanzas[key] = stanza


def octets_of(stanza: Stanza) -> int:
    """Give what a stanza has been written with: others choose its attributes as well as its content."""
    size = len(stanza.content) + len(stanza.id or "")
    if stanza.sender is not None:
        size += len(stanza.sender)
    if stanza.extra:
        size += sum(len(name) + len(value) for name, value in stanza.extra.items())
    return size


HELD_BACK: Slot[HeldBack | None] = Slot("client_state.held_back", default=None)
"""None while the client is active, as every client is until it says otherwise (§5)."""


class ClientState(Feature):
    """Holds back what is unimportant while a client is inactive."""

    spec = Spec.xep(352, version="1.0.0")
    inline = (ns.CSI,)
    Options = ClientStateOptions

    def __init__(self, options: Current[ClientStateOptions], traces: Traces) -> None:
        self._options = options
        self._traces = traces

    def stream_features(self, stage: StreamStage) -> Iterable[Element]:
        """Offer it after log-in (§4.1)."""
        return (client_state_feature(),) if stage is StreamStage.AFTER_LOGIN else ()

    @listens(SessionBound)  # XEP-0386 §3.2
    def begin(self, event: SessionBound) -> None:
        """Start inactive where the client asks for it together with its session."""
        for element in event.inline:
            if (element.namespace, element.name) == (ns.CSI, "inactive"):
                self.become_inactive(event.session, element)

    @handles_nonza(ns.CSI, "inactive")  # §4.2
    def become_inactive(self, session: Session, element: Element) -> None:  # noqa: ARG002 - it says nothing more
        """Hold back from now on; a client that says it twice loses nothing."""
        if session[HELD_BACK] is None:
            tell = functools.partial(_tell_held_back, session) if self._traces.is_logged else None
            held = session[HELD_BACK] = HeldBack(self._options.now, tell)
            session.outbound_filter = held.pass_on

    @handles_nonza(ns.CSI, "active")  # §4.2, §5.1: before anything else of the client is dealt with
    def become_active(self, session: Session, element: Element) -> None:  # noqa: ARG002 - it says nothing more
        """Send what was held back and hold back no more."""
        self._release(session)

    @listens(SessionResumed)  # §5.2
    def begin_anew(self, event: SessionResumed) -> None:
        """Take a client that goes on with its session for active until it says otherwise."""
        self._release(event.session)

    def _release(self, session: Session) -> None:
        held = session[HELD_BACK]
        if held is not None:
            session.outbound_filter = None
            del session[HELD_BACK]
            for stanza in held.release():
                session.write(Outgoing(stanza))


def _tell_held_back(session: Session, stanza: Stanza) -> None:
    sender = None if stanza.sender is None else stanza.sender.text
    reason = Reason.HELD_BACK.value
    log.debug("held_back", session=session.jid.text, stanza=stanza.name, sender=sender, reason=reason)


WITHOUT_MEANING: Final = frozenset({ns.CHAT_STATES, ns.HINTS, ns.STANZA_ID, ns.DELAY})
"""Namespaces whose elements say nothing that a user would want to be woken for."""

_SELF_PRESENCE: Final = "110"  # XEP-0045 §7.2.2: the end of the list of occupants, which a client waits for


def is_important(stanza: Stanza) -> bool:
    """Tell whether a stanza has to be sent at once: whatever is not known to be able to wait.

    Presence can wait, except requests, errors and the one that ends the entry into a room; so can messages
    that only tell that somebody is typing.
    """
    match stanza.name:
        case "presence":
            return stanza.kind not in ("", "unavailable") or is_own_entry(stanza)
        case "message":
            return stanza.kind == "error" or not is_chat_state_alone(stanza)
    return True


def is_chat_state_alone(message: Stanza) -> bool:
    """Tell whether a message has a chat state and nothing else for its reader (XEP-0085 §5.5)."""
    tags = [(child.namespace, child.name) for child in message.children]
    return any(namespace == ns.CHAT_STATES for namespace, _ in tags) and all(
        namespace in WITHOUT_MEANING or (namespace, name) == (ns.CLIENT, "thread") for namespace, name in tags
    )


def is_own_entry(presence: Stanza) -> bool:
    """Tell whether this is a room's word that the client itself has come in or left (XEP-0045)."""
    room = presence.decode(ns.MUC_USER, "x") if presence.has(ns.MUC_USER, "x") else None
    return room is not None and any(
        status.get("code") == _SELF_PRESENCE for status in room.find_all("status")
    )
