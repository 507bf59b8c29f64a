"""What every machine of stories has: a clock, stores that outlive servers, and devices that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.ports.ledger import Ledger
from tidings.ports.stores import Stores

T = TypeVar("T")

devices = st.runner().flatmap(lambda machine: st.integers(0, len(machine.devices) - 1))
speeches = st.runner().flatmap(lambda machine: machine.speeches)


class StoryDevice(Protocol):
    """A client of the story, which knows what it is to be sent."""

    is_connected: bool
    """Whether there is a connection, as far as the client can tell."""

    async def come(self) -> None:
        """Be connected: by the session that waits, with all that was said meanwhile, or by a new one."""
        ...

    def cut(self) -> None:
        """The connection is dead: nothing arrives any more, and the server has not noticed."""
        ...

    async def lose(self) -> None:
        """The server notices that the connection is lost, if there was one."""
        ...

    async def answer(self) -> object:
        """Acknowledge what has come, and answer what the server asks."""
        ...

    def look(self) -> None:
        """Take what has come, and check that nothing of it should not have."""
        ...


class StoryMachine(RuleBasedStateMachine):
    """A server, devices, and a model to compare them with."""

    runner: ClassVar[asyncio.Runner]
    folder: ClassVar[Path]
    speeches: ClassVar[st.SearchStrategy[Any]]
    """What somebody may say, as `_speak` understands it."""

    world: World
    devices: Sequence[StoryDevice]

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = False
        self.clock = VirtualClock()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self.runner.run(work)
        except BaseException:
            self.is_broken = True
            raise

    async def open(self) -> Stores:
        """Open the stores that the last server has left."""
        raise NotImplementedError

    def close(self) -> None:
        """Leave nothing behind."""

    async def _speak(self, sender: Any, listener: Any, speech: Any) -> None:
        """Let a device say something that another one may hear."""
        raise NotImplementedError

    async def _compare_everything(self) -> None:
        """Compare all that there is with the model, in the end."""
        raise NotImplementedError

    def now(self) -> int:
        return round(self.clock.now() * 1_000_000)

    @property
    def ledger(self) -> Ledger:
        ledger: Ledger = self.world.stores.ledger
        return ledger

    def _look(self) -> None:
        for device in self.devices:
            device.look()

    # --- connections

    @rule(number=devices)
    def come(self, number: int) -> None:
        self.do(self.devices[number].come())
        self._look()

    @rule(number=devices, is_noticed=st.booleans())
    def lose(self, number: int, is_noticed: bool) -> None:
        device = self.devices[number]
        if is_noticed:
            self.do(device.lose())
        elif device.is_connected:
            device.cut()

    @rule(
        number=devices, other=devices, speech=speeches, is_noticed=st.booleans(), is_answering=st.booleans()
    )
    def be_lost_for_a_while(
        self, number: int, other: int, speech: Any, is_noticed: bool, is_answering: bool
    ) -> None:
        """Lose the connection, and come back after something was said."""

        async def work() -> None:
            device = self.devices[number]
            await device.come()
            if is_answering:
                await device.answer()
            device.cut()
            if is_noticed:
                await device.lose()
            await self._speak(self.devices[other], device, speech)
            await device.come()

        self.do(work())
        self._look()

    @rule(number=devices)
    def answer(self, number: int) -> None:
        if self.devices[number].is_connected:
            self.do(self.devices[number].answer())

    # --- the end

    async def _finish(self) -> None:
        for device in self.devices:
            await device.come()
        self._look()
        await self._compare_everything()
        assert not self.world.server.telemetry.bugs, self.world.server.telemetry.bugs

    def teardown(self) -> None:
        try:
            if not self.is_broken:
                self.do(self._finish())
        finally:
            self.runner.run(self.world.stop())
            self.close()
