"""Rooms as a device is in them: as an occupant by MUC, or as a member by MUC Light.

A device that begins a session enters its rooms, then asks what it has missed: one that PULLS by sync, others
the room's archive. What arrives meanwhile waits. What it has of a room is kept by archive id, in the order of
first arrival.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from lxml import etree

from tests.faults.stream import CLIENT, DOMAIN, own_bare

MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
MUC = "http://jabber.org/protocol/muc"
SYNC = "urn:tidings:sync:0"
AFFILIATIONS = "urn:xmpp:muclight:0#affiliations"
STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
STATUS = "{http://jabber.org/protocol/muc#user}status"
BODY = f"{{{CLIENT}}}body"
_NO_ENTRY = {"item-not-found", "forbidden"}


class Door(enum.Enum):
    """The service by whose address somebody knows a room."""

    MUC = f"conference.{DOMAIN}"
    LIGHT = f"muclight.{DOMAIN}"


TEA, LANE, YARD = (f"{name}@{Door.MUC.value}" for name in ("tea", "lane", "yard"))
"""The rooms, by their own addresses: one of MUC, one of MUC Light, one that is entered by both doors."""

ROOMS: Mapping[str, Mapping[str, Door]] = {
    TEA: {"anna": Door.MUC, "ben": Door.MUC, "cleo": Door.MUC, "dora": Door.MUC},
    LANE: {"anna": Door.LIGHT, "ben": Door.LIGHT, "cleo": Door.LIGHT, "dora": Door.LIGHT},
    YARD: {"anna": Door.LIGHT, "ben": Door.LIGHT, "cleo": Door.MUC, "dora": Door.MUC},
}
"""The people of each room with the door that they come by."""

OWNER, LEAVER = "anna", "dora"
"""Who takes the other one into the lane again, whenever that one has left it."""


def people_of(room: str) -> set[str]:
    """Name everybody who was in a room before anything was said there."""
    return {own_bare(name) for name in ROOMS[room]}


def room_at(address: str) -> str:
    """Give the room of an address of either door; empty for one that is no room's."""
    local, _, domain = address.partition("/")[0].partition("@")
    return f"{local}@{Door.MUC.value}" if domain in {Door.MUC.value, Door.LIGHT.value} else ""


def address_of(room: str, door: Door) -> str:
    """Give the address of a room by a door."""
    return f"{room.partition('@')[0]}@{door.value}"


def member_request(room: str, name: str, affiliation: str) -> str:
    """Ask MUC Light to make somebody something else in a room."""
    user = f"<user affiliation='{affiliation}'>{own_bare(name)}</user>"
    return f"to='{address_of(room, Door.LIGHT)}'><query xmlns='{AFFILIATIONS}'>{user}</query></iq>"


def changed_members(message: etree._Element) -> dict[str, str]:
    """Read who is what from now on, where a message tells that."""
    users = message.iterfind(f"{{{AFFILIATIONS}}}x/{{{AFFILIATIONS}}}user")
    return {user.text: user.get("affiliation", "") for user in users}


