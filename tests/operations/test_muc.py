"""Rooms of Multi-User Chat by operations: what they do is what clients would have done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.features.rooms.stage import ROOM, occupant, say, shown, start, texts
from tests.features.rooms.test_owners_and_admins import condition, form, owner
from tests.harness.world import World, WorldClient
from tidings.app.rooms import ROOMS
from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.context import Caller, Context
from tidings.operations.errors import OperationError
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
ANCHORS = "anchors@conference.localhost"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await start()
    yield world
    await world.stop()


@pytest.fixture
async def alice(world: World) -> WorldClient:
    """Alice, who owns the room and is in it."""
    return await occupant(world, "alice", "Alice")


@pytest.fixture
async def bob(world: World, alice: WorldClient) -> WorldClient:
    """Bob, who is in the room and nothing more."""
    bob = await occupant(world, "bob", "Bob")
    bob.take(), alice.take()
    return bob


async def call(context: World | Context, name: str, /, **arguments: Any) -> Any:
    context = context.context if isinstance(context, World) else context
    found = CATALOGUE.get("muc", name)
    given = arguments if name in {"list", "create"} else {"room": ROOM, **arguments}
    return await CATALOGUE.call(context, found.category, found.name, given)


async def refused(context: World | Context, name: str, /, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(OperationError) as caught:
        await call(context, name, **arguments)
    return caught.value.code, caught.value.reason


def user(world: World, name: str) -> Context:
    return world.context.acting_for(Caller.user(Jid(name)))


def reason_of(presence: Element) -> str | None:
    return presence.find("x", ns.MUC_USER).find("item").text_of("reason")  # type: ignore[union-attr]


# --- lists


async def test_rooms_are_listed_by_address_and_hidden_ones_to_who_may_know_them(
    world: World, alice: WorldClient
) -> None:
    await world.register(BOB)
    await call(world, "create", room=ANCHORS, owner=BOB, nick="Bob")
    await call(world, "configure", room=ANCHORS, public=False, name="Anchors and ropes")
    found = (await call(world, "list", domain="localhost")).items
    assert [(each.room, each.name, each.occupants, each.public) for each in found] == [
        (ANCHORS, "Anchors and ropes", 0, False),
        (ROOM, "", 1, True),
    ]
    by_service = (await call(world, "list", domain="conference.localhost", filter="ROPES")).items
    assert [each.room for each in by_service] == [ANCHORS]
    assert [each.room for each in (await call(world, "list", domain="localhost", by=ALICE)).items] == [ROOM]
    mine = (await call(user(world, BOB), "list", domain="localhost", by=BOB)).items
    assert [each.room for each in mine] == [ANCHORS, ROOM]


async def test_a_list_of_rooms_comes_in_pages(world: World) -> None:
    await world.register(ALICE)
    names = [f"r{number:02}@conference.localhost" for number in (3, 11, 1, 7, 5)]
    for name in names:
        await call(world, "create", room=name, owner=ALICE, nick="A")
    found, after = [], None
    while True:
        page = await call(world, "list", domain="localhost", limit=2, after=after)
        found += [each.room for each in page.items]
        if (after := page.next) is None:
            break
    assert found == sorted(names)


async def test_occupants_are_listed_with_addresses_for_moderators(world: World, bob: WorldClient) -> None:
    alice, other = (await call(world, "occupants")).items
    assert (alice.nick, alice.user, alice.role, alice.affiliation) == ("Alice", ALICE, "moderator", "owner")
    assert (other.nick, other.user, other.role, other.affiliation) == ("Bob", BOB, "participant", "none")
    found = (await call(user(world, BOB), "occupants", by=BOB)).items
    assert [each.user for each in found] == [None, None]
    assert await refused(world, "occupants", by=CAROL) == ("not-allowed", "not_allowed")


async def test_affiliations_are_listed_all_or_of_one_kind(world: World, alice: WorldClient) -> None:
    await call(world, "set-affiliation", target=BOB, affiliation="member")
    await call(world, "set-affiliation", target="zed@elsewhere.test", affiliation="outcast")
    found = (await call(world, "affiliations")).items
    assert [(each.user, each.affiliation) for each in found] == [
        (ALICE, "owner"),
        (BOB, "member"),
        ("zed@elsewhere.test", "outcast"),
    ]
    page = await call(world, "affiliations", limit=1)
    rest = (await call(world, "affiliations", after=page.next)).items
    assert [each.user for each in (*page.items, *rest)] == [each.user for each in found]
    one = (await call(world, "affiliations", affiliation="member")).items
    assert [each.user for each in one] == [BOB]
    assert (await refused(world, "affiliations", by=BOB))[0] == "not-allowed", "a list has real addresses"
    await call(world, "configure", whois="anyone")
    seen = (await call(user(world, BOB), "affiliations", by=BOB)).items
    assert [each.user for each in seen] == [ALICE, BOB], "who is banned is nobody's business"
    assert await refused(world, "affiliations", by=BOB, affiliation="outcast") == (
        "not-allowed",
        "not_allowed",
    )


async def test_what_was_said_is_listed_from_its_new_end(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    await alice.send(say("one"))
    await world.advance(60)
    await bob.send(say("two"))
    await alice.send(say("three"))
    first = await call(world, "messages", limit=2)
    assert [(each.sender, each.body) for each in first.items] == [
        (f"{ROOM}/Alice", "three"),
        (f"{ROOM}/Bob", "two"),
    ]
    assert {each.message for each in first.items} == {None}
    [older] = (await call(world, "messages", after=first.next, xml=True)).items
    assert older.body == "one"
    assert "<body>one</body>" in older.message
    early = await call(world, "messages", before="2026-01-01T00:00:30Z")
    assert [each.body for each in early.items] == ["one"]
    read = (await call(user(world, BOB), "messages", by=BOB)).items
    assert [each.body for each in read] == ["three", "two", "one"]


async def test_who_may_not_enter_reads_nothing(world: World, alice: WorldClient) -> None:
    await alice.send(say("ours"))
    await call(world, "configure", members_only=True, history_visibility="joined")
    assert await refused(user(world, CAROL), "messages", by=CAROL) == ("not-allowed", "not_allowed")
    assert [each.body for each in (await call(world, "messages")).items] == ["ours"], "the operator does"
    assert await refused(world, "messages", after="nonsense") == ("invalid", "")


# --- making, configuring, ending


async def test_a_room_is_made_open_with_its_owners_name_reserved(world: World) -> None:
    await world.register(ALICE)
    made = await call(world, "create", room=ROOM, owner=ALICE, nick="Alice")
    assert (made.room, made.persistent, made.public) == (ROOM, True, True)
    [who] = (await call(world, "affiliations")).items
    assert (who.user, who.affiliation, who.nick) == (ALICE, "owner", "Alice")
    assert (await call(world, "occupants")).items == ()
    bob = await world.login(f"{BOB}/phone")
    await bob.send(f"<presence to='{ROOM}/Alice'><x xmlns='{ns.MUC}'/></presence>")
    assert condition(bob.take()[0]) == "conflict"


async def test_the_owners_device_enters_the_new_room(world: World) -> None:
    alice = await world.login(f"{ALICE}/phone")
    await call(world, "create", room=ROOM, owner=f"{ALICE}/phone", nick="Alice")
    assert shown(alice.take("presence")[-1])[2] == "owner/moderator"
    await alice.send(say("first"))
    assert texts(alice) == [("Alice", "first")]


async def test_what_cannot_be_made(world: World, alice: WorldClient) -> None:
    given = {"room": ROOM, "owner": ALICE, "nick": "A"}
    assert await refused(world, "create", **given) == ("conflict", "could_not_create_room")
    new = {**given, "room": ANCHORS}
    assert await refused(world, "create", **{**new, "owner": CAROL}) == ("not-found", "user_not_found")
    assert await refused(world, "create", **{**new, "owner": f"{ALICE}/away"}) == ("not-found", "no_session")
    elsewhere = await refused(world, "create", **{**new, "room": "x@localhost"})
    assert elsewhere == ("not-found", "muc_server_not_found"), "accounts are there"
    assert await refused(world, "create", **{**new, "nick": " "}) == ("invalid", "")
    assert await refused(world, "show", room=ANCHORS) == ("not-found", "room_not_found"), "nothing was made"


async def test_users_make_rooms_where_they_may(world: World) -> None:
    await world.register(ALICE)
    await call(user(world, ALICE), "create", room=ROOM, owner=ALICE, nick="Alice")
    await world.stop()
    strict = await start(create="admins")
    await strict.register(ALICE)
    given = {"room": ROOM, "owner": ALICE, "nick": "Alice"}
    assert await refused(user(strict, ALICE), "create", **given) == ("not-allowed", "not_allowed")
    assert (await call(strict, "create", **given)).room == ROOM
    await strict.stop()


async def test_a_room_is_configured_and_who_is_in_it_is_told(world: World, bob: WorldClient) -> None:
    before = await call(world, "show")
    after = await call(
        world,
        "configure",
        name="Tea",
        description="All\nabout tea",
        moderated=True,
        max_occupants=30,
        private_messages="none",
        slow_mode_seconds=5,
    )
    assert (after.name, after.description, after.moderated) == ("Tea", "All\nabout tea", True)
    assert (after.max_occupants, after.private_messages, after.slow_mode_seconds) == (30, "none", 5)
    assert (after.public, after.history) == (before.public, before.history), "what is left out stays"
    assert (before.members_by_default, after.members_by_default) == (True, False)
    always = (after.query_users, after.visitor_status, after.visitor_nick_change, after.multiple_sessions)
    assert (always, after.public_list) == ((True,) * 4, False)
    [told] = bob.take("message")
    assert told.find("x", ns.MUC_USER).find("status").get("code") == "104"  # type: ignore[union-attr]
    assert (await call(world, "configure", max_occupants=0)).max_occupants == 0


async def test_a_password_is_set_and_taken_away(world: World, alice: WorldClient) -> None:
    assert (await call(world, "configure", password="sesame")).password == "sesame"
    bob = await world.login(f"{BOB}/phone")
    entering = {"user": f"{BOB}/phone", "nick": "Bob"}
    assert await refused(world, "enter", **entering) == ("not-allowed", "not_allowed")
    await call(world, "enter", **entering, password="sesame")
    assert shown(bob.take("presence")[-1])[0] == "Bob"
    assert (await call(world, "configure", password="")).password == ""


async def test_who_may_not_stay_is_put_out_by_a_configuration(world: World, bob: WorldClient) -> None:
    await call(world, "configure", members_only=True)
    assert shown(bob.take("presence")[-1])[4] == ["110", "322"]


async def test_only_owners_configure_rooms_in_their_own_names(world: World, bob: WorldClient) -> None:
    assert await refused(user(world, BOB), "configure", by=BOB, name="Bob's") == (
        "not-allowed",
        "not_allowed",
    )
    assert await refused(user(world, BOB), "show", by=BOB) == ("not-allowed", "not_allowed")
    assert (await call(user(world, ALICE), "configure", by=ALICE, name="Alice's")).name == "Alice's"


async def test_a_room_is_ended_and_who_is_in_it_is_told_why(world: World, bob: WorldClient) -> None:
    await call(world, "destroy", reason="spam", alternative=ANCHORS)
    [gone] = bob.take("presence")
    destroyed = gone.find("x", ns.MUC_USER).find("destroy")  # type: ignore[union-attr]
    assert destroyed is not None
    assert (destroyed.get("jid"), destroyed.text_of("reason")) == (ANCHORS, "spam")
    assert await refused(world, "show") == ("not-found", "room_not_found")
    assert await refused(world, "destroy") == ("not-found", "room_not_found")


# --- people


async def test_people_become_what_they_are_to_be(world: World, alice: WorldClient, bob: WorldClient) -> None:
    done = await call(world, "set-affiliation", target=BOB, affiliation="admin", reason="help")
    assert (done.target, done.affiliation) == (BOB, "admin")
    [told] = alice.take("presence")
    assert (shown(told)[2], reason_of(told)) == ("admin/moderator", "help")
    await call(world, "set-affiliation", target=BOB, affiliation="outcast", reason="spam")
    gone = alice.take("presence")[-1]
    assert (shown(gone)[1:3], shown(gone)[4]) == (("unavailable", "outcast/none"), ["301"])
    again = {"user": f"{BOB}/phone", "nick": "Bob"}
    assert await refused(world, "enter", **again) == ("not-allowed", "not_allowed")


async def test_a_room_keeps_an_owner_and_nobody_rises_by_himself(world: World, bob: WorldClient) -> None:
    assert (await refused(world, "set-affiliation", target=ALICE, affiliation="none"))[0] == "conflict"
    climbing = {"by": BOB, "target": BOB, "affiliation": "owner"}
    assert await refused(user(world, BOB), "set-affiliation", **climbing) == ("not-allowed", "not_allowed")
    assert (await refused(world, "set-affiliation", target="localhost", affiliation="member"))[0] == "invalid"


async def test_a_voice_is_taken_and_given(world: World, bob: WorldClient) -> None:
    await call(world, "set-role", nick="Bob", role="visitor")
    await bob.send(say("me"))
    assert condition(bob.take("message")[0]) == "forbidden"
    await call(user(world, ALICE), "set-role", nick="Bob", role="moderator", by=ALICE)
    found = (await call(world, "occupants")).items
    assert [each.role for each in found] == ["moderator", "moderator"]
    assert (await refused(world, "set-role", nick="Alice", role="visitor"))[0] == "not-allowed", "she owns it"
    assert await refused(world, "set-role", nick="Nobody", role="visitor") == ("not-found", "user_not_found")


async def test_an_occupant_is_kicked_by_the_operator_and_by_moderators(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    assert await refused(user(world, BOB), "kick", nick="Alice", by=BOB) == (
        "not-allowed",
        "moderator_not_found",
    )
    await call(user(world, ALICE), "kick", nick="Bob", by=ALICE, reason="noise")
    [own] = bob.take("presence")
    assert (shown(own)[4], reason_of(own)) == (["110", "307"], "noise")
    assert await refused(world, "kick", nick="Bob") == ("not-found", "user_not_found")
    await call(world, "kick", nick="Alice")
    assert shown(alice.take("presence")[-1])[4] == ["110", "307"], "whoever runs the server may do that"


async def test_somebody_is_invited_directly_and_becomes_a_member_where_he_must(
    world: World, alice: WorldClient
) -> None:
    carol = await world.online(f"{CAROL}/phone")
    await call(world, "configure", members_only=True, password="sesame")
    await call(world, "invite", sender=ALICE, recipient=CAROL, reason="tea?")
    [told] = carol.take("message")
    assert told.get("from") == ALICE
    direct = told.find("x", ns.CONFERENCE)
    assert direct is not None
    assert direct.attributes == {"jid": ROOM, "reason": "tea?", "password": "sesame"}
    members = (await call(world, "affiliations", affiliation="member")).items
    assert [each.user for each in members] == [CAROL]
    nobody = {"sender": ALICE, "recipient": "nobody@localhost"}
    assert await refused(world, "invite", **nobody) == ("not-found", "user_not_found")
    assert await refused(world, "invite", sender=BOB, recipient=CAROL) == ("not-allowed", "not_allowed")
    assert (await call(world, "affiliations", affiliation="member")).items == members


# --- being there


async def test_a_session_enters_and_leaves_as_its_client_would(world: World, alice: WorldClient) -> None:
    bob = await world.online(f"{BOB}/phone")
    alice.take()
    done = await call(world, "enter", user=f"{BOB}/phone", nick="Bob")
    assert (done.user, done.nick) == (f"{BOB}/phone", "Bob")
    assert shown(bob.take("presence")[-1])[2] == "none/participant"
    assert shown(alice.take("presence")[-1])[0] == "Bob"
    left = await call(world, "exit", user=BOB)
    assert left.devices == 1
    assert shown(alice.take("presence")[-1])[:2] == ("Bob", "unavailable")
    assert await refused(world, "exit", user=BOB) == ("not-found", "user_not_found")


async def test_who_entered_by_an_operation_leaves_when_his_session_ends(
    world: World, alice: WorldClient
) -> None:
    bob = await world.login(f"{BOB}/phone")
    await call(world, "enter", user=f"{BOB}/phone", nick="Bob")
    alice.take()
    await bob.leave()
    await world.settle()
    assert shown(alice.take("presence")[-1])[:2] == ("Bob", "unavailable")


async def test_nobody_enters_who_is_not_there_or_under_a_taken_name(world: World, alice: WorldClient) -> None:
    assert await refused(world, "enter", user=f"{BOB}/phone", nick="Bob") == ("not-found", "no_session")
    assert (await refused(world, "enter", user=ALICE, nick="Alice"))[0] == "invalid"
    await world.login(f"{BOB}/phone")
    assert (await refused(world, "enter", user=f"{BOB}/phone", nick="Alice"))[0] == "conflict"
    missing = {"user": f"{BOB}/phone", "nick": "Bob", "room": ANCHORS}
    assert await refused(world, "enter", **missing) == ("not-found", "room_not_found")


async def test_occupants_speak_and_nobody_else(world: World, alice: WorldClient, bob: WorldClient) -> None:
    sent = await call(user(world, ALICE), "send", sender=ALICE, body="good morning")
    assert texts(bob) == [("Alice", "good morning")]
    [entry] = (await call(world, "messages")).items
    assert (entry.id, entry.body) == (sent.archive_id, "good morning")
    assert await refused(world, "send", sender=CAROL, body="hello") == ("not-allowed", "not_allowed")
    assert await refused(world, "send", sender=f"{ALICE}/other", body="x") == ("not-allowed", "not_allowed")


async def test_one_occupant_is_told_something_alone(
    world: World, alice: WorldClient, bob: WorldClient
) -> None:
    await call(world, "send-private", sender=f"{ALICE}/phone", nick="Bob", body="psst")
    [told] = bob.take("message")
    assert (told.get("from"), told.get("type"), told.text_of("body")) == (f"{ROOM}/Alice", "chat", "psst")
    assert [each.body for each in (await call(world, "messages")).items] == []
    missing = {"sender": ALICE, "nick": "Nobody", "body": "x"}
    assert await refused(world, "send-private", **missing) == ("not-found", "user_not_found")
    await owner(alice, form(allowpm="none"))
    assert await refused(world, "send-private", sender=BOB, nick="Alice", body="x") == (
        "not-allowed",
        "not_allowed",
    )


# --- who may


async def test_an_administrator_of_another_domain_may_nothing() -> None:
    world = await World.start(("localhost", "other.test"), services=(ROOMS,))
    await world.register(ALICE)
    await call(world, "create", room=ROOM, owner=ALICE, nick="Alice")
    other = world.context.acting_for(Caller.administrator(Jid("boss@other.test"), "other.test"))
    own = world.context.acting_for(Caller.administrator(Jid("boss@localhost"), "localhost"))
    for name, arguments in (
        ("show", {}),
        ("destroy", {}),
        ("kick", {"nick": "Alice"}),
        ("messages", {}),
        ("affiliations", {"by": ALICE}),
        ("set-affiliation", {"target": "boss@other.test", "affiliation": "owner"}),
    ):
        assert (await refused(other, name, **arguments))[0] == "not-allowed", name
    assert (await call(own, "show")).room == ROOM
    await world.stop()


async def test_the_audit_log_tells_who_was_put_out_and_nothing_that_was_said(
    world: World, bob: WorldClient
) -> None:
    with capture_logs() as logs:
        await call(user(world, ALICE), "send", sender=ALICE, body="between us")
        await call(world, "kick", nick="Bob", reason="noise")
    said, kicked = (line for line in logs if line["event"] == "operation")
    assert (said["operation"], said["by"], said["subjects"]) == ("muc send", ALICE, [ALICE])
    assert "between us" not in str(logs)
    assert (kicked["by"], kicked["outcome"]) == ("operator", "done")
    assert kicked["arguments"] == {"room": ROOM, "nick": "Bob", "reason": "noise"}


async def test_a_domain_without_rooms_says_so() -> None:
    world = await World.start(("localhost",), services=())
    assert await refused(world, "list", domain="localhost") == ("not-found", "muc_server_not_found")
    assert (await refused(world, "show"))[0] == "not-found"
    await world.stop()
