"""Stream management: what is counted, who is told, and how a session outlives its connections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.world import World, WorldClient
from tidings.base.errors import BackendError, StreamError
from tidings.base.jid import Jid
from tidings.features.stream_management import StreamManagement, StreamManagementOptions, stream_key
from tidings.kernel.events import SessionDetached, SessionEnded, SessionResumed, StanzasAcknowledged
from tidings.kernel.feature import Feature, StreamStage, listens
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.stream_management import Ack, Enable, Failed, Resume

R = f"<r xmlns='{ns.SM}'/>"
PHONE, DESK = "alice@localhost/phone", "bob@localhost/desk"
CSI_INACTIVE = f"<inactive xmlns='{ns.CSI}'/>"


def a(handled: int) -> str:
    return f"<a xmlns='{ns.SM}' h='{handled}'/>"


def chat(number: object, to: str = PHONE) -> str:
    return f"<message to='{to}' type='chat' id='{number}'><body>{number}</body></message>"


def ids(client: WorldClient, name: str = "message") -> list[str | None]:
    return [stanza.get("id") for stanza in client.take(name)]


def acks(client: WorldClient) -> list[int]:
    return [Ack.decode(element).handled for element in client.take("a")]


def failure(element: WorldClient | Element) -> tuple[str, int | None]:
    assert isinstance(element, Element)
    failed = Failed.decode(element)
    return failed.condition, failed.handled


async def back(world: World, client: WorldClient, **how: Any) -> WorldClient:
    """Resume, which must succeed."""
    again = await world.resume(client, **how)
    assert isinstance(again, WorldClient), again
    return again


def options(**values: Any) -> dict[str, StreamManagementOptions]:
    return {"stream_management": StreamManagementOptions(**values)}


# --- offering and enabling (§2, §3, §9.1)


async def test_it_is_offered_after_login_and_inline(world: World) -> None:
    feature = world.server.hosts["localhost"].feature(StreamManagement)
    assert feature is not None
    offered = {stage: list(feature.stream_features(stage)) for stage in StreamStage}
    sm = [Element("sm", ns.SM)]
    assert offered == {StreamStage.BEFORE_LOGIN: [], StreamStage.AFTER_LOGIN: sm, StreamStage.INLINE: sm}
    assert feature.inline == (ns.SM,)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"can_resume": True}, "300"),
        ({"can_resume": True, "maximum": 60}, "60"),
        ({"can_resume": True, "maximum": 3_000}, "300"),
        ({"can_resume": True, "maximum": 0}, None),
        ({"can_resume": False}, None),
        ({"can_resume": False, "maximum": 60}, None),
    ],
)
async def test_what_a_client_may_resume(world: World, asked: dict[str, Any], told: str | None) -> None:
    alice = await world.login(PHONE)
    enabled = await alice.manage(**asked)
    assert enabled.get("max") == told
    assert (enabled.get("resume") == "true") is bool(told)
    assert bool(enabled.get("id")) is bool(told)
    assert enabled.get("location") is None


async def test_the_operator_says_how_long_and_where(world: World) -> None:
    other = await World.start(options=options(resume_seconds=20, location="[2001:db8::1]:9222"))
    enabled = await (await other.login(PHONE)).manage()
    assert (enabled.get("max"), enabled.get("location")) == ("20", "[2001:db8::1]:9222")
    await other.stop()
    off = await World.start(options=options(resume_seconds=0))
    alice = await off.login(PHONE)
    assert (await alice.manage()).get("resume") is None
    await alice.lose()
    assert alice.session.ended
    await off.stop()


async def test_a_made_up_account_cannot_be_come_back_to() -> None:
    world = await World.start(domains=("anon.test",), anonymous=("anon.test",))
    guest = await world.login("guest@anon.test/x")
    assert (await guest.manage()).get("resume") is None
    await world.stop()


async def test_every_stream_has_a_name_of_its_own_that_cannot_be_guessed(world: World) -> None:
    names = {(await (await world.login("alice@localhost")).manage()).get("id") or "" for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) >= 22 for name in names)


async def test_enabling_twice_ends_the_stream(world: World) -> None:
    alice = await world.login(PHONE)
    await alice.manage()
    await alice.send(Enable().encode().to_bytes().decode())
    assert alice.error is not None
    assert alice.error.condition == "policy-violation"


async def test_nonsense_is_refused_and_costs_nothing(world: World) -> None:
    alice = await world.login(PHONE)
    await alice.send(
        f"<enable xmlns='{ns.SM}' resume='perhaps'/>", R, a(0), Resume("x", 0).encode().to_bytes().decode()
    )
    assert [failure(element)[0] for element in alice.take()] == ["bad-request", *["unexpected-request"] * 3]
    assert not alice.closed
    assert (await alice.manage()).get("id")


async def test_bind_2_enables_it_with_the_session(world: World) -> None:
    alice = await world.login(PHONE, inline=(Enable(can_resume=True).encode(),))
    [enabled] = alice.answers
    assert (enabled.name, enabled.get("resume")) == ("enabled", "true")
    await alice.send("<iq type='get' id='1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", R)
    assert acks(alice) == [1]
    odd = await world.login(PHONE, inline=(Element("enable", ns.SM, {"max": "many"}),))
    assert [failure(answer) for answer in odd.answers] == [("bad-request", None)]


# --- acks (§4)


async def test_what_came_before_it_was_enabled_is_not_counted(world: World) -> None:
    alice = await world.login(PHONE)
    await alice.send("<presence/>", chat(1), Enable().encode().to_bytes().decode(), R)
    assert acks(alice) == [0]
    await alice.send(chat(2), "<presence/>", R, chat("@"), R, R)
    assert acks(alice)[-1] == 3


class Watching(Feature):
    """Writes down what becomes of sessions."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    @listens(StanzasAcknowledged)
    def acknowledged(self, event: StanzasAcknowledged) -> None:
        self.seen.append(("acknowledged", event.sent))

    @listens(SessionDetached)
    async def detached(self, event: SessionDetached) -> None:
        self.seen.append(("detached", event.session.flow.sent))

    @listens(SessionResumed)
    async def resumed(self, event: SessionResumed) -> None:
        self.seen.append(("resumed", event.session.flow.sent))

    @listens(SessionEnded)
    def ended(self, event: SessionEnded) -> None:
        self.seen.append(("ended", event.session.flow.sent))


