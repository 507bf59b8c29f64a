"""Challenges of an ACME authority: answered by HTTP and by TLS while one is open, and at no other time."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from tests.gateways.test_http import serving
from tests.streams.stand import HEADER, standing, until
from tidings.app import certificate_maker, certificates
from tidings.app.certificates import Pair
from tidings.gateways.acme_challenges import ACME_PROTOCOL, AcmeChallenges
from tidings.gateways.acme_door import PATH, AcmeDoor

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"  # that of the example in RFC 8555
PROOF = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


async def test_the_path_of_an_open_token_has_its_key_authorization() -> None:
    challenges = AcmeChallenges()
    async with serving() as served:
        AcmeDoor(served.gateway, challenges)
        assert (await served.ask("GET", f"{PATH}/{TOKEN}"))[0] == 404
        challenges.answer_by_http(TOKEN, PROOF)
        status, headers, text = await served.ask("GET", f"{PATH}/{TOKEN}")
        assert (status, text) == (200, PROOF)
        assert headers["Content-Type"] == "application/octet-stream"
        for other in ("", "/", "/other", f"/{TOKEN}/more", f"/{TOKEN.lower()}"):
            assert (await served.ask("GET", PATH + other))[0] == 404
        challenges.forget_all()
        assert (await served.ask("GET", f"{PATH}/{TOKEN}"))[0] == 404


def answering(folder: Path, name: str) -> ssl.SSLContext:
    chain, key = certificate_maker.validation(name, PROOF, datetime.now(UTC))
    pair = Pair(folder / "c.pem", folder / "k.pem")
    pair.certificate.write_bytes(chain)
    pair.key.write_bytes(key)
    return certificates.make_context(pair, alpn=(ACME_PROTOCOL,))


async def validate(port: int, name: str, *protocols: str) -> tuple[str | None, bytes]:
    """Connect as an authority does; gives the protocol and the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        channel: ssl.SSLObject = writer.get_extra_info("ssl_object")
        found = channel.selected_alpn_protocol(), channel.getpeercert(binary_form=True) or b""
        if ACME_PROTOCOL in protocols:
            assert await reader.read() == b""
        writer.close()
    return found


async def test_a_handshake_for_validation_shows_the_digest_of_the_key_authorization(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, direct_tls=True) as stand:
        challenges = stand.gateway.tls.challenges
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            await validate(stand.port, "chat.example.org", ACME_PROTOCOL)
        challenges.answer_by_tls("Chat.Example.org", answering(tmp_path, "chat.example.org"))
        protocol, der = await validate(stand.port, "chat.example.org", ACME_PROTOCOL)
        assert protocol == ACME_PROTOCOL
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["chat.example.org"]
        assert len(list(names)) == 1
        found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
        assert found.critical
        assert found.value.value == b"\x04\x20" + hashlib.sha256(PROOF.encode()).digest()  # type: ignore[attr-defined]
        await until(lambda: stand.gateway.limiter._count == 0)


async def test_others_notice_nothing_of_an_open_challenge(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, direct_tls=True) as stand:
        challenges = stand.gateway.tls.challenges
        challenges.answer_by_tls("chat.example.org", answering(tmp_path, "chat.example.org"))
        with pytest.raises(OSError, match=r"unrecognized name|^$"):  # told, or the connection is reset
            await validate(stand.port, "other.example.org", ACME_PROTOCOL)
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            await validate(stand.port, "chat.example.org", ACME_PROTOCOL, "h2")
        client = await stand.connect(stand.trusting())
        await client.say(HEADER, until="</stream:features>")
        await client.close()
        challenges.forget_all()
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            await validate(stand.port, "chat.example.org", ACME_PROTOCOL)
