"""Operations on stanzas: sending in the name of an account or of the server."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.errors import StreamError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import Address
from tidings.wire.xml.element import Element
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.stanza import KINDS, Stanza

Sender = Annotated[
    Address | None,
    Meta(
        description="In whose name: an account or a domain of this server; by default the first domain, or "
        "the account that calls."
    ),
]


class SendMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send."""

    to: Annotated[Address, Meta(description="Address of the recipient.")]
    body: Annotated[str, Meta(description="The text.")]
    sender: Sender = None
    subject: Annotated[str | None, Meta(description="A subject line.")] = None
    kind: Annotated[Literal["normal", "chat", "headline"], Meta(description="The type of the message.")] = (
        "chat"
    )


class SendStanza(msgspec.Struct, frozen=True, kw_only=True):
    """A stanza to send as it is."""

    stanza: Annotated[
        str, Meta(description="The XML of a message, presence or iq, with its addresses in `to` and `from`.")
    ]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent."""

    id: str


@operation(
    "stanza",
    "send-message",
    roles=EVERYBODY,
    subjects=("sender",),
    without_subject="own",
    changes=True,
    errors=("not-found",),
    needs_server=True,
)
async def send_message(context: Context, request: SendMessage) -> Sent:
    """Send a message in the name of an account or of the server."""
    await _must_exist(context, request.to)
    content = [Element("body", ns.CLIENT, {}, request.body)]
    if request.subject:
        content.insert(0, Element("subject", ns.CLIENT, {}, request.subject))
    stanza = Stanza.build(
        "message",
        kind=request.kind,
        to=request.to,
        sender=request.sender or _own_address(context),
        id=token(),
        content=content,
    )
    return await _send(context, stanza)


def stanza_sender(request: SendStanza) -> Jid | None:
    """Find in whose name a stanza is sent; raises `OperationError` for what is no stanza."""
    return _parse(request.stanza).sender


@operation(
    "stanza",
    "send-stanza",
    roles=ADMINISTRATORS,
    subjects=(stanza_sender,),
    without_subject="own",
    changes=True,
    needs_server=True,
)
async def send_stanza(context: Context, request: SendStanza) -> Sent:
    """Send a stanza as it is given, for tests and repairs."""
    stanza = _parse(request.stanza)
    if stanza.to is None:
        raise OperationError("invalid", "the stanza has no `to`")
    sender = stanza.sender or _own_address(context)
    return await _send(context, stanza.replace(sender=sender, id=stanza.id or token()))


def _parse(text: str) -> Stanza:
    try:
        fragment = FrameParser(XmlLimits()).parse(_with_namespace(text).encode())
        stanza = Stanza.received(fragment)
    except StreamError as error:
        raise OperationError("invalid", f"the stanza is not well-formed XML: {error}") from None
    if fragment.namespace != ns.CLIENT:
        raise OperationError(
            "invalid", f"<{stanza.name}> is in the namespace {fragment.namespace}, not {ns.CLIENT}"
        )
    if stanza.name not in KINDS or stanza.kind not in KINDS[stanza.name]:
        raise OperationError("invalid", f"<{stanza.name} type={stanza.kind!r}> is no message, presence or iq")
    return stanza


def _with_namespace(text: str) -> str:
    """Let people leave out the namespace of the root, as it is left out inside a stream."""
    text = text.strip()
    root, end, rest = text.partition(">")
    if not end or "xmlns=" in root:
        return text
    closing = "/" if root.endswith("/") else ""
    return f"{root.removesuffix('/')} xmlns='{ns.CLIENT}'{closing}>{rest}"


async def _must_exist(context: Context, recipient: Jid) -> None:
    """Refuse what would come back as an error that nobody sees."""
    if not recipient.local or recipient.domain not in context.domains or context.sessions_of(recipient):
        return
    if not await context.stores.accounts.exists(recipient.bare):
        raise OperationError("not-found", f"there is no account {recipient.bare}")


def _own_address(context: Context) -> Jid:
    """Give the address in whose name a caller sends who names none."""
    return context.caller.account or Jid(context.domains_for(None)[0])


async def _send(context: Context, stanza: Stanza) -> Sent:
    assert context.live is not None  # declared with needs_server
    wait = context.live.router.route(stanza)
    if wait is not None:
        await wait
    return Sent(id=stanza.id or "")


OPERATIONS = (send_message, send_stanza)
