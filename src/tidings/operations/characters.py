"""Characters of requests: what no stream could carry is refused, before anything else is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tidings.operations.errors import OperationError
from tidings.wire.xml.writer import check_characters as xml_characters

_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
"""What stands for an octet of the command line that is no text (PEP 383)."""


def check_characters(arguments: object, where: str = "") -> None:
    """Refuse text that no stream could carry, in whichever argument; raises `OperationError` that names it.

    What a command line has that is not UTF-8 is such text, too.
    """
    if isinstance(arguments, str):
        try:
            xml_characters(arguments)
        except ValueError as error:
            found = _NOT_UTF8.search(arguments)
            told = str(error) if found is None else f"the octet 0x{ord(found[0]) - 0xDC00:02X} is not UTF-8"
            raise OperationError("invalid", f"`{where}`: {told}") from None
    elif isinstance(arguments, Mapping):
        for key, value in arguments.items():
            check_characters(key, where)
            check_characters(value, f"{where}.{key}" if where else str(key))
    elif isinstance(arguments, (list, tuple)):
        for value in arguments:
            check_characters(value, where)
