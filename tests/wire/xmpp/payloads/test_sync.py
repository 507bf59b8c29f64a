"""Sync on the wire: the examples of docs/specs/sync.md, and whatever a peer may send instead."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import forwards, moments, received
from tests.wire.xmpp.payloads.strategies import jids, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.sync import (
    CURSOR_OCTETS,
    KINDS,
    SyncConversation,
    SyncEntry,
    SyncErased,
    SyncFin,
    SyncGap,
    SyncItem,
    SyncRequest,
    item_of,
)

JULIET, BALCONY, ROMEO = (
    Jid("juliet@capulet.example"),
    Jid("juliet@capulet.example/balcony"),
    Jid("romeo@montague.example"),
)
GARDEN = Jid("garden@conference.capulet.example")
NAMED = 'xmlns="urn:tidings:sync:0"'
DOCUMENT = Path(__file__).parents[4] / "docs" / "specs" / "sync.md"


def examples() -> list[Element]:
    """Return every stanza of the document, in its order."""
    found = []
    for block in re.findall(r"```xml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL):
        found += decode(f"<examples xmlns='jabber:client'>{block}</examples>".encode(), "").children
    return found


def parts() -> list[SyncItem]:
    items = (item_of(received(each.to_bytes(ns.CLIENT).decode()), JULIET) for each in examples())
    return [item for item in items if item is not None]


# --- the document


def test_the_requests_of_the_document() -> None:  # §3, §6
    requests = [SyncRequest.decode(each.children[0]) for each in examples() if each.get("type") == "get"]
    assert requests == [
        SyncRequest(since="k3v9q2.4711.k3v9q2x-17", maximum=100, query_id="q1"),
        SyncRequest(maximum=1),
    ]


def test_the_entries_of_the_document() -> None:  # §4.1
    entries = [part for part in parts() if isinstance(part, SyncEntry)]
    assert [(each.id, each.kind, each.is_sent, each.target) for each in entries] == [
        ("k3v9q2x-18", "message", False, None),
        ("k3v9q2x-19", "reactions", True, "k3v9q2x-18"),
        ("k3v9q2x-20", "message", False, None),
        ("t5m1wz-212", "message", False, None),
    ]
    assert [each.archive for each in entries] == [None, None, None, GARDEN]
    message = entries[0].forwarded
    assert message is not None
    stanza = message.stanza()
    assert stanza is not None
    assert stanza.sender == ROMEO.with_resource("orchard")
    assert stanza.has(ns.STANZA_ID, "stanza-id")
    assert entries[2].forwarded is None


def test_the_other_parts_of_the_document() -> None:  # §4.2, §4.3, §4.4, §6
    others = [part for part in parts() if not isinstance(part, SyncEntry)]
    assert others[0] == SyncGap(archive=GARDEN, after="t5m1wz-90", before="t5m1wz-163", query_id="q1")
    assert others[1] == SyncErased("k3v9q2x-3", "k3v9q2x-5", "q1")
    changed, gone, listed = others[2:]
    assert gone == SyncConversation(peer=Jid("tybalt@capulet.example"), is_gone=True, query_id="q1")
    assert isinstance(changed, SyncConversation)
    assert isinstance(listed, SyncConversation)
    assert (changed.box, changed.pinned, changed.unread, changed.read) == ("archive", 1, 1, "k3v9q2x-16")
    assert changed.muted_until > changed.time > 0
    assert (listed.box, listed.pinned, listed.muted_until) == ("inbox", 0, 0)
    assert listed.forwarded is not None


def test_the_ends_of_the_document() -> None:  # §5, §6
    fins = [SyncFin.decode(each.children[0]) for each in examples() if each.get("type") == "result"]
    assert [(fin.is_complete, fin.is_reset, fin.first) for fin in fins] == [
        (True, False, "k3v9q2x-1"),
        (False, False, "k3v9q2x-1"),
        (False, True, None),
    ]


# --- both directions

requests = st.builds(
    SyncRequest, since=st.none() | words, maximum=st.none() | st.integers(1, 999), query_id=st.none() | words
)
entries = st.builds(
    SyncEntry,
    id=words,
    peer=jids,
    is_sent=st.booleans(),
    kind=st.sampled_from(KINDS),
    target=st.none() | words,
    archive=st.none() | jids,
    forwarded=st.none() | forwards,
    query_id=st.none() | words,
)
conversations = st.builds(
    SyncConversation,
    peer=jids,
    unread=st.integers(0, 999),
    mentions=st.integers(0, 9),
    time=moments,
    last=st.none() | words,
    read=st.none() | words,
    box=st.sampled_from(["inbox", "archive", "bin", "work"]),
    muted_until=moments,
    pinned=st.integers(0, 9),
    archive=st.none() | jids,
    forwarded=st.none() | forwards,
    query_id=st.none() | words,
)
departures = st.builds(SyncConversation, peer=jids, query_id=st.none() | words, is_gone=st.just(value=True))
gaps = st.builds(SyncGap, archive=jids, before=words, after=st.none() | words, query_id=st.none() | words)
erasures = st.builds(SyncErased, words, words, st.none() | words, st.none() | jids)
fins = st.builds(
    SyncFin, cursor=words, is_complete=st.booleans(), is_reset=st.booleans(), first=st.none() | words
)


@given(requests)
def test_a_request_survives_the_wire(request: SyncRequest) -> None:
    assert SyncRequest.decode(through_bytes(request.encode())) == request


@given(fins)
def test_an_end_survives_the_wire(fin: SyncFin) -> None:
    assert SyncFin.decode(through_bytes(fin.encode())) == fin


@given(entries | gaps | conversations | departures | erasures)
def test_a_part_survives_the_wire(item: SyncItem) -> None:
    message = received(item.message(to=BALCONY, account=JULIET).to_bytes().decode())
    read = item_of(message, JULIET)
    assert read is not None
    assert type(read) is type(item)
    assert read.to_bytes() == item.to_bytes()


# --- what else may come


@pytest.mark.parametrize(
    "attributes",
    [
        "max='0'",
        "max='-1'",
        "max='many'",
        "max=''",
        f"since='{'x' * (CURSOR_OCTETS + 1)}'",
        f"queryid='{'x' * 1025}'",
    ],
)
def test_a_request_that_is_none(attributes: str) -> None:
    element = decode(f"<sync xmlns='urn:tidings:sync:0' {attributes}/>".encode(), "")
    with pytest.raises(StanzaError) as caught:
        SyncRequest.decode(element)
    assert caught.value.condition == "bad-request"


@pytest.mark.parametrize(
    "part",
    [
        "<entry {}/>",
        "<entry {} id='e-1'/>",
        "<entry {} id='e-1' jid='romeo@montague.example' kind='odd'/>",
        "<entry {} id='e-1' jid='romeo@montague.example' sent='maybe'/>",
        "<gap {} archive='tea@conference.capulet.example'/>",
        "<gap {} before='e-2'/>",
        "<erased {} first='e-1'/>",
        "<erased {} last='e-1'/>",
        "<conversation {} unread='1'/>",
        "<conversation {} jid='romeo@montague.example'/>",
        "<conversation {} jid='romeo@montague.example' unread='1' time='noon'/>",
    ],
)
def test_a_part_that_is_none(part: str) -> None:
    message = received(f"<message>{part.format(NAMED)}</message>")
    with pytest.raises(StanzaError) as caught:
        item_of(message, JULIET)
    assert caught.value.condition == "bad-request"


def test_an_end_without_a_cursor_is_none() -> None:
    with pytest.raises(StanzaError):
        SyncFin.decode(Element("sync", ns.TIDINGS_SYNC))


@pytest.mark.parametrize(
    "sender", ["romeo@montague.example", "juliet@capulet.example/balcony", "capulet.example"]
)
def test_parts_from_others_are_ignored(sender: str) -> None:  # §8
    part = SyncErased("e-1", "e-2").message(to=BALCONY, account=Jid(sender))
    assert item_of(received(part.to_bytes().decode()), JULIET) is None


def test_other_messages_are_no_parts() -> None:
    assert item_of(received("<message><body>x</body></message>"), JULIET) is None
