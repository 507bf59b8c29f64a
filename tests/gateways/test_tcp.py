"""The TCP door on real sockets: streams, limits, TLS, and how all of it ends."""

from __future__ import annotations

import asyncio
import base64
import gc
import hmac
import socket
import ssl
import struct
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.streams.stand import (
    AUTH,
    HEADER,
    SECRET,
    STARTTLS,
    Machine,
    Stand,
    conditions,
    plain,
    standing,
    until,
)
from tidings.base.errors import BackendError
from tidings.base.jid import Jid
from tidings.gateways.connection_limiter import ConnectionLimiter
from tidings.gateways.tcp import TcpProtocol
from tidings.kernel.session import Session
from tidings.messages.inbound import Inbound
from tidings.streams.connection import Connection
from tidings.streams.listener import ConnectionOptions
from tidings.streams.login import StoredCredentials
from tidings.streams.negotiator import Negotiator
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation import values
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings, DeviceToken
from tidings.wire.xmpp.negotiation.server import ServerNegotiation
from tidings.wire.xmpp.negotiation.values import UserAgent
from tidings.wire.xmpp.stanza import Stanza

DEVICE = UserAgent("d4565fa7-4d72-4749-b3d3-740edbf87770", "test", "socket")


# --- streams


async def test_log_in_chat_and_leave() -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        bob = await stand.log_in("bob@localhost/desk")
        alice.push("<message to='bob@localhost/desk' type='chat'><body>hi</body></message></stream:stream>")
        assert "<body>hi</body>" in await bob.hear("</message>")
        assert await alice.rest() == "</stream:stream>"
        await until(lambda: stand.server.session_count == 1)


async def test_a_stream_without_prefixes() -> None:  # RFC 6120 §4.8.3
    header = f"<stream xmlns='{ns.STREAMS}' to='localhost' version='1.0'>"
    client, sasl = "xmlns='jabber:client'", AUTH.format(plain("alice"))
    async with standing() as stand:
        await stand.register("alice@localhost")
        alice = await stand.connect()
        await alice.say(f"<?xml version='1.0'?>{header}", until="</stream:features>")
        await alice.say(sasl, until="<success")
        await alice.say(header, until="</stream:features>")
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind>"
        answer = await alice.say(f"<iq type='set' id='b' {client}>{bind}</iq>", until="</iq>")
        assert 'type="result"' in answer
        alice.push(f"<message {client} to='alice@localhost/x' type='chat'><body>hi</body></message></stream>")
        assert "<body>hi</body>" in await alice.hear("</message>")
        assert await alice.rest() == "</stream:stream>"


async def test_a_stanza_that_declares_nothing_in_a_stream_without_prefixes_is_none() -> None:
    async with standing() as stand:
        client = await stand.connect()
        client.push(f"<stream xmlns='{ns.STREAMS}' to='localhost' version='1.0'><message/>")
        assert conditions(await client.rest()) == ["unsupported-stanza-type"]


async def test_an_error_before_the_stream_is_open_comes_in_a_stream() -> None:
    async with standing() as stand:
        client = await stand.connect()
        client.push("<html>")
        text = await client.rest()
        assert "<stream:stream " in text
        assert conditions(text) == ["invalid-namespace"]
        assert text.endswith("</stream:stream>")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("<message to='x@localhost'/>", "not-authorized"),
        (HEADER, "policy-violation"),
        ("<a xmlns='urn:nothing'/>", "unsupported-stanza-type"),
        ("<a><b></a>", "not-well-formed"),
        (f"<a>{'x' * 20_000}</a>", "policy-violation"),
    ],
)
async def test_what_may_not_come_before_log_in(text: str, condition: str) -> None:
    async with standing() as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        client.push(text)
        assert conditions(await client.rest()) == [condition]


async def test_the_limit_is_larger_after_log_in() -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        bob = await stand.log_in("bob@localhost/desk")
        alice.push(f"<message to='bob@localhost/desk' type='chat'><body>{'x' * 200_000}</body></message>")
        await bob.hear("</message>")
        alice.push(f"<message to='bob@localhost/desk' type='chat'><body>{'x' * 300_000}</body></message>")
        assert conditions(await alice.rest()) == ["policy-violation"]


