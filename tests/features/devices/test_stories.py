"""Devices: what people get who were away, on one device or on several."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.features.pulling import pull
from tests.harness.world import World, WorldClient
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.archive import Archive
from tidings.features.blocking import Blocking
from tidings.features.carbons import Carbons
from tidings.features.contacts import Presences, Rosters, Subscriptions
from tidings.features.devices import DeviceOptions, Devices
from tidings.features.devices.progress import MOST_HELD, PROGRESS
from tidings.features.disco import ServiceDiscovery
from tidings.features.stream_management import StreamManagement
from tidings.kernel.feature import Feature
from tidings.ports.ledger.batch import Append, Entry, LedgerBatch
from tidings.ports.ledger.reading import Head
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns

FEATURES: tuple[type[Feature], ...] = (
    Rosters,
    Subscriptions,
    Presences,
    Blocking,
    ServiceDiscovery,
    StreamManagement,
    Carbons,
    Archive,
    Devices,
)
ROMEO, PHONE, DESK = Jid("romeo@localhost"), "romeo@localhost/phone", "romeo@localhost/desk"
AWAY = "<presence type='unavailable'/>"
HIDDEN = "<presence><priority>-1</priority></presence>"
COPY = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=FEATURES, options={"devices": DeviceOptions(offline_messages=3)})
    yield world
    assert not world.server.telemetry.bugs
    await world.stop()


@pytest.fixture
async def juliet(world: World) -> WorldClient:
    await world.register("romeo@localhost")
    return await world.login("juliet@localhost/balcony")


async def say(juliet: WorldClient, *texts: object, to: str = "romeo@localhost", kind: str = "chat") -> None:
    """Send messages whose texts are their ids."""
    await juliet.send(
        *(f"<message to='{to}' type='{kind}' id='{t}'><body>{t}</body></message>" for t in texts)
    )


async def come(world: World, address: str, presence: str = "<presence/>", **how: Any) -> WorldClient:
    client = await world.login(address, **how)
    await client.send(presence)
    return client


def got(client: WorldClient) -> list[str]:
    """Give the texts that a client has received, and forget them."""
    return [message.text_of("body") or "" for message in client.take("message")]


def archive_id(message: Element) -> str | None:
    stanza_id = message.find("stanza-id", ns.STANZA_ID)
    return None if stanza_id is None else stanza_id.get("id")


async def answer_pings(client: WorldClient) -> int:
    """Answer what the server asks, and tell how often it did."""
    pings = [each for each in client.take("iq") if each.get("type") == "get"]
    for ping in pings:
        await client.send(f"<iq type='result' id='{ping.get('id')}' to='{ping.get('from')}'/>")
    return len(pings)


# --- one device


async def test_what_was_sent_while_away_comes_in_order_with_its_time(
    world: World, juliet: WorldClient
) -> None:
    await say(juliet, 1)
    await world.advance(60)
    await say(juliet, 2)
    assert juliet.take() == []  # it is not refused
    await world.advance(60)
    phone = await come(world, PHONE)
    first, second = phone.take("message")
    assert [first.text_of("body"), second.text_of("body")] == ["1", "2"]
    delay = first.find("delay", ns.DELAY)
    assert delay is not None
    assert (delay.get("from"), delay.get("stamp")) == ("localhost", "2026-01-01T00:00:00Z")
    assert first.find("time", ns.TIDINGS_TIME) is None
    assert archive_id(first) != archive_id(second)
    await say(juliet, 3)
    [live] = phone.take("message")
    assert live.find("delay", ns.DELAY) is None
    assert live.find("time", ns.TIDINGS_TIME) is not None


async def test_a_session_without_presence_gets_nothing(world: World, juliet: WorldClient) -> None:
    await say(juliet, 1)
    phone = await world.login(PHONE)
    await world.settle()
    assert got(phone) == []
    await phone.send(HIDDEN)
    assert got(phone) == []
    await phone.send("<presence to='juliet@localhost'/>")
    assert got(phone) == []
    await phone.send("<presence/>")
    assert got(phone) == ["1"]
    await phone.send("<presence><show>away</show></presence>")
    assert got(phone) == []


async def test_presence_that_is_refused_begins_nothing(world: World, juliet: WorldClient) -> None:
    await say(juliet, 1)
    phone = await come(world, PHONE, "<presence><priority>high</priority></presence>")
    assert got(phone) == []
    await phone.send("<presence/>")
    assert got(phone) == ["1"]


@pytest.mark.parametrize("gone", [AWAY, HIDDEN])
async def test_leaving_for_a_while_in_one_session(world: World, juliet: WorldClient, gone: str) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await phone.send(gone)
    await say(juliet, 2)
    await say(juliet, "to the phone", to=PHONE)
    assert got(phone) == ["1", "to the phone"]
    await say(juliet, 3)
    await phone.send("<presence/>")
    assert got(phone) == ["2", "3"]  # what it had at once does not come again


async def test_what_a_lost_connection_makes_uncertain_comes_again(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    [before] = phone.take("message")
    await phone.lose()
    await say(juliet, 2)
    phone = await come(world, PHONE)
    again, new = phone.take("message")
    assert [again.text_of("body"), new.text_of("body")] == ["1", "2"]
    assert archive_id(again) == archive_id(before)


async def test_who_ends_the_stream_in_order_has_everything(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await phone.leave()
    await say(juliet, 2)
    assert got(await come(world, PHONE)) == ["2"]


async def test_who_speaks_a_while_later_has_what_came_before(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await world.advance(30)  # silence says nothing
    await phone.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await say(juliet, 2)
    await world.advance(5)
    await phone.lose()
    assert got(await come(world, PHONE)) == ["2"]


async def test_who_speaks_too_soon_is_sent_it_again(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await world.advance(6)
    await phone.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await world.advance(5)
    await phone.lose()
    assert got(await come(world, PHONE)) == ["1"]


async def test_a_counting_client_is_sent_what_it_did_not_count(world: World, juliet: WorldClient) -> None:
    phone = await world.login(PHONE)
    await phone.manage(can_resume=False)
    await phone.send("<presence/>")
    await say(juliet, 1, 2)
    await phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{phone.counted - 1}'/>")
    await world.advance(60)
    await phone.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
    await world.advance(60)  # to go on speaking does not count
    await phone.leave()
    assert got(await come(world, PHONE)) == ["2"]


async def test_a_cursor_survives_the_server(world: World, juliet: WorldClient) -> None:
    phone = await world.login(PHONE)
    await phone.manage(can_resume=False)
    await phone.send("<presence/>")
    await say(juliet, 1, 2)
    await phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{phone.counted}'/>")
    await world.advance(5)
    devices = await world.stores.ledger.devices(ROMEO)
    assert {name: device.position for name, device in devices.items()} == {"resource:phone": 2}


async def test_the_end_of_a_session_stores_the_cursor_at_once(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await phone.leave()
    devices = await world.stores.ledger.devices(ROMEO)
    assert devices["resource:phone"].position == 1


# --- several devices


async def test_each_device_gets_everything_once(world: World, juliet: WorldClient) -> None:
    for address in (PHONE, DESK):
        await (await come(world, address)).leave()
    await say(juliet, 1)
    phone = await come(world, PHONE)
    assert got(phone) == ["1"]
    await say(juliet, 2)
    desk = await come(world, DESK)
    assert (got(phone), got(desk)) == (["2"], ["1", "2"])
    await say(juliet, 3)
    assert (got(phone), got(desk)) == (["3"], ["3"])
    await phone.leave()
    await desk.leave()
    assert got(await come(world, PHONE)) == got(await come(world, DESK)) == []


async def test_a_new_device_gets_what_no_device_has_seen(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    await phone.leave()
    await say(juliet, 2)
    desk = await come(world, DESK)
    assert got(desk) == ["2"]
    await desk.lose()
    phone = await come(world, PHONE)
    await phone.leave()  # is further than the desk now
    assert got(await come(world, DESK)) == ["2"]


async def test_a_user_agent_is_one_device_whatever_its_resource(world: World, juliet: WorldClient) -> None:
    one = await come(world, "romeo@localhost/a", device="d4565fa7")
    await say(juliet, 1)
    await one.leave()
    await say(juliet, 2)
    two = await come(world, "romeo@localhost/b", device="d4565fa7")
    assert got(two) == ["2"]
    await two.leave()
    assert set(await world.stores.ledger.devices(ROMEO)) == {"d4565fa7"}


async def test_clients_without_a_name_share_one_cursor(world: World, juliet: WorldClient) -> None:
    for text in ("1", "2"):
        await say(juliet, text)
        client = await come(world, "romeo@localhost")
        assert got(client) == [text]
        await client.leave()
    assert set(await world.stores.ledger.devices(ROMEO)) == {""}


async def test_a_message_for_one_resource_is_for_it_alone(world: World, juliet: WorldClient) -> None:
    phone, desk = await come(world, PHONE), await come(world, DESK)
    await say(juliet, "phone", to=PHONE)
    await phone.lose()
    await desk.lose()
    assert got(await come(world, DESK)) == []
    assert got(await come(world, PHONE)) == ["phone"]


async def test_a_message_for_a_resource_that_never_comes_back(world: World, juliet: WorldClient) -> None:
    one = await come(world, "romeo@localhost/app/~x7Kq", device="d4565fa7")
    await say(juliet, "for this app", to="romeo@localhost/app/~x7Kq")
    assert got(one) == ["for this app"]
    await one.lose()
    two = await come(world, "romeo@localhost/app/~Ub2p", device="d4565fa7")
    assert got(two) == ["for this app"]


async def test_own_messages_are_not_replayed(world: World, juliet: WorldClient) -> None:
    desk = await come(world, DESK)
    await desk.send("<message to='juliet@localhost' type='chat'><body>mine</body></message>")
    await say(juliet, 1)
    assert got(await come(world, PHONE)) == ["1"]


async def test_a_note_to_oneself_reaches_all_devices(world: World, juliet: WorldClient) -> None:
    await (await come(world, PHONE)).leave()
    desk = await come(world, DESK)
    await desk.send("<message to='romeo@localhost' type='chat'><body>milk</body></message>")
    assert got(desk) == ["milk"]
    assert got(await come(world, PHONE)) == ["milk"]


# --- long absences


async def test_a_long_absence_is_replayed_as_the_client_answers(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(8))
    phone = await come(world, PHONE)
    assert got(phone) == ["0", "1", "2"]
    await say(juliet, 8)
    assert got(phone) == []  # nothing overtakes
    assert await answer_pings(phone) == 1
    assert got(phone) == ["3", "4", "5"]
    await phone.lose()
    phone = await come(world, PHONE)
    assert got(phone) == ["3", "4", "5"]
    await answer_pings(phone)
    assert got(phone) == ["6", "7", "8"]
    await say(juliet, 9)
    assert got(phone) == ["9"]
    assert phone.take("iq") == []


async def test_a_long_absence_of_a_counting_client(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    phone = await world.login(PHONE)
    await phone.manage(can_resume=False)
    await phone.send("<presence/>")
    assert got(phone) == ["0", "1", "2"]
    await phone.send(f"<a xmlns='urn:xmpp:sm:3' h='{phone.counted}'/>")
    assert got(phone) == ["3", "4"]
    assert phone.take("iq") == []


async def test_a_client_that_never_answers_gets_the_rest_too(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    phone = await come(world, PHONE)
    assert got(phone) == ["0", "1", "2"]
    await world.advance(61)
    assert got(phone) == ["3", "4"]


async def test_leaving_stops_the_replay(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    phone = await come(world, PHONE)
    assert got(phone) == ["0", "1", "2"]
    await phone.send(AWAY)
    await answer_pings(phone)
    await world.advance(61)
    assert got(phone) == []
    await phone.send("<presence/>")
    assert got(phone) == ["3", "4"]


async def test_a_resumed_session_goes_on_with_its_replay(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    phone = await world.login(PHONE)
    await phone.manage()
    await phone.send("<presence/>")
    assert got(phone) == ["0", "1", "2"]
    await phone.lose()
    await world.advance(61)  # it waits for its client, however long that takes
    again = await world.resume(phone)
    assert isinstance(again, WorldClient)
    assert got(again) == ["3", "4"]  # its count told that it has the rest


# --- who fetches by itself


PULL = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>"


async def test_a_device_that_asks_for_its_archive_gets_no_replay(world: World, juliet: WorldClient) -> None:
    await say(juliet, *range(5))
    phone = await come(world, PHONE)
    assert got(phone) == ["0", "1", "2"]
    await phone.send(PULL)
    phone.take()
    await say(juliet, "live")
    assert got(phone) == ["live"]
    await world.advance(61)
    assert got(phone) == []
    await phone.lose()
    await say(juliet, "missed")
    phone = await come(world, PHONE)
    assert got(phone) == []
    await say(juliet, "live again")
    assert got(phone) == ["live again"]


async def test_one_that_asks_before_it_is_available(world: World, juliet: WorldClient) -> None:
    await say(juliet, 1)
    phone = await world.login(PHONE)
    await phone.send(PULL)
    phone.take()
    await phone.send("<presence/>")
    assert got(phone) == []
    assert got(await come(world, DESK)) == []  # the phone has seen it


# --- what is not kept


async def test_headlines_typing_and_what_nobody_stores(world: World, juliet: WorldClient) -> None:
    await say(juliet, "news", kind="headline")
    await juliet.send(
        "<message to='romeo@localhost' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    await say(juliet, 1)
    assert got(await come(world, PHONE)) == ["1"]


async def test_what_is_only_kept_until_it_is_delivered(world: World, juliet: WorldClient) -> None:
    await juliet.send(
        "<message to='romeo@localhost' type='chat'><body>burn this</body>"
        "<no-permanent-store xmlns='urn:xmpp:hints'/></message>"
    )
    phone = await come(world, PHONE)
    assert got(phone) == ["burn this"]
    await phone.leave()
    assert got(await come(world, PHONE)) == []


async def test_what_was_erased_meanwhile_does_not_come(world: World, juliet: WorldClient) -> None:
    await say(juliet, 1, 2, 3)
    await world.stores.ledger.erase(ROMEO, (2,))
    assert got(await come(world, PHONE)) == ["1", "3"]


async def test_what_was_trimmed_does_not_come(world: World, juliet: WorldClient) -> None:
    await say(juliet, 1, 2, 3)
    await world.stores.ledger.trim(ROMEO, keep=1)
    assert got(await come(world, PHONE)) == ["3"]


async def test_somebody_blocked_leaves_nothing_behind(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await phone.send(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/></block></iq>"
    )
    await phone.leave()
    await say(juliet, 1)
    [refusal] = juliet.take("message")
    assert refusal.get("type") == "error"
    assert got(await come(world, PHONE)) == []


async def test_guests_have_no_archive() -> None:
    world = await World.start(features=FEATURES, anonymous=["localhost"])
    await world.register("juliet@other.test")
    guest = await come(world, "romeo@localhost/phone")
    juliet = await world.login("juliet@other.test/balcony")
    await say(juliet, 1)
    assert got(guest) == ["1"]
    await guest.leave()
    await say(juliet, 2)
    [refusal] = juliet.take("message")
    assert refusal.get("type") == "error"
    assert await world.stores.ledger.devices(ROMEO) == {}
    await world.stop()


async def test_an_account_that_is_removed_leaves_no_device(world: World, juliet: WorldClient) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    phone.session.account.exists = False
    await phone.leave()
    await world.advance(60)
    devices = await world.stores.ledger.devices(ROMEO)
    assert devices["resource:phone"].position == 0


async def test_it_is_told_that_messages_are_kept(world: World) -> None:  # XEP-0160 §4
    juliet = await world.login("juliet@localhost/balcony")
    answer = await juliet.request(
        "<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    )
    features = [each.get("var") for each in answer.children[0].children if each.name == "feature"]
    assert "msgoffline" in features


# --- when the store fails, and when things happen at the same time


class Intervention:
    """A ledger that lets something happen while a page is read."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.before: list[Any] = []
        self.after: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def page(self, archive: Jid, query: Any) -> Any:
        if self.before:
            await self.before.pop(0)()
        page = await self._ledger.page(archive, query)
        if self.after:
            await self.after.pop(0)()
        return page


