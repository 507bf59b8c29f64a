"""The levels of loggers and the tracing of one user, on lines as structlog writes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tests.harness.clock import VirtualClock
from tests.harness.world import World
from tidings.app.logs import Output
from tidings.kernel.log_levels import ALL, LEVELS, MOST_TRACES, LogLevels
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError

ALICE, BOB = "alice@localhost", "bob@localhost"
SESSIONS, STREAMS = "tidings.sessions", "tidings.stream_management"


class Log:
    """What is written, and the levels that decide on it."""

    def __init__(self, levels: LogLevels) -> None:
        self.levels = levels
        self.lines: list[dict[str, Any]] = []
        structlog.configure(
            processors=[self._take],
            wrapper_class=levels.make,  # type: ignore[arg-type]
            logger_factory=Output,
            cache_logger_on_first_use=False,
        )

    def _take(self, _logger: object, _method: str, event: Any) -> Any:
        self.lines.append(dict(event))
        raise structlog.DropEvent

    @property
    def events(self) -> list[str]:
        """The names of what was written since this was asked last."""
        told, self.lines = [line["event"] for line in self.lines], []
        return told


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def log(clock: VirtualClock) -> Iterator[Log]:
    yield Log(LogLevels(clock))
    structlog.reset_defaults()


def tell(logger: Any, **told: object) -> None:
    """Tell something at every level."""
    for level in LEVELS:
        getattr(logger, level)(level, **told)


# --- levels


def test_a_logger_writes_from_its_level_on(log: Log) -> None:
    one, other = structlog.get_logger("tidings.one").bind(), structlog.get_logger("tidings.other").bind()
    tell(one)
    assert log.events == ["info", "warning", "error"]
    log.levels.set_level("tidings.one", "debug")
    tell(one)
    assert log.events == ["debug", "info", "warning", "error"]
    log.levels.set_level(ALL, "error")
    tell(one)
    tell(other)
    assert log.events == ["debug", "info", "warning", "error", "error"]
    log.levels.set_level("tidings.one", None)
    tell(one)
    assert log.events == ["error"]
    log.levels.set_level(ALL, None)
    log.levels.configure("warning")
    tell(other)
    assert log.events == ["warning", "error"]


def test_a_bug_is_written_with_its_exception_at_every_level(log: Log) -> None:
    log.levels.set_level(ALL, "error")
    structlog.get_logger("tidings.one").exception("bug")
    assert log.events == ["bug"]


# --- tracing


@pytest.mark.parametrize(
    "told",
    [
        {"account": ALICE},
        {"session": f"{ALICE}/phone"},
        {"sessions": [f"{BOB}/desk", f"{ALICE}/phone"]},
        {"places": {ALICE: "1-2"}},
        {"kept_by": (BOB, ALICE)},
    ],
)
def test_every_line_that_names_who_is_traced_is_written(log: Log, told: dict[str, object]) -> None:
    logger = structlog.get_logger("tidings.one").bind()
    log.levels.set_level(ALL, "error")
    log.levels.trace(ALICE, 60)
    tell(logger, **told)
    assert log.events == list(LEVELS)
    tell(logger, account=BOB, address="192.0.2.7", count=3, who=None)
    assert log.events == ["error"]


def test_tracing_ends_with_its_time_or_when_it_is_asked_for(log: Log, clock: VirtualClock) -> None:
    logger = structlog.get_logger("tidings.one").bind()
    log.levels.trace(ALICE, 60)
    log.levels.trace("192.0.2.7", 120)
    assert [trace.subject for trace in log.levels.traces] == [ALICE, "192.0.2.7"]
    clock.advance(59)
    logger.debug("traced", account=ALICE)
    clock.advance(1)
    logger.debug("no more", account=ALICE)
    logger.debug("other", address="192.0.2.7")
    assert log.levels.stop_trace("192.0.2.7")
    logger.debug("no more", address="192.0.2.7")
    assert log.events == ["traced", "other"]
    assert clock.is_idle


def test_who_is_traced_again_is_traced_for_longer(log: Log, clock: VirtualClock) -> None:
    log.levels.trace(ALICE, 60)
    clock.advance(30)
    log.levels.trace(ALICE, 60)
    clock.advance(59)
    assert len(log.levels.traces) == 1
    clock.advance(1)
    assert not log.levels.traces


def test_the_number_of_traces_is_bounded(log: Log) -> None:
    for number in range(MOST_TRACES):
        assert log.levels.trace(f"user{number}@localhost", 60)
    assert log.levels.trace(ALICE, 60) is None
    assert log.levels.trace("user0@localhost", 60)


# --- on a server, by operations


async def call(world: World, name: str, **arguments: object) -> Any:
    return await CATALOGUE.call(world.context, "log", name, arguments)


@pytest.fixture
def traced(world: World) -> Iterator[Log]:
    assert world.context.live is not None
    yield Log(world.context.live.logs)
    structlog.reset_defaults()


async def test_a_message_of_who_is_traced_can_be_followed_and_no_other(world: World, traced: Log) -> None:
    alice, bob = await world.online(f"{ALICE}/phone"), await world.online(f"{BOB}/desk")
    carol = await world.online("carol@localhost/x")
    await alice.manage()
    message = "<message to='{}' type='chat'><body>a secret</body></message>"
    traced.lines.clear()
    await alice.send(message.format(BOB))
    assert traced.events == []
    await call(world, "trace", user=ALICE, minutes=10)
    await bob.send(message.format(ALICE))
    await alice.send("<a xmlns='urn:xmpp:sm:3' h='1'/>")
    assert "secret" not in str(traced.lines)
    assert {"guarded", "planned", "accepted", "acknowledged"} <= set(traced.events)
    await carol.send(message.format(BOB))
    assert traced.events == []
    await world.advance(600)
    traced.lines.clear()
    await alice.send(message.format(BOB))
    assert traced.events == []
    assert bob.take("message")


async def test_the_log_shows_levels_and_who_is_traced(world: World, traced: Log) -> None:
    set_ = await call(world, "level", logger=SESSIONS, level="debug")
    assert (set_.logger, set_.level) == (SESSIONS, "debug")
    await call(world, "trace", address="::ffff:192.0.2.7", minutes=1)
    items = {item.name: item for item in (await call(world, "show")).items}
    assert (items[ALL].level, items[ALL].set) == ("info", False)
    assert (items[SESSIONS].level, items[SESSIONS].set) == ("debug", True)
    assert items[STREAMS].level == "info"
    until = items["192.0.2.7"].until
    assert until is not None
    assert until.timestamp() == world.clock.now() + 60
    assert (await call(world, "level", logger=SESSIONS, level="configured")).level == "info"
    assert (await call(world, "trace", address="192.0.2.7", minutes=0)).until is None
    assert not (await call(world, "show")).items[-1].until


async def test_an_ipv4_client_is_traced_on_a_socket_for_both(world: World, traced: Log) -> None:
    await call(world, "trace", address="192.0.2.7")
    structlog.get_logger("tidings.one").debug("seen", address="::ffff:192.0.2.7")
    assert traced.events == ["operation", "seen"]  # the audit has told of the call itself


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("level", {"logger": "tidings.sesions", "level": "debug"}, "not-found"),
        ("level", {"level": "loud"}, "invalid"),
        ("trace", {}, "invalid"),
        ("trace", {"user": ALICE, "address": "192.0.2.7"}, "invalid"),
        ("trace", {"address": "example.org"}, "invalid"),
        ("trace", {"user": ALICE, "minutes": 100_000}, "invalid"),
    ],
)
async def test_what_cannot_be_is_refused(
    world: World, name: str, arguments: dict[str, object], code: str
) -> None:
    with pytest.raises(OperationError) as caught:
        await call(world, name, **arguments)
    assert caught.value.code == code
    assert await call(world, "show")


async def test_too_many_traces_are_refused(world: World) -> None:
    for number in range(MOST_TRACES):
        await call(world, "trace", user=f"user{number}@localhost")
    with pytest.raises(OperationError, match="traced already") as caught:
        await call(world, "trace", user=ALICE)
    assert caught.value.code == "conflict"
