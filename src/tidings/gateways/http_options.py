"""The options of all doors over HTTP; the command line reads them without loading aiohttp."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

ANY: Final = "*"
"""Stands for every web origin."""


class HttpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What all doors over HTTP have in common."""

    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Web origins (`https://chat.example.org`) whose pages may use BOSH and WebSocket; "
            "`*` is any. Programs that are no browsers send no origin and are let in."
        ),
    ] = (ANY,)
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."),
    ] = ()
    public_url: Annotated[
        str,
        Meta(
            description="How clients reach these doors from outside (`https://chat.example.org`), for "
            "host-meta, and for links that people are given. Empty: as the request did, and no links."
        ),
    ] = ""
    reset_link_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=8_784,
            description="Hours for which a link holds by which somebody chooses another password, where "
            "`account reset-link` is not told otherwise.",
        ),
    ] = 24
    body_seconds: Annotated[int, Meta(ge=1, description="Time that a request has to send its body.")] = 30
    keepalive_seconds: Annotated[
        int,
        Meta(ge=1, description="Silence after which a connection without a request under way is closed."),
    ] = 75
    ping_seconds: Annotated[
        int,
        Meta(
            ge=0,
            description="Silence after which a WebSocket is pinged, and closed when as long again nothing "
            "comes; 0 is never.",
        ),
    ] = 120
