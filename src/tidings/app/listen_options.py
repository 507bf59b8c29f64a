"""The options of listeners: one section `[listen.NAME]` for each way in."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

PortNumber = Annotated[int, Meta(ge=0, le=65535)]
"""A TCP port; 0 lets the system choose a free one."""


class ListenerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where one kind of connection is accepted."""

    enabled: Annotated[bool, Meta(description="Accept this kind of connection.")] = True
    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description='IP addresses to listen on; `"*"` is every interface, `"localhost"` is 127.0.0.1 and '
            "::1 where the machine has it."
        ),
    ] = ("*",)
    port: Annotated[PortNumber, Meta(description="TCP port; 0 takes any free port.")] = 0


class TcpListener(ListenerOptions, frozen=True, kw_only=True):
    """XMPP over TCP, encrypted with STARTTLS."""

    port: Annotated[PortNumber, Meta(description="TCP port; 0 takes any free port.")] = 5222


class TlsListener(ListenerOptions, frozen=True, kw_only=True):
    """XMPP over TCP with TLS from the first byte (XEP-0368)."""

    port: Annotated[PortNumber, Meta(description="TCP port; 0 takes any free port.")] = 5223


class HttpListener(ListenerOptions, frozen=True, kw_only=True):
    """WebSocket, BOSH and host-meta over plain HTTP: for a proxy that adds TLS, and for tests."""

    addresses: Annotated[
        tuple[str, ...],
        Meta(
            description='IP addresses to listen on; `"*"` is every interface, `"localhost"` is 127.0.0.1 and '
            "::1 where the machine has it."
        ),
    ] = ("localhost",)
    port: Annotated[PortNumber, Meta(description="TCP port; 0 takes any free port.")] = 5280


class HttpsListener(ListenerOptions, frozen=True, kw_only=True):
    """WebSocket, BOSH and host-meta over HTTPS."""

    port: Annotated[PortNumber, Meta(description="TCP port; 0 takes any free port.")] = 5281


class ListenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The front doors."""

    tcp: TcpListener = field(default_factory=TcpListener)
    tls: TlsListener = field(default_factory=TlsListener)
    http: HttpListener = field(default_factory=HttpListener)
    https: HttpsListener = field(default_factory=HttpsListener)

    def enabled(self) -> dict[str, ListenerOptions]:
        """The listeners that are switched on, by their name in the configuration."""
        every: dict[str, ListenerOptions] = {
            "tcp": self.tcp, "tls": self.tls, "http": self.http, "https": self.https
        }  # fmt: skip
        return {name: listener for name, listener in every.items() if listener.enabled}
