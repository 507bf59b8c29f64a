"""Writing XML: escapes, and refuses what XML cannot carry."""

from __future__ import annotations

import re

_TEXT = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_ATTRIBUTE = {**_TEXT, '"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;"}
_TEXT_SPECIAL = re.compile("[&<>\r]")
_ATTRIBUTE_SPECIAL = re.compile("[&<>\r\"'\t\n]")
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escape_text(text: str) -> str:
    """Give the text as it stands between tags; a reader gets the same characters back."""
    if _TEXT_SPECIAL.search(text) is None:
        return text
    return _TEXT_SPECIAL.sub(lambda match: _TEXT[match[0]], text)


def escape_attribute(value: str) -> str:
    """Give the value as it stands between quotes of either kind."""
    if _ATTRIBUTE_SPECIAL.search(value) is None:
        return value
    return _ATTRIBUTE_SPECIAL.sub(lambda match: _ATTRIBUTE[match[0]], value)


def check_characters(text: str) -> str:
    """Give the text back, or raise `ValueError` when it has a character that XML 1.0 §2.2 forbids."""
    match = _ILLEGAL.search(text)
    if match is not None:
        raise ValueError(f"XML cannot carry the character U+{ord(match[0]):04X}")
    return text


def strip_characters(text: str) -> str:
    """Give the text without the characters that XML 1.0 §2.2 forbids."""
    return _ILLEGAL.sub("", text)
