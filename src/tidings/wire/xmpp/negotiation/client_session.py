"""The third phase of the client's side: from log-in to a session (RFC 6120 §7)."""

from collections.abc import Callable

from tidings.base.errors import StreamError
from tidings.base.jid import Jid, JidError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_opening import ClientOpeningPhase
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings
from tidings.wire.xmpp.negotiation.client_table import ClientMachine, ClientStreamState
from tidings.wire.xmpp.negotiation.values import BindFailed, Established, Send


class ClientSessionPhase:
    """Asks for a session: owns the id of the request."""

    __slots__ = ("_bind_id", "_machine", "_make_token", "_opening", "_settings")

    def __init__(
        self,
        machine: ClientMachine,
        opening: ClientOpeningPhase,
        settings: ClientSettings,
        make_token: Callable[[], str],
    ) -> None:
        self._machine = machine
        self._opening = opening
        self._settings = settings
        self._make_token = make_token
        self._bind_id = ""

    def bind(self, features: Element) -> ClientStreamState:
        """Ask for a session (RFC 6120 §7)."""
        self._opening.note(features)
        if features.find("bind", ns.BIND) is None:
            self._machine.act(BindFailed("feature-not-implemented", "the server does not offer sessions"))
            return self._machine.close(None)
        self._bind_id = self._make_token()
        bind = Element("bind", ns.BIND)
        if self._settings.resource:
            bind.append(Element("resource", ns.BIND, None, self._settings.resource))
        self._machine.act(Send(Element("iq", ns.CLIENT, {"type": "set", "id": self._bind_id}, bind)))
        return ClientStreamState.BINDING

    def bind_answered(self, stanza: Element) -> ClientStreamState:
        """Take the answer; another stanza that comes before it is not for a session yet."""
        if stanza.name != "iq" or stanza.get("id") != self._bind_id:
            return ClientStreamState.BINDING
        if stanza.get("type") == "result":
            bind = stanza.find("bind", ns.BIND)
            self._machine.act(
                Established(
                    read_own_jid(bind.text_of("jid") if bind is not None else None, self._settings.domain)
                )
            )
            return ClientStreamState.ESTABLISHED
        error = stanza.find("error")
        names = [child.name for child in (error.children if error is not None else ())]
        text = error.text_of("text", ns.STANZA_ERRORS) if error is not None else None
        self._machine.act(BindFailed(names[0] if names else "undefined-condition", text or ""))
        return self._machine.close(None)


def read_own_jid(text: str | None, domain: str) -> Jid:
    """Read the address that the server gives us, which must be one of the domain."""
    try:
        jid = Jid(text or "")
    except JidError as error:
        raise StreamError("bad-format", f"the server names no address of ours: {error}") from None
    if jid.domain != Jid(domain).domain:
        raise StreamError("bad-format", "the server names an address of another host as ours")
    return jid
