"""A real ACME authority: Pebble, of those who make Let's Encrypt, with the name server that it asks.

`make interop` builds both. Every name leads to this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.harness.ports import HOST, free_ports
from tests.harness.server_process import make_certificate

TOOLS: Final = Path(__file__).parent.parent / "foreign/tools"
"""Where tests/install.sh puts them."""
_SECONDS: Final = 30


class Pebble:
    """An authority that validates on these ports."""

    def __init__(
        self,
        folder: Path,
        http_port: int,
        tls_port: int,
        validity_seconds: int,
        within: Sequence[str] = (),
    ) -> None:
        """Write its configuration; its certificates last so long.

        `within` is put before its commands, such as what enters another network.
        """
        assert (TOOLS / "pebble").exists(), "Pebble is not installed: make interop installs it"
        self.folder = folder
        self._within = within
        port, management, self._dns, self._control = free_ports(4)
        self.directory = f"https://{HOST}:{port}/dir"
        self.authority = make_certificate(folder, "localhost")
        """What signs the certificate of the directory."""
        self._management = f"https://{HOST}:{management}"
        self._file = folder / "pebble.json"
        configuration = {
            "listenAddress": f"{HOST}:{port}",
            "managementListenAddress": f"{HOST}:{management}",
            "certificate": str(self.authority),
            "privateKey": str(self.authority.with_suffix(".key")),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "profiles": {"default": {"description": "", "validityPeriod": validity_seconds}},
        }
        self._file.write_text(json.dumps({"pebble": configuration}))

    @contextlib.contextmanager
    def running(self) -> Iterator[Pebble]:
        """Run both until the end of the block."""
        names = ["-management", f"{HOST}:{self._control}", "-dnsserver", f"{HOST}:{self._dns}"]
        unused = [part for door in ("http01", "https01", "tlsalpn01", "doh") for part in (f"-{door}", "")]
        commands = [
            [TOOLS / "pebble-challtestsrv", *names, *unused, "-defaultIPv4", HOST, "-defaultIPv6", ""],
            [TOOLS / "pebble", "-config", self._file, "-dnsserver", f"{HOST}:{self._dns}"],
        ]
        environment = os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20"}
        with (self.folder / "pebble.log").open("wb") as log, contextlib.ExitStack() as stack:
            for command in commands:
                process = subprocess.Popen(
                    [*self._within, *map(str, command)],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                stack.callback(process.wait)
                stack.callback(process.kill)
            self._wait()
            yield self

    def root(self) -> str:
        """Give the certificate that signs all others, as PEM."""
        return self._get(f"{self._management}/roots/0").decode()

    def _wait(self) -> None:
        until = time.monotonic() + _SECONDS
        while "ACME directory available" not in (told := (self.folder / "pebble.log").read_text()):
            assert time.monotonic() < until, told
            time.sleep(0.05)

    def _get(self, address: str) -> bytes:
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with urllib.request.urlopen(address, context=trusted, timeout=_SECONDS) as answer:
            content: bytes = answer.read()
        return content
