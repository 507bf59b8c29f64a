"""Whatever people, connections and the server do: rooms and who is in them agree with a plain model.

`MACHINE_EXAMPLES` and `MACHINE_STEPS` in the environment make a long run of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.room_machine import RoomMachine
from tests.stories.stores import InMemory, OnDisk, run_machine


class RoomMachineInMemory(InMemory, RoomMachine):
    pass


class RoomMachineOnDisk(OnDisk, RoomMachine):
    pass


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("machine", "examples"), [(RoomMachineInMemory, 30), (RoomMachineOnDisk, 6)])
def test_all_agree_with_the_model(machine: type[RoomMachine], examples: int, tmp_path: Path) -> None:
    run_machine(machine, examples, tmp_path)