@pytest.mark.parametrize("text", [HEADER, AUTH.format(plain("alice"))])
async def test_a_second_header_or_log_in_on_a_session(text: str) -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        alice.push(text)
        assert len(conditions(await alice.rest())) == 1
        await until(lambda: not stand.server.session_count)


async def test_a_flood_does_not_take_our_last_words_from_the_client() -> None:
    """Unread input makes a closing socket send a reset, which discards what was sent before."""
    async with standing() as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        client.push("<a><b></a>" + "<flood/>" * 500_000)
        await client.writer.drain()
        assert conditions(await client.rest()) == ["not-well-formed"]


async def test_a_peer_that_never_closes_is_cut() -> None:
    async with standing() as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        client.push("<a><b></a>")
        await client.hear("</stream:stream>")
        assert stand.server.connections
        stand.clock.advance(5)
        await until(lambda: not stand.server.connections)


async def test_a_peer_that_goes_away_without_a_word() -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        linger = struct.pack("ii", 1, 0)  # a reset instead of an orderly end
        alice.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        alice.writer.transport.abort()
        await until(lambda: not stand.server.connections and not stand.server.session_count)


async def test_a_dead_connection_leaves_no_memory_behind() -> None:
    def alive() -> list[object]:
        kinds = (Connection, Negotiator, TcpProtocol, Session, Inbound, ServerNegotiation)
        return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]

    gc.collect()
    gc.disable()  # nothing may need the collector
    try:
        before = len(alive())
        async with standing() as stand:
            alice = await stand.log_in("alice@localhost/phone")
            assert len(alive()) > before
            await alice.close()
            await until(lambda: not stand.server.connections and not stand.server.supervisor.busy)
            stand.clock.advance(5)  # who was active is remembered for so long
            await until(lambda: len(alive()) == before)
    finally:
        gc.enable()


# --- limits


async def test_a_slow_reader_is_cut_and_disturbs_nobody() -> None:
    async with standing(limits=ConnectionOptions(outbound_bytes=200_000)) as stand:
        alice = await stand.log_in("alice@localhost/phone")
        slow = await stand.log_in("slow@localhost/desk")
        bob = await stand.log_in("bob@localhost/desk")
        slow.writer.transport.pause_reading()
        slow.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        text = f"<message to='slow@localhost/desk' type='chat'><body>{'x' * 100_000}</body></message>"
        async with asyncio.timeout(20):
            while stand.server.session_count == 3:
                alice.push(text)
                await alice.writer.drain()
                await asyncio.sleep(0)
        assert stand.server.session_count == 2
        alice.push("<message to='bob@localhost/desk' type='chat'><body>still here</body></message>")
        await bob.hear("still here")


async def test_the_total_and_each_address_are_limited_and_counted_once(tmp_path: Path) -> None:
    limiter = ConnectionLimiter(total=2)
    async with standing(directory=tmp_path, limiter=limiter) as stand:
        first = await stand.connect()
        await first.say(HEADER, until="</stream:features>")
        await first.say(STARTTLS, until="<proceed")
        await first.start_tls(stand.trusting())
        await first.say(HEADER, until="</stream:features>")
        second = await stand.connect()
        await second.say(HEADER, until="</stream:features>")
        third = await stand.connect()
        third.push(HEADER)
        with pytest.raises((ConnectionError, AssertionError)):
            await third.hear("<stream")
        await first.close()
        await until(lambda: limiter._count == 1)
        await second.close()
        await until(lambda: limiter._count == 0)
        assert not limiter._addresses


def test_addresses_are_counted_by_network() -> None:
    limiter = ConnectionLimiter(per_address=1)
    assert limiter.admit("192.0.2.1")
    assert not limiter.admit("192.0.2.1")
    assert limiter.admit("192.0.2.2")
    assert limiter.admit("2001:db8::1")
    assert not limiter.admit("2001:db8::2")
    assert limiter.admit("2001:db8:0:1::2")
    limiter.leave("2001:db8::1")
    assert limiter.admit("2001:db8::3")
    assert limiter.admit("127.0.0.1")
    assert limiter.admit("127.0.0.1")


