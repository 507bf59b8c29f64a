"""PublicAddress: how the pages of this server are reached from outside, for features that hand out links."""

from __future__ import annotations

from collections.abc import Callable


class PublicAddress:
    """The address that `public_url` in `[http]` names, as it is set now."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url

    def of(self, path: str) -> str:
        """Give the address of a page; nothing where nobody has said how pages are reached."""
        base = self._url().rstrip("/")
        return base + path if base else ""
