"""What comes on many connections at once is read by slices of time: all of it, in order, each before its end.

The clock of these tests moves whenever it is looked at, so that each step uses up the time of its turn.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from pathlib import Path

from tests.harness.clock import VirtualClock
from tests.streams.stand import AUTH, HEADER, STARTTLS, Raw, plain, standing, until
from tidings.gateways.arrivals import Arrivals
from tidings.kernel.time_slice import SLICE_SECONDS, TimeSlice

LONG = 1.01 * SLICE_SECONDS
COUNT = 12


class Noting:
    """A reader that notes what it is told."""

    def __init__(self, told: list[tuple[int, str]], number: int) -> None:
        self._told = told
        self._number = number

    def _note(self, what: str) -> None:
        self._told.append((self._number, what))

    def read(self, data: bytes) -> None:
        self._note(data.decode())

    def stop_reading(self) -> None:
        self._note("stop")

    def go_on_reading(self) -> None:
        self._note("go on")

    def let_go(self) -> None:
        self._note("gone")


async def test_one_is_read_in_a_turn_where_each_takes_long() -> None:
    clock, told = VirtualClock(), []
    clock.per_look = LONG
    line = TimeSlice(clock.monotonic)
    for number in range(COUNT):
        Arrivals(Noting(told, number), line).came(b"x")
    beats = []
    while (read := sum(what == "x" for _, what in told)) < COUNT:
        beats.append(read)
        await asyncio.sleep(0)
    assert max(after - before for before, after in itertools.pairwise(beats)) == 1
    assert [number for number, what in told if what == "x"] == list(range(COUNT))


async def test_a_socket_is_not_read_while_something_of_it_waits() -> None:
    clock, told = VirtualClock(), []
    clock.per_look = LONG
    line = TimeSlice(clock.monotonic)
    line.do(lambda: None)
    arrivals = Arrivals(Noting(told, 0), line)
    arrivals.came(b"first ")
    arrivals.pause()  # somebody else wants that, too
    arrivals.came(b"second")
    arrivals.gone()
    assert told == [(0, "stop"), (0, "stop")]
    await until(lambda: (0, "gone") in told)
    assert told[2:] == [(0, "first second"), (0, "gone")]


async def test_all_who_speak_and_close_at_once_are_heard() -> None:
    async with standing() as stand:
        receiver = await stand.log_in("rosa@localhost/x")
        receiver.push("<presence/>")
        senders = [await stand.log_in(f"user{number}@localhost/x") for number in range(COUNT)]
        stand.clock.per_look = LONG
        for sender in senders:
            for number in range(3):
                sender.push(f"<message to='rosa@localhost' id='{number}'><body>hello</body></message>")
            sender.writer.close()
        heard = ""
        while heard.count("</message>") < 3 * COUNT:
            heard += await receiver.hear("</message>")
        found = re.findall(r'<message from="(user\d+)[^>]* id="(\d)"', heard)
        assert sorted(found) == sorted((f"user{n}", str(each)) for n in range(COUNT) for each in range(3))
        for number in range(COUNT):
            assert [each for name, each in found if name == f"user{number}"] == ["0", "1", "2"]
        await until(lambda: stand.server.session_count == 1)


async def test_many_encrypt_and_log_in_at_once(tmp_path: Path) -> None:
    async with standing(directory=tmp_path) as stand:
        await stand.register("rosa@localhost")
        clients = [await stand.connect() for _ in range(COUNT)]
        stand.clock.per_look = LONG

        async def log_in(client: Raw) -> None:
            await client.say(HEADER, until="</stream:features>")
            await client.say(STARTTLS, until="<proceed")
            await client.hear("/>")
            await client.start_tls(stand.trusting())
            await client.say(HEADER, until="</stream:features>")
            await client.say(AUTH.format(plain("rosa")), until="<success")

        await asyncio.gather(*map(log_in, clients))
