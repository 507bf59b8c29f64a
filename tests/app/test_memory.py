"""How much memory there is, and how much of it may hold what waits for clients."""

from pathlib import Path

from tidings.app import memory
from tidings.kernel.outbound import DEFAULT_OCTETS


def test_the_control_group_may_have_less_than_the_machine(tmp_path: Path) -> None:
    group = tmp_path / "memory.max"
    group.write_text("1048576\n")
    assert memory.available(group) == 1_048_576
    assert memory.outbound_share(group) == 262_144


def test_a_group_without_a_bound_has_the_memory_of_the_machine(tmp_path: Path) -> None:
    group = tmp_path / "memory.max"
    group.write_text("max\n")
    assert memory.available(group) == memory.available(tmp_path / "missing")
    assert 0 < memory.outbound_share(group) <= DEFAULT_OCTETS