@pytest.fixture
async def reading(world: World) -> Intervention:
    feature = world.server.hosts["localhost"].feature(Devices)
    assert feature is not None
    feature._replay.ledger = intervention = Intervention(feature._replay.ledger)  # type: ignore[assignment]
    return intervention


async def test_messages_that_come_while_the_last_page_is_read(
    world: World, juliet: WorldClient, reading: Intervention
) -> None:
    async def speak() -> None:
        juliet.push(
            *(f"<message to='romeo@localhost' type='chat'><body>{text}</body></message>" for text in "bc")
        )
        while phone.session[PROGRESS].first_missed is None:
            await asyncio.sleep(0)

    phone = await world.login(PHONE)
    await say(juliet, "a")
    reading.after.append(speak)
    await phone.send("<presence/>")
    assert got(phone) == ["a", "b", "c"]
    await say(juliet, "d")
    assert got(phone) == ["d"]


async def test_more_than_fits_into_memory_comes_while_a_page_is_read(
    world: World, juliet: WorldClient, reading: Intervention
) -> None:
    texts = [str(number) for number in range(MOST_HELD + 5)]

    async def speak() -> None:
        juliet.push(
            *(f"<message to='romeo@localhost' type='chat'><body>{text}</body></message>" for text in texts)
        )
        while not phone.session[PROGRESS].overflowed:
            await asyncio.sleep(0)

    phone = await world.login(PHONE)
    await say(juliet, "a")
    reading.after.append(speak)
    await phone.send("<presence/>")
    received = got(phone)
    while await answer_pings(phone):
        received += got(phone)
    assert received == ["a", *texts]


