"""Whatever people, connections and the server do: archives, inboxes and devices agree with a plain model.

`MACHINE_EXAMPLES` and `MACHINE_STEPS` in the environment make a long run of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.machine import Machine
from tests.stories.stores import InMemory, OnDisk, run_machine


class MachineInMemory(InMemory, Machine):
    pass


class MachineOnDisk(OnDisk, Machine):
    pass


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("machine", "examples"), [(MachineInMemory, 30), (MachineOnDisk, 6)])
def test_all_agree_with_the_model(machine: type[Machine], examples: int, tmp_path: Path) -> None:
    run_machine(machine, examples, tmp_path)
