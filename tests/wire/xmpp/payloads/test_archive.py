"""The archive on the wire: queries, results, the end of a page, metadata, preferences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import forwards, moments, received
from tests.wire.xmpp.payloads.strategies import jids, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.archive import (
    TEXT_FIELDS,
    ArchiveBounds,
    ArchiveFin,
    ArchiveForm,
    ArchiveMetadata,
    ArchiveQuery,
    ArchiveResult,
    Landmark,
    result_of,
    unknown_id_error,
)
from tidings.wire.xmpp.payloads.archive_preferences import ArchiveDefault, ArchivePreferences, is_wanted
from tidings.wire.xmpp.payloads.data_form import Field, FieldKind
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.delay import Delay
from tidings.wire.xmpp.payloads.forwarding import Forwarded
from tidings.wire.xmpp.payloads.result_set import Page, PageRequest
from tidings.wire.xmpp.stanza import Stanza, error_element

MAM = "urn:xmpp:mam:2"
ROMEO, MONTAGUE, JULIET = Jid("romeo@montague.lit"), Jid("montague@montague.lit"), Jid("juliet@capulet.lit")


def moment(text: str) -> int:
    return read_date_time(text, "stamp")


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def form(*fields: str, scope: str = MAM) -> str:
    hidden = f"<field var='FORM_TYPE' type='hidden'><value>{scope}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{hidden}{''.join(fields)}</x>"


def rsm(content: str) -> str:
    return f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"


def query(content: str = "", attributes: str = "", namespace: str = MAM) -> str:
    return f"<query xmlns='{namespace}' {attributes}>{content}</query>"


QUERIES = {
    "example 2": (query("", "queryid='f27'"), ArchiveQuery(query_id="f27")),
    "example 6": (query(form(field("with", "juliet@capulet.lit"))), ArchiveQuery(peer=JULIET)),
    "example 7": (
        query(form(field("start", "2010-06-07T00:00:00Z"), field("end", "2010-07-07T13:23:54Z"))),
        ArchiveQuery(start=moment("2010-06-07T00:00:00Z"), end=moment("2010-07-07T13:23:54Z")),
    ),
    "example 9": (
        query(form(field("after-id", "09af3-cc343-b409f"))),
        ArchiveQuery(after_id="09af3-cc343-b409f"),
    ),
    "example 10": (
        query(form(field("before-id", "09af3-cc343-b409f"), field("after-id", "28482-98726-73623"))),
        ArchiveQuery(after_id="28482-98726-73623", before_id="09af3-cc343-b409f"),
    ),
    "example 11": (query(form(field("ids", "28482-98726-73623"))), ArchiveQuery(ids=("28482-98726-73623",))),
    "example 12": (query(form(field("include-groupchat", "true"))), ArchiveQuery(with_groupchat=True)),
    "example 13": (query(form(field("include-groupchat", "false"))), ArchiveQuery(with_groupchat=False)),
    "example 14": (query(), ArchiveQuery()),
    "example 20": (
        query(
            form(field("start", "2010-08-07T00:00:00Z"))
            + rsm("<max>10</max><after>09af3-cc343-b409f</after>")
        ),
        ArchiveQuery(start=moment("2010-08-07T00:00:00Z"), page=PageRequest(10, after="09af3-cc343-b409f")),
    ),
    "example 23": (
        query(form(field("start", "2010-08-07T00:00:00Z")) + rsm("<max>10</max><before/>")),
        ArchiveQuery(start=moment("2010-08-07T00:00:00Z"), page=PageRequest(10, before="")),
    ),
    "example 24": (
        query(rsm("<max>10</max><after>09af3-cc343-b409f</after>") + "<flip-page/>"),
        ArchiveQuery(page=PageRequest(10, after="09af3-cc343-b409f"), is_flipped=True),
    ),
    "XEP-0431": (
        query(form(field("{urn:xmpp:fulltext:0}fulltext", "balcony"))),
        ArchiveQuery(text="balcony"),
    ),
    "MongooseIM's fields": (
        query(form(field("from-id", "A"), field("to-id", "B"), field("simple", "true"))),
        ArchiveQuery(from_id="A", to_id="B", is_simple=True),
    ),
    "the version before": (
        query(form(field("with", "juliet@capulet.lit"), scope="urn:xmpp:mam:1"), "", "urn:xmpp:mam:1"),
        ArchiveQuery(namespace="urn:xmpp:mam:1", peer=JULIET),
    ),
}


@pytest.mark.parametrize(("text", "value"), QUERIES.values(), ids=QUERIES)
def test_queries_of_the_documents(text: str, value: ArchiveQuery) -> None:
    assert ArchiveQuery.decode(decode(text.encode(), "")) == value
    assert ArchiveQuery.decode(through_bytes(value.encode())) == value


pages = st.builds(
    PageRequest,
    st.none() | st.integers(0, 9),
    st.none() | words,
    st.none() | words,
    st.none() | st.integers(0, 9),
)
maybe = st.none() | words
queries = st.builds(
    ArchiveQuery,
    namespace=st.sampled_from([ns.MAM1, ns.MAM2]),
    query_id=maybe,
    node=st.just("") | words,
    peer=st.none() | jids,
    start=st.none() | moments,
    end=st.none() | moments,
    before_id=maybe,
    after_id=maybe,
    from_id=maybe,
    to_id=maybe,
    ids=st.lists(words, max_size=3, unique=True).map(tuple),
    with_groupchat=st.none() | st.booleans(),
    is_simple=st.booleans(),
    text=st.just("") | words.map(str.strip),
    page=pages,
    is_flipped=st.booleans(),
)


@given(queries)
def test_queries_round_trip(value: ArchiveQuery) -> None:
    assert ArchiveQuery.decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_three_names_of_the_search_field(name: str) -> None:
    assert ArchiveQuery.decode(decode(query(form(field(name, " wherefore art "))).encode(), "")).text == (
        "wherefore art"
    )


def test_a_field_without_a_value_wishes_nothing() -> None:
    names = ("with", "start", "end", "before-id", "after-id", "include-groupchat", "simple", "fulltext")
    text = query(form(*(field(name, "") for name in names)))
    assert ArchiveQuery.decode(decode(text.encode(), "")) == ArchiveQuery()


def test_an_extension_may_add_fields() -> None:
    name = "{http://example.com/}stanza-content"
    element = decode(query(form(field(name, "a", "b"))).encode(), "")
    with pytest.raises(StanzaError) as error:
        ArchiveQuery.decode(element)
    assert error.value.condition == "feature-not-implemented"  # §4.1.6
    decoded = ArchiveQuery.decode(element, {name})
    assert decoded == ArchiveQuery(others=(Field(name, ("a", "b")),))
    assert ArchiveQuery.decode(through_bytes(decoded.encode()), {name}) == decoded


def test_a_repeated_id_is_one() -> None:
    text = query(form(field("ids", "b", "a", "b")))
    assert ArchiveQuery.decode(decode(text.encode(), "")).ids == ("b", "a")


NONSENSE = [
    (query(form(field("with", "@"))), "jid-malformed"),
    (query(form(field("with", "a@b", "c@d"))), "bad-request"),
    (query(form(field("start", "yesterday"))), "bad-request"),
    (query(form(field("start", "2010-08-07"))), "bad-request"),
    (query(form(field("end", "2010-08-07T00:00:00"))), "bad-request"),
    (query(form(field("end", "2010-08-07T00:00:00Z"), field("end", "2011-08-07T00:00:00Z"))), "bad-request"),
    (query(form(field("before-id", "x" * 1_025))), "bad-request"),
    (query(form(field("ids"))), "bad-request"),
    (query(form(field("ids", ""))), "bad-request"),
    (query(form(field("ids", *map(str, range(1_001))))), "bad-request"),
    (query(form(field("include-groupchat", "maybe"))), "bad-request"),
    (query(form(field("simple", "2"))), "bad-request"),
    (query(form(field("fulltext", "x" * 1_025))), "bad-request"),
    (query(form(field("fulltext", "x"), field("full-text-search", "y"))), "bad-request"),
    (query(form(field("{urn:x}y", "z"))), "feature-not-implemented"),
    (query(form(scope="urn:xmpp:mam:1")), "bad-request"),
    (query(form().replace("submit", "cancel")), "bad-request"),
    (query(form().replace("submit", "sent")), "bad-request"),
    (query(rsm("<max>-1</max>")), "bad-request"),
    (query("", f"queryid='{'x' * 1_025}'"), "bad-request"),
]


@pytest.mark.parametrize(("text", "condition"), NONSENSE)
def test_queries_that_are_none(text: str, condition: str) -> None:
    with pytest.raises(StanzaError) as error:
        ArchiveQuery.decode(decode(text.encode(), ""))
    assert error.value.condition == condition


def test_the_form_of_the_document() -> None:  # example 15, with XEP-0431
    other = Field("{http://example.com/}stanza-content", kind=FieldKind.TEXT_SINGLE)
    text = (
        "<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='form'>"
        "<field type='hidden' var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
        "<field type='jid-single' var='with'/><field type='text-single' var='start'/>"
        "<field type='text-single' var='end'/><field type='text-single' var='before-id'/>"
        "<field type='text-single' var='after-id'/><field type='list-multi' var='ids'>"
        "<validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'><open/></validate>"
        "</field><field type='boolean' var='include-groupchat'/>"
        "<field type='text-single' var='{urn:xmpp:fulltext:0}fulltext'/>"
        "<field type='text-single' var='{http://example.com/}stanza-content'/></x></query>"
    )
    offered = ArchiveForm.offered(others=(other,))
    assert ArchiveForm.decode(decode(text.encode(), "")) == offered
    assert through_bytes(offered.encode()) == decode(text.encode(), "")
    with pytest.raises(StanzaError):
        ArchiveForm.decode(decode(query().encode(), ""))


@pytest.mark.parametrize("namespace", [ns.MAM1, ns.MAM2])
@pytest.mark.parametrize("searches", [True, False])
def test_every_field_offered_is_understood(namespace: str, searches: bool) -> None:
    form_ = ArchiveForm.offered(namespace, searches=searches).form
    names = {"with", "start", "end"} | ({TEXT_FIELDS[0]} if searches else set())
    if namespace == ns.MAM2:
        names |= {"before-id", "after-id", "ids", "include-groupchat"}
    assert {item.name for item in form_.fields} - {"FORM_TYPE"} == names


RESULT = (  # example 3
    "<message id='aeb213' to='juliet@capulet.lit/chamber' from='juliet@capulet.lit'>"
    "<result xmlns='urn:xmpp:mam:2' queryid='f27' id='28482-98726-73623'>"
    "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>"
    "<message xmlns='jabber:client' from='witch@shakespeare.lit' to='macbeth@shakespeare.lit'>"
    "<body>Hail to thee</body></message></forwarded></result></message>"
)


def test_the_result_of_the_document() -> None:
    raw = (
        b'<message from="witch@shakespeare.lit" to="macbeth@shakespeare.lit">'
        b"<body>Hail to thee</body></message>"
    )
    forwarded = Forwarded(raw, Delay(moment("2010-07-10T23:08:25Z")))
    value = ArchiveResult("28482-98726-73623", forwarded, "f27")
    read = result_of(received(RESULT))
    assert read is not None
    assert (read.id, read.query_id, read.forwarded.delay) == (value.id, value.query_id, forwarded.delay)
    message = value.message(to=Jid("juliet@capulet.lit/chamber"), archive=JULIET, id="aeb213")
    assert decode(message.to_bytes(), ns.CLIENT) == decode(RESULT.encode(), ns.CLIENT)
    assert message.has(*ArchiveResult.TAGS[0])
    assert result_of(received("<message/>")) is None


@given(st.builds(ArchiveResult, words, forwards, maybe, st.sampled_from([ns.MAM1, ns.MAM2])))
def test_results_round_trip(value: ArchiveResult) -> None:
    assert result_of(received(value.message(to=ROMEO, archive=ROMEO).to_bytes().decode())) == value


@pytest.mark.parametrize(
    "text",
    [
        "<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'/></result>",
        "<result xmlns='urn:xmpp:mam:2' id=''><forwarded xmlns='urn:xmpp:forward:0'/></result>",
        "<result xmlns='urn:xmpp:mam:2' id='1'/>",
    ],
)
def test_results_that_are_none(text: str) -> None:
    with pytest.raises(StanzaError) as error:
        ArchiveResult.decode(decode(text.encode(), ""))
    assert error.value.condition == "bad-request"


def test_an_id_cannot_break_out_of_its_attribute() -> None:
    value = ArchiveResult("'\"><x/>&", Forwarded(b"<message/>"), "'\"><y/>&")
    assert ArchiveResult.decode(decode(value.to_bytes(), "")) == value
    with pytest.raises(ValueError, match="U\\+0000"):
        ArchiveResult("\0", Forwarded(b"<message/>")).to_bytes()


def fin(content: str, attributes: str = "") -> str:
    return f"<fin xmlns='urn:xmpp:mam:2' {attributes}>{content}</fin>"


FINS = {
    "example 4": (
        fin(rsm("<first index='0'>28482-98726-73623</first><last>09af3-cc343-b409f</last>")),
        ArchiveFin(Page("28482-98726-73623", "09af3-cc343-b409f", 0)),
    ),
    "example 22": (
        fin(
            rsm("<first index='0'>23452-4534-1</first><last>390-2342-22</last><count>16</count>"),
            "complete='true'",
        ),
        ArchiveFin(Page("23452-4534-1", "390-2342-22", 0, 16), is_complete=True),
    ),
    "nothing found": (fin(rsm(""), "complete='true'"), ArchiveFin(is_complete=True)),
    "unstable": (fin(rsm(""), "stable='false'"), ArchiveFin(is_stable=False)),
    "extended": (
        fin(rsm("") + "<x xmlns='urn:x'/>"),
        ArchiveFin(others=(Element("x", "urn:x"),)),
    ),
}


@pytest.mark.parametrize(("text", "value"), FINS.values(), ids=FINS)
def test_ends_of_pages(text: str, value: ArchiveFin) -> None:
    assert ArchiveFin.decode(decode(text.encode(), "")) == value
    assert through_bytes(value.encode()) == decode(text.encode(), "")


@given(
    st.builds(
        ArchiveFin,
        st.builds(Page, words, words, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
        st.booleans(),
        st.booleans(),
        st.sampled_from([ns.MAM1, ns.MAM2]),
    )
)
def test_ends_of_pages_round_trip(value: ArchiveFin) -> None:
    assert ArchiveFin.decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize("attribute", ["complete='yes'", "stable=''"])
def test_an_end_is_complete_or_not(attribute: str) -> None:
    with pytest.raises(StanzaError):
        ArchiveFin.decode(decode(fin("", attribute).encode(), ""))


METADATA = {
    "example 25": ("<metadata xmlns='urn:xmpp:mam:2'/>", ArchiveMetadata()),
    "example 26": (
        (
            "<metadata xmlns='urn:xmpp:mam:2'><start id='YWxwaGEg' timestamp='2008-08-22T21:09:04Z'/>"
            "<end id='b21lZ2Eg' timestamp='2020-04-20T14:34:21Z'/></metadata>"
        ),
        ArchiveMetadata(
            Landmark("YWxwaGEg", moment("2008-08-22T21:09:04Z")),
            Landmark("b21lZ2Eg", moment("2020-04-20T14:34:21Z")),
        ),
    ),
}


@pytest.mark.parametrize(("text", "value"), METADATA.values(), ids=METADATA)
def test_metadata_of_the_document(text: str, value: ArchiveMetadata) -> None:
    assert ArchiveMetadata.decode(decode(text.encode(), "")) == value
    assert through_bytes(value.encode()) == decode(text.encode(), "")


landmarks = st.builds(Landmark, words, moments)


@given(st.builds(ArchiveMetadata, landmarks, landmarks, st.sampled_from([ns.MAM1, ns.MAM2])))
def test_metadata_round_trips(value: ArchiveMetadata) -> None:
    assert ArchiveMetadata.decode(through_bytes(value.encode())) == value


@pytest.mark.parametrize(
    "content",
    [
        "<start id='a' timestamp='2008-08-22T21:09:04Z'/>",
        "<start id='a' timestamp='2008-08-22T21:09:04Z'/><end id='b'/>",
        "<start timestamp='2008-08-22T21:09:04Z'/><end id='b' timestamp='2008-08-22T21:09:04Z'/>",
    ],
)
def test_half_of_the_metadata(content: str) -> None:
    with pytest.raises(StanzaError) as error:
        ArchiveMetadata.decode(decode(f"<metadata xmlns='urn:xmpp:mam:2'>{content}</metadata>".encode(), ""))
    assert error.value.condition == "bad-request"


@given(st.builds(ArchiveBounds, words, maybe, maybe))
def test_the_hint_beside_an_unknown_id(bounds: ArchiveBounds) -> None:
    error = unknown_id_error(bounds)
    assert (error.condition, error.kind) == ("item-not-found", "cancel")
    hint = through_bytes(error_element(error)).find(*reversed(ArchiveBounds.TAG))
    assert hint is not None
    assert ArchiveBounds.decode(hint) == bounds
    assert unknown_id_error().payload == b""


# --- XEP-0441


def prefs(content: str, attributes: str = "default='roster'") -> str:
    return f"<prefs xmlns='urn:xmpp:mam:2' {attributes}>{content}</prefs>"


PREFERENCES = {
    "example 1": (prefs("", ""), ArchivePreferences()),
    "example 2": (prefs("<always/><never/>"), ArchivePreferences(ArchiveDefault.ROSTER)),
    "example 4": (
        prefs(
            "<always><jid>romeo@montague.lit</jid></always><never><jid>montague@montague.lit</jid></never>"
        ),
        ArchivePreferences(ArchiveDefault.ROSTER, (ROMEO,), (MONTAGUE,)),
    ),
}


@pytest.mark.parametrize(("text", "value"), PREFERENCES.values(), ids=PREFERENCES)
def test_preferences_of_the_document(text: str, value: ArchivePreferences) -> None:
    assert ArchivePreferences.decode(decode(text.encode(), "")) == value
    assert through_bytes(value.encode()) == decode(text.encode(), "")


lists = st.lists(jids, unique=True, max_size=3).map(tuple)
preferences = st.builds(ArchivePreferences, st.sampled_from(ArchiveDefault), lists, lists)


@given(preferences)
def test_preferences_round_trip(value: ArchivePreferences) -> None:
    assert ArchivePreferences.decode(through_bytes(value.encode())) == value


def test_an_address_counts_once_however_it_is_written() -> None:
    text = prefs("<always><jid> Romeo@Montague.lit </jid><jid>romeo@montague.lit</jid></always>")
    assert ArchivePreferences.decode(decode(text.encode(), "")).always == (ROMEO,)


@pytest.mark.parametrize("item", ["<jid>@</jid>", "<jid/>", "<jid>a@b@c</jid>"])
def test_what_is_no_address_is_refused(item: str) -> None:
    text = prefs(f"<always><jid>romeo@montague.lit</jid>{item}</always>")
    with pytest.raises(StanzaError) as refused:
        ArchivePreferences.decode(decode(text.encode(), ""))
    assert refused.value.condition == "jid-malformed"


@pytest.mark.parametrize("attributes", ["default='sometimes'", "default=''"])
def test_defaults_that_are_none(attributes: str) -> None:
    with pytest.raises(StanzaError):
        ArchivePreferences.decode(decode(prefs("", attributes).encode(), ""))


def test_lists_have_a_limit() -> None:
    listed = "".join(f"<jid>a{number}@b</jid>" for number in range(1_001))
    with pytest.raises(StanzaError, match="1000"):
        ArchivePreferences.decode(decode(prefs(f"<never>{listed}</never>").encode(), ""))


def test_a_change_says_a_default() -> None:
    assert ArchivePreferences(ArchiveDefault.NEVER).change() is ArchiveDefault.NEVER
    with pytest.raises(StanzaError) as error:
        ArchivePreferences().change()
    assert error.value.condition == "bad-request"


@pytest.mark.parametrize(
    ("default", "always", "never", "is_contact", "wanted"),
    [
        ("always", [], [], False, True),
        ("never", [], [], True, False),
        ("roster", [], [], True, True),
        ("roster", [], [], False, False),
        ("never", ["a@b"], [], False, True),
        ("never", ["a@b/c"], [], False, True),
        ("never", ["a@b/d"], [], False, False),
        ("always", [], ["a@b"], True, False),
        ("always", [], ["a@b/c"], True, False),
        ("always", [], ["a@b/d"], True, True),
        ("never", ["a@b/c"], ["a@b"], False, True),
        ("always", ["a@b"], ["a@b/c"], True, False),
        ("always", ["a@b"], ["a@b"], True, False),
    ],
)
def test_whose_messages_are_wanted(default, always, never, is_contact, wanted) -> None:  # §2.3
    value = ArchivePreferences(ArchiveDefault(default), tuple(map(Jid, always)), tuple(map(Jid, never)))
    assert is_wanted(value, Jid("a@b/c"), is_contact=is_contact) is wanted


def test_without_preferences_everything_is_wanted() -> None:
    assert is_wanted(ArchivePreferences(), ROMEO, is_contact=False)


def test_a_result_is_no_part_of_its_message() -> None:
    forged = Stanza.build("message", content=(b"<body>not a result</body>",))
    assert result_of(forged) is None
