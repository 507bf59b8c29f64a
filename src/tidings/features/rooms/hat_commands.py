"""Hats: owners say what people are in a room beyond affiliation and role, and everybody sees it.

Implements XEP-0317 0.3.1; the marks § point at its sections. Hats have neither a language nor content of
other namespaces (§3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError
from tidings.features.rooms.affiliation import Affiliation
from tidings.features.rooms.attendance import attendance_of
from tidings.features.rooms.hats import Hat, Hats
from tidings.features.rooms.room import Room, RoomState
from tidings.features.rooms.room_access import check_owner, check_seen
from tidings.features.rooms.room_archive import may_see_addresses
from tidings.features.rooms.room_change import Change
from tidings.features.rooms.room_commands import RoomCommand, RoomCommands
from tidings.features.rooms.room_properties import HATS
from tidings.features.rooms.showing import Showing, configuration_changed
from tidings.features.rooms.storing import RoomStore
from tidings.kernel.current import Current
from tidings.kernel.events import DiscoInfo
from tidings.kernel.feature import Feature, Spec, listens
from tidings.kernel.host import Host
from tidings.kernel.maybe_awaitable import until_done
from tidings.messages.router import Router
from tidings.ports.ledger import Ledger
from tidings.ports.ledger.batch import PROPERTY_OCTETS
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.data_form import DataForm, Field, FieldKind, FormKind, Option
from tidings.wire.xmpp.payloads.muc_user import Status, about_occupant

NODE: Final = "urn:xmpp:hats:commands"
"""What the names of the commands begin with, and the FORM_TYPE of their forms."""
LONGEST_TITLE: Final = 128
LONGEST_URI: Final = 256
_FULL_CIRCLE: Final = 360.0
_REPORTED: Final = ("hats#title", "hats#uri", "hats#hue")
_URI: Final = Field("hats#uri", kind=FieldKind.TEXT_SINGLE, label="Hat URI", is_required=True)
_CREATING: Final = DataForm.of(
    FormKind.FORM,
    NODE,
    Field("hats#title", kind=FieldKind.TEXT_SINGLE, label="Hat title", is_required=True),
    _URI,
    Field("hats#hue", kind=FieldKind.TEXT_SINGLE, label="Angle of its colour, from 0 to 360"),
    title="Creating a hat",
    instructions="A hat of the same URI is replaced.",
)

log = structlog.get_logger("tidings.rooms")


class HatOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How many hats a room has."""

    max_hats: Annotated[int, Meta(description="Hats that one room may have in its list.", ge=1, le=200)] = 50


class RoomHats(Feature):
    """Keeps the hats of rooms and who has which."""

    spec = Spec.xep(317, version="0.3.1")
    requires = (RoomCommands,)
    Options = HatOptions
    option_name = "hats"

    def __init__(self, host: Host, router: Router, ledger: Ledger, options: Current[HatOptions]) -> None:
        self._host = host
        self._options = options
        self._store = RoomStore(router, ledger)
        self._showing = Showing(router)
        self._attendance = attendance_of(host)
        self.room_commands: Final = (
            RoomCommand(
                f"{NODE}:create", "Create a hat", self._check_owner, self._create, lambda _: _CREATING
            ),
            RoomCommand(f"{NODE}:destroy", "Destroy a hat", self._check_owner, self._destroy, _choosing),
            RoomCommand(f"{NODE}:list", "List hats", check_seen, self._list),
            RoomCommand(f"{NODE}:assign", "Assign a hat", self._check_owner, self._assign, _assigning),
            RoomCommand(f"{NODE}:unassign", "Remove a hat", self._check_owner, self._unassign, _assigning),
            RoomCommand(f"{NODE}:list-assigned", "List assigned hats", _check_list, self._list_assigned),
        )

    @listens(DiscoInfo)  # §2
    def describe(self, event: DiscoInfo) -> None:
        """Say of a room that it has hats."""
        if event.entity is not None and event.entity.exists and not event.node:
            event.features.append(ns.HATS)

    def _check_owner(self, room: Room, asker: Jid) -> None:
        check_owner(room, asker.bare, self._host)

    # --- the list

    async def _create(self, room: Room, by: Jid, answer: DataForm) -> None:  # §3.2
        hat = _hat(answer)

        def decide(hats: Hats) -> Hats:
            after, most = hats.with_hat(hat), self._options.now.max_hats
            if len(after.known) > max(most, len(hats.known)):
                raise StanzaError("resource-constraint", f"a room has {most} hats at most")
            return after

        await self._change(room, by, decide, f"hat {hat.uri} is {hat.title}")

    async def _destroy(self, room: Room, by: Jid, answer: DataForm) -> None:  # §3.3
        uri = answer.text("hats#uri")
        await self._change(room, by, lambda hats: hats.without_hat(uri), f"hat {uri} is no more")

    async def _list(self, room: Room, _: Jid, __: DataForm) -> DataForm:  # §3.4
        return _table("Hats list", _REPORTED, map(_row, room.state.properties.hats.known.values()))

    # --- who has which

    async def _assign(self, room: Room, by: Jid, answer: DataForm) -> None:  # §3.5
        person, uri = _person(room, answer), answer.text("hats#uri")
        await self._change(room, by, lambda hats: hats.assigned(person, uri), f"{person} has hat {uri}")

    async def _unassign(self, room: Room, by: Jid, answer: DataForm) -> None:  # §3.6
        person, uri = _person(room, answer), answer.text("hats#uri")
        await self._change(room, by, lambda hats: hats.unassigned(person, uri), f"{person} loses hat {uri}")

    async def _list_assigned(self, room: Room, _: Jid, __: DataForm) -> DataForm:  # §3.7
        hats = room.state.properties.hats
        rows = ({"hats#jid": jid, **_row(hats.known[uri])} for jid, uris in hats.worn.items() for uri in uris)
        return _table("Assigned hats list", ("hats#jid", *_REPORTED), rows)

    # --- changing

    async def _change(self, room: Room, by: Jid, decide: Callable[[Hats], Hats], what: str) -> None:
        before = after = room.state.properties.hats

        def changed(state: RoomState) -> Change | None:
            nonlocal before, after
            before = state.properties.hats
            after = decide(before)
            if after == before:
                return None
            value = msgspec.json.encode(after)
            if len(value) > PROPERTY_OCTETS:
                raise StanzaError("resource-constraint", "so many hats of so many people have no room")
            told = about_occupant(statuses=(Status.CONFIGURATION_CHANGED,))
            return Change(told=told, properties={HATS: value}, by=by.bare)

        if await self._store.change(room, changed) is None:
            return
        log.info("room_hats_changed", room=room.jid.text, by=by.bare.text, change=what)
        if before.known != after.known:
            await until_done(self._showing.to_all(room, configuration_changed(room)))
        for occupant in list(room.occupants):
            await until_done(self._attendance.time_slice.turn())
            is_here = room.occupants.called(occupant.nick) is occupant
            if is_here and before.of(occupant.jid) != after.of(occupant.jid):
                await until_done(self._showing.updated(room, occupant))


