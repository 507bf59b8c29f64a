"""What a person reads when the server has started: where it listens, and what to do next."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidings.app import storage
from tidings.app.options import Config

_DOORS = {
    "tcp": "XMPP, STARTTLS",
    "tls": "XMPP, direct TLS",
    "http": "WebSocket /xmpp-websocket, BOSH /http-bind",
    "https": "WebSocket and BOSH over TLS",
}


def print_banner(config: Config, listening: Mapping[str, Sequence[str]]) -> None:
    """Print it to standard output, all at once."""
    domain = next(iter(config.domains))
    ports = {name: addresses[0].rpartition(":")[2] for name, addresses in listening.items()}
    port = ports.get("tcp") or ports.get("tls", "none")
    command = f"{_program()} account register{_where(config)} --user alice@{domain} --password -"
    lines = [
        f"Tidings serves {', '.join(config.domains)}",
        *(
            f"  {_DOORS[name]:<44} {', '.join(dict.fromkeys(addresses))}"
            for name, addresses in listening.items()
        ),
        f"  {'database':<44} {storage.describe(config)}",
        "",
        "Make an account:",
        f"  {command}",
        "Connect with any XMPP client:",
        f"  address alice@{domain}, server localhost, port {port}",
        "Stop with Ctrl-C.",
        "",
    ]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()


def _program() -> str:
    """Give what a person types in this directory to run this very program."""
    used = Path(sys.argv[0]).resolve()
    found = shutil.which("tidings")
    if found is not None and Path(found).resolve() == used:
        return "tidings"
    return str(used.relative_to(Path.cwd()) if used.is_relative_to(Path.cwd()) else used)


def _where(config: Config) -> str:
    """Give the option that leads the command to this server, unless it finds it by itself."""
    if config.file and Path(config.file).resolve() != Path("tidings.toml").resolve():
        return f" --config {config.file}"
    return "" if config.server.data_dir == "data" else f" --data-dir {config.data_dir}"
