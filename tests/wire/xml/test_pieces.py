"""However the input is cut, the events are the same and the cost is linear."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.generate import Source, cuts, sources
from tests.wire.xml.reading import HEADER, TAIL, DeferringExpat, WatchedExpat, octets, read, shape
from tidings.base.limits import XmlLimits
from tidings.wire.xml import parser as parser_module
from tidings.wire.xml.parser import StreamParser

DOCUMENTS = {
    "RFC 6120 §9.1.1": (
        b"<?xml version='1.0'?>\n<stream:stream from='juliet@im.example.com' to='im.example.com' "
        b"version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\n"
        b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\n<auth mechanism='SCRAM-SHA-1' "
        b"xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>biwsbj1qdWxpZXQscj1vTXNUQUF3QUFBQU1BQUFBTlAwVEFBQQ==</auth>"
    ),
    "RFC 6120 §9.1.3": HEADER
    + b"<iq id='yhc13a95' type='set'>\n<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\n"
    + b"<resource>balcony</resource>\n</bind>\n</iq>\n",
    "RFC 6120 §9.1.4": HEADER
    + b"<message from='juliet@im.example.com/balcony' id='ju2ba41c' to='romeo@example.net' type='chat' "
    + b"xml:lang='en'>\n<body>Art thou not Romeo, and a Montague?</body>\n</message>\n</stream:stream>\n",
    "XEP-0280 example 11": HEADER
    + b"<message xmlns='jabber:client' from='romeo@montague.example' to='romeo@montague.example/garden' "
    + b"type='chat'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message "
    + b"xmlns='jabber:client' to='romeo@montague.example/orchard' type='chat'><body>What man art thou that, "
    + b"thus bescreen'd in night, so stumblest on my counsel?</body></message></forwarded></received>"
    + b"</message>",
    "white space before, between and in tags": b" \r\n\t"
    + HEADER
    + b"\n\n \r<iq  id = 'a'\n/>\r\n<iq ></iq\n>  "
    + TAIL,
    "quotes and brackets in values": HEADER + b"""<iq a='>"/>' b="it's &lt;/iq>>"><x y="/>'">>"'</x></iq>""",
    "CDATA": HEADER
    + b"<message><body><![CDATA[a < don't ]]]></body><x><![CDATA[<y>'\"</x>]]></x></message><iq/>",
    "references": HEADER
    + b"<iq id='&#x0000000000000000041;&quot;'>&#0000000000000000000066;&amp;<x>&lt;</x></iq>",
    "characters of several octets": HEADER + "<iq ü='é€😀'><größe>€😀</größe>é</iq>".encode(),
    "text on all levels": HEADER
    + b"one<message>two<body>three</body>four<x/>five</message>six<iq>seven</iq>",
    "a stream begins anew": HEADER
    + b"<auth/>"
    + HEADER
    + b"<?xml version='1.0'?>"
    + HEADER
    + b"<iq/></stream:stream>",
    "prefixes": HEADER
    + b"<p:message xmlns:p='jabber:client'><body/><p:body>x</p:body></p:message><stream:features/>",
}


