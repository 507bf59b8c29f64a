"""The outbox: nothing is lost and nothing doubled, whatever other servers do and whenever we are killed."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest

from tests.contracts.ledger_stories import ALICE, at
from tests.harness.clock import VirtualClock
from tests.kernel.following import Process, Times, memory_ledger, send_out, until, words_of
from tidings.adapters.sql.ledger import SqlLedger
from tidings.base.errors import BackendError, StanzaError
from tidings.kernel.outbox import EXPIRY, LEASE, POLL, Outbox, SendReport
from tidings.ports.ledger.outbox import OutboxId, OutboxRow

FAR, OTHER = "far.example", "other.example"


class Killed(BaseException):
    """The process ends at this moment."""


class Peers:
    """Other servers: each writes down what it gets, and knows what it had before by its id."""

    def __init__(self) -> None:
        self.had: dict[str, dict[OutboxId, str]] = defaultdict(dict)
        self.calls: list[str] = []
        self.doubled = 0
        """How often something came that had come before."""
        self.down: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        self.refuses: dict[str, StanzaError] = {}
        self.at_once = 100
        """How many rows a call takes."""
        self.dies = False
        """The process is killed after the peer has the rows, before it hears of that."""

    def got(self, domain: str) -> list[str]:
        return list(self.had[domain].values())

    async def send(self, domain: str, rows: tuple[OutboxRow, ...]) -> SendReport:
        self.calls.append(domain)
        if domain in self.gates:
            await self.gates[domain].wait()
        if domain in self.down:
            raise BackendError(f"{domain} is down")
        taken, refused = [], []
        for row in rows[: self.at_once]:
            words = words_of(row)
            if words in self.refuses:
                refused.append((row.id, self.refuses[words]))
                continue
            self.doubled += row.id in self.had[domain]
            self.had[domain][row.id] = words
            taken.append(row.id)
        if self.dies:
            self.dies = False
            raise Killed
        return SendReport(tuple(taken), tuple(refused))


class Node(Process):
    """A process that empties the outbox."""

    def __init__(self, ledger: SqlLedger, clock: VirtualClock, peers: Peers) -> None:
        super().__init__(ledger, clock)
        self.returned: list[tuple[str, str]] = []
        bell = self.followers.bell
        self.outbox = Outbox(
            ledger.outbox, peers, self._give_back, bell, clock, self.supervisor, self.telemetry
        )

    async def start(self) -> None:
        await self.followers.start()
        await self.outbox.start()

    async def _give_back(self, row: OutboxRow, error: StanzaError) -> None:
        self.returned.append((words_of(row), error.condition))

    def count(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"tidings_outbox_{name}")


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def clock(times: Times) -> VirtualClock:
    return times.clock


@pytest.fixture
async def ledger(times: Times) -> AsyncIterator[SqlLedger]:
    opened = await memory_ledger(times)
    yield opened
    await opened.close()


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
async def node(ledger: SqlLedger, clock: VirtualClock, peers: Peers) -> Node:
    node = Node(ledger, clock, peers)
    await node.start()
    return node


async def waiting(ledger: SqlLedger) -> list[str]:
    return [words_of(row) for domain in await ledger.outbox.domains() for row in await rows(ledger, domain)]


async def rows(ledger: SqlLedger, domain: str) -> tuple[OutboxRow, ...]:
    return await ledger.outbox.rows(domain, limit=1000)


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def test_what_is_committed_is_sent_at_once_and_forgotten(
    node: Node, ledger: SqlLedger, peers: Peers
) -> None:
    await send_out(ledger, 1, 2)
    await node.settle()  # no time passes
    assert peers.got(FAR) == ["1", "2"]
    assert await waiting(ledger) == []
    assert (node.count("sent_total"), node.count("failures_total")) == (2, 0)


async def test_what_an_earlier_run_has_left_is_sent_in_order(
    ledger: SqlLedger, clock: VirtualClock, peers: Peers
) -> None:
    await send_out(ledger, *range(1, 251))
    peers.at_once = 30
    node = Node(ledger, clock, peers)
    await node.start()
    await node.pass_time(POLL)
    assert peers.got(FAR) == numbers(1, 250)
    assert peers.doubled == 0


async def test_a_server_that_fails_is_tried_again_and_gets_all(
    node: Node, ledger: SqlLedger, peers: Peers
) -> None:
    peers.down.add(FAR)
    await send_out(ledger, *range(1, 6))
    await node.pass_time(600)
    tries = len(peers.calls)
    assert 5 <= tries <= 15  # not again and again
    assert len(await waiting(ledger)) == 5
    assert node.count("domains") == 1
    peers.down.clear()
    await node.pass_time(1500, 5)  # the longest pause, and a half
    assert peers.got(FAR) == numbers(1, 5)
    assert (peers.doubled, node.count("failures_total"), node.count("domains")) == (0, tries, 0)


@pytest.mark.parametrize("seed", range(10))
async def test_a_try_for_which_there_was_no_lease_is_not_one_that_failed(
    node: Node, ledger: SqlLedger, peers: Peers, seed: int
) -> None:
    random.seed(seed)  # how long the pause is
    peers.down.add(FAR)
    await send_out(ledger, 1)
    await node.settle()
    assert peers.calls == [FAR]
    peers.down.clear()
    node.clock.advance(LEASE)  # the process stood still for so long, and the try is due
    await node.settle()
    assert peers.got(FAR) == ["1"]


async def test_one_that_fails_or_stands_still_holds_up_nobody(
    node: Node, ledger: SqlLedger, peers: Peers
) -> None:
    peers.gates[FAR] = asyncio.Event()
    peers.down.add("down.example")
    await send_out(ledger, 1, 2)
    await send_out(ledger, 3, domain="down.example")
    await send_out(ledger, 4, 5, domain=OTHER)
    await until(lambda: peers.got(OTHER) == ["4", "5"])
    assert peers.got(FAR) == []
    await send_out(ledger, 6, domain=OTHER)
    await until(lambda: peers.got(OTHER) == ["4", "5", "6"])
    peers.gates[FAR].set()
    await node.settle()
    assert peers.got(FAR) == ["1", "2"]


async def test_what_the_peer_will_not_take_is_given_back(node: Node, ledger: SqlLedger, peers: Peers) -> None:
    peers.refuses["2"] = StanzaError("item-not-found")
    await send_out(ledger, 1, 2, 3)
    await node.settle()
    assert peers.got(FAR) == ["1", "3"]
    assert node.returned == [("2", "item-not-found")]
    assert (await waiting(ledger), node.count("given_back_total")) == ([], 1)


async def test_what_has_waited_too_long_is_given_back(node: Node, ledger: SqlLedger, peers: Peers) -> None:
    peers.down.add(FAR)
    await send_out(ledger, "old")
    await node.pass_time(EXPIRY - 1000, 500)
    await send_out(ledger, "young")
    await node.pass_time(3000, 100)
    assert node.returned == [("old", "remote-server-timeout")]
    assert await waiting(ledger) == ["young"]


async def test_what_is_erased_meanwhile_is_not_sent(node: Node, ledger: SqlLedger, peers: Peers) -> None:
    peers.down.add(FAR)
    await send_out(ledger, "secret", "other")
    await node.settle()
    await ledger.erase_everywhere(await at(ledger, ALICE, 1), ALICE)
    peers.down.clear()
    await node.pass_time(30)
    assert peers.got(FAR) == ["other"]


async def test_a_kill_between_send_and_delete_is_seen_by_the_same_id(
    ledger: SqlLedger, clock: VirtualClock, peers: Peers
) -> None:
    await send_out(ledger, 1, 2)
    peers.dies = True
    node = Node(ledger, clock, peers)
    await node.start()
    with pytest.raises(Killed):
        await die_of_it(node)
    await node.die()
    node = Node(ledger, clock, peers)
    await node.start()
    await node.pass_time(2 * LEASE)
    assert (peers.got(FAR), peers.doubled) == (["1", "2"], 2)
    assert await waiting(ledger) == []


async def die_of_it(node: Node) -> None:
    """Let time pass until the process is killed."""
    node.clock.advance(POLL)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    tasks = set(node.supervisor._tasks)
    for _ in range(100):
        for task in {*tasks, *node.supervisor._tasks}:
            if isinstance(task, asyncio.Task) and task.done() and isinstance(task.exception(), Killed):
                ended.set_exception(Killed())
                return await ended
        tasks |= set(node.supervisor._tasks)
        await asyncio.sleep(0)
    return None


async def test_one_process_sends_at_a_time(ledger: SqlLedger, clock: VirtualClock, peers: Peers) -> None:
    one, two = Node(ledger, clock, peers), Node(ledger, clock, peers)
    await one.start()
    await two.outbox.start()
    for number in range(1, 21):
        await send_out(ledger, number)
        clock.advance(1)
        await one.settle()
        await two.settle()
    await one.pass_time(POLL)
    assert (peers.got(FAR), peers.doubled) == (numbers(1, 20), 0)
    await one.die()
    two.outbox._job.begin(POLL)  # the clock forgot that one's timers, too
    await send_out(ledger, 21)
    await two.pass_time(3 * LEASE)
    assert peers.got(FAR) == numbers(1, 21)


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_lost_or_doubled_whatever_happens(
    ledger: SqlLedger, clock: VirtualClock, peers: Peers, seed: int
) -> None:
    chance = random.Random(seed)
    node = Node(ledger, clock, peers)
    await node.start()
    sent: dict[str, list[str]] = {FAR: [], OTHER: []}
    for number in range(120):
        peers.at_once = chance.choice((1, 2, 100))
        domain = chance.choice((FAR, OTHER))
        match chance.randrange(6):
            case 0:
                peers.down ^= {domain}
            case 1:
                gate = peers.gates.pop(domain, None)
                if gate is None:
                    peers.gates[domain] = asyncio.Event()
                else:
                    gate.set()
            case 2 if number % 10 == 0:
                await node.die()
                node = Node(ledger, clock, peers)
                await node.start()
            case _:
                await send_out(ledger, number, domain=domain)
                sent[domain].append(str(number))
        node.clock.advance(chance.choice((0, 0, 1, 30)))
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
    peers.down.clear()
    for gate in peers.gates.values():
        gate.set()
    peers.gates.clear()
    await node.pass_time(4000, 10)
    assert {domain: peers.got(domain) for domain in sent} == sent
    assert await waiting(ledger) == []