class Visits:
    """What one device does in its rooms, and what it has of them."""

    def __init__(
        self,
        name: str,
        *,
        syncs: bool,
        send: Callable[[str], None],
        complain: Callable[[str], None],
        seen: Callable[[str, str, etree._Element], None],
    ) -> None:
        self.doors = {room: people[name] for room, people in ROOMS.items() if name in people}
        self.arrived: dict[str, dict[str, str]] = {room: {} for room in self.doors}
        """Message ids by archive id, of each room."""
        self.repeats = 0
        self.syncs = 0
        """How often it has come back by sync."""
        self._name = name
        self._is_syncing = syncs
        self._send = send
        self._complain = complain
        self._seen = seen
        self._outside: set[str] = set()
        self._is_arriving = False
        """Sync is to tell what was missed in all rooms."""
        self._held: dict[str, list[etree._Element]] = {}
        """What arrived in the rooms that are being caught up with."""
        self._entering: set[str] = set()
        self._refused: set[str] = set()
        """Rooms that answered with an error. The session outlasts that where it is resumed."""
        self._after: dict[str, str] = {}
        self._again: set[str] = set()
        self._live: dict[str, str] = {}
        """What came live in this session, by archive id as it was written."""
        self._changes: set[str] = set()
        self._made = 0
        self._cursor = ""
        self._page: list[etree._Element] = []
        self._gaps: set[str] = set()
        """Rooms of which sync has not told everything. It does so once, so this outlasts sessions."""

    @property
    def is_settled(self) -> bool:
        """Tell whether it has caught up with every room that it is in, and every request is answered."""
        return not self._held and not self._changes

    @property
    def pending(self) -> str:
        """Say what it waits for, for the text of a failure."""
        waiting = {
            "entering": self._entering,
            "catching up": self._held,
            "changes": self._changes,
            "outside": self._outside,
            "after": self._after,
        }
        return ", ".join(f"{what} {sorted(each)}" for what, each in waiting.items() if each) or "nothing"

    @property
    def inside(self) -> list[str]:
        """The rooms in which it can speak, as far as it knows."""
        return [room for room in self.doors if room not in self._outside]

    # -- coming and going

    def begin(self) -> None:
        """Enter every room in a session that has just begun, and ask what has been missed."""
        pending = (self._live, self._held, self._entering, self._refused, self._changes, self._again)
        for each in pending:
            each.clear()
        self._is_arriving = self._is_syncing
        for room, door in self.doors.items():
            self._held[room] = []
            if door is Door.MUC:
                self._enter(room)
            elif not self._is_arriving:
                self._ask(room)

    def go_on(self) -> None:
        """Ask again, in a session that is resumed, what was refused; nobody else would."""
        refused = sorted(self._refused)
        self._refused.clear()
        for room in refused:
            if room in self._entering:
                self._enter(room)
            else:
                self._ask(room)

    def leave(self, room: str) -> None:
        """Go out of a room: by MUC with this device, by MUC Light for good, until somebody takes one in."""
        self._outside.add(room)
        if self.doors[room] is Door.MUC:
            self._send(f"<presence type='unavailable' to='{room}/{self._name}'/>")
        else:
            self._change(member_request(room, self._name, "none"))

    def take_in(self, room: str, name: str) -> None:
        """Make somebody a member who may have left."""
        self._change(member_request(room, name, "member"))

    def come_back(self) -> None:
        """Enter the rooms of MUC again that were left."""
        for room in [room for room in self._outside if self.doors[room] is Door.MUC]:
            self._outside.discard(room)
            self._held[room] = []
            self._enter(room)

    def _enter(self, room: str) -> None:
        self._entering.add(room)
        self._outside.discard(room)
        history = "<history maxstanzas='0'/>"
        self._send(f"<presence to='{room}/{self._name}'><x xmlns='{MUC}'>{history}</x></presence>")

    def _change(self, request: str) -> None:
        self._made += 1
        id_ = f"change-{self._made}"
        self._changes.add(id_)
        self._send(f"<iq type='set' id='{id_}' {request}")

    # -- catching up

    def _ask(self, room: str, after: str = "") -> None:
        """Ask the room for what was said after what the device has."""
        last = after or next(reversed(self.arrived[room]), "")
        self._after[room] = last
        page = f"<after>{last}</after>" if last else ""
        self._send(
            f"<iq type='set' id='room/{room}' to='{address_of(room, self.doors[room])}'>"
            f"<query xmlns='{MAM}' queryid='room'><set xmlns='{RSM}'><max>100</max>{page}</set></query></iq>"
        )

    def _sync(self) -> None:
        since = f" since='{self._cursor}'" if self._cursor else ""
        self._page = []
        self._send(f"<iq type='get' id='sync'><sync xmlns='{SYNC}' max='250'{since}/></iq>")

    def _take_page(self, fin: etree._Element) -> None:
        """Apply a page of sync; rooms that it does not tell everything of are asked themselves."""
        is_first = not self._cursor or fin.get("reset") == "true"
        if is_first:
            self._gaps |= self.doors.keys()
        for item in self._page:
            room, kind = room_at(item.get("archive", "")), etree.QName(item).localname
            if kind == "gap":
                self._gaps.add(room)
            elif kind == "entry" and room and room not in self._gaps:
                said = item.find(f".//{{{CLIENT}}}message")
                if said is not None:
                    self._note(room, item.get("id"), said)
        self._cursor = fin.get("cursor")
        if fin.get("complete") != "true":
            self._sync()
            return
        self._is_arriving = False
        self.syncs += not is_first
        for room in self.doors:
            if room in self._gaps:
                self._ask(room)
            else:
                self._caught_up(room)

    def _caught_up(self, room: str) -> None:
        """Take what has waited, unless the device was taken in while it asked."""
        if room in self._again:
            self._again.discard(room)
            self._ask(room)
            return
        self._gaps.discard(room)
        for message in self._held.pop(room, []):
            self._take_said(room, message)

    # -- what arrives

    def take(self, element: etree._Element) -> bool:
        """Take what is about rooms; false for everything else."""
        match etree.QName(element).localname:
            case "presence":
                return self._take_presence(element)
            case "message":
                return self._take_message(element)
            case "iq":
                return self._take_answer(element)
        return False

    def _take_presence(self, presence: etree._Element) -> bool:
        room = room_at(presence.get("from", ""))
        if not room:
            return False
        if presence.get("type") == "error":
            self._refused.add(room)
            raise ConnectionError(f"not let in: {etree.tostring(presence, encoding='unicode')}")
        codes = {status.get("code") for status in presence.iter(STATUS)}
        if presence.get("type") is None and "110" in codes and room in self._entering:
            self._entering.discard(room)
            if not self._is_arriving:
                self._ask(room)
            elif not self._entering:
                self._sync()
        return True

    def _take_message(self, message: etree._Element) -> bool:
        if message[:] and etree.QName(message[0]).namespace == SYNC:
            self._page.append(message[0])
            return True
        room = room_at(message.get("from", ""))
        if not room or message.get("type") == "error":
            return False
        result = message.find(f"{{{MAM}}}result")
        if result is not None:
            self._after[room] = result.get("id")
            said = result.find(f".//{{{CLIENT}}}message")
            assert said is not None
            self._note(room, result.get("id"), said)
            return True
        affiliation = changed_members(message).get(own_bare(self._name))
        if affiliation is not None:
            self._take_affiliation(room, affiliation)
        elif self._live_id(message):
            if room in self._held:
                self._held[room].append(message)
            else:
                self._take_said(room, message)
        return True

    def _take_affiliation(self, room: str, affiliation: str) -> None:
        if affiliation == "none":
            self._outside.add(room)
        elif room in self._held:
            self._again.add(room)
        elif room in self._outside:
            self._held[room] = []
            self._ask(room)

    def _take_said(self, room: str, message: etree._Element) -> None:
        id_, text = self._live_id(message), etree.tostring(message, encoding="unicode")
        if id_ in self._live:
            self._complain(f"got {id_} of {room} twice in one session: {self._live[id_]} and {text}")
        self._live[id_] = text
        self._note(room, id_, message)

    def _live_id(self, message: etree._Element) -> str:
        """Give the archive id that the room has put on; empty where there is none."""
        by = message.get("from", "").partition("/")[0]
        ids = [each.get("id") for each in message.findall(STANZA_ID) if each.get("by") == by]
        if len(ids) > 1:
            self._complain(f"{len(ids)} archive ids of {by} in a message")
        return ids[0] if ids else ""

    def _note(self, room: str, archive_id: str, message: etree._Element) -> None:
        id_ = message.get("id", "")
        if not message.findtext(BODY):
            return  # a marker, or what the room says of itself
        known = self.arrived[room].get(archive_id)
        if known is not None:
            self.repeats += 1
            if known != id_:
                self._complain(f"{archive_id} of {room} is {known} and {id_}")
            return
        self.arrived[room][archive_id] = id_
        self._seen(room, archive_id, message)

    def _take_answer(self, iq: etree._Element) -> bool:
        id_ = iq.get("id", "")
        if iq.get("type") not in {"result", "error"}:
            return False
        if id_ in self._changes:
            self._changes.discard(id_)  # refused or not: what came of it is in the archive
            return True
        if id_ == "sync":
            fin = iq.find(f"{{{SYNC}}}sync")
            if fin is None:
                raise ConnectionError(f"no sync: {etree.tostring(iq, encoding='unicode')}")
            self._take_page(fin)
            return True
        _, is_ours, room = id_.partition("room/")
        if is_ours:
            self._take_fin(room, iq)
        return bool(is_ours)

    def _take_fin(self, room: str, iq: etree._Element) -> None:
        fin = iq.find(f"{{{MAM}}}fin")
        if fin is None:
            conditions = {etree.QName(each).localname for each in iq.iterfind(f"{{{CLIENT}}}error/*")}
            if not (conditions & _NO_ENTRY and (self._name, room) == (LEAVER, LANE)):
                self._refused.add(room)
                raise ConnectionError(f"no archive: {etree.tostring(iq, encoding='unicode')}")
            self._outside.add(room)
            self._caught_up(room)
        elif fin.get("complete") != "true":
            self._ask(room, self._after[room])
        else:
            self._outside.discard(room)
            self._caught_up(room)
