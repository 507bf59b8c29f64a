"""People with several devices, who write to each other, read, and lose their connections; and their audit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.archive import ArchiveReader, Entry
from tests.faults.book import Book
from tests.faults.device import Device, Kind, cancelled
from tests.faults.founding import found_rooms
from tests.faults.invariants import (
    check_archive,
    check_device,
    check_order,
    check_presence,
    check_room_of,
    said_in,
    unread_in_room,
    unread_of,
)
from tests.faults.rooms import LANE, LEAVER, OWNER, ROOMS, Door
from tests.faults.stream import own_bare, password_of
from tests.harness.server_process import ServerProcess

DEVICES = {
    "anna": (Kind.RESUMES, Kind.COUNTS, Kind.PLAIN),
    "ben": (Kind.RESUMES, Kind.PULLS),
    "cleo": (Kind.COUNTS, Kind.PULLS, Kind.RESUMES),
    "dora": (Kind.COUNTS, Kind.PLAIN),
}
"""Every account with the kinds of its devices."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a device writes."""

    window: int = 8
    """How many of its messages may have no answer."""
    mean_pause: float = 0.008
    """Seconds between two messages, about."""


SETTLE_SECONDS = 60.0
"""How long it may take until everything is sent, acknowledged and delivered."""


class UnsettledError(AssertionError):
    """Something is still under way after a long time."""


