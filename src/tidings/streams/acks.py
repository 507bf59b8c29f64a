"""Acks: when an XML stream asks its client what it has (XEP-0198 §4)."""

from __future__ import annotations

from collections.abc import Callable

from tidings.kernel.flow import Flow
from tidings.wire.xmpp.acks import RequestRule
from tidings.wire.xmpp.payloads.stream_management import ACK_REQUEST

_ASKING = RequestRule()


def request_ack(flow: Flow, send_nonza: Callable[[bytes], None]) -> None:
    """Ask, if that is due; a stream does so when it has nothing more to send."""
    window = flow.window
    if window is not None and _ASKING.wants_request(window, is_idle=True):
        window.requested()
        send_nonza(ACK_REQUEST)
