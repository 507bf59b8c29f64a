"""Options of the archive."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tidings.base.shares import share


class ArchiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much an account may have, how much is answered at once, what is shown of what was taken back."""

    max_octets: Annotated[
        int,
        share(
            "Octets of the messages in the archive of one account; 0 is any number. A message that finds no "
            "room, with its sender or its recipient, is refused.",
            ge=0,
        ),
    ] = 0
    default_page: Annotated[
        int, Meta(description="Messages on a page when a client does not say how many.", ge=1, le=1_000)
    ] = 50
    maximum_page: Annotated[
        int, Meta(description="Messages on a page, whatever a client says.", ge=1, le=1_000)
    ] = 50
    page_bytes: Annotated[
        int,
        Meta(
            description="Bytes of messages on a page: it ends before it has more, but with one message at "
            "least, and tells that it is not complete.",
            ge=10_000,
        ),
    ] = 1_048_576
    retracted: Annotated[
        Literal["tombstone", "original", "erase"],
        Meta(
            description="What becomes of a message that its author takes back. `tombstone`: the archive "
            "tells that there was one, and the database keeps the original. `original`: it is shown on. "
            "`erase`: it goes from the database, unless it is held."
        ),
    ] = "tombstone"
