"""What cannot be read of another server's data."""

from __future__ import annotations

from tidings.base.errors import TidingsError


class PortableError(TidingsError):
    """The data is not what it should be; the text says where, and what is wrong."""
