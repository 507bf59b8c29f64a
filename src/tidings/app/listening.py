"""Binds the sockets of a listener, lets them listen, and says well what keeps a port from being used.

A port that somebody listens on is found when ours is bound, at the very start. Ours listens when the first
client can be served: before that, connections are refused.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tidings.app.listen_options import ListenerOptions
from tidings.app.rules import EVERY_ADDRESS
from tidings.base.errors import TidingsError

BACKLOG: Final = 4096
ATTEMPTS: Final = 20  # to find one port that is free on several addresses
_LISTENING: Final = "0A"  # the state in Linux' table of sockets


class ListenError(TidingsError):
    """An address cannot be listened on: `text` says why, `mend` what to do, `number` is the errno."""

    def __init__(self, text: str, mend: str, port: int, number: int) -> None:
        super().__init__(f"{text}; {mend}")
        self.text = text
        self.mend = mend
        self.port = port
        self.number = number


class _Address(NamedTuple):
    family: socket.AddressFamily
    host: str
    optional: bool
    """Whether a machine without this family may go without."""


def bind(name: str, listener: ListenerOptions) -> list[socket.socket]:
    """Open the sockets of `[listen.NAME]`, all on one port, or raise `ListenError` and keep none.

    They are non-blocking, and nobody can connect before `listen`.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _bind_all(name, listener)
        except ListenError as error:
            # Port 0 on two addresses: the free port of the first may be taken on the second.
            if listener.port or error.number != errno.EADDRINUSE or attempt == ATTEMPTS:
                raise
    raise AssertionError


def listen(name: str, sockets: Iterable[socket.socket]) -> None:
    """Let the bound sockets of `[listen.NAME]` listen, or raise `ListenError`.

    A program that bound the same port as early as this one, and listens since, is noticed only here.
    """
    for bound in sockets:
        try:
            bound.listen(BACKLOG)
        except OSError as error:
            host, port = bound.getsockname()[:2]
            raise _explain(name, host, port, error) from None


def holder_of(port: int) -> tuple[int, str] | None:
    """Find the program that listens on a port, as (process id, name), where the system lets us see it."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text().strip()
        except OSError:
            continue
    return None


def _bind_all(name: str, listener: ListenerOptions) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    port = listener.port
    try:
        for address in _addresses(listener):
            bound = _bind_one(name, address, port)
            if bound is not None:
                sockets.append(bound)
                port = bound.getsockname()[1]
    except ListenError:
        for bound in sockets:
            bound.close()
        raise
    return sockets


def _addresses(listener: ListenerOptions) -> Iterator[_Address]:
    for text in dict.fromkeys(listener.addresses):
        if text == EVERY_ADDRESS:
            yield _Address(socket.AF_INET, "0.0.0.0", optional=False)  # noqa: S104  # asked for by the administrator
            yield _Address(socket.AF_INET6, "::", optional=True)
        elif text == "localhost":
            yield _Address(socket.AF_INET, "127.0.0.1", optional=False)
            yield _Address(socket.AF_INET6, "::1", optional=True)
        else:
            yield _Address(socket.AF_INET6 if ":" in text else socket.AF_INET, text, optional=False)


def _bind_one(name: str, address: _Address, port: int) -> socket.socket | None:
    bound: socket.socket | None = None
    try:
        bound = socket.socket(address.family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address.host, port))
    except OSError as error:
        if bound is not None:
            bound.close()
        if address.optional and error.errno in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            return None
        raise _explain(name, address.host, port, error) from None
    bound.setblocking(False)
    return bound


def _explain(name: str, host: str, port: int, error: OSError) -> ListenError:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = error.errno or 0
    if number == errno.EADDRINUSE:
        holder = holder_of(port)
        who = f"{holder[1]} (process {holder[0]})" if holder else "another program"
        text = f"{place} is taken by {who}"
        mend = f"stop it, or choose another `port` in [listen.{name}]"
    elif number == errno.EACCES:
        text = f"{place} may not be used by this user: ports below 1024 need a privilege"
        mend = (
            f"choose a `port` of 1024 or more in [listen.{name}], or let the server have this one: "
            "AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or for every program here: "
            f"sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
        )
    elif number == errno.EADDRNOTAVAIL:
        text = f"{place} cannot be used: no interface of this machine has the address {host}"
        mend = f"correct `addresses` in [listen.{name}]"
    else:
        text = f"{place} cannot be listened on: {error.strerror}"
        mend = f"correct [listen.{name}]"
    return ListenError(text, mend, port, number)


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
