"""A server as its users get it: `tidings serve` in a process of its own, on free ports of loopback.

The process is ended by its number with SIGTERM and must leave cleanly: exit code 0, no bug in its log. Tests
of crashes kill it instead, and start it again on what it left behind.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.harness.ports import HOST, free_ports, has_listener

DOMAIN = "localhost"
START_SECONDS = 30
READY = "Stop with Ctrl-C."  # the last line of what the server says to the person who started it
STOP_SECONDS = 20
ATTEMPTS = 3  # a port that was free may be taken before the server binds it

INTEROP_PORTS = {"tcp": 5222, "tls": 5223, "http": 5280, "https": 5281}
"""The ports that the interop profile promises."""

CONFIGURATION = """\
[server]
data_dir = "{directory}/data"
domains = ["localhost"]

[listen.tcp]
addresses = ["localhost"]
port = {tcp}

[listen.tls]
addresses = ["localhost"]
port = {tls}

[listen.http]
addresses = ["localhost"]
port = {http}

[listen.https]
addresses = ["localhost"]
port = {https}

[tls]
certificate = "{directory}/localhost.crt"
key = "{directory}/localhost.key"

[log]
level = "debug"
format = "json"

[features.registration]
open = true
attempts_per_hour = 0
"""


def make_certificate(directory: Path, *names: str) -> Path:
    """Write a self-signed certificate for the names as localhost.crt and .key; clients trust the .crt."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    alternatives = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address(HOST))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "localhost.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


def tidings_command() -> Path:
    """The command as it was installed beside the Python that runs the tests."""
    return Path(sysconfig.get_path("scripts")) / "tidings"


class ServerProcess:
    """A running server: where it listens, what to trust, how to make accounts, how to end it."""

    host = HOST
    domain = DOMAIN
    web_host = DOMAIN
    """What URLs of it name, whichever domain a client wants."""

    def __init__(
        self,
        directory: Path,
        ports: dict[str, int],
        authority: Path,
        arguments: list[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.authority = authority
        self.tcp_port = ports["tcp"]
        self.tls_port = ports["tls"]
        self.http_port = ports["http"]
        self.https_port = ports["https"]
        self._arguments = arguments
        self._environment = environment or {}
        self._log_path = directory / "server.log"
        self._launch()

    @classmethod
    def start(
        cls,
        directory: Path,
        *,
        extra_configuration: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a server on free ports with its own certificate and wait until it is ready.

        Variables of the environment overrule the configuration.
        """
        for attempt in range(1, ATTEMPTS + 1):
            server = cls.launch(directory, extra_configuration=extra_configuration, environment=environment)
            try:
                server.wait_until_ready()
            except RuntimeError:
                if attempt == ATTEMPTS or not any(map(has_listener, server.ports)):
                    raise
                continue
            return server
        raise AssertionError("the loop returns or raises")

    @classmethod
    def launch(
        cls,
        directory: Path,
        *,
        extra_configuration: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start a server as `start` does, and wait for nothing."""
        authority = make_certificate(directory, DOMAIN)
        ports = dict(zip(INTEROP_PORTS, free_ports(len(INTEROP_PORTS)), strict=True))
        configuration = directory / "tidings.toml"
        configuration.write_text(
            CONFIGURATION.format(directory=directory, **ports) + extra_configuration,
            encoding="utf-8",
        )
        return cls(directory, ports, authority, ["--config", str(configuration)], environment)

    @classmethod
    def start_interop(cls, directory: Path, *arguments: str) -> Self:
        """Start the interop profile, whose ports are fixed, and wait until it is ready."""
        data = directory / "data"
        data.mkdir(exist_ok=True)
        command = ["--profile", "interop", "--data-dir", str(data), *arguments]
        server = cls(directory, INTEROP_PORTS, data / "self-signed.crt", command)
        server.wait_until_ready()
        return server

    def kill(self) -> None:
        """End the server with SIGKILL: it can do nothing about it."""
        self.process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start a server that has ended on the same data and ports, and wait until it is ready."""
        self._launch()
        self.wait_until_ready()

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that it is to listen on."""
        return self.tcp_port, self.tls_port, self.http_port, self.https_port

    @property
    def log(self) -> str:
        """All that the server printed so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of what the server printed, for the text of a failure."""
        return "\n".join(self.log.splitlines()[-lines:])

    def command(self, *arguments: str, input: str = "") -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run `tidings ARGUMENTS` against this server and its data directory, with this as standard input."""
        return subprocess.run(
            [tidings_command(), *arguments, *self._arguments_for_commands()],
            cwd=self.directory,
            input=input,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def register(self, name: str, password: str) -> None:
        """Make an account in-band (XEP-0077), the quick way; raises RuntimeError when the server refuses."""
        with socket.create_connection((HOST, self.tcp_port), timeout=10) as connection:
            wire = _Conversation(connection)
            wire.say(
                f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                f"version='1.0' to='{DOMAIN}'>"
            )
            wire.hear_until(b"</stream:features>")
            wire.say(
                f"<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>{name}</username>"
                f"<password>{password}</password></query></iq>"
            )
            answer = wire.hear_until(b"register")
            wire.say("</stream:stream>")
        if b"type='result'" not in answer and b'type="result"' not in answer:
            raise RuntimeError(f"{name} was not registered: {answer!r}")

    def stop(self) -> None:
        """End the server with SIGTERM and assert that it left cleanly and logged no bug."""
        self._terminate()
        bugs = list(self._bugs())
        assert not bugs, "errors in the server's log:\n" + "\n".join(bugs)

    def stop_troubled(self) -> None:
        """End a server whose database failed: it leaves cleanly, with errors in its log but no bug."""
        self._terminate()
        assert "Traceback" not in self.log, self.log_tail(100)

    def _terminate(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no exit {STOP_SECONDS} s after SIGTERM\n{self.log_tail()}") from None
        assert code == 0, f"exit code {code}\n{self.log_tail()}"

    def _bugs(self) -> Iterator[str]:
        for line in self.log.splitlines():
            if line.startswith("Traceback") or "Warning: " in line:
                yield line
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("level") in {"error", "critical"}:
                    yield line

    def _arguments_for_commands(self) -> list[str]:
        if self._arguments[0] == "--config":
            return self._arguments[:2]
        return ["--data-dir", str(self.directory / "data")]

    def _launch(self) -> None:
        with self._log_path.open("ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                [tidings_command(), "serve", *self._arguments],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment, "PYTHONWARNINGS": "default"},
            )

    @property
    def _log_since_start(self) -> str:
        with self._log_path.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_until_ready(self) -> None:
        """Raise RuntimeError with the server's words when it ends or does not listen in time."""
        self.wait_for(READY)

    def wait_for(self, text: str) -> None:
        """Wait until the server says this after its last start; RuntimeError when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with code {self.process.returncode}\n{self.log_tail()}")
            if text in self._log_since_start:
                return
            if time.monotonic() > deadline:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"it has not said {text!r} in {START_SECONDS} s\n{self.log_tail()}")
            time.sleep(0.02)  # there is no event to wait for in another process


class _Conversation:
    """A blocking exchange of bytes with the server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def say(self, text: str) -> None:
        self._connection.sendall(text.encode())

    def hear_until(self, mark: bytes) -> bytes:
        heard = b""
        while mark not in heard or not heard.endswith(b">"):
            block = self._connection.recv(65536)
            if not block:
                raise RuntimeError(f"the server closed the connection after {heard!r}")
            heard += block
        return heard
