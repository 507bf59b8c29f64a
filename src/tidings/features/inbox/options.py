"""The options of the inbox, which all of its features share."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

BoxName = Annotated[str, Meta(pattern=r"^(?!(?:all|inbox|archive|bin)$)\S{1,16}$")]
"""A box that the server adds to those that every account has."""

ReadingMarker = Literal["received", "displayed", "acknowledged"]


class InboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes, limits and the bin."""

    boxes: Annotated[
        tuple[BoxName, ...],
        Meta(
            description="Boxes besides `inbox`, `archive` and `bin`: names of up to 16 characters without "
            "spaces."
        ),
    ] = ()
    reset_markers: Annotated[
        tuple[ReadingMarker, ...],
        Meta(description="Which markers of XEP-0333 that a user sends say that the conversation is read."),
    ] = ("displayed", "acknowledged")
    max_result_limit: Annotated[
        int, Meta(description="Conversations in one answer at most; 0 is no limit.", ge=0)
    ] = 0
    bin_ttl_days: Annotated[
        int, Meta(description="Days after which a conversation in the bin leaves the inbox.", ge=0)
    ] = 30
    bin_clean_hours: Annotated[
        int, Meta(description="Hours between two rounds that empty the bins.", ge=1)
    ] = 1
