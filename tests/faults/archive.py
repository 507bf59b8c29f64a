"""Reads what the server has of an account or a room: every entry of its archive, and the unread counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from tests.faults.device import DISPLAYED, position_of
from tests.faults.rooms import MAM, RSM, Door, address_of, changed_members, room_at
from tests.faults.stream import CLIENT, Stream, StreamBrokenError, own_bare

INBOX = "erlang-solutions.com:xmpp:inbox:0"
DELAY = "{urn:xmpp:delay}delay"
_PAGE = 200
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an archive."""

    archive_id: str
    stamp: datetime
    id: str
    sender: str
    """Empty for what a room tells by itself."""
    recipient: str
    target: str
    """The message that it marks as displayed; empty for a message of a person."""
    members: Mapping[str, str] = field(default_factory=dict)
    """Who is what in the room from here on; of what the room itself tells."""

    @property
    def position(self) -> int:
        return position_of(self.archive_id)


class ArchiveReader:
    """A connection of an account that is never available and only asks."""

    def __init__(self, stream: Stream, bare: str) -> None:
        self._stream = stream
        self._bare = bare

    @classmethod
    async def open(cls, port: int, name: str) -> ArchiveReader:
        """Log in."""
        async with asyncio.timeout(_PATIENCE):
            stream = await Stream.log_in(port, name)
            await stream.bind("auditor")
        return cls(stream, f"{name}@localhost")

    async def after(self, archive_id: str, room: str = "") -> list[Entry]:
        """Every entry after this one; all entries for an empty id. A room is read by MUC Light."""
        entries: list[Entry] = []
        to = f" to='{address_of(room, Door.LIGHT)}'" if room else ""
        while True:
            after = f"<after>{archive_id}</after>" if archive_id else ""
            results, iq = await self._ask(
                f"<query xmlns='{MAM}' queryid='audit'>"
                f"<set xmlns='{RSM}'><max>{_PAGE}</max>{after}</set></query>",
                to,
            )
            entries += [_entry(result) for result in results]
            fin = iq.find(f"{{{MAM}}}fin")
            if fin is None:
                raise StreamBrokenError(etree.tostring(iq, encoding="unicode"))
            if fin.get("complete") == "true":
                return entries
            archive_id = entries[-1].archive_id

    async def unread(self) -> dict[str, int]:
        """The unread count of each conversation by peer; rooms are named by their own addresses."""
        results, _ = await self._ask(f"<inbox xmlns='{INBOX}' queryid='audit'/>")
        counts = {}
        for result in results:
            message = _inner(result)
            parties = {message.get(name, "").partition("/")[0] for name in ("from", "to")}
            peer = room_at(message.get("from", ""))
            if not peer:
                (peer,) = parties - {self._bare}
            counts[peer] = int(result.get("unread"))
        return counts

    async def close(self) -> None:
        """Log out."""
        async with asyncio.timeout(_PATIENCE):
            await self._stream.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._stream.abort()

    async def _ask(self, payload: str, to: str = "") -> tuple[list[etree._Element], etree._Element]:
        """Send a request and give the results and the answer."""
        self._stream.send(f"<iq type='set' id='audit'{to}>{payload}</iq>")
        results = []
        async with asyncio.timeout(_PATIENCE):
            while True:
                element = await self._stream.receive()
                if element.tag == f"{{{CLIENT}}}iq" and element.get("id") == "audit":
                    if element.get("type") != "result":
                        raise StreamBrokenError(etree.tostring(element, encoding="unicode"))
                    return results, element
                results += [each for each in element if etree.QName(each).localname == "result"]


def _inner(result: etree._Element) -> etree._Element:
    message = result.find(f".//{{{CLIENT}}}message")
    assert message is not None, etree.tostring(result)
    return message


def _entry(result: etree._Element) -> Entry:
    message = _inner(result)
    delay = result.find(f".//{DELAY}")
    assert delay is not None, etree.tostring(result)
    displayed = message.find(DISPLAYED)
    sender, _, occupant = message.get("from", "").partition("/")
    room = room_at(sender)
    return Entry(
        archive_id=result.get("id", ""),
        stamp=datetime.fromisoformat(delay.get("stamp", "")),
        id=message.get("id", ""),
        sender=_person(occupant) if room else sender,
        recipient=room or message.get("to", "").partition("/")[0],
        target=displayed.get("id", "") if displayed is not None else "",
        members=changed_members(message),
    )


def _person(occupant: str) -> str:
    """Give who stands behind the resource of an address in a room; nobody where the room speaks itself."""
    return occupant if "@" in occupant or not occupant else own_bare(occupant)