@pytest.fixture(params=["as it is", "putting off"], autouse=True, scope="module")
def expat(request):
    """Run everything with an expat that puts off unfinished tokens as well."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "putting off":
            patch.setattr(parser_module, "ParserCreate", DeferringExpat)
            patch.setattr(parser_module, "_DEFERS", True)
        yield


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_give_the_same_events_by_single_octets_and_split_anywhere(document):
    expected = read([document])
    assert expected[1] is None
    assert len(expected[0]) > 1
    assert read(octets(document)) == expected
    for place in range(1, len(document)):
        assert read([document[:place], document[place:]]) == expected, document[:place]


@given(sources(), sources("iq"), st.data())
@settings(deadline=None, max_examples=60)
def test_any_stream_gives_the_same_events_in_any_pieces(first: Source, second: Source, data: st.DataObject):
    document = first.raw + b"  " + first.element.encode()
    expected = read([document])
    assert expected[1] is None
    assert len(expected[0]) == 3
    assert read(octets(document)) == expected
    assert read(data.draw(cuts(document))) == expected


FAULTS = [
    b"<iq><!-- x --></iq>",
    b"<iq><!-",
    b"<iq><?php x?></iq>",
    b"<?php x?>",
    b"<!DOCTYPE x>",
    b"<!-- x -->",
    b"<iq>&unknown;</iq>",
    b"<iq a='&a-name-of-more-than-sixteen-octets;'/>",
    b"<iq>&a-name-of-more-than-sixteen-octets;</iq>",
    b"<iq></message>",
    b"<iq a='1' a='2'/>",
    b"<iq a='<'/>",
    b"<p:iq/>",
    b"<iq>\xff</iq>",
    b"<iq>\xed\xa0\x80</iq>",
    b"<iq>a & b</iq>",
    b"<iq>]]></iq>",
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_faults_are_the_same_in_any_pieces(fault):
    document = HEADER + b"<presence/>" + fault + b"<message/>"
    expected = read([document])
    assert len(expected[0]) == 2
    assert expected[1] is not None
    assert read(octets(document)) == expected
    for place in range(1, len(document)):
        assert read([document[:place], document[place:]]) == expected


@given(sources(), st.data())
@settings(deadline=None, max_examples=100)
def test_a_damaged_stream_fails_or_not_whatever_the_pieces(source: Source, data: st.DataObject):
    """Nothing but events and `failure` comes of it; a tag is judged when it is whole, so it is completed."""
    raw = bytearray(source.raw)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw)))
        raw[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"<", b">", b"&", b"]]>", b"<!", b"<?xml", b"'", b"</"])
        )
    document = bytes(raw) + b"'>\">;?>]]></x>< "
    events, condition = read([document])
    for pieces in (octets(document), data.draw(cuts(document))):
        others, other_condition = read(pieces)
        assert others == events
        assert (condition is None) == (other_condition is None)


@given(st.binary(max_size=200), st.booleans())
@settings(deadline=None, max_examples=100)
def test_random_octets_raise_nothing(data, after_a_header):
    read([HEADER * after_a_header + data])
    read(octets(HEADER * after_a_header + data))


# --- cost

LARGE = 65_536
FLOODS = {
    "an attribute full of >": (HEADER + b"<message a='", b">", b"'/>"),
    "an attribute full of quotes": (HEADER + b"<message a='", b'"', b"'/>"),
    "an attribute full of references": (HEADER + b"<message a='", b"&amp;", b"'/>"),
    "many attributes' worth of white space": (HEADER + b"<message ", b" ", b"/>"),
    "text": (HEADER + b"<message><body>", b"x", b"</body></message>"),
    "text of several octets": (HEADER + b"<message><body>", "€".encode(), b"</body></message>"),
    "brackets": (HEADER + b"<message><body>", b"] ", b"</body></message>"),
    "CDATA": (HEADER + b"<message><body><![CDATA[", b"<'", b"]]></body></message>"),
    "many CDATA sections": (HEADER + b"<message><body>", b"<![CDATA[]]>", b"</body></message>"),
    "small elements": (HEADER + b"<message><x>", b"<a/>", b"</x></message>"),
    "elements after many names": (HEADER + b"<message><x>" + b"<a/>" * 3_000, b"x", b"</x></message>"),
    "a reference with many zeros": (HEADER + b"<message>&#", b"0", b"65;</message>"),
    "a reference with a long name": (HEADER + b"<message>&", b"x", b""),
    "white space before": (b"", b" \r\n", HEADER),
    "white space after the declaration": (b"<?xml version='1.0'?>", b"\r", HEADER),
    "white space between": (HEADER, b" \n", b"<message/>"),
    "white space in an end tag": (HEADER + b"<message></message", b" ", b">"),
    "text between": (HEADER, b"text", b"<message/>"),
    "a name": (HEADER + b"<", b"x", b"/>"),
    "a header": (b"<stream a='", b">", b"'>"),
    "stanzas": (HEADER, b"<iq/>", b""),
}
NONE_ENDS = {
    "a comment": (HEADER + b"<message><!--", b"x"),
    "an instruction": (HEADER + b"<message><?x", b"x"),
    "a declaration": (b"<?xml ", b" "),
    "a document type": (b"<!DOCTYPE x [", b"<!ENTITY a 'a'>"),
}


@pytest.fixture
def watched(monkeypatch, expat):
    kind = DeferringExpat if parser_module._DEFERS else WatchedExpat
    monkeypatch.setattr(parser_module, "ParserCreate", kind)
    monkeypatch.setattr(kind, "work", 0)
    monkeypatch.setattr(kind, "made", 0)
    return kind


@pytest.mark.parametrize(("before", "filling", "after"), FLOODS.values(), ids=FLOODS)
def test_work_is_linear_by_single_octets(before, filling, after, watched):
    """An expat reads an unfinished token again; each octet is read a few times at most."""
    limits = XmlLimits(elements=1_000_000, stanza_bytes=LARGE * 2)
    document = before + filling * (LARGE // len(filling)) + after
    expected = read([document], limits)
    watched.work = 0
    assert read(octets(document), limits) == expected
    assert watched.work < 6 * len(document) + 20_000


def test_a_quarter_of_a_megabyte_of_brackets_by_single_octets(watched):
    document = HEADER + b"<message a='" + b">" * 262_000 + b"'/>"
    events, failure = read(octets(document))
    assert failure is None
    assert events[1][2] == {"a": ">" * 262_000}
    assert watched.work < 2 * len(document)


@pytest.mark.parametrize(("before", "filling"), NONE_ENDS.values(), ids=NONE_ENDS)
def test_what_is_refused_is_refused_before_it_grows(before, filling, watched):
    parser = StreamParser(XmlLimits())
    parser.feed(before)
    fed = 0
    while parser.failure is None and fed < 1_000:
        parser.feed(filling)
        fed += 1
    assert parser.failure is not None
    assert parser.failure.condition == "restricted-xml"
    assert fed <= 256
    assert watched.work < 100_000


def test_a_header_full_of_prefixes_is_refused():
    """Each of them would be looked for in every stanza, and be read again by each new expat."""
    many = b"".join(b" xmlns:p%d='urn:x'" % number for number in range(500))
    assert read([HEADER[:-1] + many + b"><message/>"]) == ([], "policy-violation")
    long = b" xmlns:p='" + b'"' * 5_000 + b"'>"
    assert read([HEADER[:-1] + long + b"<message/>"]) == ([], "policy-violation")


def test_a_stream_begins_anew_a_few_times_only(watched):
    events, failure = read([HEADER * 3_000])
    assert failure == "not-well-formed"
    assert len(events) == 5
    assert watched.work < 7 * len(HEADER) * 3_000


# --- memory


def _growth(parser: StreamParser, piece) -> tuple[int, int]:
    """Feed 30,000 stanzas; return how much memory the last 20,000 added, and the most there was."""
    tracemalloc.start()
    try:
        for number in range(10_000):
            assert len(parser.feed(piece(number))) == 1
        early = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for number in range(10_000, 30_000):
            assert len(parser.feed(piece(number))) == 1
        late, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parser.failure is None
    return late - early, peak


@pytest.mark.parametrize("middle", [0, 20], ids=["whole", "cut in the middle"])
def test_ever_new_names_do_not_grow_a_stream(middle, watched):
    def stanza(number: int) -> bytes:
        return b"<message a%d='1' xmlns:p%d='urn:%d'><x%d y%d=''/></message>" % ((number,) * 5)

    parser = StreamParser(XmlLimits())
    parser.feed(HEADER + stanza(0)[:middle])
    growth, peak = _growth(parser, lambda number: stanza(number)[middle:] + stanza(number + 1)[:middle])
    assert growth < 600_000  # what one expat gathers until it is renewed
    assert peak < 2_000_000
    assert watched.made > 40


def test_a_stanza_with_many_names_is_read_at_most_twice(watched):
    limits = XmlLimits(elements=100_000)
    stanza = b"<message><y>" + b"".join(b"<x%d/>" % number for number in range(5_000)) + b"</y></message>"
    parser = StreamParser(limits)
    parser.feed(HEADER + stanza[:30_000])
    for _ in range(5):
        parser.feed(stanza[30_000:] + stanza[:30_000])
    watched.work = 0
    for octet in octets(stanza[30_000:]):
        parser.feed(octet)
    assert parser.failure is None
    assert watched.work < 3 * len(stanza)


def test_a_parser_lets_go_of_what_it_gave():
    parser = StreamParser(XmlLimits())
    parser.feed(HEADER)
    before = sys.getrefcount(parser)
    (fragment,) = parser.feed(b"<message><body>x</body></message>")
    parser.rest()
    assert sys.getrefcount(fragment) == 2
    parser.close()
    assert sys.getrefcount(parser) < before
    assert sys.getrefcount(parser) == 2


def test_a_failure_keeps_nothing_alive():
    parser = StreamParser(XmlLimits())
    parser.feed(HEADER + b"<message></iq>")
    assert parser.failure is not None
    assert parser.failure.__traceback__ is None
    assert parser.failure.__context__ is None
    assert sys.getrefcount(parser) == 2


def test_rest_changes_nothing_but_memory():
    parser = StreamParser(XmlLimits())
    events = []
    for piece in octets(HEADER + b"<a xmlns='urn:x'>\n<b/></a> <stream:c/>" + TAIL):
        events += parser.feed(piece)
        parser.rest()
    assert [shape(event) for event in events] == read(
        [HEADER + b"<a xmlns='urn:x'>\n<b/></a> <stream:c/>" + TAIL]
    )[0]