async def test_features_are_told_what_a_client_has() -> None:
    world = await World.start(features=[StreamManagement, Watching])
    watching = world.server.hosts["localhost"].feature(Watching)
    assert watching is not None
    alice = await world.login(PHONE)
    bob = await world.login(DESK)
    await bob.send(chat(1), chat(2))
    await alice.manage()
    await bob.send(chat(3), chat(4), chat(5))
    await alice.send(a(0), a(2), a(2))
    assert watching.seen == [("acknowledged", 4)]
    await alice.lose()
    await bob.send(chat(6))
    await back(world, alice)
    assert watching.seen[1:] == [("detached", 5), ("acknowledged", 5), ("resumed", 6)]
    await world.stop()
    assert watching.seen[4:] == [("ended", 6), ("ended", 0)] or watching.seen[4:] == [
        ("ended", 0),
        ("ended", 6),
    ]


async def test_who_acknowledges_too_much_is_told_so_and_out(world: World) -> None:  # §6
    alice = await world.login(PHONE)
    bob = await world.login(DESK)
    await alice.manage()
    await bob.send(chat(1))
    await alice.send(a(2))
    assert alice.error is not None
    assert b'h="2" send-count="1"' in alice.error.payload
    for wrong in ("", "-1", "4294967296", "x"):
        other = await world.login("alice@localhost")
        await other.manage()
        await other.send(f"<a xmlns='{ns.SM}' h='{wrong}'/>")
        assert other.error is not None
        assert other.error.condition == "bad-format"


async def test_a_client_is_asked_once_at_the_end_of_a_burst(world: World) -> None:
    alice = await world.login(PHONE)
    bob = await world.login(DESK)
    await alice.manage()
    await bob.send(*map(chat, range(5)))
    assert [element.name for element in alice.take()] == [*["message"] * 5, "r"]
    await bob.send(chat(5))
    assert [element.name for element in alice.take()] == ["message"]  # it has not answered yet
    await alice.send(a(5))
    assert [element.name for element in alice.take()] == ["r"]  # and what came since is asked for then
    await alice.send(a(6))
    assert alice.take() == []


