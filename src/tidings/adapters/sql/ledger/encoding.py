"""How the ledger's columns are to be read: flags, epochs, numbers of messages, places of a message."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Final

import msgspec

SENT: Final = 1
COUNTABLE: Final = 2
ERASED: Final = 4
HELD: Final = 8
OFFLINE_ONLY: Final = 16
GROUPCHAT: Final = 32
"""The flags of an entry; `flags & (ERASED | HELD)` is 0 for most."""

HIDDEN: Final = ERASED | OFFLINE_ONLY
"""The flags of what queries do not show."""

UNREAD: Final = 1
GONE: Final = 2
"""The flags of a row of the inbox: marked as unread; taken out of the inbox until the next message."""

PER_FEED: Final = 1 << 16
"""A message's number is `feed * PER_FEED + n`, so messages lie in the order of the feed."""

Places = list[tuple[int, int, int]]
"""(archive, epoch, position) of every entry of a message."""

CONTENT_OCTETS: Final = 8
"""How much of the digest of what was submitted is kept: enough to tell contents of one key apart."""


class Whereabouts(msgspec.Struct, array_like=True, gc=False):
    """What the column `messages.places` has."""

    places: Places
    keys: list[bytes]
    content: bytes = b""


encode_places: Final = msgspec.msgpack.Encoder().encode
"""Writes a tuple of what `Whereabouts` has; the content is left out where there is none."""
decode_places: Final = msgspec.msgpack.Decoder(Whereabouts).decode

_DIGITS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_EPOCH_DIGITS: Final = 10


def new_epoch() -> int:
    """Draw the number of a new epoch or incarnation."""
    return secrets.randbelow((1 << 5 * _EPOCH_DIGITS) - 1) + 1


@lru_cache(maxsize=1 << 16)
def epoch_text(epoch: int) -> str:
    """Show the number of an epoch in base 32; 0 is no epoch and shown as an empty text."""
    shifts = range(5 * (_EPOCH_DIGITS - 1), -1, -5)
    return "".join(_DIGITS[epoch >> shift & 31] for shift in shifts) if epoch else ""


@lru_cache(maxsize=1 << 16)
def epoch_number(text: str) -> int:
    """Read an epoch that was shown; -1 for what was not made by `epoch_text`."""
    number = 0
    for digit in text:
        value = _DIGITS.find(digit)
        if value < 0:
            return -1
        number = number << 5 | value
    return number if len(text) == _EPOCH_DIGITS and number else -1
