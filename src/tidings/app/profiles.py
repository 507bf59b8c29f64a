"""Profiles: configurations that are shipped with the server, for `tidings serve --profile NAME`."""

from pathlib import Path
from typing import Final

_DIRECTORY: Final = Path(__file__).parent / "shipped"

NAMES: Final = ("interop",)
"""The profiles there are."""


def read(name: str) -> str:
    """Give the TOML text of a profile; raises `LookupError` when there is none of that name."""
    if name not in NAMES:
        raise LookupError(name)
    return (_DIRECTORY / f"{name}.toml").read_text(encoding="utf-8")
