"""Messages that moderators take back, and rooms where people wait between two (XEP-0425, XEP-0500)."""

from __future__ import annotations

import pytest

from tests.features.rooms.stage import ROOM, enter, occupant, say, texts, world
from tests.features.rooms.test_owners_and_admins import admin, condition, form, owner
from tests.harness.world import World
from tests.streams.stand import until
from tidings.base.jid import Jid
from tidings.ports.ledger.reading import ArchivePage, PageQuery
from tidings.wire.xmpp import ns

__all__ = ["world"]

MODERATE = (
    "<iq type='set' id='m1' to='{}'><moderate xmlns='urn:xmpp:message-moderate:1' id='{}'>"
    "<retract xmlns='urn:xmpp:message-retract:1'/><reason>spam</reason></moderate></iq>"
)


async def test_a_moderator_takes_back_what_somebody_has_said(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("potions"), say("hello", id_="2"))
    first = bob.take("message")[-2].find("stanza-id", ns.STANZA_ID).get("id")
    bob.take()
    assert condition(await bob.request(MODERATE.format(ROOM, first))) == "forbidden"
    assert condition(await alice.request(MODERATE.format(ROOM, "nothing-1"))) == "item-not-found"
    assert condition(await alice.request(MODERATE.format(ROOM, first))) == ""
    [told] = bob.take("message")
    retract = told.find("retract", ns.RETRACTION1)
    assert (told.get("from"), retract.get("id"), retract.text_of("reason")) == (ROOM, first, "spam")
    assert retract.find("moderated", ns.MODERATION).get("by") == f"{ROOM}/Alice"
    assert condition(await alice.request(MODERATE.format(ROOM, first))) == "item-not-found"
    for _ in range(2):
        carol = await world.login("carol@localhost/phone")
        got = await enter(carol, "Carol")
        assert [each.text_of("body") for each in got if each.find("body") is not None] == ["hello"]
        await world.restart()


async def test_clients_of_an_earlier_version_moderate_and_are_told(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await bob.send(say("potions"))
    id_ = bob.take("message")[-1].find("stanza-id", ns.STANZA_ID).get("id")
    fastened = (
        f"<iq type='set' id='m1' to='{ROOM}'><apply-to xmlns='urn:xmpp:fasten:0' id='{id_}'>"
        "<moderate xmlns='urn:xmpp:message-moderate:0'>{}<reason>spam</reason></moderate></apply-to></iq>"
    )
    retract = "<retract xmlns='urn:xmpp:message-retract:0'/>"
    assert condition(await alice.request(fastened.format(""))) == "bad-request"
    assert condition(await bob.request(fastened.format(retract))) == "forbidden"
    assert condition(await alice.request(fastened.format(retract))) == ""
    [told] = bob.take("message")
    about = told.find("apply-to", ns.FASTENING)
    moderated = about.find("moderated", ns.MODERATION0)
    assert (about.get("id"), moderated.get("by"), moderated.text_of("reason")) == (
        id_,
        f"{ROOM}/Alice",
        "spam",
    )
    assert moderated.find("retract", ns.RETRACTION0) is not None
    assert told.find("retract", ns.RETRACTION1).get("id") == id_


async def test_who_is_no_moderator_waits_in_slow_mode(world: World) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await owner(alice, form(slow_mode_duration="30"))
    bob.take()
    await bob.send(say("one"), say("two", id_="2"))
    [error] = [each for each in bob.take("message") if each.get("type") == "error"]
    assert (error.get("id"), condition(error), error.find("error").get("type")) == (
        "2",
        "policy-violation",
        "wait",
    )
    await enter(bob, "Bob")  # to enter anew shortens nothing
    await bob.send(say("three", id_="3"))
    assert condition(bob.take("message")[-1]) == "policy-violation"
    await alice.send(say("a"), say("b"))
    await world.advance(31)
    await bob.send(say("four"))
    assert [text for _, text in texts(alice)] == ["one", "a", "b", "four"]
    await admin(alice, "<item nick='Bob' role='moderator'/>")
    await bob.send(say("five"), say("six"))
    assert [text for _, text in texts(alice)] == ["five", "six"]


async def test_who_is_put_out_takes_nothing_back_after_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await occupant(world, "alice", "Alice"), await occupant(world, "bob", "Bob")
    await admin(alice, "<item nick='Bob' role='moderator'/>")
    await alice.send(say("hello"))
    said = bob.take("message")[-1].find("stanza-id", ns.STANZA_ID).get("id")
    ledger = world.stores.ledger
    page = ledger.page

    async def page_after_the_ban(archive: Jid, query: PageQuery) -> ArchivePage:
        alice.push(
            f"<iq type='set' id='a1' to='{ROOM}'><query xmlns='{ns.MUC_ADMIN}'>"
            "<item jid='bob@localhost' affiliation='outcast'/></query></iq>"
        )
        await until(lambda: [each for each in alice.received if each.get("id") == "a1"])
        return await page(archive, query)

    alice.take()
    monkeypatch.setattr(ledger, "page", page_after_the_ban)
    assert condition(await bob.request(MODERATE.format(ROOM, said))) == "forbidden"
    assert [each for each in alice.take("message") if each.find("retract", ns.RETRACTION1) is not None] == []
