"""Shares: what one account, and a stranger through it, may have the server keep.

Whatever can be kept for somebody has a bound in octets and in number. The bound is an option of the feature
that keeps it, declared with `share`, so that the page "Shares" of the reference finds all of them. What is
beyond it is refused before anything is written, with an error that says what is too large, how large it would
be and what is allowed; where the newest matters most, the oldest leaves instead, and the option says so.
"""

from __future__ import annotations

from typing import Final

from msgspec import Meta

from tidings.base.errors import StanzaError

SHARE: Final = "share"
"""Under this key the metadata of an option holds what happens to what is beyond it."""

OLDEST_LEAVES: Final = "the oldest leaves"
"""What happens where nothing is refused."""


def share(description: str, beyond: str = "resource-constraint", *, ge: int = 1) -> Meta:
    """Describe an option that bounds what an account may keep.

    `beyond` is the error that what is beyond it gets, or what else happens.
    """
    return Meta(description=description, ge=ge, extra={SHARE: beyond})


class ShareExceeded(StanzaError):  # noqa: N818  # a decision, said in its word
    """What is to be kept is larger than the share: nothing was changed."""

    def __init__(
        self, what: str, size: int, allowed: int, unit: str = "octets", *, condition: str = ""
    ) -> None:
        super().__init__(
            condition or "resource-constraint", f"{what} would have {size} {unit}; {allowed} are allowed"
        )
        self.size = size
        self.allowed = allowed
