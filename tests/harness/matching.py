"""Matching: whether a stanza is what a play expects, by the rules that `dialog` tells."""

import contextlib
import copy
import re

from lxml import etree

PLAY = "urn:tidings:play"
CLIENT = "jabber:client"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
MORE = f"{{{PLAY}}}more"
ABSENT = f"{{{PLAY}}}absent"
IGNORED_CHILDREN = {
    f"{{{STANZA_ERRORS}}}text",
    "{urn:xmpp:delay}delay",
    "{urn:xmpp:sid:0}stanza-id",
    "{urn:xmpp:occupant-id:0}occupant-id",
    "{urn:tidings:time:0}time",
}
WILDCARD = re.compile(r"\{([a-z][a-z0-9-]*)\}")


def text_of(element: etree._Element) -> str:
    """Give an element as text."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def match_stanza(expected: etree._Element, received: etree._Element, words: dict[str, str], own: str) -> None:
    """Compare a whole stanza: some of its attributes are ignored unless the play names them."""
    for attribute in ("id", "to"):
        if attribute not in expected.attrib:
            received.attrib.pop(attribute, None)
    if "from" not in expected.attrib and received.get("from") == own and received.tag == f"{{{CLIENT}}}iq":
        del received.attrib["from"]
    if expected.get("type") == "error":
        expected.set(MORE, "dropped")
    _match_element(expected, received, words)


def _match_element(expected: etree._Element, received: etree._Element, words: dict[str, str]) -> None:
    assert expected.tag == received.tag, f"{received.tag} instead of {expected.tag}"
    received.attrib.pop(XML_LANG, None)
    wanted = {name: value for name, value in expected.attrib.items() if name not in {MORE, ABSENT, XML_LANG}}
    for name in [name for name, value in wanted.items() if value == "{maybe}"]:
        del wanted[name]
        received.attrib.pop(name, None)
    for name in {*wanted, *received.attrib}:
        assert name in wanted, f"<{_name(received)}> has an attribute {name} too many"
        assert name in received.attrib, f"<{_name(received)}> has no attribute {name}"
        received.set(name, _match_value(wanted[name], received.get(name, ""), words, name))
    if len(expected) == 0:
        received.text = _match_value(expected.text or "", received.text or "", words, _name(received)) or None
    children = list(received)
    for child in expected:
        if child.get(ABSENT) == "true":
            _check_absent(child, children, words, received)
        else:
            _take_match(child, children, words, received)
    for child in children:
        if child.tag in IGNORED_CHILDREN or expected.get(MORE) == "dropped":
            received.remove(child)
        elif expected.get(MORE) != "true":
            raise AssertionError(f"<{_name(received)}> has a child too many: {text_of(child)}")


def _take_match(
    expected: etree._Element, children: list[etree._Element], words: dict[str, str], parent: etree._Element
) -> None:
    """Remove the child that matches from the list; AssertionError when there is none."""
    reasons = []
    for child in children:
        attempt, known = copy.deepcopy(child), dict(words)
        try:
            _match_element(expected, attempt, known)
        except AssertionError as reason:
            reasons.append(str(reason))
            continue
        parent.replace(child, attempt)
        children.remove(child)
        words.update(known)
        return
    raise AssertionError(
        f"<{_name(parent)}> lacks {text_of(expected)}: {'; '.join(reasons) or 'it is empty'}"
    )


def _check_absent(
    unwanted: etree._Element, children: list[etree._Element], words: dict[str, str], parent: etree._Element
) -> None:
    """Raise AssertionError when one of the children is what must not be there."""
    for child in children:
        with contextlib.suppress(AssertionError):
            _match_element(unwanted, copy.deepcopy(child), dict(words))
            break
    else:
        return
    raise AssertionError(f"<{_name(parent)}> has {text_of(unwanted)}")


def _match_value(expected: str, received: str, words: dict[str, str], where: str) -> str:
    """What goes into the transcript: the value, or the wildcard that stood for it."""
    wildcard = WILDCARD.fullmatch(expected.strip())
    if wildcard is None:
        if expected != received and (expected.strip() or received.strip()):
            raise AssertionError(f"{where} is {received!r} instead of {expected!r}")
        return received
    assert received, f"{where} is empty"
    if wildcard[1] != "any":
        known = words.setdefault(wildcard[1], received)
        assert known == received, f"{where} is {received!r}, but {wildcard[0]} was {known!r}"
    return wildcard[0]


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def canonical(element: etree._Element) -> str:
    """The same text for the same tree, whatever the prefixes: names in Clark notation, attributes sorted."""
    attributes = "".join(f' {name}="{value}"' for name, value in sorted(element.attrib.items()))
    content = (element.text or "").strip() + "".join(sorted(canonical(child) for child in element))
    return f"<{element.tag}{attributes}>{content}</>"
