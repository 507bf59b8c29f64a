"""The inbox on the wire: MongooseIM's and that of XEP-0430."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import forwards, moments, received
from tests.wire.xmpp.payloads.strategies import jids, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import ArchiveResult
from tidings.wire.xmpp.payloads.archive import result_of as archive_result_of
from tidings.wire.xmpp.payloads.boxes import Standing
from tidings.wire.xmpp.payloads.conversation import (
    Conversation,
    ConversationChange,
    ConversationForm,
    ConversationQuery,
    ConversationReset,
    ConversationUpdate,
    changed_entry_not_found,
    entry_not_found,
)
from tidings.wire.xmpp.payloads.data_form import DataForm
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.inbox import (
    EmptyBin,
    FetchInbox,
    InboxFin,
    InboxForm,
    InboxFormRequest,
    InboxResult,
    InboxTotals,
    Order,
    format_page_id,
    read_page_id,
    result_of,
)
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.payloads.standard_inbox import StandardInboxEntry, StandardInboxFin, StandardInboxQuery

INBOX = "erlang-solutions.com:xmpp:inbox:0"
CONV = INBOX + "#conversation"
NINA, PHONE, OMAR = Jid("nina@clinic.example"), Jid("nina@clinic.example/phone"), Jid("omar@clinic.example")
PAGE_ID = "1773044042551300/b21hckBjbGluaWMuZXhhbXBsZQ=="
MUTED = read_date_time("2026-03-10T08:20:11.004512Z", "mute")


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def inbox(*fields: str, attributes: str = "", rest: str = "", kind: str = "submit") -> Element:
    hidden = f"<field var='FORM_TYPE' type='hidden'><value>{INBOX}</value></field>"
    form = f"<x xmlns='jabber:x:data' type='{kind}'>{hidden}{''.join(fields)}</x>" if fields else ""
    return decode(f"<inbox xmlns='{INBOX}' {attributes}>{form}{rest}</inbox>".encode(), "")


def rsm(content: str) -> str:
    return f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"


def test_the_query_of_the_sheet() -> None:  # §1.3
    element = inbox(
        field("start", "2026-03-01T00:00:00Z"),
        field("end", "2026-03-31T23:59:59.999999Z"),
        field("order", "desc"),
        field("hidden_read", "true"),
        field("box", "inbox"),
        attributes="queryid='page-1'",
        rest=rsm("<max>25</max>"),
    )
    assert FetchInbox.decode(element) == FetchInbox(
        query_id="page-1",
        start=1_772_323_200_000_000,
        end=1_775_001_599_999_999,
        hides_read=True,
        box="inbox",
        page=PageRequest(25),
    )


def test_an_empty_query_is_all_defaults() -> None:
    assert FetchInbox.decode(inbox()) == FetchInbox()
    assert FetchInbox().encode() == inbox()


@given(
    st.builds(
        FetchInbox,
        query_id=st.none() | words,
        start=st.none() | moments,
        end=st.none() | moments,
        order=st.sampled_from(Order),
        hides_read=st.booleans(),
        box=st.none() | st.sampled_from(["all", "inbox", "archive", "bin", "work"]),
        page=st.builds(PageRequest, st.none() | st.integers(0, 9), st.none() | words, st.none() | words),
    )
)
def test_queries_round_trip(value: FetchInbox) -> None:
    assert FetchInbox.decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        ([], None),
        ([field("archive", "true")], "archive"),
        ([field("archive", "false")], "inbox"),
        ([field("archive", "true"), field("box", "all")], "all"),
        ([field("box", "bin")], "bin"),
        ([field("box", "work")], "work"),
    ],
)
def test_the_box_and_the_older_field(fields: list[str], box: str | None) -> None:
    query = FetchInbox.decode(inbox(*fields))
    query.check_box(["work"])
    assert query.box == box


def test_published_examples_have_the_wrong_kind_of_form() -> None:
    assert FetchInbox.decode(inbox(field("hidden_read", "1"), kind="form")).hides_read
    with pytest.raises(StanzaError):
        FetchInbox.decode(inbox(field("hidden_read", "1"), kind="cancel"))


def test_any_form_type_will_do() -> None:
    for scope in ("", field("FORM_TYPE", "urn:x")):
        text = f"<x xmlns='jabber:x:data' type='submit'>{scope}{field('order', 'asc')}</x>"
        element = decode(f"<inbox xmlns='{INBOX}'>{text}</inbox>".encode(), "")
        assert FetchInbox.decode(element) == FetchInbox(order=Order.ASCENDING)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ([field("start", "x")], "Invalid inbox form field value, field=start, value=x"),
        ([field("end", "")], "Invalid inbox form field value, field=end, value="),
        ([field("order", "up")], "Invalid inbox form field value, field=order, value=up"),
        ([field("hidden_read", "yes")], "Invalid inbox form field value, field=hidden_read, value=yes"),
        (
            [field("archive", "maybe"), field("box", "all")],
            "Invalid inbox form field value, field=archive, value=maybe",
        ),
        ([field("box", "attic")], "Invalid inbox form field value, field=box, value=attic"),
        ([field("box")], "Invalid inbox form field value, field=box, value="),
        ([field("box", "all", "bin")], "Invalid inbox form field value, field=box, value=all,bin"),
        ([field("box", "all"), field("box", "all")], "Invalid inbox form field value, field=box, value=all"),
        ([field("colour", "red")], "Unknown inbox form field=colour, value=red"),
    ],
)
def test_mongooseims_words_for_bad_fields(fields: list[str], text: str) -> None:
    with pytest.raises(StanzaError) as error:
        FetchInbox.decode(inbox(*fields)).check_box(["work"])
    assert (error.value.condition, error.value.kind, error.value.text) == ("bad-request", "modify", text)


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        ("<max>many</max>", "bad-request"),
        ("<index>one</index>", "bad-request"),
        ("<index>1</index>", "feature-not-implemented"),
    ],
)
def test_pages_that_an_inbox_does_not_have(content: str, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        FetchInbox.decode(inbox(rest=rsm(content)))
    assert error.value.condition == condition


# --- paging


def test_the_page_id_of_the_sheet() -> None:  # §1.4
    assert read_page_id("1772323200123456/b21hckBjbGluaWMuZXhhbXBsZQ==") == (1_772_323_200_123_456, OMAR)
    assert format_page_id(1_773_044_042_551_300, OMAR) == PAGE_ID


@given(moments, jids.map(lambda jid: jid.bare))
def test_page_ids_round_trip(stamp: int, peer: Jid) -> None:
    assert read_page_id(format_page_id(stamp, peer)) == (stamp, peer)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1/",
        "/b21hckBjbGluaWMuZXhhbXBsZQ==",
        "-1/b21hckBjbGluaWMuZXhhbXBsZQ==",
        "1/b21hckBjbGluaWMuZXhhbXBsZQ",
        "1/???",
        "1/gICA",
        "1/QA==",
        "1/YUBiL2M=",
        "٣/b21hckBjbGluaWMuZXhhbXBsZQ==",
        "9" * 30 + "/b21hckBjbGluaWMuZXhhbXBsZQ==",
    ],
)
def test_page_ids_that_are_none(text: str) -> None:
    with pytest.raises(StanzaError) as error:
        read_page_id(text)
    assert error.value.condition == "bad-request"


@given(st.text(max_size=30))
def test_no_text_breaks_the_reading_of_page_ids(text: str) -> None:
    try:
        stamp, peer = read_page_id(text)
    except StanzaError:
        return
    assert read_page_id(format_page_id(stamp, peer)) == (stamp, peer)


# --- results


ORIGINAL = (
    b'<message from="omar@clinic.example/desk" to="nina@clinic.example" type="chat" id="m-901">'
    b"<body>Results are back</body></message>"
)
ENTRY = f"""<message from='nina@clinic.example' to='nina@clinic.example/phone' id='srv-55'>
<result xmlns='{INBOX}' unread='3' queryid='page-1'><forwarded xmlns='urn:xmpp:forward:0'>
<delay xmlns='urn:xmpp:delay' stamp='2026-03-09T08:14:02.551300Z'/>
<message xmlns='jabber:client' type='chat' from='omar@clinic.example/desk' id='m-901' to='nina@clinic.example'
><body>Results are back</body></message></forwarded><read>false</read><box>inbox</box><archive>false</archive>
<mute>0</mute></result></message>""".replace("\n<", "<").replace(">\n", ">")
FORWARDED = Forwarded(ORIGINAL, Delay(1_773_044_042_551_300))


def test_the_entry_of_the_sheet() -> None:  # §1.5
    value = InboxResult(3, FORWARDED, "page-1")
    message = value.message(to=PHONE, account=NINA, id="srv-55")
    assert decode(message.to_bytes(), ns.CLIENT) == decode(ENTRY.encode(), ns.CLIENT)
    assert message.has(ns.INBOX, "result")
    read = result_of(received(message.to_bytes().decode()))
    assert read == value
    assert result_of(received("<message/>")) is None


results = st.builds(
    InboxResult,
    st.integers(0, 2**32 - 1),
    forwards,
    st.none() | words,
    st.sampled_from(["inbox", "archive", "bin", "work"]),
    st.just(0) | moments.filter(bool),
    st.lists(st.builds(Element, st.just("a"), st.just("urn:a")), max_size=2).map(tuple),
)


@given(results)
def test_entries_round_trip(value: InboxResult) -> None:
    element = decode(value.to_bytes(), "urn:anywhere")
    assert InboxResult.decode(element) == value
    assert element.text_of("read") == ("false" if value.unread else "true")
    assert element.text_of("archive") == ("true" if value.box == "archive" else "false")
    assert [child.name for child in element.children][:5] == ["forwarded", "read", "box", "archive", "mute"]


@pytest.mark.parametrize(
    "text",
    [
        f"<result xmlns='{INBOX}'><forwarded xmlns='urn:xmpp:forward:0'/></result>",
        f"<result xmlns='{INBOX}' unread='-1'><forwarded xmlns='urn:xmpp:forward:0'/></result>",
        f"<result xmlns='{INBOX}' unread='1'/>",
        f"<result xmlns='{INBOX}' unread='1'><forwarded xmlns='urn:xmpp:forward:0'/><mute>so</mute></result>",
        f"<result xmlns='{INBOX}' unread='1'><forwarded xmlns='urn:xmpp:forward:0'/><read>so</read></result>",
    ],
)
def test_entries_that_are_none(text: str) -> None:
    with pytest.raises(StanzaError) as error:
        InboxResult.decode(decode(text.encode(), ""))
    assert error.value.condition == "bad-request"


ONE = Page(PAGE_ID, PAGE_ID)
FINS = {
    "§1.5": (
        (
            f"<fin xmlns='{INBOX}'>"
            + rsm(f"<first>{PAGE_ID}</first><last>{PAGE_ID}</last>")
            + "<active-conversations>1</active-conversations><count>1</count>"
            "<unread-messages>3</unread-messages></fin>"
        ),
        InboxFin(ONE, 1, 1, 3),
    ),
    "no entry": (
        (
            f"<fin xmlns='{INBOX}'>"
            + rsm("")
            + "<active-conversations>0</active-conversations><count>0</count>"
            "<unread-messages>0</unread-messages></fin>"
        ),
        InboxFin(),
    ),
    "totals": (
        (
            f"<fin xmlns='{INBOX}'>"
            + rsm("")
            + "<active-conversations>0</active-conversations><count>0</count>"
            "<unread-messages>0</unread-messages>"
            "<totals xmlns='urn:tidings:inbox:0' unread-messages='9' active-conversations='4'/></fin>"
        ),
        InboxFin(totals=InboxTotals(9, 4)),
    ),
}


@pytest.mark.parametrize(("text", "value"), FINS.values(), ids=FINS)
def test_ends_of_pages(text: str, value: InboxFin) -> None:
    assert InboxFin.decode(decode(text.encode(), "")) == value
    assert through_bytes(value.encode()) == decode(text.encode(), "")


counts = st.integers(0, 2**32 - 1)


@given(
    st.one_of(
        st.builds(
            InboxFin, st.just(ONE), counts, counts, counts, st.none() | st.builds(InboxTotals, counts, counts)
        ),
        st.builds(EmptyBin, st.none() | counts),
        st.builds(
            StandardInboxQuery, st.booleans(), st.booleans(), st.builds(PageRequest, st.none() | counts)
        ),
        st.builds(StandardInboxEntry, jids, counts, st.none() | words),
        st.builds(StandardInboxFin, counts, counts, counts, st.just(ONE)),
        st.builds(ConversationQuery, st.none() | jids.map(lambda jid: jid.bare), st.booleans()),
        st.builds(ConversationReset, st.none() | jids.map(lambda jid: jid.bare)),
        st.builds(
            ConversationUpdate,
            jids.map(lambda jid: jid.bare),
            st.builds(Standing, st.booleans(), st.sampled_from(["inbox", "archive", "work"]), moments),
            st.none() | words,
        ),
    )
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


def test_the_form_of_the_sheet() -> None:  # §1.2
    text = f"""<query xmlns='{INBOX}'><x xmlns='jabber:x:data' type='form'>
