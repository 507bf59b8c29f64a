"""Hooks and the loader: order, bugs in handlers, what is refused at start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.harness.world import World
from tidings.base.errors import BackendError, StanzaError
from tidings.kernel.clock import SystemClock
from tidings.kernel.events import Dropped, MessageAccepted, MessageDelivered, StanzaArriving
from tidings.kernel.feature import Addressee, Feature, handles, handles_nonza, listens, loads
from tidings.kernel.hooks import AmbiguousHooksError, Hooks, Stage
from tidings.kernel.iq import Iq
from tidings.kernel.loader import FeatureError
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.ping import Ping


@dataclass
class Event:
    seen: list[str] = field(default_factory=list)


class Rig:
    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.hooks = Hooks(Supervisor(self.telemetry))

    def on(
        self, name: str, stage: Stage, *after: str, error: Exception | None = None, slow: bool = False
    ) -> None:
        def plain(event: Event) -> None:
            event.seen.append(name)
            if error is not None:
                raise error

        async def later(event: Event) -> None:
            await asyncio.sleep(0)
            plain(event)

        self.hooks.listen(Event, stage, name, later if slow else plain, after)

    async def run(self) -> list[str]:
        self.hooks.compile()
        event = Event()
        wait = self.hooks.run(event)
        if wait is not None:
            await wait
        return event.seen


async def test_stages_then_after_then_the_order_of_loading() -> None:
    rig = Rig()
    rig.on("observer", Stage.OBSERVE)
    rig.on("second", Stage.STORE, "first")
    rig.on("first", Stage.STORE, slow=True)
    rig.on("guard", Stage.GUARD)
    rig.on("copy", Stage.COPY)
    assert await rig.run() == ["guard", "first", "second", "copy", "observer"]


@pytest.mark.parametrize("after", [("nobody",), ("one",)])
def test_what_is_ambiguous_is_refused(after: tuple[str, ...]) -> None:
    rig = Rig()
    rig.on("one", Stage.STORE, "two")
    rig.on("two", Stage.STORE, *after)
    with pytest.raises(AmbiguousHooksError, match=r"two|nobody"):
        rig.hooks.compile()


@pytest.mark.parametrize("slow", [False, True])
async def test_a_bug_is_counted_and_the_next_handler_runs(slow: bool) -> None:
    rig = Rig()
    rig.on("buggy", Stage.STORE, error=ZeroDivisionError(), slow=slow)
    rig.on("next", Stage.STORE, slow=slow)
    assert await rig.run() == ["buggy", "next"]
    assert sum(rig.telemetry.bugs.values()) == 1


async def test_a_bug_in_a_guard_refuses() -> None:
    rig = Rig()
    rig.on("buggy", Stage.GUARD, error=ZeroDivisionError())
    with pytest.raises(StanzaError) as caught:
        await rig.run()
    assert caught.value.condition == "internal-server-error"
    with pytest.raises(StanzaError):
        rig.hooks.guard(Event())
    assert sum(rig.telemetry.bugs.values()) == 2


@pytest.mark.parametrize("error", [StanzaError("forbidden"), Dropped(), BackendError("gone")])
@pytest.mark.parametrize("slow", [False, True])
async def test_decisions_go_to_who_asked(error: Exception, slow: bool) -> None:
    rig = Rig()
    rig.on("decides", Stage.STORE, error=error, slow=slow)
    rig.on("never", Stage.OBSERVE)
    with pytest.raises(type(error)):
        await rig.run()


@pytest.mark.parametrize("slow", [False, True])
async def test_nobody_can_keep_a_fact_from_the_others(slow: bool) -> None:
    rig = Rig()
    rig.on("refuses", Stage.STORE, error=StanzaError("forbidden"), slow=slow)
    rig.on("fails", Stage.STORE, error=BackendError("gone"), slow=slow)
    rig.on("buggy", Stage.STORE, error=ZeroDivisionError(), slow=slow)
    rig.on("last", Stage.OBSERVE, slow=slow)
    rig.hooks.compile()
    event = Event()
    wait = rig.hooks.tell(event)
    if wait is not None:
        await wait
    assert event.seen == ["refuses", "fails", "buggy", "last"]
    assert sum(rig.telemetry.bugs.values()) == 1


# --- in the router


class Watcher(Feature):
    """Sees messages; what it does is the test's."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.error: Exception | None = None

    @listens(StanzaArriving, stage=Stage.GUARD)
    def guard(self, event: StanzaArriving) -> None:
        self.seen.append("guard")
        if self.error is not None:
            raise self.error

    @listens(MessageDelivered, stage=Stage.COPY)
    async def delivered(self, event: MessageDelivered) -> None:
        self.seen.append(f"delivered {len(event.recipients)}")
        raise BackendError("gone")

    @listens(MessageAccepted, stage=Stage.COPY)
    def accepted(self, event: MessageAccepted) -> None:
        self.seen.append("accepted")
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "condition"),
    [
        (StanzaError("forbidden"), "forbidden"),
        (ZeroDivisionError(), "internal-server-error"),
        (BackendError("gone"), "resource-constraint"),
        (Dropped(), None),
    ],
)
async def test_a_guard_decides_before_anything_is_delivered(error: Exception, condition: str | None) -> None:
    world = await World.start(features=[Watcher])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    world.server.hosts["localhost"].feature(Watcher).error = error
    await alice.send("<message to='bob@localhost/y' type='chat' id='1'><body>hi</body></message>")
    assert bob.take() == []
    answers = alice.take("message")
    if condition is None:
        assert answers == []
    else:
        assert answers[0].find("error").find(condition, ns.STANZA_ERRORS) is not None
    await world.stop()


