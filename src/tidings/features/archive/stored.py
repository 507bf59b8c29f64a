"""Stored: what can be told of a kept message from its bytes alone, without parsing its content.

The stanza's own writer has written it: a root `<message …>` with its attributes between double quotes.
"""

from __future__ import annotations

import html
import re
from typing import Final, NamedTuple

from tidings.base.jid import Jid
from tidings.ports.ledger.batch import Direction
from tidings.ports.ledger.reading import Archived

_ROOT: Final = re.compile(rb'<message((?:\s+[^\s=]+="[^"]*")*)')
_ATTRIBUTES: Final = re.compile(rb'\s(from|to|type)="([^"]*)"')
_SENDER: Final = re.compile(rb'<message from="([^"]*)"')


class Root(NamedTuple):
    """The addresses and the type of a kept message."""

    sender: str
    to: str
    kind: str


def root_of(body: bytes) -> Root:
    """Read the root of a kept message; what it does not have is empty."""
    root = _ROOT.match(body)
    if root is None:
        return Root("", "", "")
    found = {name: html.unescape(value.decode()) for name, value in _ATTRIBUTES.findall(root[1])}
    return Root(found.get(b"from", ""), found.get(b"to", ""), found.get(b"type", ""))


def written_sender(body: bytes) -> bytes:
    """Give the sender as it is written, escaped; empty where there is none."""
    found = _SENDER.match(body)
    return b"" if found is None else found[1]


def author_of(entry: Archived, archive: Jid) -> Jid:
    """Give who wrote an entry: an account, or in a room its occupant."""
    if entry.body is not None:
        root = root_of(entry.body)
        if root.kind == "groupchat" and root.sender:
            return Jid(root.sender)
    return archive if entry.direction is Direction.SENT else entry.peer


def is_with(entry: Archived, address: Jid) -> bool:
    """Tell whether a message is from or to this full address."""
    if entry.body is None:
        return False
    root = root_of(entry.body)
    return address == (root.to if entry.direction is Direction.SENT else root.sender)
