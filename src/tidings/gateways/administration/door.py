"""The way from a command to the catalogue: who asks, for which domain, and what a refusal looks like."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.operations.catalogue import Catalogue, Operation
from tidings.operations.context import Caller, Context, Role
from tidings.operations.errors import Code, OperationError
from tidings.operations.values import to_plain
from tidings.wire.xmpp.payloads.command import bad_request

CONDITIONS: Final[Mapping[Code, str]] = {  # XEP-0133 §5
    "invalid": "bad-request",
    "not-found": "item-not-found",
    "conflict": "conflict",
    "not-allowed": "forbidden",
    "unavailable": "resource-constraint",
}
"""What becomes of the refusal of an operation; `invalid` also says `bad-payload` (XEP-0050 §4.4)."""

MOST_ANSWERS: Final = 1_000
"""So many answers of a stream are shown in a client."""


class Door:
    """Runs operations for the administrators of one domain, and for no other domain."""

    def __init__(self, catalogue: Catalogue, context: Context, domain: str) -> None:
        self._catalogue = catalogue
        self._context = context
        self.domain = domain

    def operations(self) -> Iterable[Operation]:
        """Give every operation that an administrator of a domain may call."""
        return (each for each in self._catalogue if Role.DOMAIN_ADMINISTRATOR in each.roles)

    async def call(self, administrator: Jid, category: str, name: str, **arguments: object) -> dict[str, Any]:
        """Run an operation and return its response as plain values; raise `StanzaError` if it refuses.

        Of a stream, the beginning is returned, as a page.
        """
        address = next((each.address for each in self._context.sessions_of(administrator)), "")
        caller = Caller.administrator(administrator.bare, self.domain, session=administrator, address=address)
        context = self._context.acting_for(caller)
        try:
            if self._catalogue.get(category, name).is_stream:
                return {"items": [each async for each in self._first(context, category, name, arguments)]}
            plain: dict[str, Any] = to_plain(await self._catalogue.call(context, category, name, arguments))
        except OperationError as error:
            raise refusal(error) from error
        return plain

    async def _first(
        self, context: Context, category: str, name: str, arguments: dict[str, object]
    ) -> AsyncIterator[Any]:
        async with contextlib.aclosing(self._catalogue.stream(context, category, name, arguments)) as answers:
            count = 0
            async for answer in answers:
                yield to_plain(answer)
                count += 1
                if count == MOST_ANSWERS:
                    return


def refusal(error: OperationError) -> StanzaError:
    """Return what an operation's refusal looks like to an XMPP client."""
    if error.code == "invalid":
        return bad_request("bad-payload", error.text)
    return StanzaError(CONDITIONS[error.code], error.text)