# --- resumption (§5)


async def test_nothing_is_lost_with_a_connection(world: World) -> None:
    alice = await world.online(PHONE)
    bob = await world.online(DESK)
    await alice.manage()
    await bob.send(chat(1), chat(2))
    assert ids(alice) == ["1", "2"]
    await alice.lose()
    await bob.send(chat(3), chat(4, to="alice@localhost"))
    assert bob.take() == []
    again = await back(world, alice, handled=1, transport="websocket")
    assert [element.name for element in again.received] == ["resumed", "message", "message", "message", "r"]
    assert again.received[0].get("previd") == alice.stream_id
    assert ids(again) == ["2", "3", "4"]
    assert again.session is alice.session
    assert again.session.transport == "websocket"
    await again.send(a(4), chat(5, to=DESK), R)
    assert acks(again)[-1] == 1
    assert ids(bob) == ["5"]


async def test_contacts_see_no_difference_until_the_time_is_over(world: World) -> None:
    alice = await world.online(PHONE)
    other = await world.online("alice@localhost/desk")
    await alice.manage(maximum=60)
    await alice.lose()
    await world.advance(59)
    assert other.take() == []
    assert alice.session.priority == 0
    again = await back(world, alice)
    await world.advance(200)
    assert other.take() == []
    await again.lose()
    await world.advance(61)
    [presence] = other.take()
    assert (presence.get("from"), presence.get("type")) == (PHONE, "unavailable")
    assert failure(await world.resume(again)) == ("item-not-found", 0)


async def test_who_says_goodbye_is_gone(world: World) -> None:  # §7
    alice = await world.online(PHONE)
    other = await world.online("alice@localhost/desk")
    await alice.manage()
    await alice.send(chat(1, to="alice@localhost/desk"))
    other.take()
    await alice.leave()
    assert [presence.get("type") for presence in other.take()] == ["unavailable"]
    assert failure(await world.resume(alice)) == ("item-not-found", 1)


async def test_a_connection_that_is_still_there_makes_way(world: World) -> None:
    alice = await world.online(PHONE)
    await alice.manage()
    again = await back(world, alice)
    assert alice.error is not None
    assert alice.error.condition == "conflict"
    assert not again.session.ended
    once_more = await back(world, again)
    assert again.closed
    assert once_more.session is alice.session
    assert world.server.session_count == 1


async def test_a_session_belongs_to_its_account_and_its_domain(world: World) -> None:
    alice = await world.login(PHONE)
    await alice.manage()
    await alice.send(chat(1, to=PHONE))
    for thief in ("mallory@localhost/x", "alice@other.test/phone"):
        mallory = await world.login(thief)
        mallory.stream_id = alice.stream_id
        assert failure(await world.resume(mallory)) == ("item-not-found", None)
    assert not alice.closed
    alice.stream_id = "no-such-stream"
    assert failure(await world.resume(alice)) == ("item-not-found", None)
    await alice.leave()
    mallory.stream_id = alice.stream_id
    assert failure(await world.resume(mallory)) == ("item-not-found", None)


async def test_who_has_lost_count_begins_anew(world: World) -> None:
    alice = await world.login(PHONE)
    await alice.manage()
    await alice.lose()
    with pytest.raises(StreamError) as caught:
        await world.resume(alice, handled=7)
    assert b"handled-count-too-high" in caught.value.payload
    await world.settle()
    assert failure(await world.resume(alice)) == ("item-not-found", 0)


async def test_only_resume_comes_before_binding(world: World) -> None:
    feature = world.server.hosts["localhost"].feature(StreamManagement)
    assert feature is not None
    early = [Enable().encode(), Element("r", ns.SM), Element("resume", ns.SM, {"h": "0"})]
    answers = [await feature.negotiate_resumption(Jid("alice@localhost"), element) for element in early]
    assert [failure(answer)[0] for answer, _ in answers] == [*["unexpected-request"] * 2, "bad-request"]


async def test_the_ledger_notes_how_far_a_stream_has_come(world: World) -> None:
    alice = await world.online(PHONE)
    await world.login(DESK)
    await alice.manage()
    await alice.send("<presence/>", chat(2, to=DESK), chat(3, to=DESK), "<presence/>", chat(5, to=DESK))
    key = stream_key(alice.jid.bare, alice.stream_id)
    assert await world.stores.ledger.end_stream(key) == 5
    assert alice.session.flow.h == 5


