"""Elements: what is written is read again, by us and by a different parser."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.harness.generate import NAMESPACES, characters, elements, texts
from tests.wire.xml.reading import tree
from tidings.wire.xml.element import XML_NAMESPACE, Element, decode
from tidings.wire.xml.writer import check_characters, escape_attribute, escape_text, strip_characters

defaults = st.sampled_from(["", *NAMESPACES])


@given(elements(), defaults)
@settings(deadline=None)
def test_what_is_written_is_read_again(element: Element, default: str):
    assert decode(element.to_bytes(default), default) == element
    assert decode(b"before" + element.to_bytes(default) + b" behind ", default) == element


@given(elements())
@settings(deadline=None)
def test_lxml_reads_the_same(element: Element):
    def expected(item: Element) -> object:
        content: list[object] = [""]
        for part in item.content:
            if isinstance(part, str):
                content[-1] += part
            else:
                content += [expected(part), ""]
        attributes = {
            key.replace("xml:lang", f"{{{XML_NAMESPACE}}}lang"): value
            for key, value in item.attributes.items()
        }
        return f"{{{item.namespace}}}{item.name}" if item.namespace else item.name, attributes, content

    assert tree(etree.fromstring(element.to_bytes())) == expected(element)


@given(texts)
def test_escaped_texts_come_back(text: str):
    raw = f"<a b=\"{escape_attribute(text)}\" c='{escape_attribute(text)}'>{escape_text(text)}</a>"
    element = decode(raw.encode(), "")
    assert (element.text, element.get("b"), element.get("c")) == (text, text, text)


def test_mixed_content_keeps_its_order():
    element = decode(b"<p>one<b>two</b>three<i/><b>four</b>&amp;<![CDATA[<five>]]></p>", "urn:x")
    assert [item if isinstance(item, str) else item.name for item in element.content] == [
        "one",
        "b",
        "three",
        "i",
        "b",
        "&<five>",
    ]
    assert element.text == "onethree&<five>"
    assert [child.name for child in element.children] == ["b", "i", "b"]
    assert element.text_of("b") == "two"
    assert element.text_of("i") == ""
    assert element.text_of("missing") is None
    assert [child.text for child in element.find_all("b")] == ["two", "four"]


def test_a_child_is_found_by_name_and_namespace():
    element = Element(
        "a", "urn:x", None, Element("b", "urn:y", {"n": "1"}), Element("b", "urn:x", {"n": "2"})
    )
    assert element.find("b").get("n") == "2"
    assert element.find("b", "urn:y").get("n") == "1"
    assert element.find("b", "") is None
    assert element.find("b").get("missing") is None
    assert element.find("b").get("missing", "x") == "x"


def test_equality_is_that_of_the_tree():
    one = Element("a", "urn:x", {"b": "1", "c": "2"}, "te", "xt", "", Element("d", "urn:x"))
    same = Element("a", "urn:x", {"c": "2", "b": "1"}, "text", Element("d", "urn:x"))
    assert one == same
    for other in (
        Element("A", "urn:x", one.attributes, *one.content),
        Element("a", "urn:y", one.attributes, *one.content),
        Element("a", "urn:x", {"b": "1"}, *one.content),
        Element("a", "urn:x", one.attributes, Element("d", "urn:x"), "text"),
        Element("a", "urn:x", one.attributes, "text", Element("d", "urn:x"), " "),
        "a",
    ):
        assert one != other


def test_attributes_of_namespaces_keep_them():
    raw = b"<a xmlns:p='urn:p' p:b='1' b='2' xml:lang='en' xml:space='preserve'/>"
    element = decode(raw, "")
    assert element.attributes == {
        "{urn:p}b": "1",
        "b": "2",
        "xml:lang": "en",
        f"{{{XML_NAMESPACE}}}space": "preserve",
    }
    assert decode(element.to_bytes(), "") == element


def test_elements_of_the_namespace_of_xml_itself_keep_their_prefix():
    element = decode(b"<a><xml:b xml:c=''><d/></xml:b></a>", "urn:x")
    assert decode(element.to_bytes(), "") == element
    assert tree(etree.fromstring(element.to_bytes()))[2][1][0] == f"{{{XML_NAMESPACE}}}b"


def test_prefixes_in_scope_are_known():
    element = decode(b"<p:a p:b=''/>", "", {"p": "urn:p&'\"<"})
    assert (element.namespace, element.attributes) == ("urn:p&'\"<", {"{urn:p&'\"<}b": ""})


@pytest.mark.parametrize("character", ["\0", "\x01", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_xml_cannot_carry_is_refused_and_can_be_stripped(character):
    for element in (
        Element("a", "", None, character),
        Element("a", "", {"b": character}),
        Element("a", "", None, Element("b", character)),
    ):
        with pytest.raises(ValueError, match=f"U\\+{ord(character):04X}"):
            element.to_bytes()
    assert strip_characters(f"a{character}b") == "ab"


@given(st.text(characters | st.sampled_from("\t\n\r\x7f\x85\u2028")))
def test_everything_else_is_carried(text: str):
    assert check_characters(text) == text == strip_characters(text)


NO_ELEMENT = [
    b"",
    b"text",
    b"<a/><b/>",
    b"<a>",
    b"</a>",
    b"<a/></scope>",
    b"</scope><scope><a/>",
    b"<a/></scope><!--",
    b"<a/></scope><?x ",
    b"<p:a/>",
    b"<!DOCTYPE a><a/>",
    b"<a>&x;</a>",
    b"<a>\xff</a>",
    b"<a>\0</a>",
    b"\xff\xfe<\0a\0/\0>\0",
]


@pytest.mark.parametrize("raw", NO_ELEMENT, ids=repr)
def test_what_is_not_one_element_is_a_value_error(raw):
    with pytest.raises(ValueError, match="not"):
        decode(raw, "urn:x")


@given(st.binary(max_size=60) | st.text("<>/a&;!?[]'\"= ", max_size=40).map(str.encode))
@settings(deadline=None)
def test_nothing_but_a_value_error_comes_of_any_octets(raw: bytes):
    with contextlib.suppress(ValueError):
        decode(raw, "urn:x")


def test_long_texts_are_one_text():
    assert decode(b"<a>" + b"x&amp;" * 50_000 + b"</a>", "").text == "x&" * 50_000
