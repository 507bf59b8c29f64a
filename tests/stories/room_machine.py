"""What may happen in rooms, to who is in them, and to the server, as the rules of a state machine.

One room is open to everybody by MUC; the other one is of MUC Light. Alice owns both.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.harness.world import World
from tests.stories.room_device import RoomDevice, Tab, position_of
from tests.stories.room_model import Room
from tests.stories.story_machine import StoryMachine, devices
from tidings.app.rooms import MUC_LIGHT, ROOMS
from tidings.base.jid import Jid
from tidings.features.rooms.entrance import EntranceOptions
from tidings.features.rooms.limit_options import RoomLimitsOptions
from tidings.ports.ledger.reading import InboxQuery
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveFin, ArchiveQuery, ArchiveResult
from tidings.wire.xmpp.payloads.result_set import PageRequest

ALICE, BOB, CAROL, DAVE = PEOPLE = [f"{name}@localhost" for name in ("alice", "bob", "carol", "dave")]
DEVICES = [f"{ALICE}/phone", f"{BOB}/phone", f"{BOB}/desk", f"{CAROL}/phone", f"{CAROL}/web", f"{DAVE}/phone"]
OPEN, LIGHT = "open@conference.localhost", "light@muclight.localhost"
rooms = st.sampled_from([OPEN, LIGHT])
others = st.sampled_from([BOB, CAROL, DAVE])


class RoomMachine(StoryMachine):
    """Six devices of four people, and two rooms."""

    speeches = st.tuples(rooms, st.integers(1, 3))

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.ids: dict[str, dict[int, str]] = defaultdict(dict)
        self.rooms = {
            OPEN: Room(OPEN, is_light=False, affiliations={ALICE: "owner"}),
            LIGHT: Room(LIGHT, is_light=True, affiliations={ALICE: "owner", BOB: "member"}),
        }
        self.do(self._start())

    async def _start(self) -> None:
        self.world = await World.start(
            ["localhost"],
            stores=await self.open(),
            clock=self.clock,
            services=(ROOMS, MUC_LIGHT),
            options={
                "muc": msgspec.convert({"locks_new": False}, EntranceOptions),
                "room_limits": RoomLimitsOptions(
                    messages_per_second=0, joins_per_minute=0, presences_per_minute=0, rooms_per_hour=0
                ),
            },
        )
        self.devices = [RoomDevice(self.world, each, self.rooms, self.ids) for each in DEVICES]
        self.tabs = {person: Tab(self.world, person, self.rooms) for person in PEOPLE}
        for device in self.devices:
            await device.come()
        owner = self.devices[0]
        await self._enter(owner)
        users = f"<occupants><user affiliation='member'>{BOB}</user></occupants>"
        made = await owner.ask(
            f"<iq type='set' id='c' to='{LIGHT}'><query xmlns='{ns.MUC_LIGHT_CREATE}'>{users}</query></iq>"
        )
        assert made.get("type") == "result"
        for room, members in ((self.rooms[OPEN], [ALICE]), (self.rooms[LIGHT], [ALICE, BOB])):
            room.entries.clear()
            room.tell()  # that it was made
            room.joined = dict.fromkeys(members, 1)
            room.read = dict.fromkeys(members, 1)
        self._look()

    # --- speaking and reading

    @rule(number=devices, address=rooms, amount=st.integers(1, 3))
    def say(self, number: int, address: str, amount: int) -> None:
        self.do(self._say(self.devices[number], self.rooms[address], amount))

    async def _speak(self, sender: RoomDevice, listener: RoomDevice, speech: tuple[str, int]) -> None:
        address, amount = speech
        await self._say(sender, self.rooms[address], amount)

    async def _say(self, device: RoomDevice, room: Room, amount: int) -> None:
        await device.come()
        self._look()
        for _ in range(amount):
            id_, may_speak = f"m{next(self.numbers)}", room.may_speak(device.address, device.person)
            if may_speak:
                self._expect(room, room.say(device.person, id_))
            await device.send(
                f"<message to='{room.address}' type='groupchat' id='{id_}'><body>{id_}</body></message>"
            )
            self._look()
            assert device.errors == ([] if may_speak else [id_])

    def _expect(self, room: Room, position: int) -> None:
        """Whoever is in the room gets it, with or without a connection; nobody else does."""
        for device in self.devices:
            if device.person in room.joined if room.is_light else device.address in room.inside:
                device.expect(room, position)

    @rule(number=devices, other=devices, address=rooms, index=st.integers(0, 4))
    def be_told_and_read(self, number: int, other: int, address: str, index: int) -> None:
        """Mark one of the last messages as displayed, after somebody has said some more."""
        device, room = self.devices[number], self.rooms[address]

        async def work() -> None:
            await device.come()
            await self._say(self.devices[other], room, 2)
            known = [position for position in self.ids[address] if room.entries[position - 1].is_news]
            if known and room.may_speak(device.address, device.person):
                await self._mark(device, room, sorted(known)[-1 - index % len(known)])

        self.do(work())

    async def _mark(self, device: RoomDevice, room: Room, position: int) -> None:
        id_ = f"d{next(self.numbers)}"
        self._expect(room, room.mark(device.person, id_, position))
        marker = f"<displayed xmlns='urn:xmpp:chat-markers:0' id='{self.ids[room.address][position]}'/>"
        await device.send(f"<message to='{room.address}' type='groupchat' id='{id_}'>{marker}</message>")
        self._look()
        assert device.errors == []

    # --- by MUC

    @rule()
    def gather(self) -> None:
        """Let everybody be there who may."""

        async def work() -> None:
            for device in self.devices:
                await self._enter(device)

        self.do(work())
        self._look()

    @rule(number=devices)
    def enter(self, number: int) -> None:
        self.do(self._enter(self.devices[number]))
        self._look()

    async def _enter(self, device: RoomDevice) -> None:
        await device.come()
        may_enter = self.rooms[OPEN].enter(device.address, device.person)
        assert device.client is not None
        device.client.take("presence")
        about = f"<x xmlns='{ns.MUC}'><history maxstanzas='0'/></x>"
        await device.send(f"<presence to='{OPEN}/{device.nick}'>{about}</presence>")
        refused = [each for each in device.client.take("presence") if each.get("type") == "error"]
        assert bool(refused) != may_enter

    @rule(number=devices)
    def leave(self, number: int) -> None:
        device = self.devices[number]
        if device.is_connected:
            self.rooms[OPEN].leave(device.address)
            self.do(device.send(f"<presence type='unavailable' to='{OPEN}/{device.nick}'/>"))
            self._look()

    async def _moderate(self, item: str) -> bool:
        """Let the owner change what somebody is in the open room; tells whether that was done."""
        owner = self.devices[0]
        await self._enter(owner)
        answer = await owner.ask(
            f"<iq type='set' id='a' to='{OPEN}'><query xmlns='{ns.MUC_ADMIN}'>{item}</query></iq>"
        )
        return answer.get("type") == "result"

    @rule(person=others, affiliation=st.sampled_from(["member", "member", "none", "outcast"]))
    def affiliate(self, person: str, affiliation: str) -> None:
        """Make somebody a member, take that back, or ban."""

        async def work() -> None:
            assert await self._moderate(f"<item jid='{person}' affiliation='{affiliation}'/>")
            self.rooms[OPEN].affiliate(person, affiliation)
            await self._speak_of_it(person)

        self.do(work())

    @rule(person=others, role=st.sampled_from(["none", "visitor", "participant"]))
    def give_a_role(self, person: str, role: str) -> None:
        """Kick somebody, take the voice, or give it."""

        async def work() -> None:
            room, nick = self.rooms[OPEN], person.partition("@")[0]
            is_there = person in room.inside.values()
            assert await self._moderate(f"<item nick='{nick}' role='{role}'/>") == is_there
            if not is_there:
                return
            match role:
                case "none":
                    room.put_out(person)
                case "visitor":
                    room.silent.add(person)
                case _:
                    room.silent.discard(person)
            await self._speak_of_it(person)

        self.do(work())

    async def _speak_of_it(self, person: str) -> None:
        """Let the owner say something, and who is something else now try to."""
        self._look()
        for device in (self.devices[0], *self.devices):
            if device.person in {ALICE, person} and device.is_connected:
                await self._say(device, self.rooms[OPEN], 1)

    # --- by MUC Light

    @rule(person=others, what=st.sampled_from(["member", "member", "none", "read-only"]))
    def change_a_member(self, person: str, what: str) -> None:
        """Take somebody in, put out, or let only read."""
        is_read_only = what == "read-only"
        affiliation = "member" if is_read_only else what
        role = " role='read-only'" if is_read_only else ""
        self.do(self._change(self.devices[0], person, affiliation, role, is_read_only=is_read_only))

    @rule(number=st.integers(1, len(DEVICES) - 1))
    def leave_for_good(self, number: int) -> None:
        device = self.devices[number]
        self.do(self._change(device, device.person, "none", ""))

    async def _change(
        self, device: RoomDevice, person: str, affiliation: str, role: str, *, is_read_only: bool = False
    ) -> None:
        await device.come()
        self._look()
        user = f"<user affiliation='{affiliation}'{role}>{person}</user>"
        query = f"<query xmlns='{ns.MUC_LIGHT_AFFILIATIONS}'>{user}</query>"
        answer = await device.ask(f"<iq type='set' id='l' to='{LIGHT}'>{query}</iq>")
        has_changed = self.rooms[LIGHT].change(person, affiliation, is_read_only=is_read_only)
        assert (answer.get("type") == "result") == has_changed
        self._look()

    # --- connections

    @rule(number=devices)
    def log_off(self, number: int) -> None:
        device = self.devices[number]
        if device.is_connected:
            self.do(device.log_off())
            self._gone(device)

    @rule(seconds=st.sampled_from([30, 90, 600]))
    def wait(self, seconds: int) -> None:
        """Everybody loses the connection, and nobody waits for ever for who has."""

        async def work() -> None:
            for device in self.devices:
                await device.lose()
            await self.world.advance(seconds)

        self.do(work())
        for device in self.devices:
            if seconds > 300:
                assert not device.has_session
            if not device.has_session:
                self._gone(device)

    def _gone(self, device: RoomDevice) -> None:
        device.forget()
        self.rooms[OPEN].leave(device.address)

    @rule(is_meant=st.sampled_from([False, False, True]))
    def crash(self, is_meant: bool) -> None:
        """Kill the server; another one goes on with what is stored, and nobody is in the room."""

        async def work() -> None:
            if not is_meant:
                return  # not as often as other things
            for device in self.devices:
                self._gone(device)
                device.client = None
            await self.world.restart(await self.open())

        self.do(work())

    # --- comparing

    @rule(person=st.sampled_from(PEOPLE))
    def compare(self, person: str) -> None:
        """Sync, and look at everything that is kept."""
        self.do(self.tabs[person].sync())
        self.do(self._compare())

    async def _compare(self) -> None:
        for room in self.rooms.values():
            own = Jid(room.address.replace("muclight", "conference"))
            assert (await self.ledger.head(own)).position == room.head
            members = {
                str(each.member): (each.affiliation, each.joined is not None)
                for each in await self.ledger.members(own, None, 100)
            }
            assert members == {
                person: ("read-only" if person in room.read_only else affiliation, person in room.joined)
                for person, affiliation in room.affiliations.items()
            }
        for person in PEOPLE:
            rows = {
                str(row.peer): row.unread for row in (await self.ledger.inbox(Jid(person), InboxQuery())).rows
            }
            for room in self.rooms.values():
                own = room.address.replace("muclight", "conference")
                assert rows.get(own, 0) == (room.unread(person) or 0), (person, room.address)
                assert room.unread(person) is not None or own not in rows, (person, room.address)
                await self._compare_archive(person, room)

    async def _compare_archive(self, person: str, room: Room) -> None:
        """Read the room's archive as somebody: all of it that is said, or nothing."""
        client = await self.world.login(f"{person}/reader")
        query = ArchiveQuery(page=PageRequest(maximum=100, before="")).encode().to_bytes(ns.CLIENT).decode()
        answer = await client.request(f"<iq type='set' id='q' to='{room.address}'>{query}</iq>")
        assert (answer.get("type") == "result") == room.may_read(person), (person, room.address)
        found = []
        for message in client.take("message"):
            result = ArchiveResult.decode(message.children[0])
            stanza = result.forwarded.stanza()
            assert stanza is not None
            position = position_of(result.id)
            if room.entries[position - 1].sender:
                found.append((position, stanza.id))
        if room.may_read(person):
            assert ArchiveFin.decode(answer.children[0]).is_complete or room.head > 100
            said = [(n, each.id) for n, each in enumerate(room.entries, 1) if each.sender]
            assert found == said[-len(found) :] if room.head > 100 else found == said
        await client.leave()

    async def _compare_everything(self) -> None:
        for tab in self.tabs.values():
            await tab.sync()
        await self._compare()
