"""Operations on stanzas: sending in the name of an account or of the server."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError, StreamError, TidingsError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.origin import Via
from tidings.messages.requests import check
from tidings.messages.submission import Outcome
from tidings.operations.catalogue import ADMINISTRATORS, EVERYBODY, operation
from tidings.operations.context import Context
from tidings.operations.errors import OperationError
from tidings.operations.values import Address, Moment, moment_of
from tidings.wire.xml.element import Element
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stanza_ids import OriginId
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
    idempotency_key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(
            description="The same request under the same key is carried out once, and answered with the "
            "first result; another one under a used key is refused."
        ),
    ] = None


class SendStanza(msgspec.Struct, frozen=True, kw_only=True):
    """A stanza to send as it is."""

    stanza: Annotated[
        str, Meta(description="The XML of a message, presence or iq, with its addresses in `to` and `from`.")
    ]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What was accepted, and is on its way."""

    id: str
    archive_id: str | None = None
    """Where the sender's archive has the message, or that of the room it was said in; null where none has."""
    time: Moment | None = None
    """When it was accepted; null where nobody keeps it."""
    repeated: bool = False
    """The same was accepted before: this is the first result."""


@operation(
    "stanza",
    "send-message",
    roles=EVERYBODY,
    subjects=("sender",),
    without_subject="own",
    changes=True,
    errors=("not-found", "conflict"),
    needs_server=True,
)
async def send_message(context: Context, request: SendMessage) -> Sent:
    """Send a message in the name of an account or of the server."""
    await _must_exist(context, request.to)
    key = request.idempotency_key or token(16)
    content = [Element("body", ns.CLIENT, {}, request.body), OriginId(key).encode()]
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
    recipient = stanza.to
    stanza = stanza.replace(sender=stanza.sender or _own_address(context), id=stanza.id or token())
    if stanza.name != "message":
        check(stanza)
        _must_have_way(context, recipient)
    return await _send(context, stanza)


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
    """Say of somebody who is not there that he is not: a refusal of the message would not tell."""
    _must_have_way(context, recipient)
    host = context.host(recipient.domain)
    if host is None or not recipient.local or context.is_connected(recipient):
        return
    if not await host.kind.exists(recipient.bare):
        raise OperationError("not-found", f"there is no {host.kind.name} {recipient.bare}")


def _must_have_way(context: Context, recipient: Jid) -> None:
    """Say of a domain that nobody serves that it is not there: an answer would go to nobody."""
    assert context.live is not None  # declared with needs_server
    if context.host(recipient.domain) is None and not context.live.router.has_way_to(recipient.domain):
        raise OperationError("not-found", f"{recipient.domain} is not served here")


def _own_address(context: Context) -> Jid:
    """Give the address in whose name a caller sends who names none."""
    return context.caller.account or Jid(context.domains_for(None)[0])


async def _send(context: Context, stanza: Stanza) -> Sent:
    assert context.live is not None  # declared with needs_server
    router = context.live.router
    if stanza.name != "message":
        await until_done(router.route(stanza))
        return Sent(id=stanza.id or "")
    assert stanza.sender is not None
    [outcome] = await router.send(router.origin_of(stanza.sender, Via.OPERATION), (stanza,))
    if outcome.error is not None:
        raise _refusal(outcome.error)
    return sent(stanza.id or "", outcome)


def sent(id_: str, outcome: Outcome) -> Sent:
    """Tell what has become of a message that was accepted."""
    return Sent(
        id=id_,
        archive_id=None if outcome.place is None else outcome.place.id,
        time=moment_of(outcome.time / SECOND) if outcome.time else None,
        repeated=outcome.is_repeated,
    )


def _refusal(error: StanzaError) -> TidingsError:
    """Say that the recipient's side refused a message: the server itself is well."""
    if error.condition != "service-unavailable":
        return error
    return OperationError("not-found", "the message was refused, since nobody takes or keeps it there")


OPERATIONS = (send_message, send_stanza)
