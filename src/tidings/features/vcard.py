"""vcard-temp: people see the name, the picture and whatever else an account tells of itself.

Implements XEP-0054 1.3.0; the marks § point at its sections.
"""

from typing import Annotated

import msgspec

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.base.shares import ShareExceeded, share
from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.ports.vcard import VCardStore
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.vcard import VCard


class VCardOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How large a vCard may be."""

    max_bytes: Annotated[int, share("Octets of the vCard of one account.", "policy-violation", ge=1_024)] = (
        131_072
    )


class VCardTemp(Feature):
    """Keeps the vCard of every account and shows it to everybody who asks."""

    spec = Spec.xep(54, version="1.3.0", advertises=(ns.VCARD,))  # §4
    Options = VCardOptions

    def __init__(self, store: VCardStore, options: Current[VCardOptions]) -> None:
        self._store = store
        self._options = options

    @handles(VCard, kind="get", at=Addressee.SELF)  # §3.1
    async def show_own(self, request: Iq[VCard]) -> Element:
        """Answer with the vCard; where there is none yet, with an empty one."""
        raw = await self._store.get(request.to)
        return Element("vCard", ns.VCARD) if raw is None else decode(raw, "")

    @handles(VCard, kind="set", at=Addressee.SELF)  # §3.2
    async def publish(self, request: Iq[VCard]) -> None:
        """Keep the vCard in place of the one before."""
        await self.keep(request.sender.bare, request.payload.encode())

    async def keep(self, account: Jid, vcard: Element) -> None:
        """Keep a vCard in place of the one before; raises `ShareExceeded`, and `NoSuchAccount`."""
        raw, most = vcard.to_bytes(), self._options.now.max_bytes
        if len(raw) > most:
            raise ShareExceeded("the vCard", len(raw), most, condition="policy-violation")
        await self._store.put(account, raw)

    @handles(VCard, kind="set", at=Addressee.ENTITY)  # §3.2
    def refuse(self, request: Iq[VCard]) -> None:  # noqa: ARG002 - whatever it says
        """Refuse to change somebody else's vCard."""
        raise StanzaError("forbidden", "a vCard is changed by its owner alone")

    @handles(VCard, kind="get", at=Addressee.ENTITY)  # §3.3
    async def show(self, request: Iq[VCard]) -> Element:
        """Answer with the vCard; an account without one looks like no account at all."""
        raw = await self._store.get(request.to)
        if raw is None:
            raise StanzaError("service-unavailable")
        return decode(raw, "")
