"""Join links: who has the link of a room enters it, and is a member from then on.

The link is an address of XEP-0147, `xmpp:ROOM?join;password=TOKEN`, so that clients need know nothing of it:
they enter with the token in place of a password. One that knows more sends it as `<preauth/>` of XEP-0379
beside `<x/>`. Owners and admins make, list and revoke links by commands of the room, whose fields are those
of XEP-0401 §3.1. The marks § point at docs/specs/rooms.md.

A link holds as long as who has made it is owner or admin of the room. A room that asks for a password has no
links, since its members are asked for that each time. Of a token only a digest is kept, as
of invitations of accounts (`kernel/invitations.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.new_member import make_member
from tidings.features.rooms.room import Room
from tidings.features.rooms.room_access import check_staff
from tidings.features.rooms.room_change import RoomDestroyed
from tidings.features.rooms.room_commands import RoomCommand, RoomCommands
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.kernel.invitations import (
    Invitation,
    InvitationRefused,
    Invitations,
    join_uri,
    landing_path,
    looks_like_token,
)
from tidings.kernel.public_address import PublicAddress
from tidings.messages.router import Router
from tidings.ports.documents import DocumentStore
from tidings.ports.ledger import Ledger
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind

NODE: Final = f"{ns.TIDINGS_ROOMS}#join-link"
"""What the names of the commands begin with, and the FORM_TYPE of their forms."""
_HOUR: Final = 3_600.0
_WEEK: Final = 168
"""In hours."""
_TABLE: Final = ("id", "expire", "uses", "used", "by")

log = structlog.get_logger("tidings.rooms")


class JoinLinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How long links into rooms hold, and how many there are."""

    max_hours: Annotated[
        int, Meta(description="Hours for which a link into a room holds at most.", ge=1, le=87_840)
    ] = 8_784
    max_uses: Annotated[
        int, Meta(description="How many people one link lets into a room at most.", ge=1, le=100_000)
    ] = 1_000
    max_links: Annotated[
        int, Meta(description="Links that a room has at the same time at most.", ge=1, le=100)
    ] = 20


