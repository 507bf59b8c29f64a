"""PublicAddress: how the pages of this server are reached from outside, for features that hand out links."""

from __future__ import annotations

from collections.abc import Callable


class PublicAddress:
    """The address that `public_url` in `[http]` names, as it is set now."""

    def __init__(self, url: Callable[[], str], listening: Callable[[str], str] = lambda _: "") -> None:
        self._url = url
        self._listening = listening
        """Gives the address of a domain's own name where pages are served directly; "" where they are not."""

    def at(self, domain: str, path: str) -> str:
        """Give the address of a page; where nobody has said how pages are reached, at the domain itself."""
        base = self._url().rstrip("/") or self._listening(domain)
        return base + path if base else ""

    def of(self, path: str) -> str:
        """Give the address of a page; nothing where nobody has said how pages are reached."""
        base = self._url().rstrip("/")
        return base + path if base else ""