# --- TLS


async def encrypted(stand: Stand) -> Machine:
    client = await stand.connect()
    settings = ClientSettings(domain="localhost", account=Jid("alice@localhost"), password="secret")
    assert stand.certificate is not None
    return Machine(client, settings, certificate=stand.certificate, tls=stand.trusting())


@pytest.mark.parametrize("use_sasl2", [False, True])
async def test_scram_plus_over_starttls(tmp_path: Path, use_sasl2: bool) -> None:
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.register("alice@localhost")
        settings = ClientSettings(
            domain="localhost", account=Jid("alice@localhost"), password="secret", use_sasl2=use_sasl2
        )
        machine = Machine(
            await stand.connect(), settings, certificate=stand.certificate, tls=stand.trusting()
        )
        await machine.negotiate(is_encrypted=False)
        [established] = machine.told(values.Established)
        assert established.jid.bare == "alice@localhost"
        assert stand.server.telemetry.logins == {"SCRAM-SHA-512-PLUS": 1}
        [session] = stand.server.sessions()
        assert session.secure
        assert session.transport == "tcp"


@pytest.mark.parametrize("alpn", [(), ("xmpp-client",), ("h2", "xmpp-client")])
async def test_direct_tls(tmp_path: Path, alpn: tuple[str, ...]) -> None:
    async with standing(directory=tmp_path, direct_tls=True) as stand:
        await stand.register("alice@localhost")
        client = await stand.connect(stand.trusting(*alpn))
        chosen = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()
        assert chosen == ("xmpp-client" if "xmpp-client" in alpn else None)
        settings = ClientSettings(domain="localhost", account=Jid("alice@localhost"), password="secret")
        machine = Machine(client, settings, certificate=stand.certificate, tls=stand.trusting())
        await machine.negotiate(is_encrypted=True)
        [session] = stand.server.sessions()
        assert session.transport == "tls"
        assert stand.server.telemetry.logins == {"SCRAM-SHA-512-PLUS": 1}


async def test_a_client_of_another_protocol_is_told_that_nobody_here_speaks_it(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, direct_tls=True) as stand:
        with pytest.raises(ssl.SSLError, match="no application protocol"):
            await stand.connect(stand.trusting("http/1.1"))
        await until(lambda: not stand.gateway.limiter._count)


async def test_a_binding_to_another_certificate_is_refused(tmp_path: Path) -> None:
    """Somebody in the middle who ends TLS with a certificate of his own learns nothing and gets nowhere."""
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.register("alice@localhost")
        machine = await encrypted(stand)
        machine.info = values.TlsInfo(version="TLSv1.3", end_point=b"another certificate")
        await machine.negotiate(is_encrypted=False)
        assert machine.told(values.LoginFailed)
        assert not machine.told(values.Established)
        assert not stand.server.telemetry.logins


async def log_in_for_token(stand: Stand, token: DeviceToken | None = None, **wishes: bool) -> Machine:
    settings = ClientSettings(
        domain="localhost",
        account=Jid("alice@localhost"),
        password="" if token else "secret",
        token=token,
        user_agent=DEVICE,
        **wishes,
    )
    assert stand.certificate is not None
    machine = Machine(await stand.connect(), settings, certificate=stand.certificate, tls=stand.trusting())
    await machine.negotiate(is_encrypted=False)
    return machine


