"""Private XML Storage: clients keep settings and bookmarks on the server, for themselves alone.

Implements XEP-0049 1.2; the marks § point at its sections. Requests for somebody else's storage are handled
by nobody, and so answered with `service-unavailable`, as to any account (§2.3, example 3).
"""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.kernel.slots import Slot
from tidings.ports.private import PrivateStore
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.private import PrivateData
from tidings.wire.xmpp.payloads.strict import octets

CHANGING: Final[Slot[asyncio.Lock]] = Slot("private_storage.changing", factory=asyncio.Lock)
"""Held while fragments of an account are counted and written."""


class PrivateStorageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be kept."""

    fragment_bytes: Annotated[int, share("Octets of one fragment.", "policy-violation", ge=1_024)] = 131_072
    request_fragments: Annotated[int, Meta(description="Fragments that one request may set.", ge=1)] = 32
    max_fragments: Annotated[int, share("Fragments of one account.")] = 256
    max_octets: Annotated[
        int, share("Octets of all fragments of one account, with their names and namespaces.", ge=1_024)
    ] = 1_048_576


class Fragment(msgspec.Struct, frozen=True):
    """One element as it is kept."""

    namespace: str
    name: str
    raw: bytes
    is_empty: bool
    """Whether it says nothing, so that it need not be kept: who asks for it gets it all the same."""

    @classmethod
    def of(cls, element: Element) -> Self:
        """Write an element."""
        is_empty = not element.content and not element.attributes
        return cls(element.namespace, element.name, element.to_bytes(), is_empty)

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by."""
        return self.namespace, self.name


class PrivateStorage(Feature):
    """Keeps one element for each namespace and name that an account chooses."""

    spec = Spec.xep(49, version="1.2", advertises=(ns.PRIVATE,))
    Options = PrivateStorageOptions

    def __init__(self, store: PrivateStore, options: Current[PrivateStorageOptions]) -> None:
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
        """Keep the elements in place of those before; none of them if one, or all together, are too large.

        An element without content makes room.
        """
        fragments = [Fragment.of(each) for each in request.payload.fragments]
        if len(fragments) > self._options.now.request_fragments:
            raise StanzaError(
                "policy-violation", f"at most {self._options.now.request_fragments} fragments at once"
            )
        largest = max(len(each.raw) for each in fragments)
        if largest > self._options.now.fragment_bytes:
            raise ShareExceeded(
                "a fragment", largest, self._options.now.fragment_bytes, condition="policy-violation"
            )
        account = request.own_account
        async with account[CHANGING]:
            await self._check_room(account.jid, fragments)
            for each in fragments:
                if each.is_empty:
                    await self._store.remove(account.jid, *each.key)
                else:
                    await self._store.put(account.jid, *each.key, each.raw)

    async def _check_room(self, account: Jid, fragments: Iterable[Fragment]) -> None:
        """Raise `ShareExceeded` for what would be more than before and too much."""
        before = await self._store.sizes(account)
        after = {**before, **{each.key: len(each.raw) for each in fragments}}
        for each in fragments:
            if each.is_empty:
                after.pop(each.key, None)
        number, size, options = len(after), _octets_of(after), self._options.now
        if number > options.max_fragments and number > len(before):
            raise ShareExceeded("private storage", number, options.max_fragments, "fragments")
        if size > options.max_octets and size > _octets_of(before):
            raise ShareExceeded("private storage", size, options.max_octets)


def _octets_of(sizes: dict[tuple[str, str], int]) -> int:
    return sum(size + octets(namespace) + octets(name) for (namespace, name), size in sizes.items())
