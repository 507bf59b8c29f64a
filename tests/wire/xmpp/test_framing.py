"""How streams, elements and stanzas look on TCP and on WebSocket."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from lxml import etree

from tests.harness.generate import STREAMS, elements
from tests.wire.xml.reading import OWN_HEADER, TAIL, second_opinion, tree
from tidings.base.errors import StreamError
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.fragment import StreamHead, StreamTail
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xml.parser import StreamParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.acks import HandledTooHigh
from tidings.wire.xmpp.framing import TcpFraming, WebSocketFraming, stream_error_element
from tidings.wire.xmpp.negotiation.values import StreamHeader
from tidings.wire.xmpp.stanza import Stanza

HEADER = StreamHeader(sender="it's.example", to='"b"@example.org', id="<1>&", lang="de")


def test_a_tcp_stream_opens_and_closes():
    framing = TcpFraming()
    head, tail = StreamParser(XmlLimits()).feed(framing.opening(HEADER) + framing.closing())
    assert isinstance(head, StreamHead)
    assert (head.namespace, head.name, head.content_namespace) == (ns.STREAMS, "stream", ns.CLIENT)
    assert head.attributes == {
        "from": "it's.example",
        "to": '"b"@example.org',
        "id": "<1>&",
        "version": HEADER.version,
        "xml:lang": "de",
    }
    assert isinstance(tail, StreamTail)


def test_a_websocket_stream_opens_and_closes():
    frames = FrameParser(XmlLimits())
    opened = frames.parse(WebSocketFraming().opening(HEADER)).to_element()
    assert (opened.namespace, opened.name, opened.get("id")) == (ns.FRAMING, "open", "<1>&")
    closed = frames.parse(WebSocketFraming().closing()).to_element()
    assert closed == Element("close", ns.FRAMING)


@given(elements())
@settings(deadline=None)
def test_elements_mean_the_same_on_both(element: Element):
    wanted = tree(etree.fromstring(element.to_bytes()))
    assert tree(second_opinion(OWN_HEADER + TcpFraming().element(element) + TAIL)) == wanted
    assert tree(etree.fromstring(WebSocketFraming().element(element))) == wanted


def test_features_have_the_prefix_that_clients_look_for():
    features = Element("features", STREAMS, None, Element("bind", ns.BIND))
    assert TcpFraming().element(features).startswith(b"<stream:features>")
    assert WebSocketFraming().element(features).startswith(b"<stream:features xmlns:stream=")


@pytest.mark.parametrize(
    "stanza",
    [
        Stanza.build("message"),
        Stanza.build("message", id="1"),
        Stanza.build("message", content=(b"<a b='c'/>",)),
        Stanza.build("message", content=(b"<a/>",)),
        Stanza.build("message", id="a/b", content=(b"<body>x y</body>",)),
    ],
    ids=lambda stanza: stanza.to_bytes().decode(),
)
def test_a_stanza_declares_its_namespace_in_a_frame(stanza):
    frame = WebSocketFraming().stanza(stanza.to_bytes())
    assert decode(frame, "") == decode(stanza.to_bytes(), ns.CLIENT)
    assert TcpFraming().stanza(stanza.to_bytes()) == stanza.to_bytes()


def test_what_an_application_adds_to_a_stream_error_stands_beside_the_condition():  # RFC 6120 §4.9.4
    condition, text, counts = stream_error_element(HandledTooHigh(77, 3).error()).children
    assert (condition.name, condition.text) == ("undefined-condition", "")
    assert text.name == "text"
    assert (counts.namespace, counts.name) == (ns.SM, "handled-count-too-high")
    assert (counts.get("h"), counts.get("send-count")) == ("77", "3")


def test_a_stream_error_says_condition_content_and_text():
    error = StreamError("see-other-host", "over\0 <there>", content="[::1]:5222")
    for raw in (
        OWN_HEADER + TcpFraming().element(stream_error_element(error)) + TAIL,
        b"<s>" + WebSocketFraming().element(stream_error_element(error)) + b"</s>",
    ):
        element = second_opinion(raw)
        assert element.tag == f"{{{STREAMS}}}error"
        condition, text = element
        assert (condition.tag, condition.text) == (f"{{{ns.STREAM_ERRORS}}}see-other-host", "[::1]:5222")
        assert (text.tag, text.text) == (f"{{{ns.STREAM_ERRORS}}}text", "over <there>")
