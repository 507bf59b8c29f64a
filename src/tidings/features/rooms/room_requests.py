"""What occupants ask of a room in messages: invitations, and a voice (XEP-0045 §7.8.2, §7.13, §8.6).

`check` says whether somebody may ask, before anything is done; `do` does it. The marks § point at the
sections of XEP-0045.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.ids import token
from tidings.base.jid import Jid
from tidings.features.rooms import kept_roles
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.limiting import Limits
from tidings.features.rooms.new_member import make_member
from tidings.features.rooms.room import Occupant, Room
from tidings.features.rooms.showing import Showing
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.entity import Entity
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import MaybeAwaitable
from tidings.messages.origin import Via
from tidings.messages.router import Router
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind
from tidings.wire.xmpp.payloads.muc_user import Invitation, UserRequests
from tidings.wire.xmpp.stanza import Stanza

VOICE_FORM: Final = f"{ns.MUC}#request"


class RoomRequests:
    """Does what occupants ask of the rooms of one domain."""

    def __init__(self, store: RoomStore, router: Router, showing: Showing, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._router = router
        self._showing = showing

    def check(
        self,
        room: Room,
        occupant: Occupant | None,
        message: Stanza,
        invited: Sequence[tuple[Host, Entity]],
        *,
        is_retried: bool,
    ) -> None:
        """Refuse what may not be asked, by raising `StanzaError`; nothing is awaited.

        `invited` are those of this server whom the message invites.
        """
        invitations = _invitations(message)
        self._check(room, occupant, message, invitations, invited)
        self._limits.check_reasons(each.reason for each in invitations)
        if not is_retried:
            assert message.sender is not None
            self._limits.count_message(room, message.sender.bare, message, is_for_all=False)
            self._limits.count_invitations(message.sender.bare, len(invitations))

    def _check(
        self,
        room: Room,
        occupant: Occupant | None,
        message: Stanza,
        invitations: tuple[Invitation, ...],
        invited: Sequence[tuple[Host, Entity]],
    ) -> None:
        if invitations:
            for each in invitations:
                _check_invitation(room, occupant, message, each)
            for _, person in invited:
                if not person.exists:  # §7.8.2
                    raise StanzaError("item-not-found", f"there is no {person.jid}")
        elif _voice_form(message) is not None:
            if occupant is None:
                raise StanzaError("not-acceptable", "you are not in the room")
        elif message.kind in {"chat", "normal", ""}:
            raise StanzaError("bad-request", "what is said to everybody is of type groupchat")

    def invited(self, message: Stanza) -> tuple[Jid, ...]:
        """Name those whom a message invites, whose guards are asked."""
        try:
            return tuple(each.address.bare for each in _invitations(message) if each.name == "invite")
        except StanzaError:
            return ()  # it is refused when it is checked

    def do(self, room: Room, message: Stanza) -> MaybeAwaitable:
        """Do what was checked before."""
        invitations = _invitations(message)
        if invitations:
            return self._invite(room, message, invitations)
        form = _voice_form(message)
        assert message.sender is not None
        occupant = room.occupants.at(message.sender)
        if form is None or occupant is None:
            return None
        if occupant.role is Role.MODERATOR and form.get("muc#request_allow") is not None:
            return self._grant_voice(room, form)
        return self._ask_for_voice(room, occupant)

    # --- invitations

    async def invite_directly(self, room: Room, inviter: Jid, invited: Jid, reason: str) -> None:
        """Send an invitation from one person to another (XEP-0249), by the rules of those through the room.

        Raises `StanzaError` where the inviter may not invite, or the other one cannot be reached.
        """
        occupant = room.occupants.at(inviter) or next(iter(room.occupants.of(inviter.bare)), None)
        check_inviter(room, inviter.bare, occupant, invited.bare)
        if room.configuration.is_members_only:
            await make_member(room, invited.bare, self._store, self._showing)
        said = {"jid": room.jid.text, "reason": reason, "password": room.configuration.password}
        about = Element("x", ns.CONFERENCE, {name: text for name, text in said.items() if text})
        told = Stanza.build("message", sender=inviter, to=invited, id=token(12), content=(about,))
        [outcome] = await self._router.send(self._router.origin_of(inviter, Via.OPERATION), (told,))
        if outcome.error is not None:
            raise outcome.error

    async def _invite(self, room: Room, message: Stanza, invitations: tuple[Invitation, ...]) -> None:
        assert message.sender is not None
        for each in invitations:
            if each.name == "invite" and room.configuration.is_members_only:
                await make_member(room, each.address.bare, self._store, self._showing)  # §7.8.2
            by = Invitation(name=each.name, address=message.sender, reason=each.reason, thread=each.thread)
            told = invited_through(room, by, each.address, id=message.id)
            await self._router.send(self._router.origin_of(room.jid, Via.SELF), (told,))

    # --- voice

    def _ask_for_voice(self, room: Room, occupant: Occupant) -> MaybeAwaitable:
        """Ask the moderators whether a visitor may speak (§8.6)."""
        if occupant.role is not Role.VISITOR:
            return None
        fields = (
            Field("FORM_TYPE", (VOICE_FORM,), FieldKind.HIDDEN),
            Field("muc#role", (Role.PARTICIPANT.value,), FieldKind.LIST_SINGLE, "Requested role"),
            Field("muc#jid", (next(reversed(occupant.devices)).text,), FieldKind.JID_SINGLE, "Address"),
            Field("muc#roomnick", (occupant.nick,), FieldKind.TEXT_SINGLE, "Name"),
            Field("muc#request_allow", ("false",), FieldKind.BOOLEAN, "Grant voice to this person?"),
        )
        form = DataForm(FormKind.FORM, fields, "Voice request")
        told = Stanza.build("message", sender=room.jid, content=(form.encode(),))
        return self._showing.to_moderators(room, told)

    def _grant_voice(self, room: Room, form: DataForm) -> MaybeAwaitable:
        occupant = room.occupants.called(form.text("muc#roomnick"))
        if occupant is None or occupant.role is not Role.VISITOR or not form.boolean("muc#request_allow"):
            return None
        occupant.role = Role.PARTICIPANT
        kept_roles.keep(room, occupant)
        return self._showing.updated(room, occupant)


def invited_through(room: Room, invitation: Invitation, to: Jid, *, id: str | None = None) -> Stanza:  # noqa: A002  # the attribute's own name
    """Give an invitation, or a refusal of one, as the room hands it on, with the password (§7.8.2)."""
    about = Element("x", ns.MUC_USER, None, invitation.encode())
    if invitation.name == "invite" and room.configuration.password:
        about.append(Element("password", ns.MUC_USER, None, room.configuration.password))
    return Stanza.build("message", sender=room.jid, to=to, id=id, content=(about,))


def _invitations(message: Stanza) -> tuple[Invitation, ...]:
    element = message.decode(*UserRequests.TAG)
    return () if element is None else UserRequests.decode(element).invitations


def _voice_form(message: Stanza) -> DataForm | None:
    element = message.decode(ns.DATA_FORMS, "x")
    form = None if element is None else DataForm.decode(element)
    is_request = form is not None and form.kind is FormKind.SUBMIT and form.form_type == VOICE_FORM
    return form if is_request else None


def _check_invitation(room: Room, occupant: Occupant | None, message: Stanza, invitation: Invitation) -> None:
    assert message.sender is not None
    if invitation.name == "decline":
        # Who is asked to tell a refusal tells it to people of this room, and to nobody else.
        inviter = invitation.address.bare
        if inviter not in room.state.members and not room.occupants.of(inviter):
            raise StanzaError("item-not-found", "whoever has invited you is not here any more")
        if room.state.affiliation_of(message.sender.bare) is Affiliation.OUTCAST:
            raise StanzaError("forbidden", "you are banned from this room")
        return
    if occupant is None:
        raise StanzaError("not-acceptable", "you are not in the room")
    check_inviter(room, occupant.jid, occupant, invitation.address.bare)


def check_inviter(room: Room, inviter: Jid, occupant: Occupant | None, invited: Jid) -> None:
    """Refuse who may not invite somebody, by raising `StanzaError`: who is not there has to be a member."""
    affiliation = room.state.affiliation_of(inviter)
    is_staff = affiliation.is_staff
    if occupant is None and affiliation in {Affiliation.NONE, Affiliation.OUTCAST}:
        raise StanzaError("not-acceptable", f"{inviter} is not in the room")
    if room.configuration.is_members_only and not (room.configuration.may_invite or is_staff):
        raise StanzaError("forbidden", "members may not invite into this room")
    role = room.state.role_of(inviter) if occupant is None else occupant.role
    if role is Role.VISITOR:
        raise StanzaError("forbidden", "you have no voice in this room")
    if room.state.affiliation_of(invited) is Affiliation.OUTCAST and not is_staff:
        raise StanzaError("forbidden", f"{invited} is banned from this room")