async def test_a_message_that_is_read_before_it_is_delivered_comes_once(
    world: World, juliet: WorldClient, reading: Intervention
) -> None:
    async def store() -> None:
        committed = reading._ledger.commit(LedgerBatch(appends=(append,)))
        await committed

    phone = await world.login(PHONE)
    append = Append(
        body=b"<message from='juliet@localhost' to='romeo@localhost' id='x'><body>once</body></message>",
        entries=(Entry(archive=ROMEO, peer=Jid("juliet@localhost")),),
    )
    reading.before.append(store)  # as if its delivery were still on the way
    await phone.send("<presence/>")
    assert got(phone) == ["once"]
    assert phone.session.replayed_upto == 1


async def test_a_store_that_fails_delays_the_replay(
    world: World, juliet: WorldClient, reading: Intervention
) -> None:
    async def fail() -> None:
        raise BackendError("the database is gone")

    await say(juliet, 1)
    reading.before += [fail, fail]
    phone = await come(world, PHONE)
    assert got(phone) == []
    await world.advance(6)
    assert got(phone) == []
    await world.advance(6)
    assert got(phone) == ["1"]
    await say(juliet, 2)
    assert got(phone) == ["2"]


async def test_the_server_stops(juliet: WorldClient, world: World) -> None:
    phone = await come(world, PHONE)
    await say(juliet, 1)
    phone.session[PROGRESS].acknowledge_all()
    feature = world.server.hosts["localhost"].feature(Devices)
    assert feature is not None
    feature._keeper.note(phone.session)
    await feature.stop()
    assert (await world.stores.ledger.devices(ROMEO))["resource:phone"].position == 1


