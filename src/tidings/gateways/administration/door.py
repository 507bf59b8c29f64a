"""The way from a command to the catalogue: who asks, for which domain, and what a refusal looks like."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.catalogue import Operation
from tidings.operations.context import Caller, Context
from tidings.operations.errors import Code, OperationError
from tidings.wire.xmpp.payloads.command import bad_request

CONDITIONS: Final[Mapping[Code, str]] = {  # XEP-0133 §5
    "invalid": "bad-request",
    "not-found": "item-not-found",
    "conflict": "conflict",
    "not-allowed": "forbidden",
    "unavailable": "resource-constraint",
}
"""What becomes of the refusal of an operation; `invalid` also says `bad-payload` (XEP-0050 §4.4)."""


class Door:
    """Runs operations for the administrators of one domain, and for no other domain."""

    def __init__(self, context: Context, domain: str) -> None:
        self._context = context
        self.domain = domain

    def operations(self) -> Iterable[Operation]:
        """Give every operation of the catalogue."""
        return CATALOGUE

    async def call(self, administrator: Jid, category: str, name: str, **arguments: object) -> dict[str, Any]:
        """Run an operation and return its response as plain values; raise `StanzaError` if it refuses."""
        caller = Caller(administrator.bare, frozenset({self.domain}))
        try:
            response = await CATALOGUE.call(self._context.acting_for(caller), category, name, arguments)
        except OperationError as error:
            raise refusal(error) from error
        plain: dict[str, Any] = msgspec.to_builtins(response)
        return plain


def refusal(error: OperationError) -> StanzaError:
    """Return what an operation's refusal looks like to an XMPP client."""
    if error.code == "invalid":
        return bad_request("bad-payload", error.text)
    return StanzaError(CONDITIONS[error.code], error.text)
