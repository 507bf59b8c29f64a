"""Rooms for operations: which service is meant, which room of it, and in whose name something is done there.

What is done goes the way of a request over XMPP, to the same handlers: of somebody who is named, with what
he may do in the room, or of the service itself, which may do what an owner may. Refusals have, beside the
code of the catalogue, the word by which MongooseIM's GraphQL knows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta

from tidings.base.clock import SECOND
from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms import RoomKind
from tidings.features.rooms.room import Room, room_of
from tidings.kernel.entity import Entity
from tidings.kernel.feature import Feature
from tidings.kernel.host import Host
from tidings.kernel.iq import Iq
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.operations.catalogue import EVERYBODY, Operation, Request, Response, Run, operation
from tidings.operations.context import Context
from tidings.operations.errors import Code, OperationError
from tidings.operations.stanza import Sent, sent
from tidings.operations.values import (
    AccountAddress,
    Address,
    Moment,
    Page,
    SessionAddress,
    Time,
    exact_moment_of,
    read_time,
)
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.reading import EntryId, PageQuery
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import kept
from tidings.wire.xmpp.payloads.stanza_ids import OriginId
from tidings.wire.xmpp.stanza import Stanza

MOST: Final = 500
"""The most rooms, people or messages that one page lists."""

F = TypeVar("F", bound=Feature)
K = TypeVar("K")
P = TypeVar("P")

By = Annotated[
    SessionAddress | None,
    Meta(
        description="In whose name, with what that account may do in the room; without it, with the rights "
        "of an owner."
    ),
]
Filter = Annotated[str | None, Meta(description="Only rooms that have this in their address or their name.")]
After = Annotated[str | None, Meta(description="Begin behind this one: the `next` of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=MOST, description="The most to list.")]
Body = Annotated[str, Meta(min_length=1, description="The text.")]
Account = Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class ListMessages(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of a room."""

    room: Annotated[Address, Meta(description="Address of the room.")]
    before: Annotated[Time | None, Meta(description="Only what was said before this time.")] = None
    after: Annotated[
        str | None, Meta(description="Go on with what is older than this: the `next` of the page before.")
    ] = None
    limit: Limit = 50
    by: Annotated[
        SessionAddress | None,
        Meta(description="Only what this account may read; without it, everything."),
    ] = None
    xml: Annotated[bool, Meta(description="Give the XML of each message, too.")] = False


class RoomMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a room; without a content where that was taken back or erased.

    `sender` is the address of who has said it, as the room shows it, `message` the XML where it was
    asked for.
    """

    time: Moment
    sender: Address
    body: str | None
    id: str
    message: str | None


class _OfRoom(Protocol):
    """A request about a room, in somebody's name or not."""

    @property
    def room(self) -> Jid: ...
    @property
    def by(self) -> Jid | None: ...


def room_unless_by(request: _OfRoom) -> Jid | None:
    """Give the room as what a request is about, where it is not in the name of somebody."""
    return None if request.by is not None else Jid(request.room.domain)


def about_room(
    category: str, name: str, *, changes: bool, irreversible: bool = False, of_archive: bool = False
) -> Callable[[Run[Request, Response]], Operation]:
    """Declare an operation on one room of the running server, in somebody's name or not.

    It is done by the node where the room lives, unless it is `of_archive`, which every node reads.
    """
    return operation(
        category,
        name,
        roles=EVERYBODY,
        subjects=("by", room_unless_by),
        changes=changes,
        errors=("not-found", "conflict") if changes else ("not-found",),
        needs_server=True,
        room="" if of_archive else "room",
        irreversible=irreversible,
    )


def service_of(context: Context, domain: str, kind: type[K]) -> tuple[Host, K]:
    """Give the service of a domain, or that has this domain, whose entities are of a kind."""
    for each in context.domains.with_services(domain):
        host = context.host(each)
        if host is not None and isinstance(host.kind, kind):
            return host, host.kind
    raise OperationError("not-found", f"{domain} has no such rooms", reason="muc_server_not_found")


def service_at(context: Context, address: Jid, kind: type[K]) -> tuple[Host, K]:
    """Give the service at whose domain an address is that may be that of a room; raises `invalid`, too."""
    if not address.local or address.resource:
        raise OperationError("invalid", f"{str(address)!r} is no room; write name@{address.domain}")
    host, found = service_of(context, address.domain, kind)
    if host.domain != address.domain:
        told = f"rooms of {address.domain} are at {host.domain}: write {address.local}@{host.domain}"
        raise OperationError("not-found", told, reason="muc_server_not_found")
    return host, found


async def find_room(context: Context, address: Jid) -> tuple[Host, Room]:
    """Give the service of rooms of an address, and the room there, which exists."""
    host, _ = service_at(context, address, RoomKind)
    room = room_of(await host.directory.load(address))
    if not room.exists:
        raise OperationError("not-found", f"there is no room {address}", reason="room_not_found")
    return host, room