async def test_fast_tokens(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.register("alice@localhost")
        first = await log_in_for_token(stand, want_token=True)
        [given] = first.told(values.TokenReceived)
        second = await log_in_for_token(stand, DeviceToken(given.mechanism, given.token))
        assert second.told(values.Established)
        assert stand.server.telemetry.logins[given.mechanism] == 1
        third = await log_in_for_token(stand, DeviceToken(given.mechanism, given.token, invalidate=True))
        assert third.told(values.Established)
        refused = await log_in_for_token(stand, DeviceToken(given.mechanism, given.token))
        assert refused.told(values.LoginFailed)
        assert not refused.told(values.Established)


async def test_a_token_that_is_issued_survives_the_end_of_the_one_before() -> None:
    async with standing() as stand:
        alice = await stand.register("alice@localhost")
        mechanism = "HT-SHA-256-NONE"
        credentials = StoredCredentials(stand.world.stores.accounts, stand.clock, SECRET)
        text, _ = await credentials.issue_token(alice, DEVICE.id, mechanism)
        proof = hmac.digest(text.encode(), b"Initiator", "sha256")
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        answer = await client.say(
            f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'><initial-response>"
            f"{base64.b64encode(b'alice' + bytes(1) + proof).decode()}</initial-response>"
            f"<user-agent id='{DEVICE.id}'/><fast xmlns='urn:xmpp:fast:0' invalidate='true'/>"
            f"<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/></authenticate>",
            until="</success>",
        )
        assert "<token" in answer
        [kept] = await stand.world.stores.accounts.tokens(alice, DEVICE.id)
        assert kept.mechanism == mechanism


class Revoking(StoredCredentials):
    """A store in which tokens are revoked between look-up and use."""

    async def token_used(self, account, token, *, invalidate):
        await self._accounts.remove_tokens(account)
        return await super().token_used(account, token, invalidate=invalidate)


class Failing(StoredCredentials):
    """A store that cannot note that a token was used."""

    async def token_used(self, account, token, *, invalidate):
        raise BackendError("the disk is full")


async def test_a_token_that_is_revoked_during_log_in_lets_nobody_in(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True, credentials=Revoking) as stand:
        await stand.register("alice@localhost")
        first = await log_in_for_token(stand, want_token=True)
        [given] = first.told(values.TokenReceived)
        second = await log_in_for_token(stand, DeviceToken(given.mechanism, given.token))
        assert not second.told(values.Established)
        [error] = second.told(values.StreamErrorReceived)
        assert error.error.condition == "not-authorized"
        assert stand.server.session_count == 1


async def test_a_store_that_cannot_note_a_token_is_no_obstacle(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True, credentials=Failing) as stand:
        await stand.register("alice@localhost")
        first = await log_in_for_token(stand, want_token=True)
        [given] = first.told(values.TokenReceived)
        second = await log_in_for_token(stand, DeviceToken(given.mechanism, given.token))
        assert second.told(values.Established)
        assert not stand.server.telemetry.bugs


async def test_plain_text_injected_after_starttls_is_never_processed(tmp_path: Path) -> None:
    async with standing(directory=tmp_path) as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS + AUTH.format(plain("alice")), until="<proceed")
        await client.start_tls(stand.trusting())
        heard = await client.say(HEADER, until="</stream:features>")
        assert "<success" not in heard
        assert "<mechanism>" in heard
        assert not stand.server.telemetry.logins
        assert not stand.server.telemetry.login_failures


async def test_what_is_injected_may_be_nonsense(tmp_path: Path) -> None:
    async with standing(directory=tmp_path) as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS + "<a></b>", until="<proceed")
        await client.start_tls(stand.trusting())
        await client.say(HEADER, until="</stream:features>")


async def test_what_comes_in_one_piece_with_the_end_of_the_handshake_is_heard(tmp_path: Path) -> None:
    """TLS 1.3: the client's last handshake message and its first data may share a segment."""
    async with standing(directory=tmp_path) as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS, until="/>")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        channel = stand.trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            channel.do_handshake()
        client.push(outgoing.read())
        async with asyncio.timeout(10):
            while True:
                incoming.write(await client.reader.read(65_536))
                try:
                    channel.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    client.push(outgoing.read())
            channel.write(HEADER.encode())
            client.push(outgoing.read())  # both in one segment
            heard = b""
            while b"</stream:features>" not in heard:
                incoming.write(await client.reader.read(65_536))
                try:
                    heard += channel.read(65_536)
                except ssl.SSLWantReadError:
                    continue


