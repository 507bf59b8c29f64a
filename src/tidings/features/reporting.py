"""Spam Reporting: whoever blocks an address may tell the people who run the server why.

Implements XEP-0377 0.4.1; the marks § point at its sections. The block holds whatever becomes of the report
(§6). Left out of §5: nothing is forwarded to other servers, whatever a report allows.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.clock import microseconds
from tidings.base.errors import BackendError
from tidings.base.shares import share
from tidings.base.token_bucket import Rate, TokenBuckets
from tidings.kernel.clock import Clock
from tidings.kernel.current import Current
from tidings.kernel.events import ContactsReported
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.kernel.reports import KeptMessage, KeptReport, Reports, new_id
from tidings.kernel.turns import Turns
from tidings.ports.documents import DocumentStore
from tidings.wire.xmpp import ns

log = structlog.get_logger("tidings.reporting")

_DAY: Final = 86_400
_HOUR: Final = 3_600.0
_STEP: Final = 100
"""Reports that are forgotten in one step."""


class ReportingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many reports are kept, and for how long."""

    per_day: Annotated[
        int,
        share(
            "Reports that one account may make in a day, each of 65,536 octets at most.",
            "the report is not kept",
        ),
    ] = 50
    keep_days: Annotated[int, Meta(description="Days after which a report is forgotten.", ge=1)] = 90


class Reporting(Feature):
    """Keeps what people say of those whom they block."""

    spec = Spec.xep(377, version="0.4.1", advertises=(ns.REPORTING,))  # §3
    Options = ReportingOptions

    def __init__(
        self,
        host: Host,
        clock: Clock,
        documents: DocumentStore,
        turns: Turns,
        options: Current[ReportingOptions],
    ) -> None:
        self._host = host
        self._clock = clock
        self._reports = Reports(documents)
        self._options = options
        self._made: TokenBuckets[str] = TokenBuckets()
        self._forgetting = turns.join("reports", self._forget)

    async def start(self) -> None:
        """Begin to forget what is old."""
        self._forgetting.begin(_HOUR)

    async def stop(self) -> None:
        """Forget nothing any more."""
        self._forgetting.stop()

    @listens(ContactsReported)  # §6
    async def keep(self, event: ContactsReported) -> None:
        """Keep the reports of one block command, as many as the account may make."""
        by, per_day = event.account.jid.text, self._options.now.per_day
        rate = Rate(per_day / _DAY, per_day)
        begun = microseconds(self._clock.now())
        for now, (about, report) in enumerate(event.reports, begun):  # so they keep their order
            told = log.bind(account=by, about=about.text, reason=report.reason)
            if self._made.take(by, rate, self._clock.monotonic()):
                told.info("report_not_kept", why=f"more than {per_day} in a day")
                continue
            kept = KeptReport(
                id=new_id(now),
                time=now,
                by=by,
                about=about.text,
                reason=report.reason,
                text=report.text,
                messages=tuple(KeptMessage(message.by.text, message.id) for message in report.messages),
                may_go_to_origin=report.may_go_to_origin,
                may_go_to_others=report.may_go_to_others,
            )
            try:
                await self._reports.keep(self._host.jid, kept)
            except BackendError as error:  # the address is blocked all the same
                told.warning("report_not_kept", why=str(error))
                continue
            told.info("contact_reported", report=kept.id)

    async def _forget(self) -> float:
        """Forget some of what is old, and give the seconds until the next step."""
        before = microseconds(self._clock.now() - self._options.now.keep_days * _DAY)
        forgotten = await self._reports.forget(self._host.jid, before, limit=_STEP)
        return 0.0 if forgotten == _STEP else _HOUR
