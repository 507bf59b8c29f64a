"""A client in rooms: what it is sent is exactly what the model says, in its order; and one that syncs."""

from __future__ import annotations

from collections import defaultdict

from tests.features.test_sync import ask
from tests.harness.world import World, WorldClient
from tests.stories.room_model import Room
from tidings.ports.ledger.reading import EntryId
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.sync import SyncConversation, SyncEntry, SyncGap


def position_of(id_: str) -> int:
    entry = EntryId.parse(id_)
    assert entry is not None, id_
    return entry.position


class RoomDevice:
    """A device that has a session, with or without a connection, or none."""

    def __init__(
        self, world: World, address: str, rooms: dict[str, Room], ids: dict[str, dict[int, str]]
    ) -> None:
        self.world = world
        self.address = address
        self.person = address.partition("/")[0]
        self.nick = self.person.partition("@")[0]
        self.client: WorldClient | None = None
        self.is_connected = False
        self.errors: list[str] = []
        self._counted = 0
        """How many stanzas it had got when the connection was lost."""
        self._rooms = rooms
        self._ids = ids
        """The archive ids by which the server knows positions of rooms."""
        self._expected: list[tuple[str, int]] = []
        self._got: list[tuple[str, int]] = []

    @property
    def has_session(self) -> bool:
        return self.client is not None and not self.client.session.ended

    async def come(self) -> None:
        """Be connected: by the session that there is, or by a new one."""
        if self.is_connected:
            return
        if self.client is not None and self.has_session:
            found = await self.world.resume(self.client, handled=self._counted)
            assert not isinstance(found, Element), "the session is there"
            self.client, self.is_connected = found, True
            return
        self._expected, self._got = [], []
        self.client = await self.world.login(self.address)
        await self.client.manage()
        await self.client.send("<presence/>")
        self._take_missed_markers()
        self.is_connected = True

    def _take_missed_markers(self) -> None:
        """Of a room by MUC Light it may be sent the last marker of each member that came without it."""
        assert self.client is not None
        told: list[tuple[str, str]] = []
        for message in self.client.take("message"):
            address, _, sender = (message.get("from") or "").partition("/")
            room, stanza_id = self._rooms[address], message.find("stanza-id", ns.STANZA_ID)
            assert message.find("delay", ns.DELAY) is not None
            assert stanza_id is not None
            position = position_of(stanza_id.get("id") or "")
            assert room.is_light
            assert room.joined[self.person] < position == room.last_marker(sender)
            told.append((address, sender))
        assert len(told) == len(set(told)), f"{self.address} was told twice: {told}"

    def cut(self) -> None:
        """The connection is dead: nothing arrives any more, and the server has not noticed."""
        if self.client is not None and self.is_connected:
            self.look()
            self.is_connected, self._counted = False, self.client.counted

    async def lose(self) -> None:
        """The server notices that the connection is lost; the session waits."""
        self.cut()
        if self.client is not None and self.has_session:
            await self.client.lose()

    async def answer(self) -> None:
        """Acknowledge what has come."""
        assert self.client is not None
        self.look()
        await self.send(f"<a xmlns='{ns.SM}' h='{self.client.counted}'/>")

    async def log_off(self) -> None:
        assert self.client is not None
        self.look()
        self.forget()
        await self.client.leave()

    def forget(self) -> None:
        """There is no session any more, and what was under way is nobody's."""
        self.is_connected = False
        self._expected, self._got = [], []

    async def send(self, text: str) -> None:
        assert self.client is not None
        await self.client.send(text)

    async def ask(self, text: str) -> Element:
        assert self.client is not None
        return await self.client.request(text)

    def expect(self, room: Room, position: int) -> None:
        if self.has_session:
            self._expected.append((room.address, position))

    # --- what comes

    def look(self) -> None:
        """Take what has come; it is what was to come, if the device is connected."""
        if self.client is None or not self.is_connected:
            return
        self.errors = []
        for element in self.client.take("message"):
            self._take(element)
        assert self._got == self._expected, f"{self.address} got {self._got}, not {self._expected}"
        self._got, self._expected = [], []

    def _take(self, message: Element) -> None:
        if message.get("type") == "error":
            self.errors.append(message.get("id") or "")
            return
        sender, _, occupant = (message.get("from") or "").partition("/")
        ids = list(message.find_all("stanza-id", ns.STANZA_ID))
        if not ids:
            return  # the subject, and what is told of members
        [stanza_id] = ids
        assert stanza_id.get("by") == sender
        room, position = self._rooms[sender], position_of(stanza_id.get("id") or "")
        said = room.entries[position - 1]
        expected = said.sender if room.is_light else said.sender.partition("@")[0]
        assert (occupant, message.get("id")) == (expected, said.id)
        self._ids[room.address][position] = stanza_id.get("id") or ""
        self._got.append((sender, position))


class Tab:
    """A device that is never there when something is said: it syncs now and then."""

    def __init__(self, world: World, person: str, rooms: dict[str, Room]) -> None:
        self.world = world
        self.person = person
        self._rooms = rooms
        self._cursor = ""
        self._since: dict[str, int] = {}
        self._told: dict[str, set[int]] = defaultdict(set)
        self._unread: dict[str, int] = {}

    async def sync(self) -> None:
        """Take all that there is, and compare."""
        client = await self.world.login(f"{self.person}/tab")
        is_first, is_complete = not self._cursor, False
        while not is_complete:
            items, fin = await ask(client, self._cursor, "max='7'")
            is_complete, self._cursor = fin.is_complete, fin.cursor
            for item in items:
                self._take(item)
        await client.leave()
        if is_first:
            self._since = {address: room.head for address, room in self._rooms.items()}
        for room in self._rooms.values():
            self._compare(room)

    def _take(self, item: object) -> None:
        match item:
            case SyncEntry(archive=archive) if archive is not None:
                address, position = str(archive), position_of(item.id)
                assert position not in self._told[address], f"{self.person} was told {position} twice"
                self._told[address].add(position)
                said, message = self._rooms[address].entries[position - 1], item.forwarded
                stanza = None if message is None else message.stanza()
                assert (stanza.id if stanza is not None and said.sender else "") == said.id
                assert not said.sender or item.is_sent == (said.sender == self.person)
            case SyncGap():
                after = 0 if item.after is None else position_of(item.after)
                self._told[str(item.archive)] |= set(range(after + 1, position_of(item.before)))
            case SyncConversation():
                self._unread[str(item.peer)] = item.unread

    def _compare(self, room: Room) -> None:
        unread = room.unread(self.person)
        if unread is None:
            return
        first = max(self._since[room.address] + 1, room.joined[self.person])
        missing = set(range(first, room.head + 1)) - self._told[room.address]
        assert not missing, f"{self.person} was not told {missing} of {room.address}"
        assert self._unread.get(room.address, 0) == unread, (self.person, room.address)
