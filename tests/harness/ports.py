"""Ports of loopback for servers that tests start: those that nobody is given by chance.

A port that the system gives away (`bind` to port 0) may be another's as soon as it is free again: the system
gives it to the next connection that goes out, of this test process or of one beside it. So the ports here lie
below those that Linux gives away, where nobody comes but who asks for that very number.
"""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"
_PORTS = range(10_000, 32_768)
_chance = random.SystemRandom()  # not the seeded one: test processes side by side would choose alike


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            port = _chance.choice(_PORTS)
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                found.append(port)
    return found


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    return free_ports(1)[0]


def has_listener(port: int) -> bool:
    """Tell whether somebody accepts connections on a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
