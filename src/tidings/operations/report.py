"""Operations on reports: what people say of those whom they block (XEP-0377), for those who look into it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.kernel.reports import KeptReport, Reports
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AUDITED, Domain, Moment, Page, exact_moment_of

OfDomain = Annotated[Domain, Meta(description="Domain whose users have made the reports.")]


class ListReports(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports to list."""

    domain: OfDomain
    after: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="Begin behind this one: the `next` of the page before."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=1_000, description="The most reports of a page.")] = 100


class ReportedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a report is about: its id in the archive of `by`."""

    by: str
    id: str


class ReportInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A report; `may_go_to` says to whom else it may be handed on, `origin` and `third-party`."""

    id: str
    time: Moment
    by: str
    about: str
    reason: str
    text: str
    messages: tuple[ReportedMessage, ...]
    may_go_to: tuple[str, ...]


class OneReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report that is meant."""

    domain: OfDomain
    id: Annotated[
        str, Meta(min_length=1, max_length=64, description="The report, as `list` shows it.", extra=AUDITED)
    ]


class ReportRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """The report that is kept no more."""

    domain: Domain
    id: str


@operation("report", "list", roles=ADMINISTRATORS, subjects=("domain",), changes=False)
async def list_reports(context: Context, request: ListReports) -> Page[ReportInfo]:
    """List what users of a domain have said of those whom they block, the oldest first, a page at a time."""
    reports = Reports(context.stores.documents)
    found = await reports.list(request.domain, after=request.after or "", limit=request.limit + 1)
    page = found[: request.limit]
    return Page(
        items=tuple(_describe(each) for each in page), next=page[-1].id if len(found) > len(page) else None
    )


@operation("report", "remove", roles=ADMINISTRATORS, subjects=("domain",), changes=True, irreversible=True)
async def remove(context: Context, request: OneReport) -> ReportRemoved:
    """Remove a report that has been dealt with.

    The address that it is about stays blocked by who has made it. Without this, reports are forgotten after
    `keep_days` in [features.reporting]. This cannot be undone.
    """
    if not await Reports(context.stores.documents).remove(request.domain, request.id):
        raise OperationError("not-found", f"there is no report {request.id}")
    return ReportRemoved(domain=request.domain, id=request.id)


def _describe(report: KeptReport) -> ReportInfo:
    allowed = (("origin", report.may_go_to_origin), ("third-party", report.may_go_to_others))
    return ReportInfo(
        id=report.id,
        time=exact_moment_of(report.time),
        by=report.by,
        about=report.about,
        reason=report.reason,
        text=report.text,
        messages=tuple(ReportedMessage(by=each.by, id=each.id) for each in report.messages),
        may_go_to=tuple(name for name, is_allowed in allowed if is_allowed),
    )


OPERATIONS = (list_reports, remove)
