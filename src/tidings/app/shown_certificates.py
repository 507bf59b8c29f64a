"""ServedCertificates: the certificates of the running server, as operations ask for them."""

from __future__ import annotations

import asyncio
from typing import Literal

from tidings.app.acme.orders import CertificateOrders
from tidings.app.certificates import Pair
from tidings.app.tls_contexts import Certificates
from tidings.operations.context import ShownCertificate
from tidings.operations.errors import OperationError

_Source = Literal["configuration", "directory", "ordered", "self-signed"]


class ServedCertificates:
    """What is shown for each domain, and what is ordered."""

    def __init__(self, served: Certificates, orders: CertificateOrders) -> None:
        self._served = served
        self._orders = orders

    async def show(self, domain: str) -> ShownCertificate:
        """Tell which certificate a domain has; one without its own has the first domain's."""
        loaded = self._served.shown_for(domain)
        state = await asyncio.to_thread(self._orders.ordered.state, domain)
        return ShownCertificate(
            file=str(loaded.pair.certificate),
            ends=loaded.ends,
            source=self._source(loaded.pair),
            problem=state.problem if state else "",
            next_try=state.next_try if state else 0.0,
        )

    async def renew(self, domain: str) -> None:
        """Order another, and use it; raises `OperationError`."""
        if not self._orders.orders_for(domain):
            raise OperationError(
                "conflict",
                f"the certificate of {domain} is not ordered here: [acme] is switched off, the configuration "
                "names a certificate for it, or its folder in the certificate directory is somebody else's",
            )
        state = await self._orders.renew(domain)
        if state.problem:
            raise OperationError("conflict", f"{domain} got no certificate: {state.problem}")

    def _source(self, pair: Pair) -> _Source:
        if pair.is_own:
            return "self-signed"
        if pair.is_ordered:
            return "ordered"
        return "directory" if self._orders.ordered.has_in_directory(pair) else "configuration"
