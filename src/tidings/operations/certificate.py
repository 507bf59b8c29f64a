"""Operations on the certificates that the running server shows."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.jid import Jid
from tidings.operations.catalogue import ADMINISTRATORS, operation
from tidings.operations.context import Context, ShownCertificate
from tidings.operations.errors import OperationError
from tidings.operations.values import Domain, Moment, Page, moment_of

PAGE = 1000
"""The most domains that one page lists."""


class ListCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificates to list."""

    domain: Annotated[Domain | None, Meta(description="Domain; without it all of them.")] = None
    after: Annotated[
        str | None, Meta(description="Begin behind this domain: the `next` of the page before.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=PAGE, description="The most domains to list.")] = 100


class RenewCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """Whose certificate to order."""

    domain: Annotated[Domain, Meta(description="Domain whose certificate the server orders by itself.")]


class CertificateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that clients of a domain are shown.

    `source` is `configuration` (a file that it names), `directory` (of certificates by domain), `ordered` (by
    [acme]) or `self-signed`. Where the last order has failed, `problem` says why, and `next_try` when it is
    tried again.
    """

    domain: Domain
    file: str
    ends: Moment
    source: str
    problem: str | None = None
    next_try: Moment | None = None


@operation(
    "certificate",
    "list",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    without_subject="own",
    changes=False,
    needs_server=True,
)
async def list_certificates(context: Context, request: ListCertificates) -> Page[CertificateInfo]:
    """List what clients are shown: the certificate of each domain, where it comes from, and when it ends.

    A server without encryption has none.
    """
    shown = context.live.certificates if context.live is not None else None
    asked = context.domains_for(request.domain) if shown is not None else ()
    domains = sorted(domain for domain in asked if domain > (request.after or ""))
    page = domains[: request.limit]
    items = [_told(domain, await shown.show(domain)) for domain in page] if shown is not None else []
    return Page(items=tuple(items), next=page[-1] if len(domains) > len(page) else None)


@operation(
    "certificate",
    "renew",
    roles=ADMINISTRATORS,
    subjects=("domain",),
    changes=True,
    errors=("conflict",),
    needs_server=True,
)
async def renew(context: Context, request: RenewCertificate) -> CertificateInfo:
    """Order a certificate for a domain now, whenever the server would have done that by itself.

    It waits until the authority has decided, which may take three minutes. New handshakes show the new
    certificate. Authorities count orders, and more those that fail.
    """
    domain = request.domain.domain
    shown = context.live.certificates if context.live is not None else None
    if shown is None:
        raise OperationError("conflict", "this server has no certificates")
    await shown.renew(domain)
    return _told(domain, await shown.show(domain))


def _told(domain: str, shown: ShownCertificate) -> CertificateInfo:
    return CertificateInfo(
        domain=Jid(domain),
        file=shown.file,
        ends=moment_of(shown.ends),
        source=shown.source,
        problem=shown.problem or None,
        next_try=moment_of(shown.next_try) if shown.problem else None,
    )


OPERATIONS = (list_certificates, renew)
