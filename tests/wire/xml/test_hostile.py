"""Smuggling, encodings and limits: the right stream error, and nothing after it is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.generate import STREAMS, Source, sources
from tests.wire.xml.reading import HEADER, OWN_HEADER, TAIL, fragments, octets, read, shape
from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.fragment import Fragment, StreamHead, StreamTail
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xml.parser import StreamParser

BOMB = (
    b"<!DOCTYPE lolz [<!ENTITY l0 'lol'>"
    + b"".join(b"<!ENTITY l%d '%b'>" % (n + 1, b"&l%d;" % n * 10) for n in range(9))
    + b"]><stream>&l9;</stream>"
)

REFUSED = [
    # before the header
    (b"<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER, "unsupported-encoding"),
    (b"<?xml version='1.0' encoding='UTF-16'?>" + HEADER, "unsupported-encoding"),
    (HEADER.decode().encode("utf-16"), "unsupported-encoding"),
    (HEADER.decode().encode("utf-16-le"), "unsupported-encoding"),
    (HEADER.decode().encode("utf-32-be"), "unsupported-encoding"),
    (b"\xef\xbb\xbf" + HEADER, "unsupported-encoding"),
    (b"<?xml version='1.1'?>" + HEADER, "not-well-formed"),
    (BOMB, "restricted-xml"),
    (b"<?xml version='1.0'?>\n" + BOMB, "restricted-xml"),
    (b"<?x ?>" + BOMB, "restricted-xml"),
    (b"<!-- -->" + HEADER, "restricted-xml"),
    (b"<!DOCTYPE s SYSTEM 'http://127.0.0.1/x.dtd'>" + HEADER, "restricted-xml"),
    (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
    (b"<stream:stream>", "not-well-formed"),
    # in the stream
    (HEADER + b"<!DOCTYPE x>", "restricted-xml"),
    (HEADER + b"<iq><!DOCTYPE x></iq>", "restricted-xml"),
    (HEADER + b"<!-- x -->", "restricted-xml"),
    (HEADER + b"<iq><!-- x --></iq>", "restricted-xml"),
    (HEADER + b"<?x y?>", "restricted-xml"),
    (HEADER + b"<iq><?x y?></iq>", "restricted-xml"),
    (HEADER + b"<iq><?xml version='1.0'?></iq>", "restricted-xml"),
    (HEADER + b"<iq>&nbsp;</iq>", "restricted-xml"),
    (HEADER + b"<iq a='&nbsp;'/>", "restricted-xml"),
    (HEADER + b"<iq>&#0;</iq>", "not-well-formed"),
    (HEADER + b"<iq>&#xD800;</iq>", "not-well-formed"),
    (HEADER + b"<iq>&#xFFFF;</iq>", "not-well-formed"),
    (HEADER + b"<iq>&#x110000;</iq>", "not-well-formed"),
    (HEADER + b"<iq>\0</iq>", "not-well-formed"),
    (HEADER + b"<iq>\x01</iq>", "not-well-formed"),
    (HEADER + b"<iq>\xc0\xaf</iq>", "unsupported-encoding"),  # overlong
    (HEADER + b"<iq>\xe0\x80\xaf</iq>", "unsupported-encoding"),
    (HEADER + b"<iq>\xed\xa0\x80</iq>", "unsupported-encoding"),  # a surrogate
    (HEADER + b"<iq>\xf4\x90\x80\x80</iq>", "unsupported-encoding"),  # beyond U+10FFFF
    (HEADER + b"<iq a='\xc3'/>", "unsupported-encoding"),  # truncated
    (HEADER + b"<iq>\xe2\x82</iq>", "unsupported-encoding"),
    (HEADER + b"<iq\xff/>", "unsupported-encoding"),
    (HEADER + b"<iq></stream:stream>", "not-well-formed"),
    (HEADER + b"<a:iq/>", "not-well-formed"),
    (HEADER + b"<iq xmlns:a='urn:x' xmlns:b='urn:x' a:c='1' b:c='2'/>", "not-well-formed"),
    (HEADER + b"<iq xmlns:a=''/>", "not-well-formed"),
    (HEADER + b"<iq xmlns:xml='urn:x'/>", "not-well-formed"),
    (HEADER + b"<iq xmlns:a='http://www.w3.org/XML/1998/namespace'/>", "not-well-formed"),
    (HEADER + b"<xml:iq/>", "invalid-namespace"),
    (HEADER + b"<xml:x><x/></xml:x>", "invalid-namespace"),  # its prefix begins like its name
]


@pytest.mark.parametrize(("document", "condition"), REFUSED, ids=lambda value: repr(value)[:60])
def test_refused_with_the_right_condition_and_nothing_after_it_is_read(document, condition):
    for pieces in ([document + b"<message/>", b"<message/>"], octets(document + b"<message/>")):
        events, failure = read(pieces)
        assert failure == condition
        assert all(event[1] == "stream" for event in events)


def test_a_document_type_behind_a_fault_never_reaches_expat():
    """It would go on reading entities after a handler has refused what came before them."""
    for fault in (b"<?xml version='1.0' encoding='x'?>", b"<?x ?>", b"<!-- -->", b" \n"):
        assert read([fault + BOMB]) == ([], "restricted-xml")


def test_the_octets_after_a_failure_are_nobodys():
    parser = StreamParser(XmlLimits())
    events = parser.feed(HEADER + b"<a/><b></a><c/>")
    assert [event.name for event in events if isinstance(event, StreamHead | Fragment)] == ["stream", "a"]
    assert parser.feed(b"</b>" + HEADER + b"<d/>") == []
    parser.rest()
    parser.close()


def test_what_follows_the_end_of_a_stream_is_passed_over():
    for after in (b"<iq/>", HEADER, b"&", b"\0", b"<!-- "):
        parser = StreamParser(XmlLimits())
        events = parser.feed(HEADER + b"<iq/>" + TAIL + after)
        assert type(events[-1]) is StreamTail
        assert parser.failure is None
        assert parser.feed(after) == []


def test_the_end_of_the_stream_is_known_after_rest_and_renewal():
    for header, tail in ((HEADER, TAIL), (b"<s xmlns='jabber:client'>", b"</s>")):
        parser = StreamParser(XmlLimits())
        parser.feed(header)
        for _ in range(3_000):
            parser.feed(b"<iq/>")
        parser.rest()
        (event,) = parser.feed(tail)
        assert type(event) is StreamTail
        assert parser.failure is None


SMUGGLED = [
    # what stands in the stream, what the server sees
    (b"<c:message xmlns:c='jabber:client'><c:body/></c:message>", ("jabber:client", "message")),
    (b"<message xmlns='urn:x'><body/></message>", ("urn:x", "message")),
    (b"<message xmlns=''><body/></message>", ("", "message")),
    (b"<stream:message/>", ("http://etherx.jabber.org/streams", "message")),
    (b"<iq xmlns:stream='urn:x'><stream:y/></iq>", ("jabber:client", "iq")),
    (b"<stream:iq xmlns:stream='jabber:client'/>", ("jabber:client", "iq")),
]


@pytest.mark.parametrize(("raw", "tag"), SMUGGLED)
def test_a_name_is_what_its_namespace_says(raw, tag):
    (fragment,) = fragments(HEADER + raw)
    assert (fragment.namespace, fragment.name) == tag
    assert b"xmlns" not in raw or b":" not in fragment.content.replace(b"jabber:", b"").replace(b"urn:", b"")


@pytest.mark.parametrize("prefix", ["m", "message", "message1", "messages", "message-", "messagé"])
def test_what_a_prefix_begins_with_does_not_matter(prefix):
    """`<message1:message>` begins like a message without one, and its children inherit another default."""
    header = f"<s:stream xmlns='urn:x' xmlns:s='{STREAMS}' xmlns:{prefix}='jabber:client'>"
    (fragment,) = fragments(f"{header}<{prefix}:message><body/></{prefix}:message>".encode())
    assert (fragment.namespace, fragment.name) == ("jabber:client", "message")
    assert [child.namespace for child in fragment.to_element().children] == ["urn:x"]


def test_a_stream_that_begins_anew_forgets_the_old_prefixes():
    first = HEADER[:-1] + b" xmlns:old='urn:old'>"
    events, failure = read([first + b"<old:a/>" + HEADER + b"<old:b/>"])
    assert len(events) == 3
    assert failure == "not-well-formed"
    events, failure = read([first + HEADER.replace(b"'jabber:client'", b"'jabber:server'") + b"<iq/>"])
    assert failure is None
    assert events[-1][:2] == ("jabber:server", "iq")


# --- limits

LIMITS = XmlLimits(stanza_bytes=100, depth=4, attributes=3, children=3, elements=6)
AT_THE_LIMIT = {
    "octets": b"<iq>" + b"x" * 91 + b"</iq>",
    "octets, an empty tag": b"<iq a='" + b"x" * 90 + b"'/>",
    "octets, a loose end": b"<iq>" + b"x" * 11 + b"</iq" + b" " * 80 + b">",
    "octets, children": b"<iq><a>" + b"x" * 84 + b"</a></iq>",
    "depth": b"<iq><a><b><c/></b></a></iq>",
    "attributes": b"<iq a='' b='' c=''/>",
    "attributes below": b"<iq><x><y a='' b='' c=''/></x></iq>",
    "children": b"<iq><a/><b/><c/></iq>",
    "elements": b"<iq><a><b/><b/><b/><b/></a></iq>",
}
OVER_THE_LIMIT = {
    "octets": b"<iq>" + b"x" * 92 + b"</iq>",
    "octets, an empty tag": b"<iq a='" + b"x" * 91 + b"'/>",
    "octets, a loose end": b"<iq>" + b"x" * 11 + b"</iq" + b" " * 81 + b">",
    "octets, children": b"<iq><a>" + b"x" * 85 + b"</a></iq>",
    "octets, nothing ends": b"<iq>" + b"x" * 97,
    "octets, a tag": b"<iq a='" + b"x" * 94,
    "depth": b"<iq><a><b><c><d/></c></b></a></iq>",
    "attributes": b"<iq a='' b='' c='' d=''/>",
    "attributes below": b"<iq><x><y a='' b='' c='' d=''/></x></iq>",
    "children": b"<iq><a/><b/><c/><d/></iq>",
    "elements": b"<iq><a><b/><b/><b/><b/><b/></a></iq>",
}
BRIEF = b"<s xmlns='jabber:client'>"


@pytest.mark.parametrize("raw", AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_at_the_limit_it_passes(raw):
    for pieces in ([BRIEF + raw + b"<a/>"], octets(BRIEF + raw + b"<a/>")):
        events, failure = read(pieces, LIMITS)
        assert failure is None
        assert len(events) == 3
    FrameParser(LIMITS).parse(raw)


@pytest.mark.parametrize("raw", OVER_THE_LIMIT.values(), ids=OVER_THE_LIMIT)
def test_over_the_limit_it_does_not_and_the_text_says_how_much(raw):
    for pieces in ([BRIEF + b"<a/>" + raw], octets(BRIEF + b"<a/>" + raw), [BRIEF, b"<a/>" + raw, b"<b/>"]):
        parser = StreamParser(LIMITS)
        events = [event for piece in pieces for event in parser.feed(piece)]
        assert len(events) == 2
        assert parser.failure is not None
        assert parser.failure.condition == "policy-violation"
        assert any(character.isdigit() for character in parser.failure.text)
    if raw not in (OVER_THE_LIMIT["octets, nothing ends"], OVER_THE_LIMIT["octets, a tag"]):
        with pytest.raises(StreamError, match=r"\d") as caught:
            FrameParser(LIMITS).parse(raw)
        assert caught.value.condition == "policy-violation"


def test_a_header_has_limits_too():
    for header in (
        b"<s a='" + b"x" * 100 + b"'>",
        b"<s a='' b='' c='' d=''>",
        b"<s a='' b='' c='' xmlns='x'>",
    ):
        for pieces in ([header], octets(header)):
            assert read(pieces, LIMITS) == ([], "policy-violation")


def test_limits_may_be_raised_while_the_stream_goes_on():
    parser = StreamParser(LIMITS)
    parser.feed(BRIEF + b"<iq>")
    parser.limits = XmlLimits()
    long = b"x" * 5_000 + b"<a/><a/><a/><a/></iq>"
    assert len(parser.feed(long)) == 1
    assert parser.failure is None


def test_rest_in_the_middle_of_a_stanza_does_nothing():
    parser = StreamParser(LIMITS)
    parser.feed(BRIEF + b"<iq><a>")
    parser.rest()
    (fragment,) = parser.feed(b"</a></iq>")
    assert fragment.content == b"<a></a>"


# --- frames


@given(sources())
@settings(deadline=None, max_examples=80)
def test_a_frame_is_read_as_a_stream_is(source: Source):
    (fragment,) = fragments(source.raw)
    alone = b"<%b xmlns='jabber:client'>%b</%b>" % (
        fragment.name.encode(),
        fragment.content,
        fragment.name.encode(),
    )
    (in_stream,) = fragments(OWN_HEADER + alone)
    frames = FrameParser(XmlLimits())
    assert shape(frames.parse(alone)) == shape(in_stream)
    frames.rest()
    assert shape(frames.parse(b" \n" + alone + b"\r\n")) == shape(in_stream)


NOT_ONE_ELEMENT = [
    b"",
    b"  ",
    b"text",
    b"<a/><b/>",
    b"<a></a><b/>",
    b"<a/>text",
    b"<a/>text>",
    b"<a></a>text>",
    b"text<a/>",
    b"<a>",
    b"<a",
    b"</a>",
    b"</frame>",
    b"</frame><frame>",
    b"<a/></frame>",
    b"</frame><frame><a/>",
    b"<?xml version='1.0'?><a/>",
    b"<a/><?xml version='1.0'?>",
    HEADER,
    HEADER + b"<a/>" + TAIL,
    b"<a/>&amp;",
    b"<a/>&",
    b"<a/>\0",
    b"\xef\xbb\xbf<a/>",
    b"<a/><!",
]
REFUSED_IN_FRAMES = [
    (b"<!-- --><a/>", "restricted-xml"),
    (b"<a/><!-- -->", "restricted-xml"),
    (b"<!DOCTYPE a><a/>", "restricted-xml"),
    (BOMB, "restricted-xml"),
    (b"<?x ?><a/>", "restricted-xml"),
    (b"<a>&x;</a>", "restricted-xml"),
    (b"<a>\xff</a>", "unsupported-encoding"),
    (b"<a>" + b"x" * 300_000 + b"</a>", "policy-violation"),
]


@pytest.mark.parametrize("frame", NOT_ONE_ELEMENT, ids=repr)
def test_a_frame_holds_one_element(frame):
    frames = FrameParser(XmlLimits())
    frames.parse(b"<first/>")
    with pytest.raises(StreamError) as caught:
        frames.parse(frame)
    assert caught.value.condition in {"not-well-formed", "restricted-xml"}
    with pytest.raises(StreamError):
        FrameParser(XmlLimits()).parse(frame)


@pytest.mark.parametrize(("frame", "condition"), REFUSED_IN_FRAMES, ids=lambda value: repr(value)[:40])
def test_frames_are_refused_as_streams_are(frame, condition):
    with pytest.raises(StreamError) as caught:
        FrameParser(XmlLimits()).parse(frame)
    assert caught.value.condition == condition


def test_a_prefix_of_one_frame_means_nothing_in_the_next():
    frames = FrameParser(XmlLimits())
    frames.parse(b"<a xmlns:p='urn:p'><p:b/></a>")
    with pytest.raises(StreamError):
        frames.parse(b"<a><p:b/></a>")


@given(st.binary(max_size=60) | st.text("<>/a&;!?[]'\"= ", max_size=40).map(str.encode))
@settings(deadline=None, max_examples=200)
def test_any_frame_gives_an_element_or_a_stream_error(frame):
    frames = FrameParser(XmlLimits())
    try:
        assert type(frames.parse(frame)) is Fragment
    except StreamError:
        assert frames.parse(b"<next/>").name == "next"


def test_twenty_thousand_frames_with_new_names():
    frames = FrameParser(XmlLimits())
    for number in range(20_000):
        assert frames.parse(b"<a%d b%d=''/>" % (number, number)).name == f"a{number}"
