"""Operations on followers: how far they are, where they go on, and what they try again."""

from __future__ import annotations

import pytest

from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.text_index import DELAY
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.ports.ledger.feed import Cursor


async def call(context: Context, name: str, **arguments: object):
    return await CATALOGUE.call(context, "followers", name, arguments)


async def refusal(context: Context, name: str, **arguments: object) -> str:
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code


async def talk(world: World, *texts: str) -> None:
    alice = await world.online("alice@localhost/phone")
    await world.register("bob@localhost")
    for text in texts:
        await alice.send(f"<message to='bob@localhost' type='chat'><body>{text}</body></message>")


async def pass_time(world: World) -> None:
    for _ in range(3):
        await world.advance(DELAY)


async def test_the_list_says_how_far_each_follower_is(world: World, live: Context) -> None:
    await pass_time(world)
    await talk(world, "one", "two")
    await pass_time(world)
    ledger = world.stores.ledger
    await ledger.followers.take_lease("push", "somebody", 1000)
    await ledger.followers.put_aside("push", Cursor("aaaaaaaaaa", 1), "no")
    files, push, index = (await call(live, "list")).items
    assert (files.name, files.lag) == ("file_mentions", 0)
    assert (index.name, index.lag, index.dead_letters, index.working) == ("text_index", 0, 0, True)
    assert index.moved.isoformat().startswith("2026-01-01T")
    _, last = await ledger.feed()
    assert (push.name, push.lag, push.dead_letters, push.working) == ("push", last + 1, 1, True)


async def test_a_follower_is_rewound_to_a_place_that_the_list_shows(world: World, live: Context) -> None:
    await talk(world, "one", "two", "three")
    await pass_time(world)
    incarnation, last = await world.stores.ledger.feed()
    for wanted, cursor in (
        ("start", Cursor(incarnation)),
        ("now", Cursor(incarnation, last + 1)),
        (f"{incarnation}-2", Cursor(incarnation, 2)),
        (f"{incarnation}-2.1.7", Cursor(incarnation, 2, 1, 7)),
    ):
        answer = await call(live, "rewind", follower="text_index", cursor=wanted)
        assert answer.cursor == str(cursor)
        assert (await world.stores.ledger.followers.follower("text_index")).cursor == cursor
    await pass_time(world)
    assert (await call(live, "list")).items[-1].lag == 0  # the running server has gone on from there


async def test_a_place_of_another_feed_is_refused(world: World, live: Context) -> None:
    await talk(world, "one")
    incarnation, last = await world.stores.ledger.feed()
    for cursor in ("", "17", "aaaaaaaaaa-1.0.0", f"{incarnation}-{last + 2}"):
        assert await refusal(live, "rewind", follower="text_index", cursor=cursor) == "invalid"
    assert await refusal(live, "rewind", follower="nobody", cursor="start") == "not-found"


async def test_dead_letters_are_listed_and_tried_again(world: World, live: Context) -> None:
    await talk(world, *map(str, range(5)))
    followers = world.stores.ledger.followers
    incarnation, _ = await world.stores.ledger.feed()
    await followers.take_lease("push", "somebody", 1000)
    places = [Cursor(incarnation, feed) for feed in range(1, 6)]
    for place in places:
        await followers.put_aside("push", place, "the phone is off")
    page = await call(live, "dead-letters", follower="push", limit=3)
    assert [letter.cursor for letter in page.items] == [str(place) for place in places[:3]]
    assert {(letter.reason, letter.retried) for letter in page.items} == {("the phone is off", False)}
    rest = await call(live, "dead-letters", follower="push", after=page.next)
    assert ([letter.cursor for letter in rest.items], rest.next) == (list(map(str, places[3:])), None)
    assert (await call(live, "retry", follower="push", cursor=str(places[1]))).dead_letters == 1
    assert (await followers.follower("push")).retries == 1
    assert (await call(live, "retry", follower="push")).dead_letters == 5
    assert await refusal(live, "retry", follower="push", cursor=f"{incarnation}-99.0.0") == "not-found"
    assert await refusal(live, "retry", follower="push", cursor="x") == "invalid"
    assert await refusal(live, "retry", follower="nobody") == "not-found"
    assert await refusal(live, "dead-letters", follower="nobody") == "not-found"


async def test_whoever_administers_one_domain_has_no_say(world: World, live: Context) -> None:
    admin = live.acting_for(Caller.administrator(Jid("admin@localhost"), "localhost"))
    await talk(world, "one")
    await pass_time(world)
    assert await refusal(admin, "list") == "not-allowed"
    assert await refusal(admin, "rewind", follower="text_index", cursor="start") == "not-allowed"
    assert await refusal(admin, "dead-letters", follower="text_index") == "not-allowed"
    assert await refusal(admin, "retry", follower="text_index") == "not-allowed"


async def test_a_server_without_archives_has_none(context: Context) -> None:
    assert await refusal(context, "list") == "unavailable"
