"""The options of limits: the section `[limits]`, and the kinds of numbers that options are."""

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
"""A whole number that cannot be negative."""

Positive = Annotated[int, Meta(ge=1)]
"""A whole number of at least one."""


class LimitsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may ask of the server."""

    stanza_bytes_before_login: Annotated[
        int, Meta(ge=10_000, description="Largest stanza before log-in, in bytes.")
    ] = 16 * 1024
    stanza_bytes: Annotated[
        int,
        Meta(
            ge=10_000,
            description="Largest stanza after log-in, in bytes.",
        ),
    ] = 256 * 1024
    connections: Annotated[
        Count, Meta(description="Connections in total; 0 is as many as the system allows.")
    ] = 0
    connections_per_address: Annotated[
        Count, Meta(description="Connections from one IP address, loopback excepted; 0 is no limit.")
    ] = 200
    sessions_per_account: Annotated[
        Positive, Meta(description="Sessions of one account at the same time.")
    ] = 50
    login_seconds: Annotated[
        Positive,
        Meta(
            description="Time a connection has to begin TLS, or to log in without it, before it is closed. "
            "A TLS handshake has 15 seconds of it."
        ),
    ] = 30
    tls_login_seconds: Annotated[
        Positive,
        Meta(
            description="Time a connection has to log in once TLS stands, in which a person may read the "
            "certificate; never less than `login_seconds`."
        ),
    ] = 120
    login_failures: Annotated[
        Positive,
        Meta(
            description="Wrong passwords before a connection is closed; of other failures four times as many."
        ),
    ] = 5
    logins_per_second: Annotated[
        Count,
        Meta(
            description="Log-ins that are let in in a second, all doors together, so that chat goes on while "
            "everybody comes back after a restart. More wait in line for 10 seconds at most; the others are "
            "told when to come. 0 is no limit."
        ),
    ] = 200
    idle_seconds: Annotated[
        Count,
        Meta(
            description="Silence after which a connection is asked for a sign of life and, without one, "
            "closed; 0 is never."
        ),
    ] = 600
    outbound_queue_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            description="How many bytes may wait for a client that reads slowly before it is cut off.",
        ),
    ] = 4 * 1024 * 1024
    stanzas_per_second: Annotated[
        Count,
        Meta(description="Stanzas that a client may send in a second; it is read no faster. 0 is no limit."),
    ] = 5_000
    bytes_per_second: Annotated[
        Count,
        Meta(description="Bytes that a client may send in a second; it is read no faster. 0 is no limit."),
    ] = 8 * 1024 * 1024
    burst_seconds: Annotated[
        Positive,
        Meta(
            description="What a client may send in so many seconds it may also send at once, when it has "
            "sent nothing for as long."
        ),
    ] = 10
    outbound_total_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="How many bytes may wait for all clients together, unread or unacknowledged, before "
            "the sessions with most of it end. 0: a quarter of the memory of the machine or its control "
            "group, but no more than 512 MiB.",
        ),
    ] = 0
    accounts_in_memory: Annotated[
        Positive, Meta(description="Accounts without a session that are kept in memory.")
    ] = 10_000
