"""How conversations are shown, and what a request changes."""

import msgspec
import pytest

from tidings.base.jid import Jid
from tidings.features.inbox.conversation import change_of
from tidings.features.inbox.results import (
    ResultWriter,
    archive_result_of,
    fin_of,
    last_message,
    properties_of,
    standing_of,
    update_of,
)
from tidings.ports.ledger.batch import Direction, EntryKind, InboxChange
from tidings.ports.ledger.reading import Archived, EntryId, InboxPage, InboxRow
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.boxes import Standing
from tidings.wire.xmpp.payloads.conversation import ConversationChange
from tidings.wire.xmpp.payloads.inbox import InboxFin, InboxResult
from tidings.wire.xmpp.payloads.inbox_state import ConversationState, Corrected, Pin

NINA, OMAR = Jid("nina@clinic.example"), Jid("omar@clinic.example")
BODY = (
    b'<message from="omar@clinic.example/desk" to="nina@clinic.example" type="chat" id="m1">'
    b"<body>Results are back</body></message>"
)
TIME = 1_773_044_042_551_300


def entry(body: bytes | None = BODY, position: int = 7, **changed: object) -> Archived:
    plain = Archived(
        id=EntryId("e1", position),
        feed=1,
        time=TIME,
        peer=OMAR,
        direction=Direction.RECEIVED,
        kind=EntryKind.MESSAGE,
        resource="",
        countable=True,
        count=1,
        target=0,
        body=body,
    )
    return msgspec.structs.replace(plain, **changed)


def row(last: Archived | None, **changed: object) -> InboxRow:
    plain = InboxRow(
        peer=OMAR,
        source=NINA,
        last=last,
        position=7,
        time=TIME,
        unread=3,
        read_position=0,
        box="inbox",
        muted_until=0,
        pinned=0,
        feed=1,
    )
    return msgspec.structs.replace(plain, **changed)


def writer(query_id: str | None = "page-1") -> ResultWriter:
    return ResultWriter(query_id, owner=NINA, to=NINA.with_resource("x"), now=TIME, mark="m-")


def shown(each: InboxRow) -> Element:
    return decode(writer().result(each), "")


def test_an_entry() -> None:  # §1.5, word for word but for the stanza-id
    expected = decode(
        b"<result xmlns='erlang-solutions.com:xmpp:inbox:0' unread='3' queryid='page-1'>"
        b"<forwarded xmlns='urn:xmpp:forward:0'>"
        b"<delay xmlns='urn:xmpp:delay' stamp='2026-03-09T08:14:02.551300Z'/>"
        b"<message xmlns='jabber:client' type='chat' from='omar@clinic.example/desk' id='m1' "
        b"to='nina@clinic.example'><body>Results are back</body>"
        b"<stanza-id xmlns='urn:xmpp:sid:0' by='nina@clinic.example' id='e1-7'/></message>"
        b"</forwarded><read>false</read><box>inbox</box><archive>false</archive><mute>0</mute></result>",
        "",
    )
    assert shown(row(entry())) == expected


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({"unread": 0}, Standing(is_read=True)),
        ({"box": "archive"}, Standing(is_read=False, box="archive")),
        ({"muted_until": TIME + 1}, Standing(is_read=False, muted_until=TIME + 1)),
        ({"muted_until": TIME}, Standing(is_read=False)),  # it is over
    ],
)
def test_how_a_conversation_stands(changed: dict[str, object], standing: Standing) -> None:
    assert standing_of(row(entry(), **changed), TIME) == standing
    assert Standing.decode(shown(row(entry(), **changed))) == standing


@pytest.mark.parametrize("query_id", [None, "", "q", "a<'\"&é"])
@pytest.mark.parametrize(
    "body",
    [BODY, BODY.replace(b"Results", "Grüße &amp; 😀".encode()), b'<message from="omar@clinic.example"/>'],
)
def test_an_entry_is_what_its_value_writes(body: bytes, query_id: str | None) -> None:
    source = Jid("größe@münchen.example")
    each = row(entry(body), source=source, box="work", muted_until=TIME + 1, pinned=2)
    value = InboxResult(
        3, last_message(each, NINA), query_id, "work", TIME + 1, (ConversationState(3, 2).encode(),)
    )
    assert writer(query_id).result(each) == value.to_bytes()


def test_the_messages_of_a_fetch_are_numbered() -> None:
    entries = writer()
    for number in (1, 2):
        written, make = entries.message(row(entry()))
        assert make().to_bytes() == written
        assert decode(written, ns.CLIENT).get("id") == f"m-{number}"