async def test_who_copies_cannot_refuse_what_was_accepted() -> None:
    world = await World.start(features=[Watcher])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    watcher = world.server.hosts["localhost"].feature(Watcher)
    await alice.send(*(f"<message to='bob@localhost/y' type='chat' id='{n}'/>" for n in range(2)))
    assert [element.get("id") for element in bob.take("message")] == ["0", "1"]
    assert alice.take() == []
    assert watcher.seen == ["guard", "guard", "accepted", "accepted", "delivered 1", "delivered 1"]
    await world.stop()


async def test_a_message_that_reaches_nobody_is_refused_although_somebody_copies() -> None:
    world = await World.start(features=[Watcher])
    alice = await world.login("alice@localhost/x")
    await alice.send("<message to='nobody@localhost' type='chat' id='1'/>")
    assert alice.take("message")[0].get("type") == "error"
    await world.stop()


# --- the loader


class Unwired(Feature):
    def __init__(self, missing: Rig) -> None:
        pass


class Pinger(Feature):
    @handles(Ping, kind="get", at=Addressee.SERVER)
    def ping(self, request: Iq[Ping]) -> None:
        pass


class OtherPinger(Pinger):
    pass


class Needy(Feature):
    requires = (Pinger,)


class Slow(Feature):
    @listens(StanzaArriving, stage=Stage.GUARD)
    async def guard(self, event: StanzaArriving) -> None:
        pass


class Nonza(Feature):
    @handles_nonza("urn:test", "r")
    def r(self, session: object, element: object) -> None:
        pass


class OtherNonza(Nonza):
    pass


SLOT = Slot("slot", default=0)


class Loads(Feature):
    @loads(SLOT)
    async def load(self, account: object) -> int:
        return 1


class OtherLoads(Loads):
    pass


class Hen(Feature):
    pass


class Egg(Feature):
    requires = (Hen,)


@pytest.mark.parametrize(
    ("features", "text"),
    [
        ([Unwired], "missing"),
        ([Pinger, OtherPinger], "handled by another"),
        ([Needy], "requires"),
        ([Slow], "plain function"),
        ([Nonza, OtherNonza], "handled by another"),
        ([Loads, OtherLoads], "loader already"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(features: list[type[Feature]], text: str) -> None:
    with pytest.raises(FeatureError, match=text):
        await World.start(features=features)


async def test_features_that_require_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hen, "requires", (Egg,))
    with pytest.raises(FeatureError, match="circle"):
        await World.start(features=[Hen, Egg])


async def test_what_is_required_is_loaded_first() -> None:
    world = await World.start(features=[Egg, Hen])
    assert [type(feature) for feature in world.server.hosts["localhost"].features] == [Hen, Egg]
    await world.stop()


# --- supervisor, telemetry, clock


async def test_the_supervisor_counts_what_nobody_foresaw_and_ends_the_rest() -> None:
    telemetry = Telemetry()
    supervisor = Supervisor(telemetry)
    ended: list[str] = []

    async def fails() -> None:
        raise ZeroDivisionError

    async def endless(name: str) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(name)
            if name == "one":
                supervisor.start("late", endless("late"))

    await supervisor.start("fails", fails())
    assert telemetry.bugs == {"fails": 1}
    supervisor.start("one", endless("one"))
    supervisor.start("two", endless("two"))
    await supervisor.finish(0)
    assert sorted(ended) == ["late", "one", "two"]
    assert not supervisor.busy


async def test_finish_gives_time() -> None:
    supervisor = Supervisor(Telemetry())
    gate = asyncio.Event()
    done: list[bool] = []

    async def work() -> None:
        await gate.wait()
        done.append(True)

    supervisor.start("work", work())
    finishing = asyncio.ensure_future(supervisor.finish(10))
    await asyncio.sleep(0)
    gate.set()
    await finishing
    assert done == [True]


async def test_a_scrape_shows_what_was_counted(world: World) -> None:
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    await alice.send("<message to='bob@localhost/y' type='chat'/>", "<message to='nobody@localhost'/>")
    await bob.leave()
    registry = world.server.telemetry.registry

    def value(metric: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"tidings_{metric}", labels)

    assert value("stanzas_received_total", name="message") == 2
    assert value("stanzas_refused_total", condition="service-unavailable") == 1
    assert value("stanzas_sent_total") == 2  # one to bob, who has left, and an error to alice
    assert value("sessions") == 1
    assert value("connections") == 0


async def test_the_clock_calls_once_and_can_be_told_not_to() -> None:
    clock = SystemClock()
    called: list[int] = []
    timer = clock.call_later(0, lambda: called.append(1))
    timer.cancel()
    clock.call_later(0, lambda: called.append(2))
    async with asyncio.timeout(5):
        while not called:
            await asyncio.sleep(0)
    assert called == [2]
    assert clock.monotonic() <= clock.monotonic()
    assert clock.now() > 1_700_000_000
