"""Stanzas as Prosody keeps them: tables with a name, attributes, and children in a list."""

from __future__ import annotations

from tidings.portable.prosody.table import Table
from tidings.wire.xml.element import Element
from tidings.wire.xml.writer import strip_characters

_BOOKKEEPING = {"stamp", "stamp_legacy"}
"""Attributes of what is stored that say when it was, and are no part of it."""


def element_of(table: Table, namespace: str) -> Element:
    """Give the element that a table holds, where this namespace is the default; raises `ValueError`."""
    name = table.text("name")
    if not name:
        raise ValueError("a stanza has no name")
    attributes = table.table("attr") or Table()
    namespace = attributes.text("xmlns") or namespace
    element = Element(name.rpartition(":")[2], namespace)
    for key, value in attributes.fields.items():
        if key in {"xmlns", *_BOOKKEEPING} or key.startswith("xmlns:"):
            continue
        uri, separator, local = key.partition("\x01")  # how Prosody writes a name in a namespace
        element.attributes[f"{{{uri}}}{local}" if separator else key] = strip_characters(str(value))
    for child in table.items:
        element.append(
            element_of(child, namespace) if isinstance(child, Table) else strip_characters(str(child))
        )
    return element
