"""Hooks and the loader: order, bugs in handlers, what is refused at start."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.base.errors import BackendError, StanzaError
from tidings.base.jid import Jid
from tidings.kernel.clock import SystemClock
from tidings.kernel.events import (
    MessageAccepted,
    MessageDelivered,
    MessageSubmitted,
    StanzaArriving,
    StanzaSubmitted,
)
from tidings.kernel.feature import Addressee, Feature, handles, handles_nonza, listens, loads
from tidings.kernel.hooks import (
    DECIDED_WITHIN,
    Decision,
    Dropped,
    Fact,
    Guard,
    HookError,
    Hooks,
    Listener,
    OnFailure,
    Question,
    Stage,
    Work,
)
from tidings.kernel.iq import Iq
from tidings.kernel.loader import FeatureError
from tidings.kernel.slots import Slot
from tidings.kernel.supervisor import Supervisor
from tidings.kernel.telemetry import Telemetry
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.ping import Ping


class Asked(Decision):
    seen: list[str] = msgspec.field(default_factory=list)
    text: str = ""


class Guarded(Guard):
    seen: list[str] = msgspec.field(default_factory=list)


class Wondered(Question):
    seen: list[str] = msgspec.field(default_factory=list)


class Worked(Work):
    seen: list[str] = msgspec.field(default_factory=list)


class Happened(Fact):
    seen: list[str] = msgspec.field(default_factory=list)


class Rig:
    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self.clock = VirtualClock()
        self.hooks = Hooks(Supervisor(self.telemetry), self.clock)

    def on(
        self,
        event: type[Any],
        name: str,
        stage: Stage | None = None,
        *after: str,
        error: Exception | None = None,
        slow: bool = False,
        **options: Any,
    ) -> None:
        def plain(event: Any) -> None:
            event.seen.append(name)
            if error is not None:
                raise error

        async def later(event: Any) -> None:
            await asyncio.sleep(0)
            plain(event)

        handler = later if slow else plain
        self.hooks.listen(
            Listener(event=event, feature=name, handler=handler, stage=stage, after=after, **options)
        )

    async def run(self, event: Any) -> list[str]:
        self.hooks.compile()
        hooks = self.hooks
        wait = hooks.tell(event) if isinstance(event, Fact) else hooks.run(event)
        if wait is not None:
            await wait
        return event.seen

    async def decide(self, event: Asked) -> Asked:
        self.hooks.compile()
        wait = self.hooks.decide(event)
        if wait is not None:
            await wait
        return event


async def test_first_then_stages_then_after_then_the_order_of_loading() -> None:
    rig = Rig()
    rig.on(Happened, "observer")
    rig.on(Happened, "second", Stage.STORE, "first")
    rig.on(Happened, "first", Stage.STORE, slow=True)
    rig.on(Happened, "copy", Stage.COPY)
    rig.on(Happened, "at once", first=True)
    assert await rig.run(Happened()) == ["at once", "first", "second", "copy", "observer"]


@pytest.mark.parametrize("after", [("nobody",), ("one",)])
def test_what_is_ambiguous_is_refused(after: tuple[str, ...]) -> None:
    rig = Rig()
    rig.on(Worked, "one", Stage.STORE, "two")
    rig.on(Worked, "two", Stage.STORE, *after)
    with pytest.raises(HookError, match=r"two|nobody"):
        rig.hooks.compile()


@pytest.mark.parametrize("event", [Happened, Worked, Wondered])
@pytest.mark.parametrize("slow", [False, True])
async def test_a_bug_is_counted_and_the_next_handler_runs(slow: bool, event: type[Any]) -> None:
    rig = Rig()
    rig.on(event, "buggy", error=ZeroDivisionError(), slow=slow)
    rig.on(event, "next", slow=slow)
    assert await rig.run(event()) == ["buggy", "next"]
    assert sum(rig.telemetry.bugs.values()) == 1


async def test_a_bug_in_a_guard_refuses() -> None:
    rig = Rig()
    rig.on(Guarded, "buggy", error=ZeroDivisionError())
    rig.hooks.compile()
    with pytest.raises(StanzaError) as caught:
        rig.hooks.guard(Guarded())
    assert caught.value.condition == "internal-server-error"
    assert sum(rig.telemetry.bugs.values()) == 1


async def test_a_guard_that_gives_something_to_await_refuses() -> None:
    rig = Rig()
    waiting = asyncio.get_running_loop().create_future()
    rig.hooks.listen(Listener(event=Guarded, feature="late", handler=lambda _: waiting))
    rig.hooks.compile()
    with pytest.raises(StanzaError) as caught:
        rig.hooks.guard(Guarded())
    assert caught.value.condition == "internal-server-error"


@pytest.mark.parametrize("error", [StanzaError("forbidden"), Dropped(), BackendError("gone")])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("event", [Worked, Wondered])
async def test_refusals_go_to_who_asked(error: Exception, slow: bool, event: type[Any]) -> None:
    rig = Rig()
    rig.on(event, "decides", error=error, slow=slow)
    rig.on(event, "never")
    with pytest.raises(type(error)):
        await rig.run(event())


@pytest.mark.parametrize("slow", [False, True])
async def test_nobody_can_keep_a_fact_from_the_others(slow: bool) -> None:
    rig = Rig()
    rig.on(Happened, "refuses", Stage.STORE, error=StanzaError("forbidden"), slow=slow)
    rig.on(Happened, "fails", Stage.STORE, error=BackendError("gone"), slow=slow)
    rig.on(Happened, "buggy", Stage.STORE, error=ZeroDivisionError(), slow=slow)
    rig.on(Happened, "last", slow=slow)
    assert await rig.run(Happened()) == ["refuses", "fails", "buggy", "last"]
    assert sum(rig.telemetry.bugs.values()) == 1


# --- decisions


@pytest.mark.parametrize("slow", [False, True])
async def test_what_a_decision_writes_into_the_event_stays(slow: bool) -> None:
    rig = Rig()

    async def later(event: Asked) -> None:
        await asyncio.sleep(0)
        event.text += "!"

    def plain(event: Asked) -> None:
        event.text += "!"

    rig.hooks.listen(Listener(event=Asked, feature="rewrites", handler=later if slow else plain))
    assert (await rig.decide(Asked(text="hello"))).text == "hello!"


@pytest.mark.parametrize("error", [StanzaError("policy-violation"), Dropped()])
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("on_failure", list(OnFailure))
async def test_a_refusal_is_no_failure(error: Exception, slow: bool, on_failure: OnFailure) -> None:
    rig = Rig()
    rig.on(Asked, "refuses", error=error, slow=slow, on_failure=on_failure)
    rig.on(Asked, "never")
    with pytest.raises(type(error)):
        await rig.decide(Asked())


@pytest.mark.parametrize("error", [BackendError("gone"), ZeroDivisionError()])
@pytest.mark.parametrize("slow", [False, True])
async def test_a_decision_that_fails_passes_or_refuses_as_declared(error: Exception, slow: bool) -> None:
    rig = Rig()
    rig.on(Asked, "open", error=error, slow=slow, on_failure=OnFailure.PASS)
    rig.on(Asked, "closed", error=error, slow=slow, on_failure=OnFailure.REFUSE)
    rig.on(Asked, "never")
    event = Asked()
    with pytest.raises(StanzaError) as caught:
        await rig.decide(event)
    assert caught.value.condition == "resource-constraint"
    assert event.seen == ["open", "closed"]


@pytest.mark.parametrize(("on_failure", "seen"), [(OnFailure.PASS, ["next"]), (OnFailure.REFUSE, [])])
async def test_a_decision_that_does_not_answer_in_time_has_failed(
    on_failure: OnFailure, seen: list[str]
) -> None:
    rig = Rig()
    began = asyncio.Event()

    async def never(_: Asked) -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    rig.hooks.listen(
        Listener(event=Asked, feature="webhook", handler=never, within=2.0, on_failure=on_failure)
    )
    rig.on(Asked, "next")
    event = Asked()
    deciding = asyncio.ensure_future(rig.decide(event))
    await began.wait()
    rig.clock.advance(2.0)
    done, _ = await asyncio.wait((deciding,))
    assert bool(done.pop().exception()) is (on_failure is OnFailure.REFUSE)
    assert event.seen == seen


# --- what is refused at start


class NoEvent:
    pass


async def _later(_: object) -> None:
    """Await nothing."""


def _plain(_: object) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("event", "handler", "options", "what"),
    [
        (Guarded, _later, {}, "must be a plain function"),
        (Happened, _later, {"first": True}, "must be a plain function"),
        (Guarded, _plain, {"stage": Stage.OBSERVE}, "its stages: none"),
        (Asked, _plain, {"stage": Stage.STORE}, "its stages: none"),
        (Wondered, _plain, {"stage": Stage.DELIVER}, "its stages: none"),
        (Worked, _plain, {"stage": Stage.COPY}, "its stages: STORE, DELIVER, OBSERVE"),
        (NoEvent, _plain, {}, "which is no event"),
    ],
)
def test_a_handler_that_does_not_fit_its_event_is_refused(
    event: type[Any], handler: Any, options: dict[str, Any], what: str
) -> None:
    listener = Listener(event=event, feature="odd", handler=handler, **options)
    with pytest.raises(HookError, match=what):
        Rig().hooks.listen(listener)


# --- in the router


class Watcher(Feature):
    """Sees messages; what it does is the test's."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.error: Exception | None = None

    @listens(StanzaArriving)
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


