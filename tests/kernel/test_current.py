"""Options that features read each time: a reload puts others in their place, and only those."""

from __future__ import annotations

import inspect
import re

import msgspec
import pytest

from tests.harness.world import World
from tidings.app.compose import FEATURES
from tidings.kernel.current import Current
from tidings.kernel.feature import Feature
from tidings.kernel.loader import live_options, use_options

READ = re.compile(r"\boptions\.now\b(?:\.(\w+))?")


class GreetingOptions(msgspec.Struct, frozen=True, kw_only=True):
    greeting: str = "hello"
    name: str = "nobody"


class Greeting(Feature):
    """Reads one option each time, and has kept another."""

    Options = GreetingOptions
    option_name = "greeting"
    fixed_options = ("name",)

    def __init__(self, options: Current[GreetingOptions]) -> None:
        self._options = options
        self._name = options.now.name

    def greet(self) -> str:
        return f"{self._options.now.greeting}, {self._name} or {self._options.now.name}"


class Plain(Feature):
    """Asks for its options themselves."""

    Options = GreetingOptions
    option_name = "plain"

    def __init__(self, options: GreetingOptions) -> None:
        self.options = options


def test_who_asks_for_options_themselves_needs_a_restart_for_all_of_them() -> None:
    assert live_options([Greeting, Plain]) == {"greeting": {"greeting"}, "plain": set()}


async def test_a_feature_finds_the_new_options_and_keeps_those_it_was_built_from() -> None:
    world = await World.start(features=(*FEATURES, Greeting, Plain))
    host = world.server.hosts["localhost"]
    greeting, plain = host.feature(Greeting), host.feature(Plain)
    assert greeting is not None and plain is not None  # noqa: PT018  # for the types
    assert greeting.greet() == "hello, nobody or nobody"
    new = GreetingOptions(greeting="good day", name="alice")
    use_options(host, {"greeting": new, "plain": new})
    assert greeting.greet() == "good day, nobody or nobody"
    assert plain.options == GreetingOptions()
    await world.stop()


@pytest.mark.parametrize("feature", [each for each in FEATURES if each.Options is not None])
def test_what_a_feature_reads_when_it_is_made_is_declared(feature: type[Feature]) -> None:
    """An option that is read there and not declared would be told as taken over, and have no effect."""
    read = READ.findall(inspect.getsource(feature.__init__))
    assert set(read) <= set(feature.fixed_options)
    assert feature.Options is not None
    assert set(feature.fixed_options) <= set(feature.Options.__struct_fields__)
