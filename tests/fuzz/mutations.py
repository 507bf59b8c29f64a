"""Turns what is valid into what is nearly so: stanzas of all kinds, with a few things wrong."""

from __future__ import annotations

import copy
import random

from tests.fuzz.commands import command
from tests.fuzz.payloads import ADDRESSES, PEOPLE, played, written
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

ADMINISTRATOR = "root@localhost/fuzz"
NAMESPACES = sorted(
    {value for value in vars(ns).values() if isinstance(value, str) and ":" in value and value[0] != "_"}
)
_VALUES = (
    *(
        "",
        " ",
        "0",
        "1",
        "-1",
        "00",
        "1e9",
        "nan",
        "99999999999999999999999",
        "true",
        "TRUE",
        "get",
        "set",
        "remove",
    ),
    *(
        "both",
        "none",
        "subscribe",
        "chat",
        "groupchat",
        "*",
        "%",
        "../x",
        "a@b@c",
        "@",
        "/",
        "localhost",
        "&<>'\"",
    ),
    *(
        "2026-11-30T00:00:00Z",
        "0000-00-00T00:00:00Z",
        "9999-12-31T23:59:60Z",
        "é€😀\u202e",
        "\u00ad\u200b",
        "ℵ",
        "\t\n",
    ),
    *(
        "urn:x",
        "http://jabber.org/protocol/disco#info",
        "5000000-99",
        "{}",
        "[]",
        "null",
        "İ",
        "ß" * 400,
        "x" * 1_100,
    ),
)
_HUGE = (1_000, 1_024, 3_072, 20_000, 70_000, 300_000)
_TYPES = {
    "iq": ("get", "set", "get", "set", "get", "set", "result", "error", "", "bogus", None),
    "message": ("chat", "normal", "headline", "groupchat", "error", None, "", "CHAT", "bogus"),
    "presence": (
        *(None, None, "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed"),
        *("probe", "error", "invisible", ""),
    ),
}


def stanza(chance: random.Random, identity: str, own: str) -> Element:
    """Write a stanza, with this id, of somebody whose full address is `own`."""
    if chance.random() < (0.6 if own == ADMINISTRATOR else 0.02):
        return _commanding(chance, identity)
    kind = chance.choice(("iq", "iq", "iq", "message", "message", "presence"))
    if chance.random() < 0.4:
        root = copy.deepcopy(chance.choice([each for each in played() if each.name == kind]))
        if chance.random() < 0.3:
            root.append(written(chance))
    else:
        root = Element(kind, ns.CLIENT, {"type": chance.choice(("get", "set"))} if kind == "iq" else {})
        for _ in range(chance.choice((1, 1, 1, 1, 0, 2, 5))):
            root.append(written(chance))
        if kind == "message" and chance.random() < 0.7:
            root.append(Element("body", ns.CLIENT, None, chance.choice(_VALUES)))
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        below = _below(root)
        if below or chance.random() < 0.1:  # who names a stanza otherwise soon has no stream
            mutate(chance, chance.choice(below or [root]))
    _address(chance, root, own)
    root.attributes["id"] = identity
    return root


def _commanding(chance: random.Random, identity: str) -> Element:
    """Write an iq with a command, in which one thing may be wrong."""
    root = Element("iq", ns.CLIENT, {"type": "set", "to": "localhost", "id": identity}, command(chance))
    if chance.random() < 0.3:
        mutate(chance, chance.choice(_below(root)))
    return root


def _address(chance: random.Random, root: Element, own: str) -> None:
    attributes = root.attributes
    if chance.random() < 0.6:
        attributes.pop("to", None)
        if root.name == "message" or chance.random() < 0.5:
            attributes["to"] = chance.choice((*ADDRESSES, own, own.partition("/")[0]))
    if chance.random() < 0.15:
        _set(attributes, "type", chance.choice(_TYPES.get(root.name, (None,))))
    if chance.random() < 0.01:
        attributes["to"] = chance.choice(_VALUES)
    attributes.pop("from", None)
    if chance.random() < 0.03:
        attributes["from"] = chance.choice((own, own, own.partition("/")[0], f"{PEOPLE[0]}@localhost/gone"))
    if chance.random() < 0.02:
        attributes["xml:lang"] = chance.choice(_VALUES)


def _set(attributes: dict[str, str], name: str, value: str | None) -> None:
    if value is None:
        attributes.pop(name, None)
    else:
        attributes[name] = value


def _below(root: Element) -> list[Element]:
    return [each for child in root.children for each in (child, *_below(child))]


def mutate(chance: random.Random, element: Element) -> None:
    """Make one thing wrong with an element."""
    kind = chance.randrange(5)
    if kind < 2:
        _mutate_attributes(chance, element)
    elif kind < 4:
        _mutate_content(chance, element)
    elif chance.random() < 0.2:
        _swell(chance, element)
    elif chance.random() < 0.5:
        element.name = chance.choice(
            (f"{element.name}x", element.name.upper(), "x", "item", "query", "error")
        )
    else:
        element.namespace = chance.choice((*NAMESPACES, "", "urn:x"))


def _mutate_attributes(chance: random.Random, element: Element) -> None:
    attributes = element.attributes
    if not attributes or chance.random() < 0.25:
        name = chance.choice(("id", "to", "jid", "node", "var", "type", "ver", "x"))
        attributes[name] = chance.choice(_VALUES)
        return
    name = chance.choice(sorted(attributes))
    match chance.randrange(3):
        case 0:
            del attributes[name]
        case 1:
            attributes[name] = chance.choice((*_VALUES, *ADDRESSES))
        case _:
            attributes[f"{name}x"] = attributes.pop(name)


def _mutate_content(chance: random.Random, element: Element) -> None:
    content = element.content
    place = chance.randrange(len(content)) if content else -1
    match chance.randrange(6):
        case 0 if content:
            del content[place]
        case 1 if content:
            content.insert(place, copy.deepcopy(content[place]))
        case 2 if content:
            content.insert(0, content.pop(place))
        case 3:
            element.content = [chance.choice((*_VALUES, *ADDRESSES))]
        case 4:
            content.append(written(chance))
        case _:
            content.append(copy.deepcopy(chance.choice(played())))


def _swell(chance: random.Random, element: Element) -> None:
    """Make it long, or deep, or wide, or give it many attributes."""
    match chance.randrange(4):
        case 0:
            for _ in range(chance.choice((5, 60, 70))):
                inner = Element("x", element.namespace)
                element.content.append(inner)
                element = inner
        case 1:
            first = element.children[0] if element.children else Element("x", element.namespace)
            element.content.extend(copy.deepcopy(first) for _ in range(chance.choice((20, 300, 1_100))))
        case 2:
            element.content.append("x" * chance.choice(_HUGE))
        case _:
            element.attributes |= {f"a{number}": "1" for number in range(chance.choice((10, 60, 70)))}
