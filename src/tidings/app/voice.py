"""The voice of the command: what it says beside its answer, to the person who typed it."""

from __future__ import annotations

import sys
from typing import Final

PROGRAM: Final = "tidings"


def say(what: str, program: str = PROGRAM) -> None:
    """Say something on standard error; `program` is what was typed."""
    print(f"{program}: {what}", file=sys.stderr, flush=True)  # noqa: T201