# --- negative priority, Bind 2


@pytest.mark.parametrize(
    ("jid", "counts"), [(PHONE, True), (PHONE, False), ("romeo@localhost", True), ("romeo@localhost", False)]
)
async def test_a_device_of_negative_priority_gets_each_message_once(
    world: World, juliet: WorldClient, jid: str, counts: bool
) -> None:
    phone = await come(world, jid, HIDDEN)
    if counts:
        await phone.manage()
    await phone.send(COPY)
    await say(juliet, 1)
    await world.advance(12)
    assert phone.take("message") == []  # it comes as itself, not as a copy
    await phone.send("<presence><priority>0</priority></presence>")
    assert got(phone) == ["1"]
    await phone.send(HIDDEN)
    await say(juliet, 2)
    await phone.send("<presence/>")
    assert got(phone) == ["2"]


async def test_one_of_negative_priority_that_reads_the_archive_gets_copies(
    world: World, juliet: WorldClient
) -> None:
    phone = await come(world, PHONE, HIDDEN)
    await phone.send(COPY)
    await pull(phone)
    await say(juliet, 1)
    [carbon] = phone.take("message")
    assert carbon.find("received", ns.CARBONS) is not None
    await phone.send("<presence/>")
    assert got(phone) == []


@pytest.mark.parametrize("inline", ["", "<enable xmlns='urn:xmpp:carbons:2'/>"])
async def test_who_binds_by_bind_2_reads_the_archive_and_is_replayed_nothing(
    world: World, juliet: WorldClient, inline: str
) -> None:  # XEP-0386 §3.2
    await say(juliet, 1, 2, 3)
    asked = (decode(inline.encode(), ""),) if inline else ()
    phone = await come(world, "romeo@localhost/app/x", device="4f2b", inline=asked, is_bind2=True)
    assert got(phone) == []
    await say(juliet, 4)
    assert got(phone) == ["4"]
    assert (await pull(phone)).texts == ["1", "2", "3", "4"]