def _check_list(room: Room, asker: Jid) -> None:
    """Raise `forbidden` for who may not know the real addresses of others."""
    is_here = room.occupants.at(asker) is not None
    is_member = room.state.affiliation_of(asker.bare).rank > Affiliation.NONE.rank
    if not may_see_addresses(room, asker) or not (is_here or is_member):
        raise StanzaError("forbidden", "who has which hat is for those who see real addresses here")


def _choosing(room: Room) -> DataForm:
    return DataForm.of(FormKind.FORM, NODE, _choice(room), title="Destroying a hat")


def _assigning(room: Room) -> DataForm:
    who = Field("hats#jid", kind=FieldKind.JID_SINGLE, label="Address of the person", is_required=True)
    return DataForm.of(FormKind.FORM, NODE, who, _choice(room), title="The hats of a person")


def _choice(room: Room) -> Field:
    known = room.state.properties.hats.known.values()
    options = tuple(Option(hat.uri, hat.title) for hat in known)
    return Field("hats#uri", kind=FieldKind.LIST_SINGLE, label="The hat", is_required=True, options=options)


def _person(room: Room, answer: DataForm) -> Jid:
    """Give the bare JID of whom a hat is for, who may be named by the address in the room."""
    try:
        jid = Jid(answer.text("hats#jid"))
    except JidError as error:
        raise StanzaError("jid-malformed", f"hats#jid: {error}") from error
    if jid.bare != room.jid:
        return jid.bare
    occupant = room.occupants.called(jid.resource)
    if occupant is None:
        raise StanzaError("item-not-found", f"nobody here is called {jid.resource}")
    return occupant.jid


def _hat(answer: DataForm) -> Hat:
    hat = Hat(uri=answer.text("hats#uri"), title=answer.text("hats#title"), hue=answer.text("hats#hue"))
    for what, text, longest in (("URI", hat.uri, LONGEST_URI), ("title", hat.title, LONGEST_TITLE)):
        if len(text.encode()) > longest:
            raise StanzaError("not-acceptable", f"the {what} of a hat has {longest} octets at most")
    if ":" not in hat.uri or any(character.isspace() for character in hat.uri):
        raise StanzaError("not-acceptable", f"{hat.uri} is no URI")
    if hat.hue and not _is_hue(hat.hue):
        raise StanzaError("not-acceptable", "the hue of a hat is an angle from 0 to 360")
    return hat


def _is_hue(text: str) -> bool:
    whole, _, rest = text.partition(".")
    is_number = (whole + rest).isascii() and (whole + rest).isdigit() and len(text) <= len("360.000000000")
    return is_number and float(text) <= _FULL_CIRCLE


def _row(hat: Hat) -> dict[str, str]:
    return {"hats#title": hat.title, "hats#uri": hat.uri, "hats#hue": hat.hue}


def _table(title: str, names: Iterable[str], rows: Iterable[dict[str, str]]) -> DataForm:
    reported = tuple(Field(name) for name in names)
    items = tuple(
        tuple(Field(name, (row[name],)) for name in (field.name for field in reported) if row[name])
        for row in rows
    )
    return DataForm(FormKind.RESULT, title=title, reported=reported, items=items)
