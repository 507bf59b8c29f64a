"""Private XML Storage: clients keep settings and bookmarks on the server, for themselves alone.

Implements XEP-0049 1.2; the marks § point at its sections. Requests for somebody else's storage are handled
by nobody, and so answered with `service-unavailable`, as to any account (§2.3, example 3).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.kernel.feature import Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.ports.private import PrivateStore
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.private import PrivateData


class PrivateStorageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be kept."""

    fragment_bytes: Annotated[int, Meta(description="Largest fragment that is kept, in bytes.", ge=1_024)] = (
        131_072
    )
    request_fragments: Annotated[int, Meta(description="Fragments that one request may set.", ge=1)] = 32


class PrivateStorage(Feature):
    """Keeps one element for each namespace and name that an account chooses."""

    spec = Spec.xep(49, version="1.2", advertises=(ns.PRIVATE,))
    Options = PrivateStorageOptions

    def __init__(self, store: PrivateStore, options: PrivateStorageOptions) -> None:
        self._store = store
        self._options = options

    @handles(PrivateData, kind="get")  # §2.3, example 2
    async def retrieve(self, request: Iq[PrivateData]) -> Element:
        """Answer with the element that was kept, or with the empty one of the request."""
        if len(request.payload.fragments) > 1:
            raise StanzaError("bad-request", "ask for one fragment at a time")
        (wanted,) = request.payload.fragments
        raw = await self._store.get(request.sender.bare, wanted.namespace, wanted.name)
        kept = Element(wanted.name, wanted.namespace) if raw is None else decode(raw, "")
        return PrivateData((kept,)).encode()

    @handles(PrivateData, kind="set")  # §2.3, example 1
    async def keep(self, request: Iq[PrivateData]) -> None:
        """Keep the elements in place of those before; none of them if one is too large."""
        fragments = [(each.namespace, each.name, each.to_bytes()) for each in request.payload.fragments]
        if len(fragments) > self._options.request_fragments:
            raise StanzaError(
                "policy-violation", f"at most {self._options.request_fragments} fragments at once"
            )
        if any(len(raw) > self._options.fragment_bytes for _, _, raw in fragments):
            raise StanzaError("policy-violation", f"at most {self._options.fragment_bytes} bytes a fragment")
        for namespace, name, raw in fragments:
            await self._store.put(request.sender.bare, namespace, name, raw)
