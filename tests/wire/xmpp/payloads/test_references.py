"""What messages say about earlier messages: corrections, retractions, reactions, markers, receipts, hints."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.xmpp.payloads.messages import moments, received
from tests.wire.xmpp.payloads.strategies import jids, texts, through_bytes, words
from tidings.base.errors import StanzaError
from tidings.base.jid import Jid
from tidings.wire.xml.element import Element, decode
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.correction import Correction
from tidings.wire.xmpp.payloads.date_time import read_date_time
from tidings.wire.xmpp.payloads.fallback import Fallback, Region
from tidings.wire.xmpp.payloads.fastening import Fastening
from tidings.wire.xmpp.payloads.hints import Hint, hints_of
from tidings.wire.xmpp.payloads.markers import Markable, Marker, MarkerKind
from tidings.wire.xmpp.payloads.reactions import Reactions
from tidings.wire.xmpp.payloads.receipts import Receipt, ReceiptRequest
from tidings.wire.xmpp.payloads.references import IdKind, Reference, ReferenceKind, reference_of
from tidings.wire.xmpp.payloads.retraction import Retraction, RetractionForm, Tombstone
from tidings.wire.xmpp.payloads.smart_markers import KeptMarker, MarkersQuery
from tidings.wire.xmpp.payloads.stanza_ids import StanzaId
from tidings.wire.xmpp.payloads.strict import read_boolean

STAMP = read_date_time("2019-09-20T23:09:32Z", "stamp")
EXAMPLES = {
    "XEP-0184 example 3": ("<request xmlns='urn:xmpp:receipts'/>", ReceiptRequest()),
    "XEP-0184 example 4": (
        "<received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/>",
        Receipt("richard2-4.1.247"),
    ),
    "XEP-0308 example 4": ("<replace id='bad1' xmlns='urn:xmpp:message-correct:0'/>", Correction("bad1")),
    "XEP-0333 example 3": ("<markable xmlns='urn:xmpp:chat-markers:0'/>", Markable()),
    "XEP-0333 example 4": (
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='the-msg-1'/>",
        Marker(MarkerKind.DISPLAYED, "the-msg-1"),
    ),
    "XEP-0333 before 1.0": (
        "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='m'/>",
        Marker(MarkerKind.ACKNOWLEDGED, "m"),
    ),
    "XEP-0334": ("<no-permanent-store xmlns='urn:xmpp:hints'/>", Hint.NO_PERMANENT_STORE),
    "XEP-0422 example 3": (
        (
            "<apply-to xmlns='urn:xmpp:fasten:0' id='origin-id-1'><i-like-this xmlns='urn:example:like'/>"
            "</apply-to>"
        ),
        Fastening("origin-id-1", (Element("i-like-this", "urn:example:like"),)),
    ),
    "XEP-0422 example 4": (
        (
            "<apply-to xmlns='urn:xmpp:fasten:0' id='origin-id-2'><edit xmlns='urn:example.edit'/>"
            "<external name='body'/><external name='custom' element-namespace='urn:example:custom'/>"
            "</apply-to>"
        ),
        Fastening(
            "origin-id-2",
            (Element("edit", "urn:example.edit"),),
            (("", "body"), ("urn:example:custom", "custom")),
        ),
    ),
    "XEP-0422 example 6": (
        (
            "<apply-to xmlns='urn:xmpp:fasten:0' id='origin-id-1' clear='true'>"
            "<i-like-this xmlns='urn:example:like'/></apply-to>"
        ),
        Fastening("origin-id-1", (Element("i-like-this", "urn:example:like"),), is_cleared=True),
    ),
    "XEP-0422 example 7": (
        "<apply-to xmlns='urn:xmpp:fasten:0' id='origin-id-1' shell='true'/>",
        Fastening("origin-id-1", is_shell=True),
    ),
    "XEP-0424 example 3": (
        "<retract id='wrong-recipient-1' xmlns='urn:xmpp:message-retract:1'/>",
        Retraction("wrong-recipient-1"),
    ),
    "XEP-0424 0.2": (
        (
            "<apply-to id='origin-id-1' xmlns='urn:xmpp:fasten:0'>"
            "<retract xmlns='urn:xmpp:message-retract:0'/></apply-to>"
        ),
        Retraction("origin-id-1", RetractionForm.BY_ORIGIN_ID),
    ),
    "MongooseIM, by archive id": (
        (
            "<apply-to id='A1' xmlns='urn:xmpp:fasten:0'>"
            "<retract xmlns='urn:esl:message-retract-by-stanza-id:0'/></apply-to>"
        ),
        Retraction("A1", RetractionForm.BY_STANZA_ID),
    ),
    "XEP-0424 example 6": (
        "<retracted stamp='2019-09-20T23:09:32Z' xmlns='urn:xmpp:message-retract:1' id='retract-message-1'/>",
        Tombstone(STAMP, id="retract-message-1"),
    ),
    "MongooseIM's tombstone": (
        (
            "<retracted xmlns='urn:xmpp:message-retract:0' stamp='2019-09-20T23:09:32Z'>"
            "<origin-id xmlns='urn:xmpp:sid:0' id='origin-77'/></retracted>"
        ),
        Tombstone(STAMP, RetractionForm.BY_ORIGIN_ID, origin_id="origin-77"),
    ),
    "MongooseIM's other tombstone": (
        (
            "<retracted xmlns='urn:esl:message-retract-by-stanza-id:0' stamp='2019-09-20T23:09:32Z'>"
            "<stanza-id xmlns='urn:xmpp:sid:0' id='A1' by='a@b'/><origin-id xmlns='urn:xmpp:sid:0' id='o'/>"
            "</retracted>"
        ),
        Tombstone(STAMP, RetractionForm.BY_STANZA_ID, origin_id="o", stanza_id=StanzaId("A1", Jid("a@b"))),
    ),
    "XEP-0428": (
        (
            "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>"
            "<body start='0' end='33'/></fallback>"
        ),
        Fallback("urn:xmpp:reply:0", (Region("body", 0, 33),)),
    ),
    "XEP-0424, its fallback": (
        "<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:message-retract:1'/>",
        Fallback("urn:xmpp:message-retract:1"),
    ),
    "XEP-0444 example 5": (
        (
            "<reactions id='744f6e18' xmlns='urn:xmpp:reactions:0'><reaction>👋</reaction>"
            "<reaction>🐢</reaction></reactions>"
        ),
        Reactions("744f6e18", ("👋", "🐢")),
    ),
    "XEP-0444 example 6": ("<reactions id='744f6e18' xmlns='urn:xmpp:reactions:0'/>", Reactions("744f6e18")),
    "MongooseIM's markers": (
        (
            "<query xmlns='esl:xmpp:smart-markers:0' peer='ward7@muclight.clinic.example'>"
            "<marker from='nina@clinic.example' id='m-88' type='displayed' "
            "timestamp='2019-09-20T23:09:32Z'/></query>"
        ),
        MarkersQuery(
            Jid("ward7@muclight.clinic.example"),
            markers=(KeptMarker(Jid("nina@clinic.example"), "m-88", MarkerKind.DISPLAYED, STAMP),),
        ),
    ),
    "MongooseIM's query for markers": (
        (
            "<query xmlns='esl:xmpp:smart-markers:0' peer='ward7@muclight.clinic.example' "
            "after='2019-09-20T23:09:32Z' thread='t'/>"
        ),
        MarkersQuery(Jid("ward7@muclight.clinic.example"), "t", STAMP),
    ),
}


@pytest.mark.parametrize(("text", "value"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples_of_the_documents(text: str, value) -> None:
    assert type(value).decode(decode(text.encode(), "")) == value
    assert through_bytes(value.encode()) == decode(text.encode(), "")


regions = st.builds(Region, st.sampled_from(["body", "subject"])) | st.builds(
    lambda name, start, length: Region(name, start, start + length),
    st.sampled_from(["body", "subject"]),
    st.integers(0, 99),
    st.integers(0, 99),
)
kept = st.builds(KeptMarker, jids, words, st.sampled_from(MarkerKind), moments, st.none() | words)


@given(
    st.one_of(
        st.builds(Receipt, words),
        st.builds(Marker, st.sampled_from(MarkerKind), words),
        st.builds(Correction, words),
        st.builds(Retraction, words, st.sampled_from(RetractionForm)),
        st.builds(
            Tombstone,
            st.none() | moments,
            st.sampled_from(RetractionForm),
            st.none() | words,
            st.none() | words,
            st.none() | st.builds(StanzaId, words, jids),
        ),
        st.builds(Reactions, words, st.lists(words, max_size=3, unique=True).map(tuple)),
        st.builds(Fallback, texts, st.lists(regions, max_size=3).map(tuple)),
        st.builds(
            Fastening,
            words,
            st.lists(st.builds(Element, st.just("a"), st.just("urn:a")), max_size=2).map(tuple),
            st.lists(st.tuples(texts, words), max_size=2).map(tuple),
            st.booleans(),
            st.booleans(),
        ),
        st.builds(
            MarkersQuery,
            jids.map(lambda jid: jid.bare),
            st.none() | words,
            st.none() | moments,
            st.lists(kept, max_size=2).map(tuple),
        ),
        st.sampled_from(Hint),
    )
)
def test_round_trips(value) -> None:
    assert type(value).decode(through_bytes(value.encode())) == value


MESSAGE, ORIGIN, ARCHIVE = IdKind.MESSAGE, IdKind.ORIGIN, IdKind.ARCHIVE
REFERENCES = [
    ("<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", ReferenceKind.CORRECTION, MESSAGE, MESSAGE),
    ("<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", ReferenceKind.RETRACTION, MESSAGE, ARCHIVE),
    (
        "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
        ReferenceKind.RETRACTION,
        ORIGIN,
        ORIGIN,
    ),
    (
        (
            "<apply-to xmlns='urn:xmpp:fasten:0' id='1'>"
            "<retract xmlns='urn:esl:message-retract-by-stanza-id:0'/></apply-to>"
        ),
        ReferenceKind.RETRACTION,
        ARCHIVE,
        ARCHIVE,
    ),
    (
        "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><x xmlns='x'/></apply-to>",
        ReferenceKind.FASTENING,
        ORIGIN,
        ORIGIN,
    ),
    ("<apply-to xmlns='urn:xmpp:fasten:0' id='1' shell='1'/>", ReferenceKind.FASTENING, ORIGIN, ORIGIN),
    ("<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", ReferenceKind.REACTIONS, MESSAGE, ARCHIVE),
    ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", ReferenceKind.DISPLAYED, MESSAGE, ARCHIVE),
    ("<received xmlns='urn:xmpp:chat-markers:0' id='1'/>", ReferenceKind.RECEIVED, MESSAGE, ARCHIVE),
    ("<acknowledged xmlns='urn:xmpp:chat-markers:0' id='1'/>", ReferenceKind.ACKNOWLEDGED, MESSAGE, ARCHIVE),
    ("<received xmlns='urn:xmpp:receipts' id='1'/>", ReferenceKind.RECEIPT, MESSAGE, MESSAGE),
]


@pytest.mark.parametrize(("text", "kind", "names", "names_in_rooms"), REFERENCES)
def test_what_a_message_refers_to(text: str, kind, names, names_in_rooms) -> None:
    for wire in ("", "type='chat'", "type='normal'"):
        found = reference_of(received(f"<message {wire}><body>new</body>{text}</message>"))
        assert found == Reference(kind, "1", names)
    assert reference_of(received(f"<message type='groupchat'>{text}</message>")) == Reference(
        kind, "1", names_in_rooms
    )
    assert reference_of(received(f"<message type='error'>{text}</message>")) is None


@pytest.mark.parametrize(
    "text",
    [
        "<body>hi</body>",
        "<replace xmlns='urn:xmpp:message-correct:0'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id=''/>",
        f"<replace xmlns='urn:xmpp:message-correct:0' id='{'x' * 1_025}'/>",
        "<replace xmlns='urn:other' id='1'/>",
        "<markable xmlns='urn:xmpp:chat-markers:0' id='1'/>",
        "<request xmlns='urn:xmpp:receipts' id='1'/>",
        "<received xmlns='urn:xmpp:receipts'/>",
        "<reactions xmlns='urn:xmpp:reactions:0'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction/></reactions>",
        "<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        "<retracted xmlns='urn:xmpp:message-retract:1' id='1'/>",
        "<apply-to xmlns='urn:xmpp:fasten:0'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>",
        "<apply-to xmlns='urn:xmpp:fasten:0' id='1' clear='maybe'/>",
        "<reply xmlns='urn:xmpp:reply:0' id='1'/>",
        "<x xmlns='urn:x'><replace xmlns='urn:xmpp:message-correct:0' id='1'/></x>",
    ],
)
def test_messages_that_refer_to_nothing(text: str) -> None:
    assert reference_of(received(f"<message>{text}</message>")) is None


def test_the_stronger_of_two_references_counts() -> None:
    for (text, kind, *_), (other, other_kind, *_) in combinations(REFERENCES, 2):
        if text.startswith("<apply-to") and other.startswith("<apply-to"):
            continue  # XEP-0422 §4: a message has one
        for content in (text + other, other + text):
            both = reference_of(received(f"<message>{content}</message>"))
            assert both is not None
            assert both.kind is min(kind, other_kind, key=list(ReferenceKind).index)


def test_a_broken_reference_does_not_hide_another() -> None:
    text = "<retract xmlns='urn:xmpp:message-retract:1'/><received xmlns='urn:xmpp:receipts' id='1'/>"
    assert reference_of(received(f"<message>{text}</message>")) == Reference(ReferenceKind.RECEIPT, "1")


def test_a_moderated_retraction_is_one() -> None:  # XEP-0425 example 5
    text = (
        "<message type='groupchat' id='retraction-id-1' from='room@muc.example.com'>"
        "<retract id='stanza-id-1' xmlns='urn:xmpp:message-retract:1'>"
        "<moderated by='room@muc.example.com/macbeth' xmlns='urn:xmpp:message-moderate:1'/></retract>"
        "</message>"
    )
    assert reference_of(received(text)) == Reference(ReferenceKind.RETRACTION, "stanza-id-1", ARCHIVE)


BROKEN = [
    (Receipt, "<received xmlns='urn:xmpp:receipts'/>"),
    (Marker, "<displayed xmlns='urn:xmpp:chat-markers:0'/>"),
    (Marker, "<markable xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
    (Hint, "<keep xmlns='urn:xmpp:hints'/>"),
    (Retraction, "<retract xmlns='urn:xmpp:message-retract:1'/>"),
    (Retraction, "<apply-to xmlns='urn:xmpp:fasten:0' id='1'/>"),
    (Retraction, "<retract xmlns='urn:xmpp:message-retract:0' id='1'/>"),
    (Tombstone, "<retracted xmlns='urn:x'/>"),
    (Tombstone, "<retracted xmlns='urn:xmpp:message-retract:1' stamp='then'/>"),
    (Fallback, "<fallback xmlns='urn:xmpp:fallback:0'><body start='1'/></fallback>"),
    (Fallback, "<fallback xmlns='urn:xmpp:fallback:0'><body start='2' end='1'/></fallback>"),
    (Fallback, "<fallback xmlns='urn:xmpp:fallback:0'><body start='-1' end='1'/></fallback>"),
    (Fastening, "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><external/></apply-to>"),
    (
        Reactions,
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>" + "x" * 129 + "</reaction></reactions>",
    ),
    (
        Reactions,
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'>"
        + "".join(f"<reaction>{number}</reaction>" for number in range(65))
        + "</reactions>",
    ),
    (MarkersQuery, "<query xmlns='esl:xmpp:smart-markers:0'/>"),
    (MarkersQuery, "<query xmlns='esl:xmpp:smart-markers:0' peer='@'/>"),
    (MarkersQuery, "<query xmlns='esl:xmpp:smart-markers:0' peer='a@b' after='1'/>"),
    (
        KeptMarker,
        "<marker xmlns='esl:xmpp:smart-markers:0' from='a@b' id='1' timestamp='2019-09-20T23:09:32Z'/>",
    ),
]


@pytest.mark.parametrize(("kind", "text"), BROKEN)
def test_nonsense(kind, text: str) -> None:
    with pytest.raises(StanzaError) as error:
        kind.decode(decode(text.encode(), ""))
    assert error.value.condition == "bad-request"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [("", "invalid-peer"), ("peer='a@'", "invalid-peer"), ("peer='a@b' after='x'", "invalid-timestamp")],
)
def test_mongooseims_texts(attributes: str, text: str) -> None:
    with pytest.raises(StanzaError) as error:
        MarkersQuery.decode(decode(f"<query xmlns='esl:xmpp:smart-markers:0' {attributes}/>".encode(), ""))
    assert error.value.text == text


def test_a_reaction_given_twice_is_one() -> None:  # XEP-0444 §4
    twice = "<reaction>a</reaction>" * 2
    text = f"<reactions xmlns='urn:xmpp:reactions:0' id='1'>{twice}</reactions>"
    assert Reactions.decode(decode(text.encode(), "")).reactions == ("a",)


def test_hints_of_messages() -> None:
    text = "<no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:other'/>"
    assert hints_of(received(f"<message>{text}</message>")) == {Hint.NO_STORE, Hint.NO_COPY}
    assert hints_of(received(f"<message type='error'>{text}</message>")) == frozenset()  # XEP-0334 §5


@pytest.mark.parametrize(
    ("regions", "whole"),
    [
        ((), True),
        ((Region("body"),), True),
        ((Region("subject"),), False),
        ((Region("body", 0, 5),), False),
        ((Region("subject"), Region("body")), True),
    ],
)
def test_what_a_fallback_covers(regions: tuple[Region, ...], whole: bool) -> None:
    assert Fallback("urn:x", regions).is_whole_body is whole


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False), (None, True)]
)
def test_yes_and_no(text: str | None, value: bool) -> None:
    assert read_boolean(text, "x", default=True) is value


@pytest.mark.parametrize("text", ["", "TRUE", "yes", "on", "2", "٣"])
def test_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(StanzaError, match="true or false"):
        read_boolean(text, "x")


def test_unused_namespaces_do_not_matter() -> None:
    assert (
        reference_of(received("<message><displayed xmlns='urn:xmpp:mds:displayed:0' id='1'/></message>"))
        is None
    )
    assert ns.MARKERS != ns.DISPLAYED_SYNC
