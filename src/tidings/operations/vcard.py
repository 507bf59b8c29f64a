"""Operations on vCards: what an account tells everybody of itself (XEP-0054)."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tidings.base.errors import StreamError
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.features.vcard import VCardOptions, VCardTemp
from tidings.kernel.current import Current
from tidings.operations.catalogue import EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import AccountAddress
from tidings.ports.accounts import NoSuchAccount
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.vcard import VCard

_LONGEST: Final = 16 << 20

User = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class OneUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose vCard."""

    user: User


class VCardInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The vCard of an account as XML, null where it has none, and the names in it."""

    user: AccountAddress
    name: str
    nickname: str
    vcard: str | None


@operation("vcard", "get", roles=EVERYBODY, subjects=("user",), changes=False)
async def get(context: Context, request: OneUser) -> VCardInfo:
    """Give the vCard of an account."""
    await _must_exist(context, request.user)
    return _describe(request.user, await context.stores.vcards.get(request.user))


class SetVCard(msgspec.Struct, frozen=True, kw_only=True):
    """The vCard to keep, or the name alone."""

    user: User
    name: Annotated[
        Annotated[str, Meta(max_length=1023)] | None,
        Meta(description="Full name to put into the vCard, which keeps what else it has."),
    ] = None
    vcard: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None,
        Meta(description="XML to keep in place of the vCard before: <vCard xmlns='vcard-temp'>…</vCard>."),
    ] = None


@operation("vcard", "set", roles=EVERYBODY, subjects=("user",), changes=True)
async def set_vcard(context: Context, request: SetVCard) -> VCardInfo:
    """Give an account another vCard, or another name in it."""
    user, stores = request.user, context.stores
    if (request.name is None) == (request.vcard is None):
        raise OperationError("invalid", "give `name` or `vcard`, one of them")
    await _must_exist(context, user)
    if request.vcard is not None:
        element = _parse(request.vcard)
    else:
        assert request.name is not None
        element = decode(vcard_named(await stores.vcards.get(user), request.name), "")
    host = context.host(user.domain)
    feature = None if host is None else host.feature(VCardTemp)
    await (feature or VCardTemp(stores.vcards, Current(VCardOptions()))).keep(user, element)
    return _describe(user, element.to_bytes())


def vcard_named(vcard: bytes | None, name: str) -> bytes:
    """Give a vCard with this full name, and what it had beside it."""
    element = Element("vCard", ns.VCARD) if vcard is None else decode(vcard, "")
    others = [part for part in element.content if not isinstance(part, Element) or part.name != "FN"]
    element.content = [Element("FN", ns.VCARD, None, name), *others]
    return element.to_bytes()


def _parse(text: str) -> Element:
    try:
        FrameParser(XmlLimits()).parse(text.strip().encode())
        element = decode(text.strip().encode(), "")
    except (StreamError, ValueError) as error:
        raise OperationError("invalid", f"`vcard` is not well-formed XML: {error}") from None
    if (element.namespace, element.name) != VCard.TAG:
        told = f"`vcard` is <{element.name}> of {element.namespace or 'no namespace'}"
        raise OperationError("invalid", f"{told}, not <vCard xmlns='{ns.VCARD}'>")
    return element


def _describe(user: Jid, raw: bytes | None) -> VCardInfo:
    card = VCard() if raw is None else VCard(decode(raw, ""))
    return VCardInfo(
        user=user,
        name=card.full_name,
        nickname=card.nickname,
        vcard=None if raw is None else raw.decode(),
    )


async def _must_exist(context: Context, jid: Jid) -> None:
    if not await context.stores.accounts.exists(jid):
        raise NoSuchAccount(jid)


OPERATIONS = (get, set_vcard)