async def must_exist(context: Context, account: Jid) -> None:
    """Raise `not-found` unless there is an account."""
    if not await context.exists(account):
        raise OperationError("not-found", f"there is no account {account}", reason="user_not_found")


async def must_be_somebody(context: Context, person: Jid) -> None:
    """Raise `not-found` for an account of this server that is not there: a wrong address is told so."""
    if context.host(person.domain) is not None:
        await must_exist(context, person.bare)


def feature_of(host: Host, wanted: type[F]) -> F:
    """Give a feature of a service, which may be switched off."""
    found = host.feature(wanted)
    if found is None:
        raise OperationError("unavailable", f"{wanted.__name__} is switched off at {host.domain}")
    return found


def ledger_of(context: Context) -> Ledger:
    """Give the ledger, which every server has that has rooms."""
    assert context.stores.ledger is not None
    return context.stores.ledger


def router_of(context: Context) -> Router:
    """Give the router of the running server."""
    assert context.live is not None  # declared with needs_server
    return context.live.router


def actor_of(host: Host, room: Room | None, by: Jid | None) -> Jid:
    """Give in whose name something is done: the service's where nobody is named.

    An account is its device that is in the room, as far as there is one.
    """
    if by is None:
        return host.jid
    if by.resource or room is None:
        return by
    return next((device for each in room.occupants.of(by) for device in each.devices), by)


def asking(kind: str, to: Jid, actor: Jid, payload: P, entity: Entity | None = None) -> Iq[P]:
    """Make the request that somebody would send over XMPP."""
    return Iq(Stanza.build("iq", kind=kind, to=to, sender=actor, id=token(12)), payload, None, entity)


@contextmanager
def refusals(known: Mapping[str, str], **codes: Code) -> Iterator[None]:
    """Say what rooms refuse in a sentence, with the word of MongooseIM for a condition or a text.

    `codes` are those of the catalogue that are others than usual, by condition with underscores.
    """
    try:
        yield
    except StanzaError as error:
        code = codes.get(error.condition.replace("-", "_")) or _CODES.get(error.condition, "not-allowed")
        text = error.text or error.condition
        reason = known.get(text) or known.get(error.condition, "")
        told = text if " " in text else f"the room refuses this: {text}"
        raise OperationError(code, told, reason=reason) from error


_CODES: Final[Mapping[str, Code]] = {
    "bad-request": "invalid",
    "conflict": "conflict",
    "item-not-found": "not-found",
    "jid-malformed": "invalid",
    "not-acceptable": "invalid",
    "remote-server-not-found": "not-found",
    "resource-constraint": "conflict",
    "service-unavailable": "conflict",
    "internal-server-error": "unavailable",
}


async def messages_of(
    context: Context, host: Host, entity: Entity, request: ListMessages
) -> Page[RoomMessage]:
    """Read a page of a room's archive as somebody may, the newest message first."""
    asker = request.by or host.jid
    view = await host.kind.archive_view(entity, asker)
    before = read_time(request.before, "before")
    place = None if request.after is None else EntryId.parse(request.after)
    if request.after is not None and place is None:
        raise OperationError("invalid", "`after` is wrong: give the `next` of the page before")
    query = PageQuery(
        end=None if before is None else round(before * SECOND) - 1,
        before=place,
        above=view.above,
        without=view.without,
        limit=request.limit,
        newest=True,
        flipped=True,
        counted=False,
        octets=_PAGE_OCTETS,
    )
    page = await ledger_of(context).page(view.archive, query)
    items = []
    for entry in page.entries:
        assert entry.body is not None  # what was erased is on no page
        body = entry.body if view.shown is None else view.shown(entry, entry.body)
        message = kept(body)
        is_shown = entry.retracted is None
        items.append(
            RoomMessage(
                time=exact_moment_of(entry.time),
                sender=message.sender or view.archive,
                body=_text_of(message) if is_shown else None,
                id=str(entry.id),
                message=body.decode() if is_shown and request.xml else None,
            )
        )
    return Page(items=tuple(items), next=None if page.is_complete or not items else items[-1].id)


_PAGE_OCTETS: Final = 1 << 20


def _text_of(message: Stanza) -> str | None:
    element = message.decode(ns.CLIENT, "body")
    return None if element is None else element.text


async def send(context: Context, sender: Jid, to: Jid, kind: str, body: str) -> Sent:
    """Send a text in the name of somebody, as his client would; raises `StanzaError` for what is refused."""
    id_ = token(16)
    content: Sequence[Any] = (Element("body", ns.CLIENT, {}, body), OriginId(id_).encode())
    stanza = Stanza.build("message", kind=kind, to=to, sender=sender, id=id_, content=content)
    router = router_of(context)
    [outcome] = await router.send(router.origin_of(sender, Via.OPERATION), (stanza,))
    if outcome.error is not None:
        raise outcome.error
    return sent(id_, outcome)