async def test_a_handshake_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async with standing(directory=tmp_path) as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS, until="<proceed")
        with capture_logs() as told:
            client.push("this is no TLS" * 10)
            await until(lambda: not stand.server.connections)
        assert stand.gateway.limiter._count == 0
        assert [(each["event"], each["address"]) for each in told] == [("handshake_failed", "127.0.0.1")]


@pytest.mark.parametrize("is_begun", [True, False])
async def test_a_peer_that_leaves_during_the_handshake_leaves_nothing(tmp_path: Path, is_begun: bool) -> None:
    async with standing(directory=tmp_path) as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS, until="<proceed")
        if is_begun:
            client.push(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
        await client.close()
        await until(lambda: not stand.server.connections)
        assert stand.gateway.limiter._count == 0


async def test_a_handshake_does_not_outlast_the_time_to_log_in(tmp_path: Path) -> None:
    async with standing(directory=tmp_path) as stand:
        client = await stand.connect()
        await client.say(HEADER, until="</stream:features>")
        await client.say(STARTTLS, until="/>")
        stand.clock.advance(30)
        assert await client.rest() == ""  # nothing in plain text any more
        await until(lambda: not stand.server.connections)


@pytest.mark.parametrize("direct_tls", [False, True])
async def test_who_reads_a_certificate_has_two_minutes_to_log_in_and_counts_as_a_connection(
    tmp_path: Path, direct_tls: bool
) -> None:
    limiter = ConnectionLimiter(total=1)
    async with standing(directory=tmp_path, direct_tls=direct_tls, limiter=limiter) as stand:
        client = await stand.connect(stand.trusting() if direct_tls else None)
        if not direct_tls:
            await client.say(HEADER, until="</stream:features>")
            await client.say(STARTTLS, until="/>")
            await client.start_tls(stand.trusting())
        await client.say(HEADER, until="</stream:features>")
        stand.clock.advance(119)
        assert await (await stand.connect()).rest() == ""  # the only place is taken
        assert len(stand.server.connections) == 1
        stand.clock.advance(1)
        assert conditions(await client.rest()) == ["policy-violation"]


async def test_tls_is_required_where_the_policy_says_so(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, tls_required=True) as stand:
        await stand.register("alice@localhost")
        client = await stand.connect()
        features = await client.say(HEADER, until="</stream:features>")
        assert "<required" in features
        assert "<mechanism>" not in features
        failure = await client.say(AUTH.format(plain("alice")), until="</failure>")
        assert "encryption-required" in failure


async def test_the_end_of_the_server_is_told_over_tls(tmp_path: Path) -> None:
    async with standing(directory=tmp_path, direct_tls=True) as stand:
        client = await stand.connect(stand.trusting())
        await client.say(HEADER, until="</stream:features>")
        stopping = asyncio.ensure_future(stand.server.stop(10))
        assert conditions(await client.rest()) == ["system-shutdown"]
        await stopping
        assert not stand.server.connections


# --- the end of the server


async def test_stop_waits_for_clients_but_not_for_one_that_reads_nothing() -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        deaf = await stand.log_in("deaf@localhost/phone")
        deaf.writer.transport.pause_reading()
        deaf.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        [session] = stand.server.hosts["localhost"].directory.get(Jid("deaf@localhost")).sessions.values()
        text = Stanza.build("message", content=(Element("body", ns.CLIENT, {}, "x" * 3_000_000),))
        session.send(text)
        stopping = asyncio.ensure_future(stand.server.stop(3))
        assert conditions(await alice.rest()) == ["system-shutdown"]
        await alice.close()
        await until(lambda: len(stand.server.connections) == 1)
        assert not stopping.done()
        stand.clock.advance(3)
        async with asyncio.timeout(5):
            await stopping
        assert not stand.server.connections
        assert not stand.server.session_count


async def test_who_comes_while_the_server_stops_is_told() -> None:
    async with standing() as stand:
        await stand.server.stop(0)
        client = await stand.connect()
        assert conditions(await client.rest()) == ["system-shutdown"]
