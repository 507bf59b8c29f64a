"""Ids, addresses and yes-or-no in payloads are read strictly: nonsense is `bad-request`, never a guess."""

from typing import Final

from tidings.base.errors import StanzaError
from tidings.base.jid import Jid, JidError

ID_OCTETS: Final = 1_024
"""The longest id of a message, of an archive or of a query that is taken."""

_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}


def read_id(text: str | None, what: str, *, maximum: int = ID_OCTETS) -> str:
    """Return the id as it is; raise `bad-request` for none, an empty one or more than `maximum` octets.

    An id means nothing but itself: it is neither trimmed nor folded.
    """
    if not text:
        raise StanzaError("bad-request", f"{what} is missing")
    if octets(text) > maximum:
        raise StanzaError("bad-request", f"{what} is longer than {maximum} octets")
    return text


def read_optional_id(text: str | None, what: str) -> str | None:
    """Return the id, or None where it is missing or empty; raise `bad-request` for one too long."""
    return read_id(text, what) if text else None


def read_boolean(text: str | None, what: str, *, default: bool = False) -> bool:
    """Return an xs:boolean, or raise `bad-request`; a missing one means `default`."""
    if text is None:
        return default
    try:
        return _TRUTHS[text.strip(" \t\r\n")]
    except KeyError:
        raise StanzaError("bad-request", f"{what} must be true or false") from None


def read_jid(text: str | None, what: str) -> Jid:
    """Return the address; raise `bad-request` where it is missing, `jid-malformed` where it is none."""
    if not text:
        raise StanzaError("bad-request", f"{what} is missing")
    try:
        return Jid(text)
    except JidError as error:
        raise StanzaError("jid-malformed", f"{what}: {error}") from error


def octets(text: str) -> int:
    """Return how long the text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def present(**attributes: str | None) -> dict[str, str]:
    """Return the attributes that say something; neither None nor the empty text does."""
    return {name: text for name, text in attributes.items() if text}
