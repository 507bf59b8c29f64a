"""What a person reads when the server has started: where it listens, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

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
    where = "" if config.server.data_dir == "data" else f" --data-dir {config.data_dir}"
    lines = [
        f"Tidings serves {', '.join(config.domains)}",
        *(
            f"  {_DOORS[name]:<44} {', '.join(dict.fromkeys(addresses))}"
            for name, addresses in listening.items()
        ),
        f"  {'database':<44} {storage.describe(config)}",
        "",
        "Make an account:",
        f"  tidings account register{where} --user alice@{domain} --password -",
        "Connect with any XMPP client:",
        f"  address alice@{domain}, server localhost, port {port}",
        "Stop with Ctrl-C.",
        "",
    ]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()
