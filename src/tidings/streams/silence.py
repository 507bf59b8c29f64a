"""Silence: what a client is asked from which nothing has come for long."""

from __future__ import annotations

from tidings.base.ids import token
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Session
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import Stanza


def ask_for_sign_of_life(session: Session) -> None:
    """Send a ping (XEP-0199 §4.1), which any client answers, if only with an error."""
    ping = Element("ping", ns.PING)
    request = Stanza.build(
        "iq", kind="get", to=session.jid, sender=session.host.jid, id=token(6), content=(ping,)
    )
    session.write(Outgoing(request))
