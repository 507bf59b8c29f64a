"""Passwords are compared in one prepared form, however they were typed.

Implements SASLprep (RFC 4013) over the tables of the standard library. SCRAM (RFC 5802 §2.2) names
SASLprep, and the clients in use apply it; OpaqueString (RFC 8265) prepares compatibility characters
differently, so that a password with a ligature would fail on one side. Code points that Unicode 3.2 did not
know (emoji among them) pass unchanged instead of being refused.
"""

import stringprep
import unicodedata

MAX_PASSWORD = 1023
"""Octets of a prepared password that are accepted at most."""

_PROHIBITED = (  # RFC 4013 §2.3
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class PreparationError(ValueError):
    """A text cannot be a password or user name."""


def prepare_password(text: str) -> str:
    """Return the one form in which this password is hashed, or raise `PreparationError`."""
    if not text.isascii():
        text = _map_and_normalise(text)
        _check_direction(text)
    if not text:
        raise PreparationError("the password is empty")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise PreparationError(f"the password is longer than {MAX_PASSWORD} octets")
    if any(prohibited(character) for character in text for prohibited in _PROHIBITED):
        raise PreparationError("the password contains a character that cannot be typed or shown")
    return text


def _map_and_normalise(text: str) -> str:
    """Apply RFC 4013 §2.1 and §2.2."""
    mapped = (
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    return unicodedata.normalize("NFKC", "".join(mapped))


def _check_direction(text: str) -> None:
    """Refuse what RFC 3454 §6 calls a string of mixed direction."""
    if not any(map(stringprep.in_table_d1, text)):
        return
    ends_well = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    if not ends_well or any(map(stringprep.in_table_d2, text)):
        raise PreparationError("the password mixes writing directions")
