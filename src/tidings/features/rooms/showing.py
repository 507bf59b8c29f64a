"""Showing: what everybody in a room is told when somebody comes, changes and goes (XEP-0045 §7.2).

Who may see real addresses gets another presence than who may not; each of both is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from tidings.base.jid import Jid
from tidings.features.rooms.absent_members import told_of_absent
from tidings.features.rooms.affiliation import Affiliation, Role
from tidings.features.rooms.affiliation_version import VersionStep
from tidings.features.rooms.presence_writing import absence_of, known_presence_of, presence_of
from tidings.features.rooms.room import Occupant, Room
from tidings.kernel.maybe_awaitable import MaybeAwaitable, in_turn, until_done
from tidings.kernel.outgoing import Outgoing
from tidings.kernel.session import Session
from tidings.kernel.time_slice import TimeSlice
from tidings.messages.fanout import fan_out_from
from tidings.messages.router import Router
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.arrival import stamp_of
from tidings.wire.xmpp.payloads.muc_user import Destruction, Status, about_occupant
from tidings.wire.xmpp.stanza import Stanza

Device = tuple[Jid, Session | None]

_AT_ONCE: Final = 100
"""Presences that are written in one turn of the event loop."""


async def one_after_another(room: Room, steps: Iterable[MaybeAwaitable]) -> None:
    """Tell of one change before the next one, though others have their turn within it.

    Whoever follows the versions of affiliations would miss one (XEP-0463 §5.2).
    """
    async with room.telling:
        await until_done(in_turn(steps))


class Showing:
    """Tells the occupants of rooms about each other."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def write_ahead(self, room: Room, role: Role, time_slice: TimeSlice) -> None:
        """Write how everybody is shown to who is about to enter in a role, some in each turn that has time.

        The first moderator in a large room would else have thousands of presences written in one turn.
        """
        sees = _sees_addresses(room, role)
        unwritten = [other for other in room.occupants if sees not in other.written]
        for number, other in enumerate(unwritten, 1):
            if number % _AT_ONCE == 0:
                await until_done(time_slice.turn())
            if other.devices:  # else he has left meanwhile
                known_presence_of(room, other, next(reversed(other.devices)) if sees else None)

    def entered(
        self,
        room: Room,
        occupant: Occupant,
        device: Jid,
        statuses: Iterable[int],
        history: Sequence[Stanza],
        affiliations: Sequence[Stanza] = (),
    ) -> MaybeAwaitable:
        """Show everybody to who has entered, and him to everybody; then what was said, and the subject.

        `affiliations` come before all of it (XEP-0463 §5.2.1).
        """
        own = (device, occupant.devices[device].session)

        def steps() -> Iterator[MaybeAwaitable]:
            for told in affiliations:
                yield self._send(room, own, told)
            yield from self._enter(room, occupant, own, tuple(statuses), history)

        return in_turn(steps())

    def _enter(
        self,
        room: Room,
        occupant: Occupant,
        own: Device,
        statuses: tuple[int, ...],
        history: Sequence[Stanza],
    ) -> Iterator[MaybeAwaitable]:
        sees = _sees_addresses(room, occupant.role)
        for other in room.occupants:  # §7.2.2
            if other is not occupant:
                jid = next(reversed(other.devices)) if sees else None
                yield self._send(room, own, known_presence_of(room, other, jid))
        yield self._show(room, occupant, occupant.presence, besides=own[0])
        mine = [*statuses, Status.SELF]
        if not room.configuration.is_anonymous:
            mine.append(Status.SEES_ADDRESSES)
        jid = own[0] if sees else None
        yield self._send(
            room, own, presence_of(room, occupant, occupant.presence, jid=jid, statuses=sorted(mine))
        )
        for message in history:  # §7.2.13
            yield self._send(room, own, message)
        yield self._send(room, own, subject_of(room))  # §7.2.15
        if room.state.properties.pictures:
            yield self._send(room, own, picture_of(room))

    def updated(
        self,
        room: Room,
        occupant: Occupant,
        *,
        actor: str = "",
        reason: str = "",
        step: VersionStep | None = None,
    ) -> MaybeAwaitable:
        """Show what an occupant says now, or is now, to everybody; `actor` has made it so.

        `step` is that of the affiliations, where the occupant's has changed.
        """
        presence = occupant.presence

        def shown(jid: Jid | None, own: tuple[int, ...]) -> Stanza:
            return presence_of(
                room, occupant, presence, jid=jid, statuses=own, actor=actor, reason=reason, step=step
            )

        return self._tell(room, occupant, shown)

    def changed_while_away(
        self, room: Room, jids: Sequence[Jid], steps: Mapping[Jid, VersionStep]
    ) -> MaybeAwaitable:
        """Tell what people are now who are not in the room (§9.3, §9.4), to who sees real addresses.

        Where those are moderators alone, they are told if somebody follows affiliations (XEP-0463 §5.2.2).
        """
        is_anonymous = room.configuration.is_anonymous
        if not jids or (is_anonymous and not room.occupants.asking):
            return None
        tell = self.to_moderators if is_anonymous else self.to_all
        return in_turn(tell(room, told) for told in told_of_absent(room, jids, steps))

    def to_all(self, room: Room, stanza: Stanza) -> MaybeAwaitable:
        """Send a stanza to every device of every occupant."""
        return self._fan_out(room, stanza, room.occupants.devices())

    def to_one(self, room: Room, occupant: Occupant, stanza: Stanza) -> MaybeAwaitable:
        """Send a stanza to every device of one occupant."""
        return self._fan_out(
            room, stanza, ((jid, device.session) for jid, device in occupant.devices.items())
        )

    def to_moderators(self, room: Room, stanza: Stanza) -> MaybeAwaitable:
        """Send a stanza to every device of every moderator."""
        moderators = (each for each in room.occupants if each.role is Role.MODERATOR)
        devices = ((jid, device.session) for each in moderators for jid, device in each.devices.items())
        return self._fan_out(room, stanza, devices)

    def _fan_out(self, room: Room, stanza: Stanza, devices: Iterable[Device]) -> MaybeAwaitable:
        here, elsewhere = [], []
        for jid, session in devices:
            if session is None:
                elsewhere.append(jid)
            elif not session.ended:
                here.append(session)
        return fan_out_from(room.jid, stanza, here, elsewhere, self._router, self._router.guests)

    def renamed(self, room: Room, occupant: Occupant, before: str) -> MaybeAwaitable:
        """Show that an occupant goes by another name now than before (§7.6)."""

        def gone(jid: Jid | None, own: tuple[int, ...]) -> Stanza:
            return absence_of(room, occupant, jid=jid, before=before, statuses=(*own, Status.NICK_CHANGES))

        return self._tell(room, occupant, gone)

    def left(
        self, room: Room, occupant: Occupant, device: Jid, session: Session | None, said: Stanza | None
    ) -> MaybeAwaitable:
        """Show that a device has left, to itself, and to the others if it was the last of its occupant.

        `said` is its last presence; None where an error says that it cannot be reached (§11.1).
        """
        own, why = (device, session), () if said is not None else (Status.ERROR,)

        def gone(jid: Jid | None, statuses: tuple[int, ...] = ()) -> Stanza:
            return absence_of(room, occupant, said, jid=jid, statuses=(*statuses, *why))

        def steps() -> Iterator[MaybeAwaitable]:
            if occupant.devices:
                yield self._show(room, occupant, occupant.presence)
            else:
                yield self._to_others(room, occupant, gone, device)
            yield self._send(room, own, gone(device, (Status.SELF,)))

        return in_turn(steps())

    def removed(  # each is told
        self,
        room: Room,
        occupant: Occupant,
        *,
        affiliation: Affiliation | None = None,
        statuses: tuple[int, ...] = (),
        actor: str = "",
        reason: str = "",
        step: VersionStep | None = None,
    ) -> MaybeAwaitable:
        """Show that an occupant is put out of the room, who is among its occupants still (§8.2, §9.1)."""

        def gone(jid: Jid | None, own: tuple[int, ...]) -> Stanza:
            return absence_of(
                room,
                occupant,
                affiliation=affiliation,
                jid=jid,
                statuses=(*own, *statuses),
                actor=actor,
                reason=reason,
                step=step,
            )

        return self._tell(room, occupant, gone)

    def destroyed(self, room: Room, occupant: Occupant, destruction: Destruction) -> MaybeAwaitable:
        """Tell an occupant that the room is no more, and nothing of the others (§10.9)."""
        gone = absence_of(room, occupant, statuses=(Status.SELF,), destroyed=destruction)
        return in_turn(
            self._send(room, (jid, device.session), gone) for jid, device in list(occupant.devices.items())
        )

    # --- to whom

    def _show(
        self,
        room: Room,
        occupant: Occupant,
        presence: Stanza,
        *,
        besides: Jid | None = None,
    ) -> MaybeAwaitable:
        def shown(jid: Jid | None, own: tuple[int, ...]) -> Stanza:
            return presence_of(room, occupant, presence, jid=jid, statuses=own)

        return self._tell(room, occupant, shown, besides=besides)

    def _tell(
        self,
        room: Room,
        occupant: Occupant,
        written: Callable[[Jid | None, tuple[int, ...]], Stanza],
        *,
        besides: Jid | None = None,
    ) -> MaybeAwaitable:
        """Tell the others of an occupant, and his own devices that it is them."""

        def steps() -> Iterator[MaybeAwaitable]:
            yield self._to_others(room, occupant, written, next(reversed(occupant.devices)))
            sees = _sees_addresses(room, occupant.role)
            for jid, device in list(occupant.devices.items()):
                if jid != besides:
                    yield self._send(
                        room, (jid, device.session), written(jid if sees else None, (Status.SELF,))
                    )

        return in_turn(steps())

    def _to_others(
        self,
        room: Room,
        occupant: Occupant,
        written: Callable[[Jid | None, tuple[int, ...]], Stanza],
        device: Jid,
    ) -> MaybeAwaitable:
        """Tell everybody but an occupant himself, whose real address some may see."""
        seeing: tuple[list[Session], list[Jid]] = ([], [])
        others: tuple[list[Session], list[Jid]] = ([], [])
        shows = not room.configuration.is_anonymous
        for other in room.occupants:
            if other is occupant:
                continue
            here, elsewhere = seeing if shows or other.role is Role.MODERATOR else others
            for jid, known in other.devices.items():
                if known.session is None:
                    elsewhere.append(jid)
                elif not known.session.ended:
                    here.append(known.session)

        def steps() -> Iterator[MaybeAwaitable]:
            for (here, elsewhere), jid in ((seeing, device), (others, None)):
                if here or elsewhere:
                    shown = written(jid, ())
                    yield fan_out_from(room.jid, shown, here, elsewhere, self._router, self._router.guests)

        return in_turn(steps())

    def _send(self, room: Room, device: Device, stanza: Stanza) -> MaybeAwaitable:
        jid, session = device
        if session is None:
            guests = self._router.guests
            if guests is not None and guests.send_one(room.jid, stanza, jid):
                return None
            return self._router.route(stanza.addressed(jid))
        if not session.ended:
            session.send_out(Outgoing(stanza, jid))
        return None


