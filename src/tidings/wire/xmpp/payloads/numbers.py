"""Numbers in payloads are read strictly: only ASCII digits, only inside their limits."""

import re
from typing import Final

from tidings.base.errors import StanzaError

UNSIGNED_SHORT: Final = 2**16 - 1
UNSIGNED_INT: Final = 2**32 - 1
UNSIGNED_LONG: Final = 2**64 - 1

_DIGITS = re.compile(r"[0-9]{1,24}", re.ASCII)


def read_unsigned(text: str, what: str, *, maximum: int = UNSIGNED_INT, minimum: int = 0) -> int:
    """Return the whole number in `text`, or raise `bad-request` naming `what` and its limits.

    Python's own `int` would also take signs, underscores and the digits of other scripts.
    """
    digits = text.strip(" \t\r\n")
    number = int(digits) if _DIGITS.fullmatch(digits) else -1
    if not minimum <= number <= maximum:
        raise StanzaError("bad-request", f"{what} must be a whole number from {minimum} to {maximum}")
    return number
