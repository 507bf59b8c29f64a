# ruff: noqa: RUF001  # these letters are meant
"""Names that look like somebody else's are refused wherever they could be taken (XEP-0045 §7.2.8, §17.1)."""

from __future__ import annotations

import time

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, shown, world
from tests.features.rooms.test_nicknames import name, register
from tests.features.rooms.test_owners_and_admins import admin, condition
from tests.harness.world import World
from tidings.base.jid import Jid
from tidings.features.rooms.look_alikes import Looks, keys_of
from tidings.wire.xmpp import ns

__all__ = ["world"]

ALIKE = {
    "case": "ALICE",
    "capital for small letter": "AIice",
    "digit": "A1ice",
    "full width": "Ａｌｉｃｅ",
    "Cyrillic": "Аliсе",
    "Greek": "Αlιce",
    "mathematical": "𝐀𝐥𝐢𝐜𝐞",
    "mark": "Alícẹ",
    "spaces": " Alice  ",
    "zero width": "Ali\u200bce",
    "other direction": "\u202eAlice",
    "variation": "Alice\ufe0f",
}


@pytest.mark.parametrize("other", ALIKE.values(), ids=ALIKE)
def test_names_that_look_alike_have_a_key_in_common(other: str) -> None:
    assert set(keys_of("Alice")) & set(keys_of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ηans", "Hans"),
        ("ΗΛΙΑΣ", "ηλιασ"),
        ("ВОВ", "BOB"),
        ("Ян", "ян"),
        ("Strasse", "Straße"),
        ("J0HN", "john"),
    ],
)
def test_capitals_and_small_letters_of_other_scripts_count_as_well(one: str, other: str) -> None:
    assert set(keys_of(one)) & set(keys_of(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alice", "Alicia"),
        ("कमल", "कोमल"),
        ("王芳", "王方"),
        ("Анна", "Инна"),
        ("Anna Lena", "Annalena"),
        ("ทิม", "ทุม"),
    ],
)
def test_names_that_differ_have_none(one: str, other: str) -> None:
    assert not set(keys_of(one)) & set(keys_of(other))


def test_a_name_that_was_let_go_of_is_free_and_another_of_its_kind_is_not() -> None:
    looks, alice, bob = Looks(), Jid("alice@localhost"), Jid("bob@localhost")
    looks.add("Alice", alice)
    looks.add("ALICE", alice)
    assert (looks.like("alice", alice), looks.like("alice", bob)) == ("", "Alice")
    looks.discard("Alice", alice)
    assert (looks.like("alice", bob), looks.holder_of("ALICE"), looks.holder_of("Alice")) == (
        "ALICE",
        alice,
        None,
    )
    looks.discard("ALICE", alice)
    assert looks.like("alice", bob) == ""


def test_a_name_costs_the_same_however_many_there_are() -> None:
    looks, jid, stranger = Looks(), Jid("a@localhost"), Jid("b@localhost")
    for number in range(100_000):
        looks.add(f"Member {number}", jid)
    before = time.process_time()
    for _ in range(100):
        assert looks.like("Ѕоmebody еlse " * 9, stranger) == ""
        assert looks.like("Mеmber 99999", stranger) == "Member 99999"
    assert time.process_time() - before < 0.1  # 0.5 ms each


async def test_nobody_looks_like_somebody_who_is_there(world: World) -> None:
    await occupant(world, "alice", "Alice")
    bob = await world.login("bob@localhost/phone")
    for other in ("Аlice", "alice", "Alic\u0117"):
        [error] = await enter(bob, other)
        assert condition(error) == "conflict"
        text = error.find("error").text_of("text", ns.STANZA_ERRORS)
        assert text == f"{other} looks like Alice, as somebody else is called here"
    await enter(bob, "Bob")
    bob.take()
    await bob.send(f"<presence to='{ROOM}/ΑLICE'/>")
    assert condition(bob.take()[0]) == "conflict"
    desk = await world.login("alice@localhost/desk")
    assert shown((await enter(desk, "alice"))[-2])[0] == "alice"  # one's own


async def test_nobody_looks_like_a_member_who_is_away(world: World) -> None:
    alice = await occupant(world, "alice", "Alice")
    bob, carol = await world.login("bob@localhost/phone"), await world.login("carol@localhost/phone")
    assert condition(await register(bob, name("Bob"))) == ""
    assert condition((await enter(carol, "В0b"))[0]) == "conflict"
    assert condition(await register(carol, name("ВОВ"))) == "conflict"
    item = "<item jid='carol@localhost' affiliation='member' nick='{}'/>"
    assert condition(await admin(alice, item.format("bob"))) == "conflict"
    assert condition(await admin(alice, item.format("Alicе"))) == "conflict"
    assert condition(await admin(alice, item.format("\u2800"))) == "not-acceptable"
    assert condition(await admin(alice, item.format("Carol"))) == ""
    await world.restart()
    dave = await world.login("dave@localhost/phone")
    assert condition((await enter(dave, "BOB"))[0]) == "conflict"
    assert condition((await enter(dave, "Cаrol"))[0]) == "conflict"
    assert condition(await register(await world.login("bob@localhost/phone"), "<remove/>")) == ""
    assert shown((await enter(dave, "BOB"))[-2])[0] == "BOB"


@pytest.mark.parametrize("nick", ["\u2800", "\u0301", " \u0301 ", "\u115f"])
async def test_a_name_shows_something(world: World, nick: str) -> None:
    bob = await world.login("bob@localhost/phone")
    await occupant(world, "alice", "Alice")
    assert condition((await enter(bob, nick))[0]) in {"not-acceptable", "jid-malformed"}
