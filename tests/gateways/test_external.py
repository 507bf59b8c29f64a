"""SASL EXTERNAL: a trusted certificate logs in as the address that it names (XEP-0178 §2)."""

import contextlib
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.harness.server_process import ServerProcess

XMPP_ADDRESS = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
HEADER = (
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    b"to='localhost' version='1.0'>"
)


class Authority:
    """Signs client certificates."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory / name
        self.directory.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self.file = self._write("authority", self._sign(self.name, self.key, constraints, critical=True))

    def client(self, address: str) -> tuple[Path, Path]:
        """Make a certificate that names this XMPP address, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        text = address.encode()
        other = x509.OtherName(XMPP_ADDRESS, bytes([0x0C, len(text)]) + text)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a client")])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName([other]), critical=False)
        key_file = self.directory / f"{address}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return self._write(address, certificate), key_file

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        critical: bool,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(extension, critical=critical)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.directory / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "trusted")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ServerProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDINGS_TLS__CLIENT_AUTHORITY", str(authority.file))
        running = ServerProcess.start(tmp_path_factory.mktemp("external"))
    running.register("alice", "a password that nobody types")
    yield running
    running.stop()


@contextlib.contextmanager
def connected(server: ServerProcess, files: tuple[Path, Path] | None) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=str(server.authority))
    if files is not None:
        context.load_cert_chain(*files)
    with (
        socket.create_connection((server.host, server.tls_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as channel,
    ):
        yield channel


def say(channel: ssl.SSLSocket, text: bytes, until: bytes) -> bytes:
    channel.sendall(text)
    heard = b""
    while until not in heard:
        data = channel.recv(65_536)
        assert data, heard
        heard += data
    return heard


def test_the_certificate_logs_in_as_who_it_names(server: ServerProcess, authority: Authority) -> None:
    with connected(server, authority.client("alice@localhost")) as channel:
        features = say(channel, HEADER, b"</stream:features>")
        assert b">EXTERNAL<" in features
        auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
        assert b"<success" in say(channel, auth, b"/>")
        assert b"<bind" in say(channel, HEADER, b"</stream:features>")
        bind = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
        assert b"<jid>alice@localhost/" in say(channel, bind, b"</iq>")


def test_it_logs_in_as_nobody_else(server: ServerProcess, authority: Authority) -> None:
    server.register("bob", "another password")
    with connected(server, authority.client("alice@localhost")) as channel:
        say(channel, HEADER, b"</stream:features>")
        # base64 of bob@localhost, as authorization identity
        auth = (
            b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>Ym9iQGxvY2FsaG9zdA==</auth>"
        )
        assert b"<invalid-authzid/>" in say(channel, auth, b"</failure>")


@pytest.mark.parametrize("address", ["nobody@localhost", "alice@elsewhere.example"])
def test_a_name_without_an_account_here_does_not_log_in(
    server: ServerProcess, authority: Authority, address: str
) -> None:
    with connected(server, authority.client(address)) as channel:
        features = say(channel, HEADER, b"</stream:features>")
        auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
        assert b"<failure" in say(channel, auth, b"</failure>")
        assert (b">EXTERNAL<" in features) == address.endswith("@localhost")


def test_without_a_certificate_it_is_not_offered(server: ServerProcess) -> None:
    with connected(server, None) as channel:
        assert b">EXTERNAL<" not in say(channel, HEADER, b"</stream:features>")


def test_a_certificate_of_a_stranger_ends_the_handshake(server: ServerProcess, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    with (
        pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
        connected(server, stranger.client("alice@localhost")) as channel,
    ):
        # With TLS 1.3 the client learns of it with the first answer.
        say(channel, HEADER, b"</stream:features>")