class JoinLinks(Feature):
    """Makes links into rooms and lets in who has one."""

    spec = (
        Spec.xep(147, version="1.2", note="Links into rooms, `join` with a password"),
        Spec.xep(379, version="0.3.3", note="A token that lets its owner into a room"),
    )
    requires = (RoomCommands,)
    Options = JoinLinkOptions

    def __init__(
        self,
        host: Host,
        router: Router,
        ledger: Ledger,
        documents: DocumentStore,
        invitations: Invitations,
        address: PublicAddress,
        options: Current[JoinLinkOptions],
    ) -> None:
        self._host = host
        self._documents = documents
        self._invitations = invitations
        self._address = address
        self._options = options
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)
        self.room_commands: Final = (
            RoomCommand(f"{NODE}:create", "Make a link to join", self._check, self._create, self._asking),
            RoomCommand(f"{NODE}:list", "List links to join", self._check, self._list),
            RoomCommand(f"{NODE}:revoke", "Revoke a link to join", self._check, self._revoke, _revoking),
        )

    @listens(RoomDestroyed)
    async def forget(self, event: RoomDestroyed) -> None:
        """Let links go with their room."""
        await self._documents.clear(event.room.jid)

    async def let_in(self, room: Room, person: Jid, token: str) -> None:
        """Make somebody a member who has a token and is nothing to the room yet; nothing where that fails."""
        if not looks_like_token(token) or room.state.affiliation_of(person) is not Affiliation.NONE:
            return
        try:
            invitation = await self._invitations.find(room.jid, token)
            self._check_maker(room, invitation)
            await self._invitations.take(room.jid, invitation)
        except InvitationRefused as refusal:
            log.info("room_link_refused", room=room.jid.text, account=person.text, reason=refusal.reason)
            return
        is_new = False
        try:
            is_new = await make_member(room, person, self._store, self._showing)
        finally:
            if not is_new:
                await self._invitations.give_back(room.jid, invitation)
        log.info(
            "room_link_used", room=room.jid.text, account=person.text, link=invitation.id, by=invitation.by
        )

    def _check_maker(self, room: Room, invitation: Invitation) -> None:
        if invitation.created < room.configuration.created:
            raise InvitationRefused("it was for an earlier room of this name")
        by = Jid(invitation.by)
        if by not in self._host.admins and not room.state.affiliation_of(by).is_staff:
            raise InvitationRefused("who has made it may not make links any more")

    # --- commands (§4)

    def _check(self, room: Room, asker: Jid) -> None:
        check_staff(room, asker.bare, self._host)

    def _asking(self, room: Room) -> DataForm:
        options = self._options.now
        hours = min(_WEEK, options.max_hours)
        return DataForm.of(
            FormKind.FORM,
            NODE,
            Field("hours", (str(hours),), FieldKind.TEXT_SINGLE, f"Hours, up to {options.max_hours}"),
            Field("uses", ("1",), FieldKind.TEXT_SINGLE, f"People, up to {options.max_uses}"),
            title=f"A link to join {room.jid}",
            instructions="Whoever has it enters the room and is a member from then on.",
        )

    async def _create(self, room: Room, asker: Jid, answer: DataForm) -> DataForm:
        options, by = self._options.now, asker.bare
        if room.configuration.password:  # who is in by a link would stand before it the next time
            raise StanzaError("not-acceptable", "the room asks for a password: hand that on, or take it away")
        hours = answer.number(
            "hours", default=min(_WEEK, options.max_hours), minimum=1, maximum=options.max_hours
        )
        uses = answer.number("uses", default=1, minimum=1, maximum=options.max_uses)
        if len(await self._open(room)) >= options.max_links:
            raise StanzaError(
                "resource-constraint", f"a room has {options.max_links} links at most: revoke one"
            )
        invitation, token = await self._invitations.create(
            room.jid, seconds=hours * _HOUR, uses=uses, registers=False, by=by.text
        )
        log.info("room_link_made", room=room.jid.text, link=invitation.id, by=by.text, hours=hours, uses=uses)
        page = self._address.of(landing_path(room.jid, token))
        return DataForm.of(
            FormKind.RESULT,
            NODE,
            Field("uri", (join_uri(room.jid, token),), FieldKind.TEXT_SINGLE, "Link for clients"),
            *((Field("landing-url", (page,), FieldKind.TEXT_SINGLE, "Page for people"),) if page else ()),
            Field("expire", (_moment(invitation),), FieldKind.TEXT_SINGLE, "Holds until"),
            Field("id", (invitation.id,), FieldKind.TEXT_SINGLE, "By this it is revoked"),
        )

    async def _list(self, room: Room, _: Jid, __: DataForm) -> DataForm:
        rows = (
            (each.id, _moment(each), str(each.uses), str(each.used), each.by)
            for each in await self._open(room)
        )
        items = tuple(
            tuple(Field(name, (value,)) for name, value in zip(_TABLE, row, strict=True)) for row in rows
        )
        reported = tuple(Field(name) for name in _TABLE)
        return DataForm(FormKind.RESULT, title="Links to join", reported=reported, items=items)

    async def _revoke(self, room: Room, asker: Jid, answer: DataForm) -> None:
        id_ = answer.text("id")
        if not await self._invitations.revoke(room.jid, id_):
            raise StanzaError("item-not-found", f"the room has no link {id_}")
        log.info("room_link_revoked", room=room.jid.text, link=id_, by=asker.bare.text)

    async def _open(self, room: Room) -> tuple[Invitation, ...]:
        """Give the links that can be used."""
        found: tuple[Invitation, ...] = ()
        after = ""
        while True:
            page, after = await self._invitations.list(room.jid, after=after)
            found += page
            if not after:
                return found


def _revoking(room: Room) -> DataForm:
    asked = Field("id", kind=FieldKind.TEXT_SINGLE, label="Id of the link", is_required=True)
    return DataForm.of(FormKind.FORM, NODE, asked, title=f"Revoke a link to join {room.jid}")


def _moment(invitation: Invitation) -> str:
    return datetime.fromtimestamp(int(invitation.expires), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