# --- decisions about messages


class Signs(Feature):
    """Puts its sign under what its users send."""

    @listens(MessageSubmitted)
    def sign(self, event: MessageSubmitted) -> None:
        event.stanza = event.stanza.replace(append=(Element("signed", "urn:test"),))


class Forges(Feature):
    """Sends what its users send to somebody else, and in another name."""

    @listens(MessageSubmitted)
    def forge(self, event: MessageSubmitted) -> None:
        event.stanza = event.stanza.replace(sender=Jid("eve@localhost/z"), to=Jid("eve@localhost/z"))


class Deliberates(Feature):
    """Takes its time about each message, and tells how many it has had under way at once."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.most = 0

    @listens(MessageSubmitted, on_failure=OnFailure.PASS)
    async def deliberate(self, event: MessageSubmitted) -> None:
        if event.stanza.id == "refuse":
            raise StanzaError("policy-violation", "not that word")
        if event.stanza.id == "drop":
            raise Dropped
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(answer)
        self.most = max(self.most, len(self.waiting))
        await answer


async def test_what_a_decision_makes_of_a_message_is_what_its_recipient_gets() -> None:
    world = await World.start(features=[Signs])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    await alice.send(f"<message to='{bob.jid}'/>")
    [stanza] = bob.take()
    await world.stop()
    assert stanza.find("signed", "urn:test") is not None


async def test_a_decision_cannot_change_who_sends_to_whom() -> None:
    world = await World.start(features=[Forges])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    eve = await world.login("eve@localhost/z")
    await alice.send(f"<message to='{bob.jid}'/>")
    [stanza] = bob.take()
    assert (stanza.get("from"), stanza.get("to")) == (alice.jid, bob.jid)
    assert eve.take() == []
    await world.stop()


async def test_the_decisions_of_a_batch_run_together_and_their_answers_are_taken_in_order() -> None:
    world = await World.start(features=[Deliberates])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    feature = world.server.hosts["localhost"].feature(Deliberates)
    assert feature is not None
    alice.push(*(f"<message to='{bob.jid}' id='{id_}'/>" for id_ in ("1", "refuse", "2", "drop", "3")))
    async with asyncio.timeout(5):
        while len(feature.waiting) < 3:
            await asyncio.sleep(0)
    for answer in reversed(feature.waiting):
        answer.set_result(None)
        await asyncio.sleep(0)
    await world.settle()
    assert [stanza.get("id") for stanza in bob.take()] == ["1", "2", "3"]
    [error] = alice.take()
    assert (error.get("id"), error.get("type")) == ("refuse", "error")
    await world.stop()


async def test_a_decision_that_never_answers_holds_up_one_sender_for_its_time_alone() -> None:
    world = await World.start(features=[Deliberates])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    alice.push(f"<message to='{bob.jid}' id='1'/>")
    feature = world.server.hosts["localhost"].feature(Deliberates)
    assert feature is not None
    async with asyncio.timeout(5):
        while not feature.waiting:
            await asyncio.sleep(0)
    await world.advance(DECIDED_WITHIN)
    assert [stanza.get("id") for stanza in bob.take()] == ["1"]
    await world.stop()


class Scribbles(Feature):
    """Writes into what it is only to guard."""

    @listens(StanzaSubmitted)
    def scribble(self, event: StanzaSubmitted) -> None:
        event.stanza = event.stanza.replace(id="other")  # type: ignore[misc]  # as nobody may


@pytest.mark.parametrize(
    "text", ["<message to='{}' id='1'/>", "<iq to='{}' type='get' id='1'><x xmlns='urn:x'/></iq>"]
)
async def test_a_guard_that_writes_is_a_bug_and_refuses(text: str) -> None:
    world = await World.start(features=[Scribbles])
    alice, bob = await world.login("alice@localhost/x"), await world.login("bob@localhost/y")
    await alice.send(text.format(bob.jid))
    [error] = alice.take()
    assert (error.get("id"), error.get("type")) == ("1", "error")
    assert bob.take() == []
    assert sum(world.server.telemetry.bugs.values()) == 1
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
    @listens(StanzaArriving)
    async def guard(self, event: StanzaArriving) -> None:
        pass


class NamesakeOptions(msgspec.Struct, frozen=True):
    words: tuple[str, ...] = ()


class OtherNamesakeOptions(msgspec.Struct, frozen=True):
    limit: int = 1


class Namesake(Feature):
    option_name = "filter"
    Options = NamesakeOptions


class OtherNamesake(Feature):
    option_name = "filter"
    Options = OtherNamesakeOptions


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
        ([Namesake, OtherNamesake], "filter"),
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
