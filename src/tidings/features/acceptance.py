"""Acceptance: a device that asks for it is told at once what the archive calls each message that it sent.

Implements docs/specs/acceptance.md; the marks § point at its sections. The report is for the sending device
alone: it is neither stored nor copied nor counted, and what the device misses of it stands in the archive.
"""

from typing import Final

from tidings.kernel.events import MessageAccepted, SessionBound
from tidings.kernel.feature import Feature, Spec, handles, listens
from tidings.kernel.iq import Iq
from tidings.kernel.slots import Slot
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.acceptance import AcceptedReport, DisableReports, EnableReports
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId, origin_id_of
from tidings.wire.xmpp.stanza import Stanza

WANTS_REPORTS: Final[Slot[bool]] = Slot("acceptance.wanted", default=False)
"""Whether a session has asked for reports; a new one has not (§2)."""


class Acceptance(Feature):
    """Reports accepted messages to the devices that sent them."""

    spec = (
        Spec(ns.TIDINGS_ACCEPTED, advertises=(ns.TIDINGS_ACCEPTED,), note="docs/specs/acceptance.md"),  # §1
        Spec(ns.TIDINGS_TIME, advertises=(ns.TIDINGS_TIME,), note="docs/specs/time.md"),
    )
    inline = (ns.TIDINGS_ACCEPTED,)
    serves_archives = True

    @listens(SessionBound)  # §2
    def begin(self, event: SessionBound) -> None:
        """Start with reports where the client asks for them together with its session."""
        for element in event.inline:
            if (element.namespace, element.name) == EnableReports.TAG:
                event.session[WANTS_REPORTS] = True

    @handles(EnableReports, kind="set")  # §2
    def enable(self, request: Iq[EnableReports]) -> None:
        """Report to this session from now on."""
        request.own_session[WANTS_REPORTS] = True

    @handles(DisableReports, kind="set")  # §2
    def disable(self, request: Iq[DisableReports]) -> None:
        """Report to this session no more."""
        del request.own_session[WANTS_REPORTS]

    @listens(MessageAccepted)  # §3
    def report(self, event: MessageAccepted) -> None:
        """Tell the device the id and the time, for a repeated message those of the first."""
        session = event.session
        stored = event.stored if session is not None and session[WANTS_REPORTS] else None
        if session is None or stored is None or stored.place is None:
            return
        own, message = session.account.jid, event.stanza
        report = AcceptedReport(
            StanzaId(stored.place.id, own), stored.time, message.id or None, origin_id_of(message)
        )
        session.send(Stanza.build("message", to=session.jid, sender=own, content=(report.encode(),)))