class Population:
    """The devices of all accounts, and what the server must have of them."""

    def __init__(self, server: ServerProcess, chance: random.Random, pace: Pace = Pace()) -> None:
        self.book = Book()
        self.archives: dict[str, list[Entry]] = {own_bare(name): [] for name in DEVICES}
        self.archives |= {room: [] for room in ROOMS}
        self.audits = 0
        self._told = 0
        """Violations with which the stories of all devices were told."""
        self._server = server
        self._chance = chance
        self._pace = pace
        self._pressing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.devices = [
            Device(name, f"device{number}", kind, self.book, random.Random(chance.random()))
            for name, kinds in DEVICES.items()
            for number, kind in enumerate(kinds)
        ]

    async def arrive(self) -> None:
        """Make the accounts and connect every device, so that the server knows them."""
        for name in DEVICES:
            await asyncio.to_thread(self._server.register, name, password_of(name))
        await found_rooms(self._server.tcp_port)
        for device in self.devices:
            device.port = self._server.tcp_port
            self._tasks.append(asyncio.create_task(device.run()))
            if device.kind is not Kind.PLAIN:
                self._tasks.append(asyncio.create_task(self._write(device)))
        await self._until(lambda: all(device.is_settled for device in self.devices), "devices to log in")

    async def leave(self) -> None:
        """End every device."""
        for device in self.devices:
            device.end()
        for task in self._tasks:
            await cancelled(task)

    def press(self) -> None:
        """Let everybody write."""
        self._pressing.set()

    async def settle(self) -> None:
        """Let nobody begin anything new, and wait until everything that was sent is acknowledged."""
        self._pressing.clear()

        def is_settled() -> bool:
            for device in self.devices:
                if device.is_ready:
                    device.rooms.come_back()
                device.send_refused_again()
                device.ask()
            return all(device.is_settled for device in self.devices)

        await self._until(is_settled, "acknowledgements")

    async def audit(self) -> None:
        """Compare everything with what the server has; `Book.violations` tells what is wrong."""
        self.audits += 1
        before = self._told
        await self._read_rooms()
        for name in DEVICES:
            await self._audit_account(name)
        check_presence(self.archives, self.book)
        for device in self.devices:
            await self._until_it_has_all(device)
            check_device(device, self.archives[device.bare], self.book)
            for room in device.rooms.doors:
                check_room_of(device, room, self.archives[room], self.book)
        if len(self.book.violations) > before:
            for device in self.devices:
                story = "; ".join(device.story)
                self.book.complain(f"(the story of {device.name}/{device.resource}: {story})")
            self._told = len(self.book.violations)

    async def audit_from_the_start(self) -> None:
        """Read every archive once more from its first entry: nothing that was read has changed."""
        for bare, entries in (await read_archives(self._server.tcp_port)).items():
            if entries != self.archives[bare]:
                self.book.complain(f"{bare}: the archive is not what it was")

    async def _read_rooms(self) -> None:
        reader = await ArchiveReader.open(self._server.tcp_port, OWNER)
        try:
            for room in ROOMS:
                archive = self.archives[room]
                archive += await reader.after(archive[-1].archive_id if archive else "", room)
                check_archive(room, archive, self.book)
                check_order(room, archive, self.book)
        finally:
            reader.abort()

    async def _audit_account(self, name: str) -> None:
        bare, port = own_bare(name), self._server.tcp_port
        reader = await ArchiveReader.open(port, name)
        try:
            archive = self.archives[bare]
            archive += await reader.after(archive[-1].archive_id if archive else "")
            unread = await reader.unread()
        finally:
            reader.abort()
        check_archive(bare, archive, self.book)
        check_order(bare, archive, self.book)
        expected = unread_of(bare, archive)
        for room, people in ROOMS.items():
            count = unread_in_room(bare, room, self.archives[room]) if name in people else None
            if count is not None and said_in(self.archives[room]):
                expected[room] = count
        if unread != expected:
            self.book.complain(f"{bare}: unread {unread} instead of {expected}")

    async def _until_it_has_all(self, device: Device) -> None:
        """Wait for deliveries under way; one that never comes is the audit's to find."""
        expected = {entry.archive_id for entry in self.archives[device.bare] if entry.sender != device.bare}
        rooms = {room: said_in(self.archives[room]).keys() for room in device.rooms.inside}
        for _ in self._moments(40.0):
            arrived = device.rooms.arrived
            if expected <= device.arrived.keys() and all(
                said <= arrived[room].keys() for room, said in rooms.items()
            ):
                return
            await asyncio.sleep(0.02)

    async def _write(self, device: Device) -> None:
        """Write now and then, mostly messages, sometimes markers, and lose the connection at times."""
        others = [own_bare(name) for name in DEVICES if name != device.name]
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / self._pace.mean_pause))
            await self._pressing.wait()
            if not device.is_ready:
                continue
            device.send_refused_again()
            if device.under_way >= self._pace.window:
                device.ask()
                continue
            event = self._chance.random()
            if event < 0.01:
                device.drop()
            elif event < 0.03:
                self._come_or_go(device)
            elif event < 0.2 and (unread := self._to_be_marked(device)):
                device.say(*self._chance.choice(unread))
            else:
                rooms = device.rooms.inside
                device.say(self._chance.choice(rooms if rooms and self._chance.random() < 0.4 else others))

    def _come_or_go(self, device: Device) -> None:
        """Leave a room or enter it again, by MUC with one device, by MUC Light with everything."""
        rooms = device.rooms
        if device.name == OWNER:
            rooms.take_in(LANE, LEAVER)
        elif device.name == LEAVER and LANE in rooms.inside:
            rooms.leave(LANE)
        elif away := [
            room for room, door in rooms.doors.items() if door is Door.MUC and room in rooms.inside
        ]:
            rooms.leave(self._chance.choice(away))
        else:
            rooms.come_back()

    @staticmethod
    def _to_be_marked(device: Device) -> list[tuple[str, str]]:
        return [each for each in device.unread if each[0] not in ROOMS or each[0] in device.rooms.inside]

    async def _until(self, condition, what: str) -> None:
        for _ in self._moments(SETTLE_SECONDS):
            for task in self._tasks:
                if task.done():
                    task.result()
                    raise UnsettledError("a device has ended")
            if condition():
                return
            await asyncio.sleep(0.03)
        waiting = [
            f"{device.name}/{device.resource} ({device.kind.name}): ready {device.is_ready}, "
            f"{device.under_way} under way, logged in {device.logins} times, "
            f"waits in rooms for {device.rooms.pending}; {'; '.join(device.story)}"
            for device in self.devices
            if not device.is_settled
        ]
        raise UnsettledError(
            f"waited {SETTLE_SECONDS:.0f} s in vain for {what}\n"
            + "\n".join(waiting)
            + self._server.log_tail()
        )

    @staticmethod
    def _moments(seconds: float) -> Iterator[None]:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            yield


async def read_archives(port: int) -> dict[str, list[Entry]]:
    """Read the archives of all accounts and rooms of a server from their first entries."""
    found: dict[str, list[Entry]] = {}
    for name in DEVICES:
        reader = await ArchiveReader.open(port, name)
        found[own_bare(name)] = await reader.after("")
        if name == OWNER:
            found |= {room: await reader.after("", room) for room in ROOMS}
        await reader.close()
    return found
