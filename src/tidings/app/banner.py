"""What a person reads when the server has started: where it listens, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tidings.app import rules, storage
from tidings.app.options import Config

_COMMAND: Final = "tidings"
_LOCAL: Final = "localhost"

_DOORS = {
    "tcp": "XMPP, STARTTLS",
    "tls": "XMPP, direct TLS",
    "http": "WebSocket /xmpp-websocket, BOSH /http-bind",
    "https": "WebSocket and BOSH over TLS",
}


def print_banner(config: Config, listening: Mapping[str, Sequence[str]], *, has_accounts: bool) -> None:
    """Print it to standard output, all at once; `has_accounts` tells of the first domain."""
    lines = [
        f"Tidings serves {', '.join(config.domains)}",
        *(
            f"  {_DOORS[name]:<44} {', '.join(dict.fromkeys(addresses))}"
            for name, addresses in listening.items()
        ),
        f"  {'database':<44} {storage.describe(config)}",
        "",
        *_accounts(config, has_accounts=has_accounts),
        *_connecting(config, listening),
        *_path(),
        "Stop with Ctrl-C.",
        "",
    ]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()


def _accounts(config: Config, *, has_accounts: bool) -> Iterator[str]:
    """Say how to make the first account, where accounts log in and none is there."""
    domain = config.domains[0]
    if config.host(domain).authentication == "accounts" and not has_accounts:
        yield "Make an account:"
        yield f"  {_program()} account register{_where(config)} --user alice@{domain} --password -"


def _connecting(config: Config, listening: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Say what a client is to be told: an address, and the server where the address does not lead to it."""
    domain = config.domains[0]
    port = next((listening[name][0].rpartition(":")[2] for name in ("tcp", "tls") if name in listening), None)
    if port is None:
        return
    address = {
        "accounts": f"address NAME@{domain}",
        "anonymous": f"domain {domain}, anonymous",
        "any": f"address NAME@{domain}, any name and password",
    }[config.host(domain).authentication or "accounts"]
    yield "Connect with any XMPP client:"
    if domain == _LOCAL:
        yield f"  {address}, server {_LOCAL}, port {port}"
    elif all(map(rules.is_local_only, config.listen.enabled().values())):
        yield f"  {address}, server {_LOCAL}, port {port}, from this machine alone"
    else:
        yield f"  {address}, port {port}"
        yield f"  until DNS leads {domain} to this machine, also: server {socket.gethostname()}"


def _path() -> Iterator[str]:
    """Say how the command is found by its name, where it is not."""
    if shutil.which(_COMMAND) is None:
        yield f"Type less in this shell: export PATH={shlex.quote(str(_used().parent))}:$PATH"


def _used() -> Path:
    return Path(sys.argv[0]).absolute()


def _program() -> str:
    """Give what a person types in this directory to run this very program."""
    used = _used()
    found = shutil.which(_COMMAND)
    if found is not None and Path(found).resolve() == used.resolve():
        return _COMMAND
    return str(used.relative_to(Path.cwd()) if used.is_relative_to(Path.cwd()) else used)


def _where(config: Config) -> str:
    """Give the option that leads the command to this server, unless it finds it by itself."""
    if config.file and Path(config.file).resolve() != Path("tidings.toml").resolve():
        return f" --config {config.file}"
    return "" if config.server.data_dir == "data" else f" --data-dir {config.data_dir}"