def test_a_correction_stands_beside_what_it_corrects() -> None:  # §5
    corrected = entry(BODY.replace(b"back", b"here"), 9, kind=EntryKind.CORRECTION)
    result = shown(row(entry(pointers=(corrected,))))
    forwarded = result.find("forwarded", ns.FORWARD)
    assert forwarded is not None
    assert b"are back" in forwarded.to_bytes()
    correction = Corrected.decode(result.children[-1]).forwarded.raw
    assert b"are here" in correction
    assert b'id="e1-9"' in correction


def test_a_retracted_message_has_no_content() -> None:  # XEP-0424 §4
    correction = entry(BODY, 9, kind=EntryKind.CORRECTION)
    result = shown(row(entry(retracted=TIME, pointers=(correction,))))
    assert b"back" not in result.to_bytes()
    message = last_message(row(entry(retracted=TIME)), NINA).stanza()
    assert message is not None
    assert (message.id, message.sender) == ("m1", OMAR.with_resource("desk"))
    assert message.has(ns.RETRACTION1, "retracted")
    assert message.has(ns.STANZA_ID, "stanza-id")


@pytest.mark.parametrize("last", [None, entry(None)])
def test_an_erased_message_is_empty(last: Archived | None) -> None:
    message = last_message(row(last), NINA).stanza()
    assert message is not None
    assert (message.sender, message.to, message.children) == (OMAR, NINA, ())


def test_a_pinned_conversation_says_so() -> None:  # §3
    result = InboxResult.decode(shown(row(entry(), pinned=2)))
    assert [ConversationState.decode(each) for each in result.others] == [ConversationState(3, 2)]


def test_what_devices_are_told() -> None:  # §1.7, §3
    update = update_of(row(entry(), box="archive", unread=0, muted_until=TIME + 1), "q9", TIME)
    assert update == decode(
        b"<x xmlns='erlang-solutions.com:xmpp:inbox:0#conversation' jid='omar@clinic.example' queryid='q9'>"
        b"<read>true</read><box>archive</box><archive>true</archive><mute>2026-03-09T08:14:02.551301Z</mute>"
        b"<state xmlns='urn:tidings:inbox:0' unread='0'/></x>",
        "",
    )


def test_the_properties_of_a_conversation() -> None:  # §1.6
    short = properties_of(row(entry()), NINA, TIME, is_complete=False)
    assert [child.name for child in short.children] == ["read", "box", "archive", "mute", "state"]
    long = properties_of(row(entry()), NINA, TIME, is_complete=True)
    assert [child.name for child in long.children] == ["forwarded", "read", "box", "archive", "mute", "state"]


def test_the_counts_of_a_page_and_of_the_account() -> None:  # §2
    rows = (row(entry()), row(entry(), peer=Jid("lea@clinic.example"), unread=0))
    fin = fin_of(InboxPage(rows, is_complete=False, unread=17, unread_conversations=4, conversations=9))
    assert InboxFin.decode(fin.encode()) == fin
    assert (fin.active_conversations, fin.count, fin.unread_messages) == (1, 2, 3)
    assert fin.totals is not None
    assert (fin.totals.unread_messages, fin.totals.active_conversations) == (17, 4)


def test_the_last_message_as_the_archive_has_it() -> None:  # XEP-0430 §3.1
    result = archive_result_of(row(entry()), NINA, "q1")
    assert result is not None
    assert (result.id, result.query_id) == ("e1-7", "q1")
    assert archive_result_of(row(None), NINA, "q1") is None


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        (ConversationChange(OMAR, box="bin"), {"box": "bin"}),
        (ConversationChange(OMAR, mute=60), {"muted_until": TIME + 60_000_000}),
        (ConversationChange(OMAR, mute=0), {"muted_until": 0}),
        (ConversationChange(OMAR, read=True), {"unread": False}),
        (ConversationChange(OMAR, read=False), {"unread": True}),
    ],
)
def test_what_a_request_changes(wanted: ConversationChange, change: dict[str, object]) -> None:  # §1.7
    expected = InboxChange(owner=NINA, peer=OMAR, **change)  # type: ignore[arg-type]
    assert change_of(wanted, NINA, TIME) == expected


def test_additions_survive_the_way() -> None:
    for pin in (Pin(OMAR), Pin(OMAR, 0), Pin(OMAR, 65_535)):
        assert Pin.decode(pin.encode()) == pin
    for state in (ConversationState(), ConversationState(4, 1)):
        assert ConversationState.decode(state.encode()) == state
