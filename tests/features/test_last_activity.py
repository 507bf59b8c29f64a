"""Last activity: who learns how long somebody has been away, and the uptime of the server."""

from collections.abc import AsyncIterator

import pytest

from tests.features.friends import Friends
from tests.harness.world import World, WorldClient
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.features.last_activity import LONGEST_STATUS, LastActivityFeature, seconds_between
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.last import LastActivity


class Down:
    """An account store that cannot be reached."""

    async def touch_last(self, jid: Jid, now: float, status: str = "") -> None:
        raise BackendError("the database is down")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World.start(features=(LastActivityFeature, Friends))
    yield world
    await world.stop()


async def ask(client: WorldClient, to: str) -> Element:
    return await client.request(f"<iq type='get' id='l' to='{to}'><query xmlns='jabber:iq:last'/></iq>")


async def told(client: WorldClient, to: str) -> LastActivity:
    answer = await ask(client, to)
    assert answer.get("type") == "result", answer
    return LastActivity.decode(answer.children[0])


def condition(answer: Element) -> str:
    assert answer.get("type") == "error"
    error = answer.find("error", ns.CLIENT)
    assert error is not None
    return error.children[0].name


def test_seconds_never_run_backwards() -> None:
    assert seconds_between(10.0, 12.9) == 2
    assert seconds_between(12.0, 10.0) == 0


async def test_the_uptime_of_the_server(world: World) -> None:  # §5
    romeo = await world.login("romeo@localhost")
    await world.advance(123_456.7)
    assert await told(romeo, "localhost") == LastActivity(123_456)


async def test_how_long_somebody_is_gone(world: World) -> None:  # §3
    juliet, romeo = await world.login("juliet@localhost"), await world.login("romeo@localhost")
    assert await told(romeo, "juliet@localhost") == LastActivity(0)
    await juliet.send("<presence type='unavailable'><status>Heading Home</status></presence>")
    await juliet.leave()
    await world.advance(903)
    assert await told(romeo, "juliet@localhost") == LastActivity(903, "Heading Home")


async def test_the_last_session_counts(world: World) -> None:
    phone, desk = await world.login("juliet@localhost/phone"), await world.login("juliet@localhost/desk")
    romeo = await world.login("romeo@localhost")
    await phone.leave()
    await world.advance(60)
    assert await told(romeo, "juliet@localhost") == LastActivity(0)
    await desk.lose()
    await world.advance(5)
    assert await told(romeo, "juliet@localhost") == LastActivity(5)


async def test_a_new_session_forgets_the_words_of_the_one_before(world: World) -> None:
    juliet, romeo = await world.login("juliet@localhost"), await world.login("romeo@localhost")
    await juliet.send("<presence type='unavailable'><status>Bye</status></presence>")
    await juliet.leave()
    await (await world.login("juliet@localhost")).lose()
    assert await told(romeo, "juliet@localhost") == LastActivity(0)


async def test_words_said_to_one_are_not_told_to_others(world: World) -> None:
    juliet, romeo = await world.login("juliet@localhost"), await world.login("romeo@localhost")
    await juliet.send("<presence type='unavailable' to='nurse@other.test'><status>Secret</status></presence>")
    await juliet.leave()
    assert (await told(romeo, "juliet@localhost")).status == ""


async def test_long_words_are_cut(world: World) -> None:
    juliet, romeo = await world.login("juliet@localhost"), await world.login("romeo@localhost")
    await juliet.send(f"<presence type='unavailable'><status>{'x' * 5_000}</status></presence>")
    await juliet.leave()
    assert len((await told(romeo, "juliet@localhost")).status) == LONGEST_STATUS


async def test_somebody_who_never_came_is_away_since_the_account_was_made(world: World) -> None:
    await world.register("juliet@localhost")
    await world.advance(7)
    assert await told(await world.login("romeo@localhost"), "juliet@localhost") == LastActivity(7)


async def test_one_may_ask_for_oneself(world: World) -> None:
    assert await told(await world.login("stranger@localhost"), "stranger@localhost") == LastActivity(0)


@pytest.mark.parametrize(
    "to", ["juliet@localhost", "juliet@localhost/x", "nobody@localhost", "juliet@localhost/gone"]
)
async def test_strangers_learn_nothing(world: World, to: str) -> None:  # §3, §4, §8
    juliet = await world.online("juliet@localhost/x")
    assert condition(await ask(await world.login("stranger@localhost"), to)) == "forbidden"
    assert juliet.take() == []


async def test_friends_reach_the_client(world: World) -> None:  # §4
    juliet, romeo = await world.online("juliet@localhost/x"), await world.login("romeo@localhost/y")
    await romeo.send("<iq type='get' id='l' to='juliet@localhost/x'><query xmlns='jabber:iq:last'/></iq>")
    (question,) = juliet.take("iq")
    assert question.get("from") == "romeo@localhost/y"


async def test_a_store_that_is_down_does_not_hold_up_the_end_of_a_session(world: World) -> None:
    juliet = await world.login("juliet@localhost")
    feature = world.server.hosts["localhost"].feature(LastActivityFeature)
    assert feature is not None
    feature._store = Down()
    await juliet.lose()
    assert world.server.session_count == 0
