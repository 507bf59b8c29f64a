"""What a host knows of its features."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tests.harness.world import World
from tidings.features.archive import Archive
from tidings.features.vcard import VCardTemp
from tidings.kernel.watchers import Watchers


@runtime_checkable
class Juggler(Protocol):
    """Nothing that any feature is."""

    def juggle(self) -> None: ...


async def test_a_feature_is_found_by_its_type_or_by_what_it_can_do(world: World) -> None:
    host = world.server.hosts["localhost"]
    for _ in range(2):  # the second time from memory
        assert isinstance(host.feature(Archive), Archive)
        assert isinstance(host.feature(Watchers), Watchers)  # type: ignore[type-abstract]
        assert host.feature(Juggler) is None  # type: ignore[type-abstract]
    host.features = tuple(feature for feature in host.features if not isinstance(feature, Archive))
    assert host.feature(Archive) is None
    assert isinstance(host.feature(VCardTemp), VCardTemp)
