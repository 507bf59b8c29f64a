"""Commands (XEP-0050) of every operation that administrators have, with forms filled in by chance."""

from __future__ import annotations

import functools
import random

from tests.fuzz.payloads import ADDRESSES, TEXTS
from tidings.app.compose import FEATURES
from tidings.gateways.administration.generated import NODE_PREFIX, fields_of
from tidings.gateways.administration.service import COMMANDS
from tidings.operations.all import catalogue_of
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns

_ACTIONS = (None, None, "execute", "next", "complete", "complete", "prev", "cancel", "bogus")


@functools.cache
def _forms() -> list[tuple[str, tuple[str, ...]]]:
    """Give the node of each command and the names of its fields."""
    generated = [
        (
            f"{NODE_PREFIX}{each.category}:{each.name}",
            tuple(field.encode_name for field in fields_of(each.request)),
        )
        for each in catalogue_of(FEATURES)
    ]
    standard = [(f"{ns.ADMIN}#{name}", tuple(f.name for f in fields)) for name, _, fields, _ in COMMANDS]
    return [*generated, *standard, ("ping", ()), ("", ())]


def command(chance: random.Random) -> Element:
    """Write a request to run one of them, at whatever stage."""
    node, names = chance.choice(_forms())
    root = Element("command", ns.COMMANDS, {"node": node})
    action = chance.choice(_ACTIONS)
    if action is not None:
        root.attributes["action"] = action
    if chance.random() < 0.1:
        root.attributes["sessionid"] = chance.choice(TEXTS)
    if chance.random() < 0.8:
        form = Element("x", ns.DATA_FORMS, {"type": "submit"})
        form.append(_field(chance, "FORM_TYPE", chance.choice((node, ns.ADMIN))))
        for name in names:
            if chance.random() < 0.8:
                values = [
                    chance.choice((*TEXTS, *ADDRESSES, *ADDRESSES))
                    for _ in range(chance.choice((0, 1, 1, 1, 3)))
                ]
                form.append(_field(chance, name, *values))
        root.append(form)
    return root


def _field(chance: random.Random, name: str, *values: str) -> Element:
    parts = (Element("value", ns.DATA_FORMS, None, value) for value in values)
    return Element("field", ns.DATA_FORMS, {"var": name}, *parts)
