"""Requests and answers about receipts of rooms say the same after they were written and read."""

from __future__ import annotations

import pytest

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.room_receipts import (
    MESSAGES,
    Person,
    ReactedMessage,
    ReactionCount,
    Reactors,
    Readers,
    RoomReactions,
    Seen,
    SeenMessage,
)

PIA = Person(
    occupant_id="91fe",
    nick="Pia",
    jid=Jid("pia@clinic.example"),
    upto="E-1",
    stamp=1_767_225_600_000_001,
    reactions=("👍",),
)
PAGE = Page(first="91fe", last="91fe", count=2)


@pytest.mark.parametrize(
    "value",
    [
        Seen((SeenMessage("E-1", 1, 2), SeenMessage("E-2"))),
        Readers(id="E-1", is_unread=True, wanted=PageRequest(maximum=3, after="91fe")),
        RoomReactions(messages=(ReactedMessage("E-1", (ReactionCount("👍", 2, True),)),), is_complete=False),
        RoomReactions(from_id="E-1", to_id="E-9"),
        Reactors(id="E-1", reaction="👍", wanted=PageRequest(maximum=3)),
    ],
)
def test_what_was_written_is_read(value: Seen | Readers | RoomReactions | Reactors) -> None:
    assert type(value).decode(decode(value.encode().to_bytes(ns.CLIENT), ns.CLIENT)) == value


def test_answers_have_their_people_and_their_page() -> None:
    answer = Readers(id="E-1", seen=1, of=2, people=(PIA,), page=PAGE)
    read = Readers.decode(decode(answer.encode().to_bytes(ns.CLIENT), ns.CLIENT))
    assert (read.seen, read.of, read.people, read.page) == (1, 2, (PIA,), PAGE)
    reactors = Reactors(id="E-1", people=(PIA,), page=PAGE)
    again = Reactors.decode(decode(reactors.encode().to_bytes(ns.CLIENT), ns.CLIENT))
    assert (again.people, again.page) == ((PIA,), PAGE)


@pytest.mark.parametrize(
    "xml",
    [
        "<seen/>",
        "<seen><message/></seen>",
        "<seen>" + "<message id='x'/>" * (MESSAGES + 1) + "</seen>",
        "<readers/>",
        "<readers id='x' unread='perhaps'/>",
        "<reactions from='a'><message id='x'/></reactions>",
        f"<reactors id='x' reaction='{'y' * 200}'/>",
    ],
)
def test_nonsense_is_refused(xml: str) -> None:
    name = xml[1:].partition(">")[0].split("/")[0].split(" ")[0]
    written = xml.replace(f"<{name}", f"<{name} xmlns='{ns.TIDINGS_ROOM_RECEIPTS}'", 1)
    kinds = {each.TAG[1]: each for each in (Seen, Readers, RoomReactions, Reactors)}
    with pytest.raises(StanzaError) as caught:
        kinds[name].decode(decode(written.encode(), ns.CLIENT))
    assert caught.value.condition == "bad-request"
