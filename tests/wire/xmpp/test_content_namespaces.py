"""Stanzas of servers and components mean inside what the same ones of clients mean, and the other way out."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.harness.generate import Source, sources
from tests.wire.xml.reading import HEADER, fragments
from tests.wire.xmpp.test_classification import TABLE
from tidings.base.jid import Jid
from tidings.base.limits import XmlLimits
from tidings.wire.xml.element import Element, decode
from tidings.wire.xml.fragment import Fragment
from tidings.wire.xml.parser import StreamParser
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.classification import Storage, classify
from tidings.wire.xmpp.content_namespaces import as_client
from tidings.wire.xmpp.stanza import Stanza

FOREIGN = [ns.SERVER, ns.COMPONENT]


def header(namespace: str) -> bytes:
    return HEADER.replace(b"jabber:client", namespace.encode())


def arriving(raw: str, namespace: str = ns.SERVER) -> Fragment:
    (fragment,) = fragments(header(namespace) + raw.encode())
    return fragment


def inside(raw: str, namespace: str = ns.SERVER) -> Stanza:
    return Stanza.received(as_client(arriving(raw, namespace), namespace))


def leaving(stanza: Stanza, namespace: str = ns.SERVER) -> Fragment:
    """Give what the other end of a stream of this namespace reads."""
    (fragment,) = fragments(header(namespace) + stanza.to_bytes_for(namespace))
    return fragment


def translated(element: Element, old: str, new: str) -> Element:
    """Say once more, on a tree, what the documents ask for."""
    if element.namespace != old:
        return element
    copy = Element(element.name, new, element.attributes)
    for item in element.content:
        copy.append(translated(item, old, new) if isinstance(item, Element) else item)
    return copy


def holds(element: Element, namespace: str) -> bool:
    return element.namespace == namespace or any(holds(child, namespace) for child in element.children)


# --- what comes in


@pytest.mark.parametrize("namespace", FOREIGN)
@pytest.mark.parametrize(("kind", "content"), [row[:2] for row in TABLE])
def test_a_message_is_to_the_archive_what_the_same_one_of_a_client_is(kind, content, namespace):
    raw = f"<message type='{kind}' to='b@x' from='a@y/z'>{content}</message>"
    (client,) = fragments(HEADER + raw.encode())
    assert classify(inside(raw, namespace)) == classify(Stanza.received(client))


@pytest.mark.parametrize("namespace", FOREIGN)
def test_a_message_of_another_server_is_stored_and_counted(namespace):
    message = inside("<message to='b@x' from='a@y' type='chat'><body>hi</body></message>", namespace)
    assert classify(message).storage is Storage.PERMANENT
    assert classify(message).is_counted
    assert message.child(ns.CLIENT, "body").raw == b"<body>hi</body>"


def test_plain_content_is_taken_over_as_the_bytes_it_is():
    fragment = arriving(
        "<message><body>a &amp; b</body>"
        "<x xmlns='urn:x'><message xmlns='jabber:client'/></x>\n<thread/></message>"
    )
    moved = as_client(fragment, ns.SERVER)
    assert moved.content is fragment.content
    assert moved.index == [(f"{ns.CLIENT} body", 0), ("urn:x x", 22), (f"{ns.CLIENT} thread", 76)]


def test_a_clients_stream_and_what_is_no_stanza_are_left_alone():
    for raw, namespace in [
        ("<message><body/></message>", ns.CLIENT),
        ("<r xmlns='urn:xmpp:sm:3'/>", ns.SERVER),
    ]:
        fragment = arriving(raw, namespace)
        assert as_client(fragment, namespace) is fragment


SPELLINGS = {
    "a child says it itself": (
        "<message><body xmlns='jabber:server'>x</body></message>",
        "<message><body>x</body></message>",
    ),
    "a child says it by references": (
        '<message><body xmlns = "jabber&#58;server">x</body></message>',
        "<message><body>x</body></message>",
    ),
    "a child says it by a prefix": (
        "<message><s:body xmlns:s='jabber:server'>x</s:body></message>",
        "<message><body>x</body></message>",
    ),
    "the stanza says it": (
        "<message xmlns='jabber:server'><body>x</body></message>",
        "<message><body>x</body></message>",
    ),
    "the stanza says it by a prefix": (
        "<s:message xmlns:s='jabber:server'><s:body>x</s:body><y xmlns='urn:y'><z/></y></s:message>",
        "<message><body>x</body><y xmlns='urn:y'><z/></y></message>",
    ),
    "deeper down": (
        "<message><error><a><b xmlns='jabber:server'/></a></error></message>",
        "<message><error><a><b/></a></error></message>",
    ),
    "a forwarded stanza keeps its own": (
        "<message><f xmlns='urn:f'><message xmlns='jabber:server'><body/></message></f></message>",
        "<message><f xmlns='urn:f'><message xmlns='jabber:server'><body/></message></f></message>",
    ),
    "below a prefix the stream's own namespace stays": (
        "<message><p:x xmlns:p='urn:x'><body/></p:x></message>",
        "<message><x xmlns='urn:x'><body xmlns='jabber:server'/></x></message>",
    ),
    "no namespace at all": (
        "<message><x xmlns=''><body/></x></message>",
        "<message><x xmlns=''><body/></x></message>",
    ),
    "one that only begins so": (
        "<message><x xmlns='jabber:server:dialback'><body/></x></message>",
        "<message><x xmlns='jabber:server:dialback'><body/></x></message>",
    ),
    "a text that looks like it": (
        "<message><body>xmlns='jabber:server' xmlns:</body></message>",
        "<message><body>xmlns='jabber:server' xmlns:</body></message>",
    ),
}


@pytest.mark.parametrize(("before", "after"), SPELLINGS.values(), ids=SPELLINGS)
def test_the_tree_decides_and_not_its_spelling(before, after):
    (wanted,) = fragments(HEADER + after.encode())
    moved = as_client(arriving(before), ns.SERVER)
    assert moved.to_element() == wanted.to_element()
    assert [tag for tag, _ in moved.index] == [tag for tag, _ in wanted.index]


# --- what goes out


def test_a_child_that_names_the_clients_namespace_is_translated_on_its_way_out():
    (fragment,) = fragments(HEADER + b"<message><body xmlns='jabber:client'>x</body></message>")
    stanza = Stanza.received(fragment)
    assert leaving(stanza).to_element() == decode(b"<message><body>x</body></message>", ns.SERVER)
    assert stanza.to_bytes() == b"<message><body xmlns='jabber:client'>x</body></message>"


def test_a_stanza_of_our_own_leaves_as_it_is_written_for_clients():
    stanza = Stanza.build("message", kind="chat", id="1", content=[Element("body", ns.CLIENT, None, "hi")])
    bob = Jid("bob@example.net")
    assert stanza.to_bytes_for(ns.SERVER, bob) == stanza.to_bytes(bob)
    assert stanza.to_bytes_for(ns.CLIENT) == stanza.to_bytes()


# --- both ways, with whatever peers may write


def foreign(source: Source, namespace: str, others: str) -> Fragment:
    """Give a stanza of a stream of this namespace; where it says `urn:x`, it may say one of the others."""
    raw = source.raw.replace(b"jabber:client", namespace.encode())
    if others:
        raw = raw.replace(b"urn:x", others.encode())
    parser = StreamParser(XmlLimits())
    events = parser.feed(raw)
    assume(parser.failure is None)  # two prefixes of one namespace may have made two attributes the same
    assert isinstance(events[-1], Fragment)
    return events[-1]


@given(sources(), st.sampled_from(FOREIGN), st.sampled_from(["", *FOREIGN, ns.CLIENT]))
@settings(deadline=None, max_examples=300)
def test_what_comes_is_translated_down_to_the_first_other_namespace(
    source: Source, namespace: str, others: str
):
    fragment = foreign(source, namespace, others)
    moved = as_client(fragment, namespace)
    assert moved.to_element() == translated(fragment.to_element(), namespace, ns.CLIENT)
    again = fragments(HEADER + b"<message>" + moved.content + b"</message>")[-1]
    assert (again.index, again.content) == (moved.index, moved.content)


@given(sources(), st.sampled_from(FOREIGN), st.sampled_from(["", *FOREIGN, ns.CLIENT]))
@settings(deadline=None, max_examples=300)
def test_what_leaves_is_translated_down_to_the_first_other_namespace(
    source: Source, namespace: str, others: str
):
    fragment = foreign(source, ns.CLIENT, others)
    content = leaving(Stanza.received(fragment), namespace).to_element().content
    wanted = translated(fragment.to_element(), ns.CLIENT, namespace)
    assert Element("message", namespace, None, *content) == Element(
        "message", namespace, None, *wanted.content
    )


@given(sources(), st.sampled_from(FOREIGN))
@settings(deadline=None, max_examples=300)
def test_there_and_back_is_where_it_began(source: Source, namespace: str):
    fragment = foreign(source, namespace, "")
    back = leaving(Stanza.received(as_client(fragment, namespace)), namespace)
    assert back.to_element() == fragment.to_element()
    assert not holds(back.to_element(), ns.CLIENT)
