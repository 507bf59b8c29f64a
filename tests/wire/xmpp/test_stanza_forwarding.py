"""What is forwarded parses to the same tree in a different parser."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.harness.generate import NAMESPACES, Source, elements, names, sources
from tests.wire.xml.reading import HEADER, OWN_HEADER, TAIL, fragments, second_opinion, tree
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element
from tidings.wire.xml.frames import FrameParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.framing import WebSocketFraming
from tidings.wire.xmpp.stanza import Stanza

LANG = f"{{{ns.XML}}}lang"
BOB = Jid("bob@example.org/phone")
ALICE = Jid("alice@example.org/it's <&>")


def sent(raw: bytes, stream_lang: str | None = None) -> Stanza:
    """Return the last stanza of a stream as a session hands it on."""
    return Stanza.received(fragments(raw)[-1], stream_lang)


def arrived(stanza: Stanza, to: Jid | None = None) -> etree._Element:
    """Return what lxml reads at the recipient's end of a TCP stream."""
    return second_opinion(OWN_HEADER + stanza.to_bytes(to) + TAIL)


def original(source: Source) -> etree._Element:
    """Return what lxml reads of what the peer wrote."""
    return second_opinion(source.raw + b"</s:stream>")


def readdressed(element: etree._Element, **attributes: str) -> object:
    """Return the tree with these attributes on its root."""
    tag, own, content = tree(element)
    return tag, {**own, **attributes}, content


@given(sources())
@settings(deadline=None, max_examples=200)
def test_the_tree_is_the_same(source: Source):
    assert tree(arrived(sent(source.raw))) == tree(original(source))


@given(sources(), st.sampled_from([None, "de"]))
@settings(deadline=None, max_examples=100)
def test_addresses_and_language_are_those_of_the_route(source: Source, lang: str | None):
    stanza = sent(source.raw, lang).replace(sender=ALICE)
    before = original(source)
    effective = before.get(LANG, lang)
    wanted = {"from": str(ALICE), "to": str(BOB)} | ({} if effective is None else {LANG: effective})
    assert tree(arrived(stanza, BOB)) == readdressed(before, **wanted)
    assert tree(arrived(stanza.replace(to=BOB))) == readdressed(before, **wanted)


@given(sources())
@settings(deadline=None, max_examples=100)
def test_a_websocket_frame_holds_the_same(source: Source):
    frame = WebSocketFraming().stanza(sent(source.raw).to_bytes())
    assert tree(etree.fromstring(frame)) == tree(original(source))


@given(sources(), st.lists(elements(), max_size=2), st.sampled_from(["", *NAMESPACES]), names)
@settings(deadline=None, max_examples=150)
def test_dropped_and_added_children(source: Source, added: list[Element], namespace: str, name: str):
    """A dropped child takes the text behind it along; everything else stays where it was."""
    stanza = sent(source.raw).replace(drop=lambda *tag: tag == (namespace, name), append=added)
    root = original(source)
    qualified = f"{{{namespace}}}{name}" if namespace else name
    for child in list(root):
        if child.tag == qualified:
            root.remove(child)
    for element in added:
        root.append(etree.fromstring(element.to_bytes()))
    assert tree(arrived(stanza)) == tree(root)


@given(sources(), st.lists(elements(), max_size=2), st.sampled_from(["", *NAMESPACES]), names)
@settings(deadline=None, max_examples=150)
def test_the_index_is_that_of_a_fresh_parse(source: Source, added: list[Element], namespace: str, name: str):
    stanza = sent(source.raw).replace(drop=lambda *tag: tag == (namespace, name), append=added)
    stanza.extra = None  # its prefixes would make the parser write the content anew
    again = sent(b"<s xmlns='jabber:client'>" + stanza.to_bytes())
    assert again.index == stanza.index
    assert again.content == stanza.content
    assert again.children == stanza.children
    assert again.to_bytes() == stanza.to_bytes()
    assert not stanza.has(namespace, name) or any(
        (element.namespace, element.name) == (namespace, name) for element in added
    )


@given(sources())
@settings(deadline=None, max_examples=100)
def test_a_fragment_decodes_to_the_tree_and_to_its_children(source: Source):
    (fragment,) = fragments(source.raw)
    element = fragment.to_element()
    assert tree(etree.fromstring(element.to_bytes())) == tree(original(source))
    children = [(namespace, name) for namespace, name, _ in fragment.children()]
    assert children == [(child.namespace, child.name) for child in element.children]
    stanza = Stanza.received(fragment)
    for child in element.children:
        assert stanza.has(child.namespace, child.name)
        assert stanza.decode(child.namespace, child.name) == element.find(child.name, child.namespace)


CASES = {
    "xml:space on the root": b"<message xml:space='preserve' xml:base='x'><body>x</body></message>",
    "xml:id and xml:space beside a prefix": b"<message><stream:x xml:space='default' xml:id='a'/></message>",
    "an element with the prefix xml": b"<message><stream:x/><xml:y xml:z='1'><k/></xml:y></message>",
    "text first": b"<message>one > two<body>x</body>three</message>",
    "a > in the first value": b"<message a='>'><body>x</body></message>",
    "an end tag with space": b"<message><body>x</body></message  >",
    "the same name within": b"<message><message><message/></message><body/></message>",
    "stream tags inside": b"<message><stream:stream><stream:error/></stream:stream></message>",
    "a prefix that only looks used": b"<message><body>stream:x</body></message>",
    "a default taken back": b"<message><x xmlns=''><y xmlns='urn:y'/></x></message>",
    "an explicit empty language": b"<message xml:lang=''><body xml:lang='fr'/></message>",
    "a namespaced attribute": b"<message xmlns:a0='urn:x' xmlns:a1='urn:y' a1:k='1' a0:k='2' k='3'/>",
    "carriage return and tab by number": b"<message id='&#13;&#10;&#9;'><body>&#13;</body></message>",
}


@pytest.mark.parametrize("raw", CASES.values(), ids=CASES)
def test_known_pitfalls(raw):
    before = second_opinion(HEADER + raw + TAIL)
    assert tree(arrived(sent(HEADER + raw))) == tree(before)
    frame = FrameParser(XmlLimits()).parse(WebSocketFraming().stanza(sent(HEADER + raw).to_bytes()))
    assert tree(arrived(Stanza.received(frame))) == tree(before)


def test_a_prefix_on_the_header_that_begins_like_the_stanza():
    """`message:message` begins with `message` and declares nothing, yet its default is another."""
    header = (
        b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:message='jabber:client' xmlns='urn:x'>"
    )
    raw = b"<message:message><body/><message:body/></message:message>"
    before = second_opinion(header + raw + b"</s:stream>")
    assert tree(arrived(sent(header + raw))) == tree(before)
    assert [child[:2] for child in sent(header + raw).children] == [("urn:x", "body"), (ns.CLIENT, "body")]
