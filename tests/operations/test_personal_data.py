"""vCards, private storage and last activity by operation."""

import pytest

from tidings.base.jid import Jid
from tidings.operations.all import CATALOGUE
from tidings.operations.errors import OperationError
from tidings.operations.values import moment_of

ALICE = "alice@localhost"
CARD = '<vCard xmlns="vcard-temp"><FN>Alice</FN><NICKNAME>Al</NICKNAME></vCard>'


async def refused(context, category, operation, /, **arguments):
    with pytest.raises(OperationError) as caught:
        await CATALOGUE.call(context, category, operation, arguments)
    return caught.value.code, caught.value.text


@pytest.fixture
async def mine(context):
    await context.stores.accounts.create(Jid(ALICE), (), 1.0)
    return context


async def test_a_vcard_is_set_and_given(mine):
    empty = await CATALOGUE.call(mine, "vcard", "get", {"user": ALICE})
    assert (empty.vcard, empty.name) == (None, "")
    await CATALOGUE.call(mine, "vcard", "set", {"user": ALICE, "vcard": f"\n{CARD}\n"})
    card = await CATALOGUE.call(mine, "vcard", "get", {"user": ALICE})
    assert (card.vcard, card.name, card.nickname) == (CARD, "Alice", "Al")
    await CATALOGUE.call(mine, "vcard", "set", {"user": ALICE, "name": "Alice L. & Co"})
    card = await CATALOGUE.call(mine, "vcard", "get", {"user": ALICE})
    assert (card.name, card.nickname) == ("Alice L. & Co", "Al")


async def test_clients_see_a_vcard_that_is_set(world, live):
    alice = await world.login(f"{ALICE}/phone")
    await CATALOGUE.call(live, "vcard", "set", {"user": ALICE, "vcard": CARD})
    answer = await alice.request("<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>")
    assert answer.find("vCard", "vcard-temp").text_of("FN") == "Alice"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "give `name` or `vcard`, one of them"),
        ({"name": "x", "vcard": CARD}, "give `name` or `vcard`, one of them"),
        ({"vcard": "<vCard"}, "`vcard` is not well-formed XML"),
        ({"vcard": "<vCard xmlns='vcard-temp'/><b/>"}, "`vcard` is not well-formed XML"),
        ({"vcard": "<vCard/>"}, "`vcard` is <vCard> of no namespace, not <vCard xmlns='vcard-temp'>"),
        ({"vcard": '<!DOCTYPE a [<!ENTITY b "c">]><vCard xmlns="vcard-temp">&b;</vCard>'}, "`vcard` is not"),
        ({"vcard": f"<vCard xmlns='vcard-temp'><FN>{'x' * 140_000}</FN></vCard>"}, "the vCard"),
    ],
)
async def test_what_is_no_vcard_is_refused(mine, given, told):
    code, text = await refused(mine, "vcard", "set", user=ALICE, **given)
    assert code in {"invalid", "not-allowed"}
    assert text.startswith(told)
    assert await mine.stores.vcards.get(Jid(ALICE)) is None


async def test_private_elements_are_listed_given_and_removed(world, live):
    alice = await world.login(f"{ALICE}/phone")
    bookmarks = "<storage xmlns='storage:bookmarks'><url name='x' url='x:y'/></storage>"
    await alice.request(f"<iq type='set' id='p'><query xmlns='jabber:iq:private'>{bookmarks}</query></iq>")
    named = {"user": ALICE, "name": "storage", "namespace": "storage:bookmarks"}
    kept = await CATALOGUE.call(live, "private", "get", named)
    assert "x:y" in kept.element
    (listed,) = (await CATALOGUE.call(live, "private", "list", {"user": ALICE})).items
    assert (listed.name, listed.namespace) == ("storage", "storage:bookmarks")
    assert listed.octets >= len(kept.element)
    await CATALOGUE.call(live, "private", "remove", named)
    asked = "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>"
    answer = await alice.request(f"<iq type='get' id='q'>{asked}</iq>")
    assert answer.find("query", "jabber:iq:private").find("storage", "storage:bookmarks").children == []
    for name in ("get", "remove"):
        told = await refused(live, "private", name, **named)
        assert told == ("not-found", f"{ALICE} keeps no <storage> of storage:bookmarks")


async def test_it_is_told_when_somebody_was_there_last(world, live):
    alice = await world.online(f"{ALICE}/phone")
    last = await CATALOGUE.call(live, "last", "get", {"user": ALICE})
    assert (last.sessions, last.last_activity) == (1, None)
    await alice.send("<presence type='unavailable'><status>Gone home</status></presence>")
    await alice.leave()
    last = await CATALOGUE.call(live, "last", "get", {"user": ALICE})
    assert (last.sessions, last.last_activity, last.status) == (0, moment_of(live.clock.now()), "Gone home")


@pytest.mark.parametrize(("category", "name"), [("vcard", "get"), ("private", "list"), ("last", "get")])
async def test_nobody_who_is_not_there_has_any(context, category, name):
    told = await refused(context, category, name, user="nobody@localhost")
    assert told == ("not-found", "there is no account nobody@localhost")