class Restarted:
    """A ledger in which another run of the server has left its streams."""

    def __init__(self, streams: dict[bytes, int] | None) -> None:
        self.streams = streams

    async def end_stream(self, key: bytes) -> int | None:
        if self.streams is None:
            raise BackendError("the database is gone")
        return self.streams.get(key)


@pytest.mark.parametrize(
    ("stream", "known"), [("before", 17), ("long", 4), ("other", None), ("", None)], ids=str
)
async def test_after_a_restart_the_ledger_knows_what_was_handled(
    world: World, stream: str, known: int | None
) -> None:
    feature = world.server.hosts["localhost"].feature(StreamManagement)
    assert feature is not None
    account = Jid("alice@localhost")
    streams = {stream_key(account, "before"): 17, stream_key(account, "long"): 2**32 + 4}
    feature._ledger = Restarted(streams if stream else None)  # type: ignore[assignment]
    answer, session = await feature.negotiate_resumption(account, Resume(stream or "x", 3).encode())
    assert session is None
    assert failure(answer) == ("item-not-found", known)


async def test_the_next_client_of_the_resource_replaces_a_session_that_waits(world: World) -> None:
    alice = await world.online(PHONE)
    await alice.manage()
    await alice.send(chat(1, to=PHONE))
    await alice.lose()
    new = await world.online(PHONE)
    assert alice.session.ended
    assert new.session.account.sessions == {"phone": new.session}
    assert failure(await world.resume(alice)) == ("item-not-found", 1)
    await world.advance(1_000)
    assert not new.session.ended


async def test_sessions_that_wait_make_room_for_clients_that_are_there() -> None:
    world = await World.start(sessions_per_account=2)
    one, two = [await world.login(f"alice@localhost/{number}") for number in (1, 2)]
    await one.manage()
    await two.manage()
    await two.lose()
    three = await world.login("alice@localhost/3")
    assert (one.session.ended, two.session.ended) == (False, True)
    assert set(three.session.account.sessions) == {"1", "3"}
    await world.stop()


@pytest.mark.parametrize("limit", [{"window_stanzas": 3}, {"window_bytes": 400}], ids=str)
@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_client_that_acknowledges_nothing_loses_its_session_and_nobody_is_told(
    limit: dict[str, int], is_lost: bool
) -> None:
    world = await World.start(options=options(**limit))
    alice = await world.online(PHONE)
    bob = await world.online(DESK)
    await alice.manage()
    if is_lost:
        await alice.lose()
    await bob.send(
        *(
            f"<presence to='{PHONE}' id='{number}'><status>{'x' * 40}</status></presence>"
            for number in range(9)
        )
    )
    assert alice.session.ended
    assert alice.session.flow.window is None
    if not is_lost:
        assert alice.error is not None
        assert alice.error.condition == "resource-constraint"
    assert bob.take() == []
    assert failure(await world.resume(alice)) == ("item-not-found", 0)
    await world.stop()


async def test_a_client_that_comes_back_is_active(world: World) -> None:  # XEP-0352 §5.2
    alice = await world.online(PHONE)
    bob = await world.online(DESK)
    await alice.manage()
    await alice.send(CSI_INACTIVE)
    await bob.send(f"<presence to='{PHONE}' id='p'/>")
    assert ids(alice, "presence") == []
    await alice.lose()
    await bob.send(f"<presence to='{PHONE}' id='q'/>")
    again = await back(world, alice)
    assert ids(again, "presence") == ["q"]
    assert again.session.outbound_filter is None


async def test_a_client_that_cannot_resume_is_gone_with_its_connection(world: World) -> None:
    alice = await world.online(PHONE)
    await alice.manage(can_resume=False)
    await alice.lose()
    assert alice.session.ended


async def test_a_server_that_stops_keeps_nobody_waiting() -> None:
    world = await World.start()
    alice = await world.online(PHONE)
    await alice.manage()
    await alice.lose()
    await world.stop()
    assert alice.session.ended
    assert world.server.session_count == 0
