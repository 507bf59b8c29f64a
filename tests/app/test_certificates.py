"""Certificates: made once, good for TLS, and every trouble told with its remedy."""

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tidings.app import certificate_maker, certificates, config, tls_contexts
from tidings.app.certificates import Pair

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def pair(tmp_path):
    return write(tmp_path, "good", ["example.org"])


def write(directory, name, names, now=NOW) -> Pair:
    certificate, key = certificate_maker.self_signed(names, now)
    pair = Pair(directory / f"{name}.crt", directory / f"{name}.key")
    pair.certificate.write_bytes(certificate)
    pair.key.write_bytes(key)
    pair.key.chmod(0o600)
    return pair


def told(pair, names=("example.org",), now=NOW):
    return [
        (finding.level, finding.text.replace(str(pair.certificate.parent) + "/", ""))
        for finding in certificates.findings(pair, names, now)
    ]


def configuration(directory, text="", domains=("example.org", "straße.example")):
    file = directory / "tidings.toml"
    file.write_text(text)
    return config.load(file, {}, {"server.data_dir": str(directory), "server.domains": list(domains)})


def test_the_self_signed_one_is_made_once_and_for_its_owner_alone(tmp_path):
    found = configuration(tmp_path)
    first = tls_contexts.load(found).certificate_for("example.org")
    assert stat.S_IMODE((tmp_path / "self-signed.key").stat().st_mode) == 0o600
    assert tls_contexts.load(found).certificate_for("straße.example") == first


def test_it_is_made_anew_for_a_new_domain_before_it_expires_and_when_it_is_damaged(tmp_path):
    pair = Pair(tmp_path / "a.crt", tmp_path / "a.key", is_own=True)
    assert certificates.ensure_self_signed(pair, ["one.example"], NOW)
    assert not certificates.ensure_self_signed(pair, ["one.example"], NOW)
    assert certificates.ensure_self_signed(pair, ["one.example", "two.example"], NOW)
    later = NOW + timedelta(days=certificate_maker.SELF_SIGNED_DAYS - 10)
    assert certificates.ensure_self_signed(pair, ["one.example"], later)
    pair.key.write_bytes(
        certificate_maker.self_signed(["one.example"], NOW)[1]
    )  # as after a crash in between
    assert certificates.ensure_self_signed(pair, ["one.example"], later)
    assert told(pair, ["one.example"], later) == []


async def test_clients_that_trust_it_get_the_certificate_of_the_name_they_ask_for(tmp_path):
    write(tmp_path, "other", ["other.example"])
    text = '[host."other.example"]\ncertificate = "other.crt"\nkey = "other.key"\n'
    loaded = tls_contexts.load(configuration(tmp_path, text))
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=loaded.context_for("example.org")
    )
    port = server.sockets[0].getsockname()[1]
    for domain in ("example.org", "other.example", "xn--strae-oqa.example"):
        file = "other.crt" if domain == "other.example" else "self-signed.crt"
        trusting = ssl.create_default_context(cafile=str(tmp_path / file))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname=domain
        )
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        expected = "straße.example" if domain.startswith("xn--") else domain
        assert shown == loaded.certificate_for(expected)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_nobody_is_given_a_ticket(tmp_path, version):
    """Its key would be as old as the process: whoever gets that later reads all that was said."""
    loaded = tls_contexts.load(configuration(tmp_path))

    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=loaded.context_for("example.org"))
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=str(tmp_path / "self-signed.crt"))
    trusting.minimum_version = trusting.maximum_version = version
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting, server_hostname="example.org"
    )
    writer.write(b"hello\n")
    assert await reader.read() == b"hello\n"  # a ticket of TLS 1.3 would have come before it
    session = writer.get_extra_info("ssl_object").session
    assert session is None or not session.has_ticket
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def put(directory, domain):
    """Put a certificate for a domain into a certificate directory."""
    place = directory / domain
    place.mkdir(parents=True)
    made = write(place, "made", [domain])
    made.certificate.rename(place / "fullchain.pem")
    made.key.rename(place / "privkey.pem")
    return place