def _sees_addresses(room: Room, role: Role) -> bool:
    return not room.configuration.is_anonymous or role is Role.MODERATOR


def subject_of(room: Room) -> Stanza:
    """Give the subject as who enters is told it; an empty one where there is none (§7.2.15)."""
    subject = room.state.subject
    if subject is None:
        return Stanza.build("message", kind="groupchat", sender=room.jid, content=(b"<subject/>",))
    delay = f'<delay xmlns="{ns.DELAY}" from="{room.jid}" stamp="{stamp_of(subject.time)}"/>'
    told = Stanza.build(
        "message", kind="groupchat", sender=room.address_of(subject.nick), content=(delay.encode(),)
    )
    return told.extended(((f"{ns.CLIENT} subject", 0),), subject.content)


def configuration_changed(room: Room, statuses: Iterable[int] = (Status.CONFIGURATION_CHANGED,)) -> Stanza:
    """Give what tells occupants that something of the room is set in another way (§10.2.1)."""
    about = about_occupant(statuses=statuses)
    return Stanza.build("message", kind="groupchat", sender=room.jid, content=(about,))


def picture_of(room: Room) -> Stanza:
    """Give the presence of the room itself, which tells of its picture or of none (XEP-0486 §6.2)."""
    photos = (Element("photo", ns.VCARD_UPDATE, None, each) for each in room.state.properties.pictures[:1])
    update = Element("x", ns.VCARD_UPDATE, None, *photos)
    if not room.state.properties.pictures:
        update.append(Element("photo", ns.VCARD_UPDATE))
    return Stanza.build("presence", sender=room.jid, content=(update,))
