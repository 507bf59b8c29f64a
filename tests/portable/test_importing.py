"""What comes from another server: its users find everything as it was, and nothing comes twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

import msgspec
import pytest

from tests.features.pulling import pull
from tests.harness.clock import VirtualClock
from tests.harness.world import World, memory_stores
from tidings.adapters.memory import MemoryStores
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.portable.account import PastMessage, PortableAccount, PrivateFragment
from tidings.portable.importing import Importer, ImportReport
from tidings.ports.accounts import Ban
from tidings.ports.ledger.reading import InboxQuery
from tidings.ports.roster import RosterEntry, Subscription
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.forwarding import stanza_of
from tidings.wire.xmpp.sasl.keys import make_scram_keys, verify_password

ALICE, BOB = Jid("alice@localhost"), Jid("bob@localhost")
THEN = 1_500_000_000
SECOND = 1_000_000


class Past:
    """A source that a test writes down."""

    def __init__(
        self, accounts: Iterable[PortableAccount], history: Mapping[Jid, list[PastMessage]] | None = None
    ) -> None:
        self._accounts = tuple(accounts)
        self._history = history or {}
        self.breaks_after = -1

    def accounts(self) -> Iterator[PortableAccount]:
        yield from self._accounts

    def history(self, account: Jid) -> Iterator[PastMessage]:
        for number, past in enumerate(self._history.get(account, ())):
            if number == self.breaks_after:
                raise BackendError("the other server's database has gone")
            yield past


def past(sender: Jid, to: Jid, text: str, at: int, *, owner: Jid, more: str = "") -> PastMessage:
    raw = f"<message from='{sender}/a' to='{to}' type='chat' id='{text}'><body>{text}</body>{more}</message>"
    message = stanza_of(decode(raw.encode(), ns.CLIENT))
    return PastMessage((THEN + at) * SECOND, message, is_sent=sender == owner)


def chatter(owner: Jid, peer: Jid, count: int) -> list[PastMessage]:
    """A chat in which both speak by turns, a message a second."""
    return [
        past(*((owner, peer) if number % 2 else (peer, owner)), f"n{number}", number, owner=owner)
        for number in range(count)
    ]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def stores(clock: VirtualClock) -> AsyncIterator[MemoryStores]:
    stores = await memory_stores(clock)
    yield stores
    await stores.close()


async def bring(
    stores: MemoryStores, clock: VirtualClock, source: Past, *, dry: bool = False
) -> ImportReport:
    return await Importer(stores, ["localhost"], clock, is_dry=dry).run(source, "a test")


async def test_a_user_finds_everything(stores: MemoryStores, clock: VirtualClock) -> None:
    account = PortableAccount(
        jid=ALICE,
        keys=make_scram_keys("secret", iterations=4096),
        created=THEN,
        last_activity=THEN + 100.0,
        last_status="Gone",
        contacts=(RosterEntry(jid=BOB, name="Bob", subscription=Subscription.BOTH),),
        vcard=b'<vCard xmlns="vcard-temp"><FN>Alice</FN></vCard>',
        private=(PrivateFragment("exodus:prefs", "exodus", b'<exodus xmlns="exodus:prefs"/>'),),
        blocked=frozenset({Jid("eve@localhost")}),
    )
    report = await bring(stores, clock, Past([account], {ALICE: chatter(ALICE, BOB, 7)}))
    assert (report.accounts, report.messages, report.problems) == (1, 7, [])

    record = await stores.accounts.get(ALICE)
    assert record is not None
    assert verify_password("secret", record.keys)
    assert (record.created, record.last_activity, record.last_status) == (THEN, THEN + 100, "Gone")
    assert (await stores.roster.load(ALICE)).entries == account.contacts
    assert await stores.vcards.get(ALICE) == account.vcard
    assert await stores.private.get(ALICE, "exodus:prefs", "exodus") == account.private[0].raw
    assert await stores.blocking.list(ALICE) == account.blocked

    world = await World.start(stores=stores, clock=clock)
    alice = await world.online("alice@localhost/phone")
    assert alice.take("message") == []
    pulled = await pull(alice)
    assert pulled.texts == [f"n{number}" for number in range(7)]
    stamps = [result.forwarded.delay.stamp for result in pulled.results if result.forwarded.delay]
    assert stamps == [(THEN + number) * SECOND for number in range(7)]
    assert stores.ledger is not None
    [row] = (await stores.ledger.inbox(ALICE, InboxQuery())).rows
    assert (row.peer, row.unread, row.position) == (BOB, 0, 7)

    bob = await world.online("bob@localhost/phone")  # and life goes on
    await bob.send("<message to='alice@localhost' type='chat' id='new'><body>new</body></message>")
    assert (await pull(alice)).texts[-1] == "new"
    await world.server.stop(0)


async def test_what_no_device_has_had_comes_once_and_is_unread(
    stores: MemoryStores, clock: VirtualClock
) -> None:
    """The other server keeps it among its offline messages and in its archive, or in one of both."""
    chat = [*chatter(ALICE, BOB, 4), past(BOB, ALICE, "both", 10, owner=ALICE)]
    delay = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2017-07-14T02:40:10Z'/>"
    hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
    waiting = (
        past(BOB, ALICE, "both", 10, owner=ALICE, more=delay),
        past(BOB, ALICE, "once", 11, owner=ALICE, more=delay),
        past(BOB, ALICE, "hint", 12, owner=ALICE, more=delay + hint),
    )
    source = Past([PortableAccount(jid=ALICE, undelivered=waiting)], {ALICE: chat})
    assert (await bring(stores, clock, source)).messages == 7
    world = await World.start(stores=stores, clock=clock)
    assert stores.ledger is not None
    [row] = (await stores.ledger.inbox(ALICE, InboxQuery())).rows
    assert row.unread == 2
    alice = await world.login("alice@localhost/phone")
    await alice.send("<presence/>")
    assert [message.text_of("body") for message in alice.take("message")] == ["both", "once", "hint"]
    await alice.leave()
    again = await world.login("alice@localhost/laptop")
    await again.send("<presence/>")
    assert again.take("message") == []
    assert (await pull(again)).texts == ["n0", "n1", "n2", "n3", "both", "once"]
    await world.server.stop(0)


async def test_offline_messages_are_sent_to_the_first_device(
    stores: MemoryStores, clock: VirtualClock
) -> None:
    waiting = tuple(past(BOB, ALICE, f"w{number}", number, owner=ALICE) for number in range(3))
    await bring(stores, clock, Past([PortableAccount(jid=ALICE, undelivered=waiting)]))
    world = await World.start(stores=stores, clock=clock)
    alice = await world.login("alice@localhost/phone")
    await alice.send("<presence/>")
    messages = alice.take("message")
    assert [message.text_of("body") for message in messages] == ["w0", "w1", "w2"]
    stamps = [delay.get("stamp") for message in messages if (delay := message.find("delay", ns.DELAY))]
    assert stamps == [f"2017-07-14T02:40:0{number}Z" for number in range(3)]
    await world.server.stop(0)


@pytest.mark.parametrize("breaks_after", [0, 1, 499, 500, 501, 1_203])
async def test_what_was_interrupted_goes_on_where_it_stopped(
    stores: MemoryStores, clock: VirtualClock, breaks_after: int
) -> None:
    accounts = [PortableAccount(jid=BOB), PortableAccount(jid=ALICE, vcard=b'<vCard xmlns="vcard-temp"/>')]
    source = Past(accounts, {ALICE: chatter(ALICE, BOB, 1_204)})
    source.breaks_after = breaks_after
    with pytest.raises(BackendError):
        await bring(stores, clock, source)
    source.breaks_after = -1
    report = await bring(stores, clock, source)
    assert (report.accounts, report.present, report.finished) == (0, 1, 1)
    assert stores.ledger is not None
    head = await stores.ledger.head(ALICE)
    assert (head.first, head.position) == (1, 1_204)
    [row] = (await stores.ledger.inbox(ALICE, InboxQuery())).rows
    assert (row.unread, row.position) == (0, 1_204)

    report = await bring(stores, clock, source)
    assert (report.accounts, report.present, report.finished, report.messages) == (0, 2, 0, 0)
    assert (await stores.ledger.head(ALICE)).position == 1_204


async def test_who_is_here_already_stays_as_they_are(stores: MemoryStores, clock: VirtualClock) -> None:
    await stores.accounts.create(ALICE, (), 1.0)
    await stores.accounts.ban(ALICE, Ban("spam", 2.0))
    before = await stores.accounts.get(ALICE)
    source = Past([PortableAccount(jid=ALICE, vcard=b"<vCard/>")], {ALICE: chatter(ALICE, BOB, 3)})
    report = await bring(stores, clock, source)
    assert (report.accounts, report.present, report.messages) == (0, 1, 0)
    assert await stores.accounts.get(ALICE) == before
    assert await stores.vcards.get(ALICE) is None


async def test_a_dry_run_writes_nothing(stores: MemoryStores, clock: VirtualClock) -> None:
    source = Past([PortableAccount(jid=ALICE)], {ALICE: chatter(ALICE, BOB, 3)})
    dry = await bring(stores, clock, source, dry=True)
    assert not await stores.accounts.exists(ALICE)
    assert stores.ledger is not None
    assert (await stores.ledger.head(ALICE)).position == 0
    assert msgspec.to_builtins(await bring(stores, clock, source))["messages"] == dry.messages == 3


async def test_what_cannot_come_is_told(stores: MemoryStores, clock: VirtualClock) -> None:
    state = "<message from='bob@localhost/a' to='alice@localhost' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
    large = past(BOB, ALICE, "x" * (1 << 20), 5, owner=ALICE)
    history = [PastMessage(1, stanza_of(decode(state.encode(), ns.CLIENT))), large]
    accounts = [
        PortableAccount(jid=ALICE, left_out=("pictures", "pictures")),
        PortableAccount(jid=Jid("carol@elsewhere.test"), password="x"),
        PortableAccount(jid=BOB, password="\x00"),
    ]
    report = await bring(stores, clock, Past(accounts, {ALICE: history}))
    assert report.left_out == {"pictures": 2, "messages that archives do not keep": 2}
    told = "\n".join(report.problems)
    assert "alice@localhost: has no password" in told
    assert "carol@elsewhere.test: the domain elsewhere.test is not served here" in told
    assert "bob@localhost: the password cannot be used" in told
    assert report.accounts == 2


async def test_corrections_and_retractions_still_hold(stores: MemoryStores, clock: VirtualClock) -> None:
    correction = "<replace xmlns='urn:xmpp:message-correct:0' id='one'/>"
    retraction = "<retract xmlns='urn:xmpp:message-retract:1' id='two'/>"
    history = [
        past(BOB, ALICE, "one", 1, owner=ALICE),
        past(BOB, ALICE, "two", 2, owner=ALICE),
        past(BOB, ALICE, "uno", 3, owner=ALICE, more=correction),
        past(BOB, ALICE, "gone", 4, owner=ALICE, more=retraction),
    ]
    await bring(stores, clock, Past([PortableAccount(jid=ALICE)], {ALICE: history}))
    world = await World.start(stores=stores, clock=clock)
    alice = await world.online("alice@localhost/phone")
    assert (await pull(alice)).texts[:3] == ["one", None, "uno"]
    await world.server.stop(0)


async def test_a_name_that_somebody_had_before_begins_with_nothing_of_it(
    stores: MemoryStores, clock: VirtualClock
) -> None:
    """Positions go on behind those of the earlier owner, whatever is done twice."""
    source = Past([PortableAccount(jid=ALICE)], {ALICE: chatter(ALICE, BOB, 5)})
    await bring(stores, clock, source)
    world = await World.start(stores=stores, clock=clock)
    await world.context.accounts.remove(ALICE)
    await world.server.stop(0)
    source.breaks_after = 3
    with pytest.raises(BackendError):
        await bring(stores, clock, source)
    source.breaks_after = -1
    report = await bring(stores, clock, source)
    assert report.finished == 1
    world = await World.start(stores=stores, clock=clock)
    alice = await world.online("alice@localhost/phone")
    assert (await pull(alice)).texts == [f"n{number}" for number in range(5)]
    await world.server.stop(0)