async def shown_for(port, domain):
    """Give the certificate that somebody is shown who asks for a domain, and does not look whose it is."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=domain)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


@pytest.mark.parametrize("option", ["", "live"])
async def test_the_certificate_of_a_domain_comes_and_goes_with_it(tmp_path, option):
    text = f'[tls]\ndirectory = "{option}"\n'
    directory = tmp_path / (option or "certificates")
    put(directory, "example.org")
    loaded = tls_contexts.load(configuration(tmp_path, text))
    put(directory, "new.example")
    default = loaded.certificate_for("example.org")
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=loaded.context_for("example.org")
    )
    port = server.sockets[0].getsockname()[1]
    assert await shown_for(port, "new.example") == default
    assert loaded.add("new.example")
    assert not loaded.add("without.example")
    added = loaded.certificate_for("new.example")
    assert await shown_for(port, "new.example") == added != default
    assert await shown_for(port, "without.example") == default
    loaded.discard("new.example")
    loaded.discard("without.example")
    assert await shown_for(port, "new.example") == default
    server.close()
    await server.wait_closed()


def test_a_certificate_that_cannot_be_used_does_not_stop_a_running_server(tmp_path):
    loaded = tls_contexts.load(configuration(tmp_path))
    (put(tmp_path / "certificates", "new.example") / "privkey.pem").unlink()
    assert not loaded.add("new.example")


def test_a_good_one_needs_no_word(pair):
    assert told(pair) == []


def test_expired_early_and_ending_certificates_are_told(pair):
    end = NOW + timedelta(days=certificate_maker.SELF_SIGNED_DAYS)
    assert told(pair, now=end + timedelta(days=1)) == [("fail", f"good.crt expired on {end:%Y-%m-%d}")]
    assert told(pair, now=end - timedelta(days=5)) == [
        ("warn", f"good.crt expires in 5 days, on {end:%Y-%m-%d}")
    ]
    start = NOW - timedelta(days=1)
    assert told(pair, now=start - timedelta(days=1)) == [
        ("fail", f"good.crt is not valid before {start:%Y-%m-%d}")
    ]


def test_missing_names_are_told_and_wildcards_cover_one_label(tmp_path):
    pair = write(tmp_path, "wild", ["*.example.org"])
    assert told(pair, ["chat.example.org"]) == []
    assert told(pair, ["example.org", "a.b.example.org"]) == [
        ("warn", "wild.crt does not name example.org, a.b.example.org")
    ]


def test_a_key_of_another_certificate_is_told(tmp_path, pair):
    other = write(tmp_path, "other", ["example.org"])
    assert told(Pair(pair.certificate, other.key)) == [("fail", "other.key is not the key of good.crt")]


def test_files_that_are_missing_or_no_pem_are_told(tmp_path, pair):
    nothing = tmp_path / "nothing"
    assert told(Pair(nothing, pair.key)) == [
        ("fail", f"{nothing} does not exist".replace(f"{tmp_path}/", ""))
    ]
    nothing.write_text("hello")
    assert told(Pair(nothing, pair.key)) == [("fail", "nothing holds no certificate in PEM form")]
    assert told(Pair(pair.certificate, nothing)) == [("fail", "nothing holds no private key in PEM form")]


def test_a_key_with_a_passphrase_is_told_and_not_asked_for(tmp_path, pair):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert told(pair) == [("fail", "good.key has a passphrase")]


def test_a_key_that_everybody_can_read_is_told(pair):
    pair.key.chmod(0o644)
    assert told(pair) == [("warn", "good.key can be read by everybody on this machine")]


def test_what_cannot_be_loaded_stops_the_server_with_a_reason(tmp_path):
    found = configuration(tmp_path)
    found = msgspec.structs.replace(
        found, tls=msgspec.structs.replace(found.tls, certificate=str(tmp_path / "no.crt"), key="no.key")
    )
    with pytest.raises(certificates.CertificateError, match=r"no\.crt does not exist; correct its name"):
        tls_contexts.load(found)


def test_a_directory_in_place_of_a_file_is_told(tmp_path):
    [finding] = certificates.findings(Pair(tmp_path, tmp_path / "key.pem"), ["a.example"], datetime.now(UTC))
    assert finding.text == f"{tmp_path} is a directory"
    assert finding.mend.startswith(f"name the file in it, such as {tmp_path}/fullchain.pem")


def test_a_certificate_with_a_common_name_alone_is_told_as_such(tmp_path):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    signing = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "chat.example.org")])
    made = x509.CertificateBuilder(name, name, signing.public_key(), x509.random_serial_number())
    made = made.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=90)).sign(signing, hashes.SHA256())
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    key.write_bytes(signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key.chmod(0o600)
    [finding] = certificates.findings(Pair(certificate, key), ["chat.example.org"], datetime.now(UTC))
    assert "names chat.example.org as its common name (CN) alone, where no client looks" in finding.text
    assert "subjectAltName" in finding.mend
    [other] = certificates.findings(Pair(certificate, key), ["else.example.org"], datetime.now(UTC))
    assert "does not name else.example.org" in other.text
