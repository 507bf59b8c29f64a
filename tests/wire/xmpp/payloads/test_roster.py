"""The roster's codec: RFC 6121 §2.1 to §2.3, its examples, its limits, and what hostile clients send."""

import pytest

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.presence import read_priority
from tidings.wire.xmpp.payloads.roster import (
    QUERY_END,
    ItemSubscription,
    RosterItem,
    RosterQuery,
    check_limits,
    item_octets,
    query_opening,
)

ROSTER = b"""<query xmlns='jabber:iq:roster' ver='ver11'>
  <item jid='romeo@example.net' name='Romeo' subscription='both'><group>Friends</group></item>
  <item jid='mercutio@example.com' name='Mercutio' subscription='from'/>
  <item jid='benvolio@example.net' name='Benvolio' subscription='both'/>
  <item jid='nurse@example.com' ask='subscribe' subscription='none' approved='true'/>
</query>"""


def read(raw: bytes) -> RosterQuery:
    return RosterQuery.decode(decode(raw, ns.CLIENT))


def item(inside: str) -> bytes:
    return f"<query xmlns='jabber:iq:roster'>{inside}</query>".encode()


def test_a_roster_is_read_as_the_document_shows_it():
    assert read(ROSTER) == RosterQuery(
        "ver11",
        (
            RosterItem(Jid("romeo@example.net"), "Romeo", ItemSubscription.BOTH, groups=("Friends",)),
            RosterItem(Jid("mercutio@example.com"), "Mercutio", ItemSubscription.FROM),
            RosterItem(Jid("benvolio@example.net"), "Benvolio", ItemSubscription.BOTH),
            RosterItem(Jid("nurse@example.com"), subscription=ItemSubscription.NONE, ask=True, approved=True),
        ),
    )


def test_what_is_written_is_read_back():
    query = read(ROSTER)
    assert read(query.encode().to_bytes()) == query


@pytest.mark.parametrize("subscription", ItemSubscription)
@pytest.mark.parametrize("name", ["", "Bob", "\"<&'>\t\r\n ü \U0001f4ec"])
@pytest.mark.parametrize("groups", [(), ("Friends",), ("a<b>&\"'\r\n", "ü")])
def test_items_of_long_rosters_are_written_as_elements_are(name, groups, subscription):
    for jid in (Jid("bob@example.org"), Jid("o\\27hara@example.org"), Jid("b\u00fc@example.org")):
        for ask, approved in ((False, False), (True, True)):
            item = RosterItem(jid, name, subscription, ask, approved, groups)
            assert item.to_text() == item.encode().to_bytes(ns.ROSTER).decode()
            assert len(item.to_text().encode()) <= item_octets(jid, name, groups) + 2  # "remove" is longer
    query = RosterQuery("v'1", (item,))
    assert query_opening("v'1") + item.to_text() + QUERY_END == query.encode().to_bytes().decode()


def test_no_version_and_an_empty_version_are_different_things():
    assert read(b"<query xmlns='jabber:iq:roster'/>").version is None
    assert read(b"<query xmlns='jabber:iq:roster' ver=''/>").version == ""
    assert RosterQuery().encode() == Element("query", ns.ROSTER)
    assert RosterQuery("").encode().get("ver") == ""


def test_the_address_is_prepared_and_bare():
    change = read(item("<item jid='Romeo@Example.NET/balcony'/>")).change()
    assert change.jid == "romeo@example.net"


def test_only_remove_is_heard_of_what_a_client_says_about_subscriptions():
    assert (
        read(item("<item jid='a@b' subscription='remove'/>")).change().subscription is ItemSubscription.REMOVE
    )
    assert (
        read(item("<item jid='a@b' subscription='everything'/>")).change().subscription
        is ItemSubscription.NONE
    )


@pytest.mark.parametrize(
    ("inside", "condition"),
    [
        ("", "bad-request"),
        ("<item jid='a@b'/><item jid='c@d'/>", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid=''/>", "bad-request"),
        ("<item jid='@b'/>", "jid-malformed"),
        (f"<item jid='{'a' * 1024}@b'/>", "jid-malformed"),
        ("<item jid='a@b'><group/></item>", "not-acceptable"),
        ("<item jid='a@b'><group>x</group><group>x</group></item>", "bad-request"),
        (f"<item jid='a@b'><group>{'x' * 1024}</group></item>", "not-acceptable"),
        (f"<item jid='a@b'><group>{'é' * 512}</group></item>", "not-acceptable"),
        (f"<item jid='a@b' name='{'x' * 1024}'/>", "not-acceptable"),
        (f"<item jid='a@b' name='{'é' * 512}'/>", "not-acceptable"),
        (
            "<item jid='a@b'>" + "".join(f"<group>{n}</group>" for n in range(101)) + "</item>",
            "not-acceptable",
        ),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(inside, condition):
    with pytest.raises(StanzaError) as caught:
        read(item(inside)).change()
    assert caught.value.condition == condition


@pytest.mark.parametrize(
    "inside",
    [
        f"<item jid='{'a' * 1023}@b'/>",
        f"<item jid='a@b' name='{'x' * 1023}'/>",
        f"<item jid='a@b'><group>{'é' * 511}x</group></item>",
        "<item jid='a@b'><group>x</group><group>X</group></item>",
        "<item jid='a@b' name='&#x202e;&#x200b;'/>",
    ],
)
def test_what_just_fits_is_taken(inside):
    check_limits(read(item(inside)).change())


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" -128\n", -128), ("+127", 127), ("007", 7)])
def test_priorities(text, number):
    assert read_priority(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "128",
        "-129",
        "1.0",
        "1_0",
        "٣",
        "²",
        "0x10",
        "--1",
        "9" * 17,
        "9" * 100_000,
        "1 2",
        "\u00a01",
    ],
)
def test_what_is_no_xs_byte_is_no_priority(text):
    with pytest.raises(StanzaError) as caught:
        read_priority(text)
    assert caught.value.condition == "bad-request"
