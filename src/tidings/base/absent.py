"""Loading a library without what it would load besides, only because that is installed, too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(package: str) -> Iterator[None]:
    """Let imports find no package of this name, as where it is not installed; one that is loaded stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system reads it as: there is none
    try:
        yield
    finally:
        del sys.modules[package]
