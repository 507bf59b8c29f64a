"""What a stanza says of its sender: a wrong resource is overwritten, another account ends the stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateways import test_http_doors as http
from tests.streams.stand import BIND, HEADER, Machine, Raw, Stand, conditions, plain, standing
from tidings.base.jid import Jid
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.negotiation.client_settings import ClientSettings

OWN = ["", "alice@localhost", "alice@localhost/phone", "alice@localhost/before", "ALICE@localhost/before"]
OTHERS = ["bob@localhost/phone", "localhost", "localhost/phone", "alice@elsewhere.example/phone"]


def message(sender: str) -> str:
    stated = f" from='{sender}'" if sender else ""
    return f"<message xmlns='{ns.CLIENT}' to='bob@localhost/desk'{stated}><body>hi</body></message>"


async def with_sasl(stand: Stand, _: Path) -> Raw:
    return await stand.log_in("alice@localhost/phone")


async def with_sasl2(stand: Stand, _: Path) -> Raw:
    await stand.register("alice@localhost")
    client = await stand.connect()
    await client.say(HEADER, until="</stream:features>")
    initial = f"<initial-response>{plain('alice')}</initial-response>"
    await client.say(
        f"<authenticate xmlns='{ns.SASL2}' mechanism='PLAIN'>{initial}</authenticate>",
        until="</stream:features>",
    )
    answer = await client.say(BIND.format("phone"), until="</iq>")
    assert 'type="result"' in answer
    return client


async def with_bind2(stand: Stand, directory: Path) -> Raw:
    await stand.register("alice@localhost")
    settings = ClientSettings(domain="localhost", account=Jid("alice@localhost"), password="secret")
    client = await stand.connect()
    machine = Machine(client, settings, certificate=directory / "localhost.crt", tls=stand.trusting())
    await machine.negotiate(is_encrypted=False)
    return client


@pytest.mark.parametrize("log_in", [with_sasl, with_sasl2, with_bind2])
@pytest.mark.parametrize("stated", OWN)
async def test_the_true_address_takes_the_place_of_one_of_the_same_account(
    stated: str, log_in, tmp_path: Path
) -> None:
    async with standing(directory=tmp_path) as stand:
        bob = await stand.log_in("bob@localhost/desk")
        alice = await log_in(stand, tmp_path)
        alice.push(message(stated))
        heard = await bob.hear("</message>")
        [session] = [each for each in stand.server.sessions() if each.account.jid == "alice@localhost"]
        assert f'from="{session.jid}"' in heard
        assert "before" not in heard


@pytest.mark.parametrize("stated", OTHERS)
async def test_another_address_ends_the_stream(stated: str) -> None:
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        alice.push(message(stated))
        assert conditions(await alice.rest()) == ["invalid-from"]


async def test_what_is_stamped_is_answered_to_who_sent_it_and_counts_in_acks() -> None:
    """Converse.js sends such an iq after a page was loaded anew, with the resource that it had before."""
    async with standing() as stand:
        alice = await stand.log_in("alice@localhost/phone")
        await alice.say(f"<enable xmlns='{ns.SM}'/>", until="<enabled")
        await alice.hear("/>")
        alice.push(
            "<iq type='get' id='1' from='alice@localhost/before' to='localhost'>"
            f"<ping xmlns='{ns.PING}'/></iq>" + message("alice@localhost/before") + f"<r xmlns='{ns.SM}'/>"
        )
        answer = await alice.hear('id="1"')
        assert "before" not in answer
        await alice.hear('h="2"')


@pytest.mark.parametrize("transport", ["websocket", "bosh"])
async def test_pages_may_be_wrong_about_their_resource(transport: str) -> None:
    async with http.standing() as stand:
        bob = await stand.websocket()
        await bob.login("bob", "desk")
        page = await stand.websocket() if transport == "websocket" else stand.bosh_client()
        await page.login("alice", "phone")
        sent = message("alice@localhost/before")
        await page.send(sent) if transport == "websocket" else page.start(sent)
        assert (await bob.receive()).get("from") == "alice@localhost/phone"
