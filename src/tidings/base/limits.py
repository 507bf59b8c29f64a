"""Limits that languages enforce; every one of them is a documented option of the server."""

from __future__ import annotations

import msgspec


class XmlLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer may send in one stanza or frame."""

    stanza_bytes: int = 262_144
    """The longest stanza in octets, XEP-0478 `max-bytes`."""
    depth: int = 64
    """How deep elements may nest, the stanza itself being 1."""
    attributes: int = 64
    """How many attributes one element may have."""
    children: int = 1_024
    """How many direct children a stanza may have."""
    elements: int = 16_384
    """How many elements a stanza may have in all."""