<field var='FORM_TYPE' type='hidden'><value>{INBOX}</value></field>
<field var='start' type='text-single'/><field var='end' type='text-single'/>
<field var='hidden_read' type='text-single'><value>false</value></field>
<field var='order' type='list-single'><value>desc</value>
<option label='Ascending by timestamp'><value>asc</value></option>
<option label='Descending by timestamp'><value>desc</value></option></field>
<field var='box' type='list-single'><value>all</value><option label='all'><value>all</value></option>
<option label='inbox'><value>inbox</value></option><option label='archive'><value>archive</value></option>
<option label='bin'><value>bin</value></option><option label='work'><value>work</value></option></field>
<field var='archive' type='boolean'><value>false</value></field></x></query>""".replace("\n", "")
    offered = InboxForm.offered(["work"])
    assert InboxForm.decode(decode(text.encode(), "")) == offered
    assert through_bytes(offered.encode()) == decode(text.encode(), "")
    assert InboxFormRequest.decode(InboxFormRequest().encode()) == InboxFormRequest()
    with pytest.raises(StanzaError):
        InboxForm.decode(InboxFormRequest().encode())


def test_the_bin_of_the_sheet() -> None:  # §1.8
    assert EmptyBin().encode() == decode(f"<empty-bin xmlns='{INBOX}'/>".encode(), "")
    assert EmptyBin(2).encode() == decode(f"<empty-bin xmlns='{INBOX}'><num>2</num></empty-bin>".encode(), "")


# --- one conversation


def conversation(content: str = "", attributes: str = "jid='omar@clinic.example'") -> Element:
    return decode(f"<query xmlns='{CONV}' {attributes}>{content}</query>".encode(), "")


STANDING = "<read>false</read><box>inbox</box><archive>false</archive><mute>0</mute>"


def test_asking_how_a_conversation_stands() -> None:  # §1.6
    assert ConversationQuery.decode(conversation()) == ConversationQuery(OMAR)
    assert ConversationQuery.decode(conversation("", "")) == ConversationQuery()
    asked = ConversationQuery.decode(conversation("", "jid='Omar@clinic.example/desk' complete='true'"))
    assert asked == ConversationQuery(OMAR, is_complete=True)


@pytest.mark.parametrize("forwarded", [None, FORWARDED])
def test_how_a_conversation_stands(forwarded: Forwarded | None) -> None:
    value = Conversation(OMAR, Standing(is_read=False), forwarded)
    element = decode(value.to_bytes(), "")
    assert Conversation.decode(element) == value
    names = [child.name for child in element.children]
    assert names == ["forwarded"] * (forwarded is not None) + ["read", "box", "archive", "mute"]
    if forwarded is None:
        assert element == conversation(STANDING)


def test_the_form_of_properties() -> None:
    form = ConversationForm.offered(["work"]).form
    assert form.form_type == CONV
    assert {item.name: item.value for item in form.fields[1:]} == {
        "box": "all",
        "archive": "false",
        "read": "false",
        "mute": "0",
    }
    assert ConversationForm.decode(ConversationForm(form).encode()).form == form
    assert isinstance(form, DataForm)
    with pytest.raises(StanzaError):
        ConversationForm.decode(conversation())


@pytest.mark.parametrize(
    ("content", "change"),
    [
        (
            "<box>archive</box><mute>86400</mute><read>true</read>",
            ConversationChange(OMAR, "archive", 86_400, read=True, query_id="q9"),
        ),
        ("\n <box> bin </box>\n", ConversationChange(OMAR, "bin", query_id="q9")),
        ("<box>work</box>", ConversationChange(OMAR, "work", query_id="q9")),
        ("<archive>true</archive>", ConversationChange(OMAR, "archive", query_id="q9")),
        ("<archive>false</archive>", ConversationChange(OMAR, "inbox", query_id="q9")),
        ("<archive>false</archive><box>bin</box>", ConversationChange(OMAR, "bin", query_id="q9")),
        ("<mute>0</mute>", ConversationChange(OMAR, mute=0, query_id="q9")),
        ("<read>false</read>", ConversationChange(OMAR, read=False, query_id="q9")),
    ],
)
def test_changing_a_conversation(content: str, change: ConversationChange) -> None:  # §1.7
    element = conversation(content, "jid='omar@clinic.example' queryid='q9'")
    assert ConversationChange.decode(element) == change
    assert ConversationChange.decode(through_bytes(change.encode())) == change
    change.check_box(["work"])


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (conversation("<read>true</read>", ""), "jid-required"),
        (conversation("<read>true</read>", "jid=''"), "jid-required"),
        (conversation("<read>true</read>", "jid='@'"), "invalid-jid"),
        (conversation(), "no-property"),
        (conversation("\n"), "no-property"),
        (conversation("<box>all</box>"), "invalid-box"),
        (conversation("<box>attic</box>"), "invalid-box"),
        (conversation("<box/>"), "invalid-box"),
        (conversation("<colour>red</colour>"), "bad-request"),
        (conversation("<read xmlns='urn:x'>true</read>"), "bad-request"),
        (conversation("<read>true</read><read>true</read>"), "bad-request"),
        (conversation("<read>yes</read>"), "bad-request"),
        (conversation("<archive/>"), "bad-request"),
        (conversation("<mute>-1</mute>"), "bad-request"),
        (conversation("<mute>1h</mute>"), "bad-request"),
        (conversation("<mute/>"), "bad-request"),
        (conversation("<mute>99999999999</mute>"), "bad-request"),
    ],
)
def test_mongooseims_words_for_bad_changes(element: Element, text: str) -> None:
    with pytest.raises(StanzaError) as error:
        ConversationChange.decode(element).check_box(["work"])
    assert (error.value.condition, error.value.kind, error.value.text) == ("bad-request", "modify", text)


def test_the_news_of_the_sheet() -> None:  # §1.7
    text = (
        f"<x xmlns='{CONV}' jid='omar@clinic.example' queryid='q9'><read>true</read><box>archive</box>"
        "<archive>true</archive><mute>2026-03-10T08:20:11.004512Z</mute></x>"
    )
    value = ConversationUpdate(OMAR, Standing(box="archive", muted_until=MUTED), "q9")
    assert value.encode() == decode(text.encode(), "")
    assert ConversationUpdate.decode(decode(text.encode(), "")) == value


def test_the_older_reset() -> None:  # §1.8
    reset = decode(f"<reset xmlns='{CONV}' jid='omar@clinic.example'/>".encode(), "")
    assert ConversationReset.decode(reset).change() == ConversationChange(OMAR, read=True)
    assert ConversationReset().encode() == decode(f"<reset xmlns='{CONV}'/>".encode(), "")
    with pytest.raises(StanzaError) as error:
        ConversationReset().change()
    assert error.value.text == "jid-required"


def test_two_answers_for_a_conversation_that_is_not_there() -> None:
    asked, changed = entry_not_found(), changed_entry_not_found()
    assert (asked.condition, asked.text) == ("item-not-found", "Entry not found")
    assert (changed.condition, changed.text) == ("bad-request", "item-not-found")


# --- XEP-0430


def test_the_inbox_of_the_xsf() -> None:
    text = "<inbox xmlns='urn:xmpp:inbox:1' unread-only='true' messages='false'/>"
    assert StandardInboxQuery.decode(decode(text.encode(), "")) == StandardInboxQuery(
        unread_only=True, with_messages=False
    )
    entry = "<entry xmlns='urn:xmpp:inbox:1' unread='5' jid='first_contact@example.net' id='uuid-1'/>"
    value = StandardInboxEntry(Jid("first_contact@example.net"), 5, "uuid-1")
    assert StandardInboxEntry.decode(decode(entry.encode(), "")) == value
    assert value.encode() == decode(entry.encode(), "")
    fin = "<fin xmlns='urn:xmpp:inbox:1' total='3' unread='2' all-unread='6'>" + rsm("") + "</fin>"
    assert StandardInboxFin.decode(decode(fin.encode(), "")) == StandardInboxFin(3, 2, 6)
    assert through_bytes(StandardInboxFin(3, 2, 6).encode()) == decode(fin.encode(), "")


@given(forwards)
def test_an_entry_and_its_message_travel_together(forwarded: Forwarded) -> None:
    entry, result = StandardInboxEntry(OMAR, 1, "u"), ArchiveResult("u", forwarded, "iq1")
    message = entry.message(to=PHONE, account=NINA, result=result)
    again = received(message.to_bytes().decode())
    assert again.index == message.index
    assert archive_result_of(again) == result
    assert StandardInboxEntry.decode(again.decode(*StandardInboxEntry.TAG)) == entry
    alone = entry.message(to=PHONE, account=NINA)
    assert received(alone.to_bytes().decode()).index == alone.index


@pytest.mark.parametrize(
    ("kind", "text", "condition"),
    [
        (StandardInboxQuery, "<inbox xmlns='urn:xmpp:inbox:1' messages='no'/>", "bad-request"),
        (StandardInboxEntry, "<entry xmlns='urn:xmpp:inbox:1' unread='5'/>", "bad-request"),
        (StandardInboxEntry, "<entry xmlns='urn:xmpp:inbox:1' jid='a@b'/>", "bad-request"),
        (StandardInboxEntry, "<entry xmlns='urn:xmpp:inbox:1' jid='@' unread='1'/>", "jid-malformed"),
        (StandardInboxFin, "<fin xmlns='urn:xmpp:inbox:1' total='3'/>", "bad-request"),
        (InboxTotals, "<totals xmlns='urn:tidings:inbox:0'/>", "bad-request"),
        (EmptyBin, f"<empty-bin xmlns='{INBOX}'><num>x</num></empty-bin>", "bad-request"),
    ],
)
def test_nonsense(kind, text: str, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        kind.decode(decode(text.encode(), ""))
    assert error.value.condition == condition