PULLS = {"Bind 2": True, "the archive": False}
"""How a client says that it fetches by itself what it missed."""


async def arrive_and_pull(world: World, *, is_bind2: bool) -> WorldClient:
    phone = await world.login("romeo@localhost/app/x", device="4f2b", is_bind2=is_bind2)
    assert (await pull(phone)).texts == ["1"]
    return phone


@pytest.mark.parametrize("is_bind2", PULLS.values(), ids=PULLS)
async def test_what_comes_after_a_client_has_pulled_is_sent_when_it_becomes_available(
    world: World, juliet: WorldClient, is_bind2: bool
) -> None:
    await say(juliet, 1)
    phone = await arrive_and_pull(world, is_bind2=is_bind2)
    await say(juliet, 2, 3)
    assert got(phone) == []
    await phone.send("<presence/>")
    assert got(phone) == ["2", "3"]
    await say(juliet, 4)
    assert got(phone) == ["4"]
    for away in (AWAY, HIDDEN):
        await phone.send(away)
        await say(juliet, 5, 6, 7, 8, 9)
        assert got(phone) == []
        await phone.send("<presence/>")
        texts = got(phone)
        while await answer_pings(phone):
            texts += got(phone)
        assert texts == ["5", "6", "7", "8", "9"]


async def test_pages_that_follow_the_first_cost_no_look_at_the_archive(
    world: World, juliet: WorldClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is not available yet reads page after page; only what came between is news."""
    ledger = world.stores.ledger
    assert ledger is not None
    looks: list[Jid] = []
    look = ledger.head

    async def head(archive: Jid) -> Head:
        looks.append(archive)
        return await look(archive)

    monkeypatch.setattr(ledger, "head", head)
    await say(juliet, 1)
    phone = await arrive_and_pull(world, is_bind2=False)
    before = looks.count(ROMEO)
    for _ in range(5):
        await pull(phone)
    assert looks.count(ROMEO) == before
    await say(juliet, 2)
    await pull(phone)
    assert looks.count(ROMEO) == before + 1


@pytest.mark.parametrize("is_bind2", PULLS.values(), ids=PULLS)
async def test_what_a_client_pulls_while_it_is_away_is_not_sent_again(
    world: World, juliet: WorldClient, is_bind2: bool
) -> None:
    await say(juliet, 1)
    phone = await arrive_and_pull(world, is_bind2=is_bind2)
    await say(juliet, 2)
    assert (await pull(phone)).texts == ["1", "2"]
    await say(juliet, 3)
    await phone.send("<presence/>")
    assert got(phone) == ["3"]


@pytest.mark.parametrize("is_bind2", PULLS.values(), ids=PULLS)
async def test_what_a_client_that_has_pulled_got_as_a_copy_is_not_sent_again(
    world: World, juliet: WorldClient, is_bind2: bool
) -> None:
    await say(juliet, 1)
    phone = await arrive_and_pull(world, is_bind2=is_bind2)
    await phone.send(COPY)
    phone.take("iq")
    await say(juliet, 2)
    assert len(phone.take("message")) == 1
    await phone.send("<presence/>")
    assert got(phone) == []


async def test_what_bind_2_clears_is_cleared_for_that_device_alone(world: World, juliet: WorldClient) -> None:
    desk = await come(world, DESK)
    await desk.leave()
    await say(juliet, 1)
    await come(world, "romeo@localhost/app/x", device="4f2b", is_bind2=True)
    assert got(await come(world, DESK)) == ["1"]


async def test_bind_2_tells_the_ends_of_the_archive(world: World, juliet: WorldClient) -> None:
    first = await come(world, "romeo@localhost/app/x", device="4f2b", is_bind2=True)
    [nothing] = [each for each in first.answers if each.name == "metadata"]
    assert list(nothing.children) == []
    await say(juliet, 1, 2, 3)
    ids = (await pull(first)).ids
    again = await come(world, "romeo@localhost/app/y", device="4f2b", is_bind2=True)
    [metadata] = [each for each in again.answers if each.name == "metadata"]
    assert [each.get("id") for each in metadata.children] == [ids[0], ids[-1]]
    legacy = await come(world, PHONE)
    assert legacy.answers == []


async def test_bind_2_ends_earlier_sessions_of_the_same_client(world: World, juliet: WorldClient) -> None:
    """An app that was killed comes back with a new resource; nobody is to see it twice."""
    sessions = []
    for number in range(4):
        app = await world.login(f"romeo@localhost/app/{number}", device="4f2b", is_bind2=True)
        await app.manage()
        await app.send("<presence/>")
        await app.lose()
        sessions.append(app.session)
    other = await come(world, "romeo@localhost/app/z", device="71cd", is_bind2=True)
    legacy = await come(world, PHONE)
    assert [session.ended for session in sessions] == [True, True, True, False]
    assert not other.session.ended
    last = await world.login("romeo@localhost/app/9", device="4f2b", is_bind2=True)
    assert sessions[-1].ended
    account = last.session.account
    assert set(account.sessions.values()) == {last.session, other.session, legacy.session}


async def test_a_connected_session_is_told_why_bind_2_ends_it(world: World) -> None:
    await world.register("romeo@localhost")
    first = await come(world, "romeo@localhost/app/1", device="4f2b", is_bind2=True)
    await come(world, "romeo@localhost/app/2", device="4f2b", is_bind2=True)
    assert first.error is not None
    assert (first.error.condition, first.error.text) == ("conflict", "this client has begun another session")


@pytest.mark.parametrize("device", [None, "4f2b"])
async def test_other_bindings_end_no_session_of_the_same_client(world: World, device: str | None) -> None:
    await world.register("romeo@localhost")
    first = await come(world, PHONE, device=device, is_bind2=device is None)
    await come(world, DESK, device=device, is_bind2=device is None)
    assert not first.closed
